// Rows of channels cut into work for threads, and into strips of registers for the inner loops.
#pragma once

#include <numeric>
#include <utility>

#include "parallel.h"
#include "simd.h"

namespace SW_TARGET {

// Into how many parts the channels of a row are cut so that `rows` × parts fall evenly on the threads.
template <class R>
inline int64_t channel_parts(int64_t rows, int64_t width, int64_t threads) {
    const int64_t strips = (width + Lanes<R>::count - 1) / Lanes<R>::count;
    return std::max<int64_t>(1, std::min(strips, threads / std::gcd(std::max<int64_t>(rows, 1), threads)));
}

// Calls piece(row, first, last, part, thread) for every row and every part of its `width` channels.
// Parts begin on a register's width, so that neighbours share no register.
template <class R, class Piece>
inline void for_rows(int64_t rows, int64_t width, int64_t parts, int64_t threads, const Piece& piece) {
    const int64_t wide = Lanes<R>::count, strips = (width + wide - 1) / wide;
    parallel_for(rows * parts, threads, [&](int64_t begin, int64_t end, int64_t thread) {
        for (int64_t at = begin; at < end; ++at) {
            const int64_t row = at / parts, part = at % parts;
            piece(row, strips * part / parts * wide, std::min(width, strips * (part + 1) / parts * wide), part,
                  thread);
        }
    });
}

// Calls strip(std::integral_constant<int, G>, first, count) over channels first … last: G whole registers
// (at most `Most`, halved until they fit), and for what is left 1 register with count < its lanes.
template <class R, int Most, class Strip>
SW_INLINE void for_strips(int64_t first, int64_t last, const Strip& strip) {
    constexpr int64_t wide = Lanes<R>::count;
    while (last - first >= Most * wide) {
        strip(std::integral_constant<int, Most>{}, first, Most * wide);
        first += Most * wide;
    }
    if constexpr (Most > 1) {
        for_strips<R, Most / 2>(first, last, strip);
    } else if (first < last) {
        strip(std::integral_constant<int, 0>{}, first, last - first);
    }
}

// [D, N] to [strip, N, lanes] and back, times a factor; lanes beyond D are zero.
template <class R>
inline void to_strips(const R* from, R* to, int64_t first, int64_t last, int64_t N, R factor) {
    constexpr int64_t W = Lanes<R>::count;
    for (int64_t d = first; d < last; d += W)
        for (int64_t n = 0; n < N; ++n)
            for (int64_t lane = 0; lane < W; ++lane)
                to[(d - first) * N + n * W + lane] = from && d + lane < last ? from[(d + lane) * N + n] * factor : R(0);
}

template <class R>
inline void from_strips(const R* from, R* to, int64_t first, int64_t last, int64_t N) {
    constexpr int64_t W = Lanes<R>::count;
    for (int64_t d = first; d < last; ++d)
        for (int64_t n = 0; n < N; ++n) to[d * N + n] = from[((d - first) / W * N + n) * W + (d - first) % W];
}

// Calls block(std::integral_constant<int, size>, n) for n from 0 to N, in blocks of Most states, then fewer.
template <int Most, class Block>
SW_INLINE void for_states(int64_t n, int64_t N, const Block& block) {
    for (; n + Most <= N; n += Most) block(std::integral_constant<int, Most>{}, n);
    if constexpr (Most > 1) for_states<Most / 2>(n, N, block);
}

}  // namespace SW_TARGET
