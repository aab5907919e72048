// Exponentials and what is made of them, for one register at a time.
//
// float: exp by Cody-Waite reduction and a polynomial of degree 6 (error below 2 units in the last place).
// double: the C library, element by element: correct, and used only where exactness is checked.
#pragma once

#include <cmath>

#include "simd.h"

namespace SW_TARGET {

SW_INLINE Vec<float> exp(Vec<float> x) {
    typedef int32_t Whole __attribute__((vector_size(SW_BYTES)));
    // Beyond these e^x is 0 or infinite in float; NaN passes both comparisons and stays.
    const Vec<float> low = splat(-87.3f), high = splat(88.37f);
    const auto nan = x != x;
    const auto huge = x > splat(88.72f);
    Vec<float> t = x < low ? low : x;
    t = t > high ? high : t;
    const Vec<float> shift = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to a whole number
    const Vec<float> k = (t * 1.44269504088896341f + shift) - shift;
    const Vec<float> r = (t - k * 0.693359375f) + k * 2.12194440e-4f;
    Vec<float> p = splat(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    const Whole power = (__builtin_convertvector(k, Whole) + 127) << 23;
    Vec<float> value = p * reinterpret_cast<Vec<float>>(power);
    value = x < low ? Vec<float>{} : value;
    value = huge ? splat(INFINITY) : value;
    return nan ? x : value;
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

// Odd and exact near zero for double; for float the error is below 2e-7 absolute.
SW_INLINE Vec<float> tanh(Vec<float> x) {
    const Vec<float> e = exp(x * -2.0f);
    const Vec<float> far = (1.0f - e) / (1.0f + e);
    const Vec<float> bounded = x < splat(-40.0f) ? splat(-1.0f) : far;  // e is infinite there
    // Below 0.1 the subtraction loses digits: the series instead.
    const Vec<float> s = x * x;
    const Vec<float> near = x + x * s * (-0.33333333f + s * (0.13333333f + s * -0.05396825f));
    const Vec<float> magnitude = x < Vec<float>{} ? -x : x;
    return magnitude < splat(0.1f) ? near : bounded;
}

SW_INLINE Vec<double> tanh(Vec<double> x) {
    Vec<double> value;
    for (int lane = 0; lane < Lanes<double>::count; ++lane) value[lane] = std::tanh(x[lane]);
    return value;
}

}  // namespace SW_TARGET
