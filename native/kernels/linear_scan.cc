// The linear recurrence h_t = a_t h_{t-1} + b_t, one register of channels at a time.
//
// A tree of pairs does log2(T) times the work and reads memory as often; on a CPU the plain loop over time,
// with channels in the lanes and rows over the threads, is bound by memory alone.
#include "kernels.h"

#include "../core/parallel.h"
#include "../core/simd.h"

namespace SW_TARGET {
namespace {

template <class R>
void scan_columns(const R* a, const R* b, const R* initial, R* h, int64_t steps, int64_t T, int64_t D,
                  int64_t count) {
    Vec<R> state = load_some<R>(initial, count);
    for (int64_t t = 0; t < steps; ++t) {
        state = load_some<R>(a + t * D, count) * state + load_some<R>(b + t * D, count);
        store_some<R>(h + t * D, state, count);
    }
    for (int64_t t = steps; t < T; ++t) store_some<R>(h + t * D, Vec<R>{}, count);
}

template <class R>
void scan(const R* a, const R* b, const R* initial, const int64_t* lengths, R* h, int64_t B, int64_t T,
          int64_t D, int64_t threads) {
    const int64_t wide = Lanes<R>::count, strips = (D + wide - 1) / wide;
    parallel_for(B * strips, threads, [&](int64_t first, int64_t last, int64_t) {
        for (int64_t piece = first; piece < last; ++piece) {
            const int64_t row = piece / strips, column = piece % strips * wide;
            const int64_t at = row * T * D + column, steps = lengths ? lengths[row] : T;
            scan_columns<R>(a + at, b + at, initial + row * D + column, h + at, steps, T, D,
                            std::min(wide, D - column));
        }
    });
}

}  // namespace

void linear_scan_forward_f32(const float* a, const float* b, const float* initial, const int64_t* lengths,
                             float* h, int64_t B, int64_t T, int64_t D, int64_t threads) {
    scan<float>(a, b, initial, lengths, h, B, T, D, threads);
}

void linear_scan_forward_f64(const double* a, const double* b, const double* initial, const int64_t* lengths,
                             double* h, int64_t B, int64_t T, int64_t D, int64_t threads) {
    scan<double>(a, b, initial, lengths, h, B, T, D, threads);
}

}  // namespace SW_TARGET
