// The linear recurrence h_t = a_t h_{t-1} + b_t and its gradient, real and complex.
//
// A tree of pairs does log2(T) times the work and reads memory as often; on a CPU the plain loop over time,
// with channels in the lanes and rows over the threads, is bound by memory alone. So all that is left to gain
// is to read ahead and to store past the caches.
#include "kernels.h"

#include "../core/parallel.h"
#include "../core/simd.h"
#include "../core/stream.h"
#include "../core/strips.h"

namespace SW_TARGET {
namespace {

constexpr int64_t AHEAD = 4096;  // bytes read ahead in every array
constexpr int GROUP = 16;        // registers of state held at once

struct Real {
    static constexpr int parts = 1;
    // a h + b, and conj(a) h + b
    template <class R>
    static SW_INLINE Vec<R> step(Vec<R> a, Vec<R> h, Vec<R> b) {
        return a * h + b;
    }
    template <class R>
    static SW_INLINE Vec<R> back(Vec<R> a, Vec<R> h, Vec<R> b) {
        return a * h + b;
    }
};

// Pairs (real, imaginary) in neighbouring lanes.
struct Complex {
    static constexpr int parts = 2;

    template <class R, size_t... I>
    static SW_INLINE Vec<R> apply(Vec<R> a, Vec<R> h, Vec<R> b, R sign, std::index_sequence<I...>) {
        const Vec<R> real = __builtin_shufflevector(a, a, (static_cast<int>(I) & ~1)...);
        const Vec<R> imaginary = __builtin_shufflevector(a, a, (static_cast<int>(I) | 1)...);
        const Vec<R> swapped = __builtin_shufflevector(h, h, (static_cast<int>(I) ^ 1)...);
        const Vec<R> signs = {(I % 2 ? sign : -sign)...};
        return (imaginary * signs) * swapped + (real * h + b);
    }
    template <class R>
    static SW_INLINE Vec<R> step(Vec<R> a, Vec<R> h, Vec<R> b) {
        return apply<R>(a, h, b, R(1), std::make_index_sequence<Lanes<R>::count>{});
    }
    template <class R>
    static SW_INLINE Vec<R> back(Vec<R> a, Vec<R> h, Vec<R> b) {
        return apply<R>(a, h, b, R(-1), std::make_index_sequence<Lanes<R>::count>{});
    }
};

// G whole registers, or with G = 0 the `count` elements of a part of one.
template <class R, int G>
SW_INLINE Vec<R> take(const R* from, int g, int64_t count) {
    return G ? load<R>(from + g * Lanes<R>::count) : load_some<R>(from, count);
}

template <class R, int G, bool Stream>
SW_INLINE void put(R* to, int g, int64_t count, Vec<R> value) {
    if constexpr (G == 0)
        store_some<R>(to, value, count);
    else if constexpr (Stream)
        stream<R>(to + g * Lanes<R>::count, value);
    else
        store<R>(to + g * Lanes<R>::count, value);
}

template <class R, class Field, int G, bool Stream>
void forward_strip(const R* a, const R* b, const R* initial, R* h, int64_t steps, int64_t T, int64_t D,
                   int64_t a_step, int64_t count) {
    constexpr int registers = G ? G : 1;
    Vec<R> state[registers];
    for (int g = 0; g < registers; ++g) state[g] = take<R, G>(initial, g, count);
    for (int64_t t = 0; t < steps; ++t, a += a_step, b += D, h += D)
        for (int g = 0; g < registers; ++g) {
            prefetch(a + g * Lanes<R>::count, AHEAD);
            prefetch(b + g * Lanes<R>::count, AHEAD);
            state[g] = Field::template step<R>(take<R, G>(a, g, count), state[g], take<R, G>(b, g, count));
            put<R, G, Stream>(h, g, count, state[g]);
        }
    for (int64_t t = steps; t < T; ++t, h += D)
        for (int g = 0; g < registers; ++g) put<R, G, Stream>(h, g, count, Vec<R>{});
}

// From the last step to the first: total_t = grad_t + conj(a_{t+1}) total_{t+1}.
template <class R, class Field, int G, bool Stream>
void backward_strip(const R* a, const R* initial, const R* h, const R* grad, R* grad_a, R* grad_b,
                    R* grad_initial, int64_t steps, int64_t T, int64_t D, int64_t a_step, int64_t count) {
    constexpr int registers = G ? G : 1;
    Vec<R> carry[registers], summed[registers];
    for (int g = 0; g < registers; ++g) carry[g] = summed[g] = Vec<R>{};
    for (int64_t t = T - 1; t >= steps; --t)
        for (int g = 0; g < registers; ++g) {
            if (a_step) put<R, G, Stream>(grad_a + t * D, g, count, Vec<R>{});
            put<R, G, Stream>(grad_b + t * D, g, count, Vec<R>{});
        }
    for (int64_t t = steps - 1; t >= 0; --t) {
        const R *before = t ? h + (t - 1) * D : initial, *decay = a + t * a_step, *from = grad + t * D;
        for (int g = 0; g < registers; ++g) {
            prefetch(decay + g * Lanes<R>::count, -AHEAD);
            prefetch(before + g * Lanes<R>::count, -AHEAD);
            prefetch(from + g * Lanes<R>::count, -AHEAD);
            const Vec<R> total = take<R, G>(from, g, count) + carry[g];
            const Vec<R> last = take<R, G>(before, g, count);
            if (a_step)
                put<R, G, Stream>(grad_a + t * D, g, count, Field::template back<R>(last, total, Vec<R>{}));
            else
                summed[g] = Field::template back<R>(last, total, summed[g]);
            put<R, G, Stream>(grad_b + t * D, g, count, total);
            carry[g] = Field::template back<R>(take<R, G>(decay, g, count), total, Vec<R>{});
        }
    }
    for (int g = 0; g < registers; ++g) {
        put<R, G, false>(grad_initial, g, count, carry[g]);
        if (!a_step) put<R, G, false>(grad_a, g, count, summed[g]);
    }
}

template <class R, class Field>
void forward(const R* a, const R* b, const R* initial, const int64_t* lengths, R* h, int64_t B, int64_t T,
             int64_t D, int64_t a_row, int64_t a_step, int64_t threads) {
    D *= Field::parts, a_row *= Field::parts, a_step *= Field::parts;
    const bool past = streams(h, D, B * T * D);
    for_rows<R>(B, D, channel_parts<R>(B, D, threads), threads,
                [&](int64_t row, int64_t first, int64_t last, int64_t, int64_t) {
                    const int64_t steps = lengths ? lengths[row] : T;
                    for_strips<R, GROUP>(first, last, [&](auto group, int64_t d, int64_t count) {
                        const auto strip = past ? forward_strip<R, Field, group(), true>
                                                : forward_strip<R, Field, group(), false>;
                        strip(a + row * a_row + d, b + row * T * D + d, initial + row * D + d, h + row * T * D + d,
                              steps, T, D, a_step, count);
                    });
                    publish();
                });
}

template <class R, class Field>
void backward(const R* a, const R* initial, const R* h, const R* grad, const int64_t* lengths, R* grad_a,
              R* grad_b, R* grad_initial, int64_t B, int64_t T, int64_t D, int64_t a_row, int64_t a_step,
              int64_t threads) {
    D *= Field::parts, a_row *= Field::parts, a_step *= Field::parts;
    const bool past = streams(grad_b, D, B * T * D) && streams(grad_a, D, B * T * D);
    const int64_t sums = a_step ? T * D : D;
    for_rows<R>(B, D, channel_parts<R>(B, D, threads), threads,
                [&](int64_t row, int64_t first, int64_t last, int64_t, int64_t) {
                    const int64_t steps = lengths ? lengths[row] : T;
                    for_strips<R, GROUP>(first, last, [&](auto group, int64_t d, int64_t count) {
                        const auto strip = past ? backward_strip<R, Field, group(), true>
                                                : backward_strip<R, Field, group(), false>;
                        const int64_t at = row * T * D + d;
                        strip(a + row * a_row + d, initial + row * D + d, h + at, grad + at,
                              grad_a + row * sums + d, grad_b + at, grad_initial + row * D + d, steps, T, D, a_step,
                              count);
                    });
                    publish();
                });
}

}  // namespace

#define SCAN(prefix, Field, suffix, R)                                                                          \
    void prefix##_forward_##suffix(const R* a, const R* b, const R* initial, const int64_t* lengths, R* h,      \
                                   int64_t B, int64_t T, int64_t D, int64_t a_row, int64_t a_step,              \
                                   int64_t threads) {                                                           \
        forward<R, Field>(a, b, initial, lengths, h, B, T, D, a_row, a_step, threads);                          \
    }                                                                                                           \
    void prefix##_backward_##suffix(const R* a, const R* initial, const R* h, const R* grad,                    \
                                    const int64_t* lengths, R* grad_a, R* grad_b, R* grad_initial, int64_t B,   \
                                    int64_t T, int64_t D, int64_t a_row, int64_t a_step, int64_t threads) {     \
        backward<R, Field>(a, initial, h, grad, lengths, grad_a, grad_b, grad_initial, B, T, D, a_row, a_step,  \
                           threads);                                                                            \
    }
SCAN(linear_scan, Real, f32, float)
SCAN(linear_scan, Real, f64, double)
SCAN(complex_scan, Complex, f32, float)
SCAN(complex_scan, Complex, f64, double)
#undef SCAN

}  // namespace SW_TARGET
