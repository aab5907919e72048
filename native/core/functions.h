// Exponentials and what is made of them, for one register at a time.
//
// float: exp by Cody-Waite reduction and a polynomial of degree 6 (error below 2 units in the last place).
// double: the C library, element by element: correct, and used only where exactness is checked.
#pragma once

#include <cmath>

#include "simd.h"

namespace SW_TARGET {

// x within low … high; NaN stays NaN.
SW_INLINE Vec<float> clamp(Vec<float> x, float low, float high) {
#if defined(__AVX512F__)
    const __m512 above = _mm512_max_ps(_mm512_set1_ps(low), reinterpret_cast<__m512>(x));
    return reinterpret_cast<Vec<float>>(_mm512_min_ps(_mm512_set1_ps(high), above));
#else
    const Vec<float> above = x < splat(low) ? splat(low) : x;
    return above > splat(high) ? splat(high) : above;
#endif
}

// e^x - 1 = 2^k (r + r² q) + 2^k - 1, with x = k log 2 + r; for |x| below 88.
struct Exponent {
    Vec<float> k, r, square;  // square = r² q
};

SW_INLINE Exponent exponent_of(Vec<float> x) {
    const Vec<float> shift = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to a whole number
    const Vec<float> k = (x * 1.44269504088896341f + shift) - shift;
    const Vec<float> r = (x - k * 0.693359375f) + k * 2.12194440e-4f;
    Vec<float> p = splat(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    return {k, r, p * (r * r)};
}

// 2^k for whole k from -126 to 127.
SW_INLINE Vec<float> power_of_two(Vec<float> k) {
    typedef int32_t Integers __attribute__((vector_size(SW_BYTES)));
    return reinterpret_cast<Vec<float>>((__builtin_convertvector(k, Integers) + 127) << 23);
}

SW_INLINE Vec<float> exp(Vec<float> x) {
#if defined(__AVX512F__)
    // Beyond these e^x is 0 or infinite in float, which the scaling gives by itself.
    const Exponent parts = exponent_of(clamp(x, -104.0f, 104.0f));
    const Vec<float> p = parts.square + (parts.r + 1.0f);
    return reinterpret_cast<Vec<float>>(
        _mm512_scalef_ps(reinterpret_cast<__m512>(p), reinterpret_cast<__m512>(parts.k)));
#else
    // Beyond these e^x is 0 or infinite in float; NaN passes both comparisons and stays.
    const Exponent parts = exponent_of(clamp(x, -87.3f, 88.37f));
    Vec<float> value = (parts.square + (parts.r + 1.0f)) * power_of_two(parts.k);
    value = x < splat(-87.3f) ? Vec<float>{} : value;
    value = x > splat(88.72f) ? splat(INFINITY) : value;
    return x != x ? x : value;
#endif
}

SW_INLINE Vec<double> exp(Vec<double> x) {
    Vec<double> value;
    for (int lane = 0; lane < Lanes<double>::count; ++lane) value[lane] = std::exp(x[lane]);
    return value;
}

SW_INLINE Vec<float> log1p(Vec<float> x) {
    Vec<float> value;
    for (int lane = 0; lane < Lanes<float>::count; ++lane) value[lane] = std::log1p(x[lane]);
    return value;
}

SW_INLINE Vec<double> log1p(Vec<double> x) {
    Vec<double> value;
    for (int lane = 0; lane < Lanes<double>::count; ++lane) value[lane] = std::log1p(x[lane]);
    return value;
}

template <class R>
SW_INLINE Vec<R> sigmoid(Vec<R> x) {
    return R(1) / (R(1) + exp(-x));
}

// (e^2x - 1) / (e^2x + 1), the numerator without cancellation near zero: error below 2 units in the last place.
SW_INLINE Vec<float> tanh(Vec<float> x) {
    const Exponent parts = exponent_of(clamp(x * 2.0f, -20.0f, 20.0f));  // 1 to the last digit beyond
    const Vec<float> scale = power_of_two(parts.k);
    const Vec<float> less_one = (parts.square + parts.r) * scale + (scale - 1.0f);
    return less_one / (less_one + 2.0f);
}

SW_INLINE Vec<double> tanh(Vec<double> x) {
    Vec<double> value;
    for (int lane = 0; lane < Lanes<double>::count; ++lane) value[lane] = std::tanh(x[lane]);
    return value;
}

// 2^x. float: x = whole + rest, a polynomial for 2^rest that is exactly 1 at 0; error below 2e-7 relative.
SW_INLINE Vec<float> exp2(Vec<float> x) {
#if defined(__AVX512DQ__)
    // Masked with all lanes: the plain forms make GCC 12 warn of its own header.
    const __m512 given = reinterpret_cast<__m512>(x);
    const Vec<float> rest = reinterpret_cast<Vec<float>>(_mm512_maskz_reduce_ps(0xffff, given, 0));
    const Vec<float> whole = x - rest;
#else
    Vec<float> t = x < splat(-126.0f) ? splat(-126.0f) : x;
    t = t > splat(127.0f) ? splat(127.0f) : t;
    const Vec<float> shift = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to a whole number
    const Vec<float> whole = (t + shift) - shift;
    const Vec<float> rest = t - whole;
#endif
    Vec<float> p = splat(1.3264726899e-3f);
    p = p * rest + 9.6715126606e-3f;
    p = p * rest + 5.5507337442e-2f;
    p = p * rest + 2.4022242085e-1f;
    p = p * rest + 6.9314697760e-1f;
    p = p * rest + 1.0f;
#if defined(__AVX512DQ__)
    return reinterpret_cast<Vec<float>>(
        _mm512_maskz_scalef_ps(0xffff, reinterpret_cast<__m512>(p), reinterpret_cast<__m512>(whole)));
#else
    typedef int32_t Whole __attribute__((vector_size(SW_BYTES)));
    const Whole power = (__builtin_convertvector(whole, Whole) + 127) << 23;
    Vec<float> value = p * reinterpret_cast<Vec<float>>(power);
    value = x < splat(-126.0f) ? Vec<float>{} : value;
    value = x > splat(127.99f) ? splat(INFINITY) : value;
    return x != x ? x : value;
#endif
}

SW_INLINE Vec<double> exp2(Vec<double> x) {
    Vec<double> value;
    for (int lane = 0; lane < Lanes<double>::count; ++lane) value[lane] = std::exp2(x[lane]);
    return value;
}

// log(1 + x) for x from 0 to 1, with a small relative error: 2 artanh(x / (2 + x)) as a series.
SW_INLINE Vec<float> log1p_below_one(Vec<float> x) {
    const Vec<float> s = x / (2.0f + x), q = s * s;
    Vec<float> p = splat(1.2144778890e-1f);
    p = p * q + 1.0715370408e-1f;
    p = p * q + 1.4308298368e-1f;
    p = p * q + 1.9999444178e-1f;
    p = p * q + 3.3333337750e-1f;
    return 2.0f * (s + s * (q * p));
}

SW_INLINE Vec<double> log1p_below_one(Vec<double> x) { return log1p(x); }

// log(1 + e^x), and what it gives on: σ(x), its derivative.
template <class R>
SW_INLINE Vec<R> softplus(Vec<R> x, Vec<R>& derivative) {
    const Vec<R> small = exp(x < Vec<R>{} ? x : -x), inverse = R(1) / (R(1) + small);
    derivative = x < Vec<R>{} ? small * inverse : inverse;
    return (x > Vec<R>{} ? x : Vec<R>{}) + log1p_below_one(small);
}

}  // namespace SW_TARGET
