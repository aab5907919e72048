// Copies between a padded batch and its real steps end to end: whole rows at a time.
#include "kernels.h"

#include <algorithm>
#include <cstdint>
#include <numeric>

#include "parallel.h"

namespace SW_TARGET {
namespace {

// Calls piece(row, first step of the row among all real steps).
template <class Piece>
void each_row(const int64_t* lengths, int64_t B, int64_t threads, const Piece& piece) {
    parallel_for(B, threads, [&](int64_t first, int64_t last, int64_t) {
        int64_t start = std::accumulate(lengths, lengths + first, int64_t{0});
        for (int64_t b = first; b < last; start += lengths[b++]) piece(b, start);
    });
}

template <class R>
void pack(const R* padded, const int64_t* lengths, R* steps, int64_t B, int64_t T, int64_t F, int64_t threads) {
    each_row(lengths, B, threads, [&](int64_t b, int64_t start) {
        std::copy_n(padded + b * T * F, lengths[b] * F, steps + start * F);
    });
}

template <class R>
void unpack(const R* steps, const int64_t* lengths, R* padded, int64_t B, int64_t T, int64_t F, int64_t threads) {
    each_row(lengths, B, threads, [&](int64_t b, int64_t start) {
        R* row = padded + b * T * F;
        std::copy_n(steps + start * F, lengths[b] * F, row);
        std::fill(row + lengths[b] * F, row + T * F, R(0));
    });
}

}  // namespace

#define RAGGED(R, suffix)                                                                                    \
    void ragged_pack_##suffix(const R* padded, const int64_t* lengths, R* steps, int64_t B, int64_t T,       \
                              int64_t F, int64_t threads) {                                                  \
        pack<R>(padded, lengths, steps, B, T, F, threads);                                                   \
    }                                                                                                        \
    void ragged_unpack_##suffix(const R* steps, const int64_t* lengths, R* padded, int64_t B, int64_t T,     \
                                int64_t F, int64_t threads) {                                                \
        unpack<R>(steps, lengths, padded, B, T, F, threads);                                                 \
    }
RAGGED(float, f32)
RAGGED(double, f64)

}  // namespace SW_TARGET
