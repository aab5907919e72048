// What the element-by-element instructions compute, one register at a time (see functions.h of core for more).
#pragma once

#include <cmath>

#include "../core/functions.h"

namespace SW_TARGET {

typedef int32_t Bits __attribute__((vector_size(SW_BYTES)));

SW_INLINE Vec<float> absolute(Vec<float> x) {
    return reinterpret_cast<Vec<float>>(reinterpret_cast<Bits>(x) & 0x7fffffff);
}

SW_INLINE Vec<float> truth(Bits mask) { return reinterpret_cast<Vec<float>>(mask & 0x3f800000); }

// Natural logarithm (Cephes logf): -inf at 0, NaN below; error below 2 units in the last place.
SW_INLINE Vec<float> log(Vec<float> x) {
    const Vec<float> zero = {};
    const auto small = x < splat(1.17549435e-38f);
    const Vec<float> y = small ? x * 8388608.0f : x;
    const Bits bits = reinterpret_cast<Bits>(y);
    Vec<float> e = __builtin_convertvector((bits >> 23) - 126, Vec<float>) - (small ? splat(23.0f) : zero);
    Vec<float> m = reinterpret_cast<Vec<float>>((bits & 0x007fffff) | 0x3f000000);
    const auto low = m < splat(0.707106781186547524f);
    e = low ? e - 1.0f : e;
    m = low ? m + m - 1.0f : m - 1.0f;
    const Vec<float> z = m * m;
    Vec<float> p = splat(7.0376836292e-2f);
    p = p * m - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    Vec<float> value = p * m * z + e * -2.12194440e-4f - 0.5f * z + m + e * 0.693359375f;
    value = x == splat(INFINITY) ? x : value;
    value = x == zero ? splat(-INFINITY) : value;
    return x >= zero ? value : splat(NAN);  // NaN fails the comparison too
}

// log(1 + x): what rounding 1 + x lost is given back (Kahan).
SW_INLINE Vec<float> log_of_one_and(Vec<float> x) {
    const Vec<float> sum = 1.0f + x;
    const Vec<float> value = log(sum) - ((sum - 1.0f) - x) / sum;
    const auto rest = (sum == splat(INFINITY)) | (sum <= Vec<float>{});
    return rest ? log(sum) : (sum == splat(1.0f) ? x : value);
}

// Abramowitz and Stegun 1964, 7.1.26: error below 2e-7.
SW_INLINE Vec<float> erf(Vec<float> x) {
    const Vec<float> size = absolute(x);
    const Vec<float> t = 1.0f / (1.0f + 0.3275911f * size);
    Vec<float> p = splat(1.061405429f);
    p = p * t - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    const Vec<float> value = 1.0f - p * t * exp(-size * size);
    return x < Vec<float>{} ? -value : value;
}

template <class Function>
SW_INLINE Vec<float> by_element(Vec<float> x, const Function& function) {
    Vec<float> value;
    for (int lane = 0; lane < Lanes<float>::count; ++lane) value[lane] = function(x[lane]);
    return value;
}

SW_INLINE Vec<float> root(Vec<float> x) {
#if defined(__AVX512F__)
    return reinterpret_cast<Vec<float>>(_mm512_sqrt_ps(x));
#elif defined(__AVX2__)
    return reinterpret_cast<Vec<float>>(_mm256_sqrt_ps(x));
#else
    return by_element(x, [](float v) { return std::sqrt(v); });
#endif
}

// The greater of two; NaN if one is NaN, as torch has it.
SW_INLINE Vec<float> greater(Vec<float> a, Vec<float> b) { return (a > b) | (a != a) ? a : b; }
SW_INLINE Vec<float> lesser(Vec<float> a, Vec<float> b) { return (a < b) | (a != a) ? a : b; }

// exp(x) - 1 without losing small x: e^x - 1 = tanh(x/2) (e^x + 1).
SW_INLINE Vec<float> exp_less_one(Vec<float> x) {
    const Vec<float> e = exp(x);
    const Vec<float> near = tanh(0.5f * x) * (e + 1.0f);
    return absolute(x) < splat(1.0f) ? near : e - 1.0f;
}

SW_INLINE Vec<float> softplus(Vec<float> x) {
    const Vec<float> positive = x > Vec<float>{} ? x : Vec<float>{};
    const Vec<float> value = positive + log_of_one_and(exp(-absolute(x)));
    return x != x ? x : value;
}

}  // namespace SW_TARGET
