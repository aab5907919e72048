// Panels of weights: how they lie, and how a row's inputs are multiplied with one.
//
// A panel is some registers of outputs, column after column: every output is one chain of multiply-adds over the
// columns in their order, alone or beside other rows, so a row's bits do not depend on its neighbours.
//
// 8 bits: weights symmetric per output, inputs by the largest of their row; u8·s8 sums (inputs + 128, the 128 taken
// off by the sum of the weights) with AVX-512, |x|·sign(w, x) with AVX2: whole numbers, the same everywhere.
//
//   floats of a panel:  bias | columns                        a register per output group in each
//   bytes of a panel:   bias | scales | first sums | columns, four at a time
#pragma once

#include <cmath>
#include <cstring>

#include "rows.h"

namespace SW_TARGET {

constexpr int64_t W = Lanes<float>::count;
constexpr int WIDE = 4;  // registers of a panel, at most
#if defined(__AVX512F__)
constexpr int LINES = 6;  // rows that share a loaded panel
#else
constexpr int LINES = 2;
#endif
#if defined(__AVX512F__)
constexpr int32_t SHIFT = 128;
#else
constexpr int32_t SHIFT = 0;
#endif

SW_INLINE Vec<float> fused(Vec<float> a, Vec<float> b, Vec<float> c) {
#if defined(__AVX512F__)
    return reinterpret_cast<Vec<float>>(_mm512_fmadd_ps(a, b, c));
#elif defined(__AVX2__)
    return reinterpret_cast<Vec<float>>(_mm256_fmadd_ps(a, b, c));
#else
    return a * b + c;
#endif
}

typedef int32_t Whole __attribute__((vector_size(SW_BYTES)));
typedef int32_t WholeAnywhere __attribute__((vector_size(SW_BYTES), aligned(4), may_alias));

SW_INLINE Whole whole(const void* from) { return *static_cast<const WholeAnywhere*>(from); }

// c + the sums of four products of bytes in each lane.
SW_INLINE Whole dot(Whole c, int32_t inputs, Whole weights) {
#if defined(__AVX512F__)
    return reinterpret_cast<Whole>(_mm512_dpbusd_epi32(reinterpret_cast<__m512i>(c), _mm512_set1_epi32(inputs),
                                                       reinterpret_cast<__m512i>(weights)));
#elif defined(__AVX2__)
    const __m256i x = _mm256_set1_epi32(inputs);
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(x),
                                               _mm256_sign_epi8(reinterpret_cast<__m256i>(weights), x));
    return c + reinterpret_cast<Whole>(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
#else
    const Whole x = inputs - Whole{};
    for (int byte = 24; byte >= 0; byte -= 8) c += ((x << byte) >> 24) * ((weights << byte) >> 24);
    return c;
#endif
}

SW_INLINE int64_t quads(int64_t columns) { return (columns + 3) / 4; }

SW_INLINE int64_t registers(int64_t rows) { return (rows + W - 1) / W; }

// Bytes of one register's share of a panel.
SW_INLINE int64_t share(int64_t columns, bool bytes) {
    return bytes ? (3 + quads(columns)) * SW_BYTES : (1 + columns) * SW_BYTES;
}

// x in 8 bits, -127 to 127 (+ SHIFT), and what one of them stands for: NaN when x holds what is not finite.
inline float quantise(const float* x, int64_t columns, uint8_t* to) {
    Vec<float> largest = {}, wrong = {};
    int64_t k = 0;
    for (; k < columns; k += W) {
        const Vec<float> value = k + W <= columns ? load<float>(x + k) : load_some<float>(x + k, columns - k);
        const Vec<float> size = value < Vec<float>{} ? -value : value;
        largest = size > largest ? size : largest;
        wrong += value * 0.0f;
    }
    float top = 0.0f, bad = 0.0f;
    for (int lane = 0; lane < W; ++lane) {
        top = largest[lane] > top ? largest[lane] : top;
        bad += wrong[lane];
    }
    const float inverse = bad == 0.0f && top > 1e-30f ? 127.0f / top : 0.0f;
    for (k = 0; k < columns; k += W) {
        const Vec<float> value = k + W <= columns ? load<float>(x + k) : load_some<float>(x + k, columns - k);
        const int64_t count = columns - k < W ? columns - k : W;
        const Vec<float> shares = bad == 0.0f ? value * inverse : Vec<float>{};
#if defined(__AVX512F__)
        const __m512i found = _mm512_add_epi32(_mm512_cvtps_epi32(shares), _mm512_set1_epi32(SHIFT));
        const __mmask16 mask = static_cast<__mmask16>((1u << count) - 1u);
        _mm512_mask_cvtepi32_storeu_epi8(to + k, mask, found);
#else
#if defined(__AVX2__)
        const Whole found = reinterpret_cast<Whole>(_mm256_cvtps_epi32(shares));
#else
        // Adding 1.5 * 2^23 rounds to the nearest whole number, ties to even, as the other targets do.
        const Whole found = __builtin_convertvector((shares + 12582912.0f) - 12582912.0f, Whole);
#endif
        for (int64_t lane = 0; lane < count; ++lane) to[k + lane] = static_cast<uint8_t>(found[lane]);
#endif
    }
    for (k = columns; k < 4 * quads(columns); ++k) to[k] = static_cast<uint8_t>(SHIFT);
    return bad == 0.0f ? top / 127.0f : bad;
}

struct Line {
    const uint8_t* bytes;
    float scale;
};

// sums[panel][row] += the inputs of R rows times P panels of N registers, `apart` bytes from one to the next.
template <int N, int R, int P>
SW_INLINE void add_floats(const uint8_t* panel, int64_t apart, int64_t columns, const float* const* x,
                          Vec<float> (&sums)[P][R][N]) {
    for (int64_t k = 1; k <= columns; ++k)
        for (int p = 0; p < P; ++p) {
            const float* at = reinterpret_cast<const float*>(panel + p * apart) + k * N * W;
            Vec<float> weights[N];
            for (int v = 0; v < N; ++v) weights[v] = load<float>(at + v * W);
            for (int line = 0; line < R; ++line) {
                const Vec<float> value = splat<float>(x[line][k - 1]);
                for (int v = 0; v < N; ++v) sums[p][line][v] = fused(value, weights[v], sums[p][line][v]);
            }
        }
}

template <int N, int R, int P>
SW_INLINE void add_bytes(const uint8_t* panel, int64_t apart, int64_t columns, const Line* x,
                         Vec<float> (&sums)[P][R][N]) {
    Whole totals[P][R][N];
    for (int p = 0; p < P; ++p)
        for (int line = 0; line < R; ++line)
            for (int v = 0; v < N; ++v) totals[p][line][v] = whole(panel + p * apart + (2 * N + v) * SW_BYTES);
    for (int64_t k = 0; k < quads(columns); ++k)
        for (int p = 0; p < P; ++p) {
            const uint8_t* at = panel + p * apart + (3 + k) * N * SW_BYTES;
            Whole weights[N];
            for (int v = 0; v < N; ++v) weights[v] = whole(at + v * SW_BYTES);
            for (int line = 0; line < R; ++line) {
                int32_t four;
                std::memcpy(&four, x[line].bytes + 4 * k, 4);
                for (int v = 0; v < N; ++v) totals[p][line][v] = dot(totals[p][line][v], four, weights[v]);
            }
        }
    for (int p = 0; p < P; ++p)
        for (int v = 0; v < N; ++v) {
            const Vec<float> scale = load<float>(reinterpret_cast<const float*>(panel + p * apart) + (N + v) * W);
            for (int line = 0; line < R; ++line)
                sums[p][line][v] = fused(__builtin_convertvector(totals[p][line][v], Vec<float>),
                                         scale * x[line].scale, sums[p][line][v]);
        }
}

// sums = bias + the inputs of R rows times P panels that follow each other.
template <int N, int R, int P>
SW_INLINE void multiply(const statewise::Packed& matrix, const uint8_t* panel, const float* const* x,
                        const Line* quantised, Vec<float> (&sums)[P][R][N]) {
    const int64_t apart = N * share(matrix.columns, matrix.bytes);
    for (int p = 0; p < P; ++p)
        for (int v = 0; v < N; ++v) {
            const Vec<float> bias = load<float>(reinterpret_cast<const float*>(panel + p * apart) + v * W);
            for (int line = 0; line < R; ++line) sums[p][line][v] = bias;
        }
    if (matrix.bytes) add_bytes<N, R, P>(panel, apart, matrix.columns, quantised, sums);
    else add_floats<N, R, P>(panel, apart, matrix.columns, x, sums);
}

// Panels are read first to last on one step and last to first on the next: what a step read last is still in the
// nearest cache when the next begins, where larger weights would otherwise push themselves out.
template <class Visit>
SW_INLINE void each(int64_t count, bool backwards, const Visit& visit) {
    if (backwards)
        for (int64_t i = count; i-- > 0;) visit(i);
    else
        for (int64_t i = 0; i < count; ++i) visit(i);
}

}  // namespace SW_TARGET
