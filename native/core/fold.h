// The sums over lanes of many registers at once.
#pragma once

#include <utility>

#include "simd.h"

namespace SW_TARGET {

// Adds the two halves of every group of 2 W lanes of `a`, and of `b`: groups of [W of a, W of b].
template <class R, int W, size_t... I>
SW_INLINE Vec<R> halve(Vec<R> a, Vec<R> b, std::index_sequence<I...>) {
    constexpr int lanes = Lanes<R>::count;
    constexpr auto index = [](int lane) { return lane % (2 * W) < W ? lane : lane - W + lanes; };
    return __builtin_shufflevector(a, b, index(static_cast<int>(I))...) +
           __builtin_shufflevector(a, b, (index(static_cast<int>(I)) + W)...);
}

// `rows` holds as many registers as one has lanes; gives the sum of each, in order, in one. Spoils `rows`.
template <class R, int W = Lanes<R>::count / 2>
SW_INLINE Vec<R> fold(Vec<R>* rows) {
    for (int row = 0; row < W; ++row)
        rows[row] = halve<R, W>(rows[row], rows[row + W], std::make_index_sequence<Lanes<R>::count>{});
    if constexpr (W > 1)
        return fold<R, W / 2>(rows);
    else
        return rows[0];
}

}  // namespace SW_TARGET
