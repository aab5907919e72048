/* Step programs: one observation and a state in, an answer and the next state out, for many sessions in one call.
 *
 * A program is a block of bytes that statewise.nn.native_step writes (Stepper.program in Python). The caller owns
 * all memory: nothing here allocates, and the block must live as long as the step. A row's result does not depend,
 * bit for bit, on the rows beside it, on their number or on the threads. All numbers are 32-bit floats. */
#ifndef STATEWISE_H
#define STATEWISE_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define SW_API
#else
#define SW_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sw_step sw_step;

/* Bytes that sw_step_create needs for its packed weights; 0 when `program` is no whole, sound program. */
SW_API size_t sw_step_memory(const void* program, size_t bytes);

/* Why a program was refused, in words; "" when it is sound. */
SW_API const char* sw_step_problem(const void* program, size_t bytes);

/* Packs the weights into `memory` (aligned to 64 bytes; it holds the step from then on); null when unsound. */
SW_API sw_step* sw_step_create(const void* program, size_t bytes, void* memory);

/* Floats of one row of x, of state and of out. */
SW_API int64_t sw_step_input_size(const sw_step* step);
SW_API int64_t sw_step_state_size(const sw_step* step);
SW_API int64_t sw_step_output_size(const sw_step* step);

/* About how many multiply-adds one row takes. */
SW_API int64_t sw_step_work(const sw_step* step);

/* Bytes of scratch (aligned to 64) for a call with that many rows and threads; one scratch serves one call at a
 * time. It starts zeroed. */
SW_API size_t sw_step_scratch(const sw_step* step, int64_t rows, int64_t threads);

/* The state before the first observation, state [rows, S]. */
SW_API void sw_step_initial(const sw_step* step, float* state, int64_t rows);

/* One step of x [rows, I] with state [rows, S], changed in place, to out [rows, O]. */
SW_API void sw_step_run(const sw_step* step, const float* x, float* state, float* out, int64_t rows,
                        int64_t threads, void* scratch);

#ifdef __cplusplus
}
#endif

#endif
