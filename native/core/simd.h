// Vectors of one register: the same source is compiled for every instruction set.
//
// GCC and Clang vector extensions, so that NEON and plain SSE2 come from the same lines; SW_BYTES is the
// width of a register. Loads and stores of fewer than a register's elements never touch memory beyond them.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
#include <immintrin.h>
#define SW_BYTES 64
#elif defined(__AVX2__)
#include <immintrin.h>
#define SW_BYTES 32
#else
#define SW_BYTES 16
#endif

#ifndef SW_TARGET
#error "compile with -DSW_TARGET=<plain|avx2|avx512>"
#endif

#define SW_INLINE inline __attribute__((always_inline))

namespace SW_TARGET {

template <class R>
struct Lanes {
    static constexpr int count = SW_BYTES / sizeof(R);
    typedef R Vector __attribute__((vector_size(SW_BYTES)));
    typedef R Unaligned __attribute__((vector_size(SW_BYTES), aligned(alignof(R)), may_alias));
};

template <class R>
using Vec = typename Lanes<R>::Vector;

template <class R>
SW_INLINE Vec<R> load(const R* from) {
    return *reinterpret_cast<const typename Lanes<R>::Unaligned*>(from);
}

template <class R>
SW_INLINE void store(R* to, Vec<R> value) {
    *reinterpret_cast<typename Lanes<R>::Unaligned*>(to) = value;
}

template <class R>
SW_INLINE Vec<R> splat(R value) {
    return value - Vec<R>{};
}

// The first `count` elements, zeros after them.
template <class R>
SW_INLINE Vec<R> load_some(const R* from, int64_t count) {
#if defined(__AVX512F__)
    if constexpr (sizeof(R) == 4) {
        const __mmask16 mask = static_cast<__mmask16>((1u << count) - 1u);
        return reinterpret_cast<Vec<R>>(_mm512_maskz_loadu_ps(mask, from));
    } else {
        const __mmask8 mask = static_cast<__mmask8>((1u << count) - 1u);
        return reinterpret_cast<Vec<R>>(_mm512_maskz_loadu_pd(mask, from));
    }
#else
    R held[Lanes<R>::count] = {};
    std::memcpy(held, from, static_cast<size_t>(count) * sizeof(R));
    return load<R>(held);
#endif
}

template <class R>
SW_INLINE void store_some(R* to, Vec<R> value, int64_t count) {
#if defined(__AVX512F__)
    if constexpr (sizeof(R) == 4) {
        const __mmask16 mask = static_cast<__mmask16>((1u << count) - 1u);
        _mm512_mask_storeu_ps(to, mask, reinterpret_cast<__m512>(value));
    } else {
        const __mmask8 mask = static_cast<__mmask8>((1u << count) - 1u);
        _mm512_mask_storeu_pd(to, mask, reinterpret_cast<__m512d>(value));
    }
#else
    R held[Lanes<R>::count];
    store<R>(held, value);
    std::memcpy(to, held, static_cast<size_t>(count) * sizeof(R));
#endif
}

// The sum of all lanes, always in the same order.
template <class R>
SW_INLINE R sum(Vec<R> value) {
    R held[Lanes<R>::count];
    store<R>(held, value);
    for (int width = Lanes<R>::count / 2; width > 0; width /= 2)
        for (int lane = 0; lane < width; ++lane) held[lane] += held[lane + width];
    return held[0];
}

template <class R>
SW_INLINE Vec<R> max(Vec<R> a, Vec<R> b) {
    return a > b ? a : b;
}

template <class R>
SW_INLINE Vec<R> min(Vec<R> a, Vec<R> b) {
    return a < b ? a : b;
}

}  // namespace SW_TARGET
