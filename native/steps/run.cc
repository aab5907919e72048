// Runs the code of a program over tiles of rows.
#include "rows.h"

#include "../core/parallel.h"

#include <cstring>


namespace SW_TARGET {
namespace {

using namespace statewise;

void run_copy(const int32_t* at, int64_t runs, const Frame& frame) {
    for (int64_t row = 0; row < frame.rows; ++row)
        for (int64_t run = 0; run < runs; ++run)
            std::memmove(frame.at(at[3 * run], row), frame.at(at[3 * run + 1], row),
                         static_cast<size_t>(at[3 * run + 2]) * sizeof(float));
}

void run_index(const int32_t* at, const int32_t* indices, const Frame& frame) {
    const int32_t* index = indices + at[3];
    for (int64_t row = 0; row < frame.rows; ++row) {
        float* to = frame.at(at[0], row);
        const float* from = frame.at(at[1], row);
        for (int64_t i = 0; i < at[2]; ++i) to[i] = from[index[i]];
    }
}

// Ids are floats: what is no number counts as 0.
void run_lookup(const int32_t* at, const Frame& frame) {
    const int64_t size = at[1], last = at[5] - 1;
    for (int64_t row = 0; row < frame.rows; ++row) {
        float* to = frame.at(at[2], row);
        const float *ids = frame.at(at[3], row), *table = frame.at(at[4], row);
        for (int64_t i = 0; i < at[0]; ++i, to += size) {
            const int64_t id = ids[i] > 0 ? ids[i] < last ? int64_t(ids[i]) : last : 0;
            std::memcpy(to, table + id * size, static_cast<size_t>(size) * sizeof(float));
        }
    }
}

void run_code(const sw_step& step, const Frame& frame) {
    const int32_t* at = step.code;
    for (const int32_t* end = at + step.sizes.code; at < end; at += 2 + at[1]) {
        const int32_t* words = at + 2;
        switch (at[0]) {
            case MAP: run_map(words, frame); break;
            case COPY: run_copy(words, at[1] / 3, frame); break;
            case INDEX: run_index(words, step.indices, frame); break;
            case MATVEC: run_matvec(words, at[1] / 6, step.packed, frame); break;
            case REDUCE: run_reduce(words, frame); break;
            case NORM: run_norm(words, frame); break;
            case SOFTMAX: run_softmax(words, frame); break;
            case CUMSUM: run_cumsum(words, frame); break;
            case PRODUCT: run_product(words, frame); break;
            case CELL: run_cell(words, step.packed, frame); break;
            case CLOCK: run_clock(words, frame); break;
            case LOOKUP: run_lookup(words, frame); break;
            default: break;
        }
    }
}

void run(const sw_step& step, const float* x, float* state, float* out, int64_t rows, int64_t threads,
         void* scratch) {
    const Header& sizes = step.sizes;
    const int64_t tile = tile_rows(step), tiles = (rows + tile - 1) / tile;
    const size_t room = thread_bytes(step, rows);
    parallel_for(tiles, threads, [&](int64_t first, int64_t last, int64_t thread) {
        uint8_t* own = static_cast<uint8_t*>(scratch) + room * static_cast<size_t>(thread);
        Frame frame;
        frame.backwards = own[0] != 0;
        own[0] = static_cast<uint8_t>(!frame.backwards);
        frame.base[WORK] = reinterpret_cast<float*>(own + 64);
        frame.base[CONSTANT] = const_cast<float*>(step.constants);
        frame.stride[INPUT] = sizes.input, frame.stride[STATE] = sizes.state;
        frame.stride[OUTPUT] = sizes.output, frame.stride[WORK] = sizes.work, frame.stride[CONSTANT] = 0;
        const int64_t held = rows < tile ? rows : tile;
        frame.bytes = own + 64 + rounded(static_cast<size_t>(held * sizes.work) * 4);
        for (int64_t at = first * tile; at < last * tile && at < rows; at += tile) {
            frame.rows = rows - at < tile ? rows - at : tile;
            frame.base[INPUT] = const_cast<float*>(x) + at * sizes.input;
            frame.base[STATE] = state + at * sizes.state;
            frame.base[OUTPUT] = out + at * sizes.output;
            run_code(step, frame);
        }
    });
}

}  // namespace

extern const statewise::Target step_target;
const statewise::Target step_target = {packed_bytes, pack, run};

}  // namespace SW_TARGET
