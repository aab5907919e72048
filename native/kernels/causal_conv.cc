// The causal convolution of every channel by itself, with silu if asked, and its gradient.
//
// Time runs outside and channels inside, so that memory is read once and in order; the K rows under the window
// lie in the first cache. The backward pass runs from the last step to the first and keeps the gradients of the
// last K sums in a ring.
#include "kernels.h"

#include "../core/functions.h"
#include "../core/gemm.h"
#include "../core/parallel.h"
#include "../core/simd.h"
#include "../core/stream.h"
#include "../core/strips.h"

namespace SW_TARGET {
namespace {

constexpr int64_t MOST = 64;     // taps, which the Python side sees to
constexpr int64_t AHEAD = 4096;  // bytes read ahead

template <class R>
struct Conv {
    const R *x, *weight, *bias, *initial;
    const int64_t* lengths;
    int64_t B, T, D, K, x_step, silu, parts, threads;

    int64_t steps(int64_t row) const { return lengths ? lengths[row] : T; }
    // The input of `row` at time t, where t < 0 reaches into what came before.
    const R* input(int64_t row, int64_t t) const {
        return t < 0 ? initial + (row * (K - 1) + t + K - 1) * D : x + (row * T + t) * x_step;
    }
};

// Channels first … last of one row: their weights as [K, width], and bias, in whole registers.
template <class R>
struct Taps {
    R *weight, *bias, *sums, *ring;
    int64_t width;

    Taps(const Conv<R>& c, Scratch& scratch, int64_t first, int64_t last) {
        constexpr int64_t W = Lanes<R>::count;
        width = (last - first + W - 1) / W * W;
        weight = scratch.take<R>((3 * c.K + 2) * width);
        bias = weight + c.K * width, sums = bias + width, ring = sums + (c.K + 1) * width;
        std::memset(weight, 0, static_cast<size_t>((3 * c.K + 2) * width) * sizeof(R));
        for (int64_t d = first; d < last; ++d) {
            for (int64_t k = 0; k < c.K; ++k) weight[k * width + d - first] = c.weight[d * c.K + k];
            if (c.bias) bias[d - first] = c.bias[d];
        }
    }
};

// The K inputs under the window at time t, from channel d on. Size is K where the loops are unrolled for it, else 0.
template <class R, int Size>
struct Window {
    const R* inputs[Size ? Size : MOST];

    SW_INLINE Window(const Conv<R>& c, int64_t row, int64_t t, int64_t d) {
        for (int64_t k = 0; k < (Size ? Size : c.K); ++k) inputs[k] = c.input(row, t - c.K + 1 + k) + d;
    }
};

// Σ_k weight_k x_{t-K+1+k} + bias for `count` channels, the ones `at` after the first.
template <class R, int Size>
SW_INLINE Vec<R> weigh(const Window<R, Size>& window, const Taps<R>& taps, int64_t K, int64_t at, int64_t count) {
    Vec<R> total = load<R>(taps.bias + at);
    for (int64_t k = 0; k < (Size ? Size : K); ++k)
        total += load<R>(taps.weight + k * taps.width + at) * load_some<R>(window.inputs[k] + at, count);
    return total;
}

template <class R, int Size>
void forward_row(const Conv<R> c, const Taps<R> taps, R* y, R* tail, int64_t row, int64_t first, int64_t last) {
    constexpr int64_t W = Lanes<R>::count;
    const int64_t steps = c.steps(row), width = last - first;
    const size_t bytes = static_cast<size_t>(width) * sizeof(R);
    for (int64_t t = 0; t < steps; ++t) {
        const Window<R, Size> window(c, row, t, first);
        R* to = y + (row * c.T + t) * c.D + first;
        for (int64_t at = 0; at < width; at += W) {
            const int64_t count = std::min(W, width - at);
            prefetch(window.inputs[c.K - 1] + at, AHEAD);
            const Vec<R> total = weigh<R, Size>(window, taps, c.K, at, count);
            store_some<R>(to + at, c.silu ? total * sigmoid<R>(total) : total, count);
        }
    }
    for (int64_t t = steps; t < c.T; ++t) std::memset(y + (row * c.T + t) * c.D + first, 0, bytes);
    for (int64_t i = 0; i < c.K - 1; ++i)
        std::memcpy(tail + (row * (c.K - 1) + i) * c.D + first, c.input(row, steps - c.K + 1 + i) + first, bytes);
}

template <class R>
struct Gradients {
    const R *y, *tail;
    R *x, *weight, *bias, *initial;
};

// The gradients of the sums under silu at time t, kept in the ring; adds to those of weight and bias.
template <class R, int Size>
void enter(const Conv<R> c, const R* grad_y, const Taps<R> taps, int64_t row, int64_t t, int64_t first, int64_t last) {
    constexpr int64_t W = Lanes<R>::count;
    const int64_t K = Size ? Size : c.K, width = last - first;
    const Window<R, Size> window(c, row, t, first);
    const R* from = grad_y + (row * c.T + t) * c.D + first;
    R* ring = taps.ring + t % K * taps.width;
    for (int64_t at = 0; at < width; at += W) {
        const int64_t count = std::min(W, width - at);
        prefetch(from + at, -AHEAD);
        prefetch(window.inputs[0] + at, -AHEAD);
        Vec<R> grad = load_some<R>(from + at, count);
        if (c.silu) {
            const Vec<R> total = weigh<R, Size>(window, taps, K, at, count), open = sigmoid<R>(total);
            grad *= open + total * open * (R(1) - open);
        }
        store<R>(ring + at, grad);
        for (int64_t k = 0; k < K; ++k) {
            R* sum = taps.sums + k * taps.width + at;
            store<R>(sum, load<R>(sum) + grad * load_some<R>(window.inputs[k] + at, count));
        }
        R* sum = taps.sums + K * taps.width + at;
        store<R>(sum, load<R>(sum) + grad);
    }
}

// The gradient of the input at time t: of the sums from t to t + K - 1, and of the tail if it is part of that.
template <class R, int Size>
void leave(const Conv<R> c, const Gradients<R> g, const Taps<R> taps, int64_t row, int64_t t, int64_t first,
           int64_t last) {
    constexpr int64_t W = Lanes<R>::count;
    const int64_t K = Size ? Size : c.K, width = last - first, steps = c.steps(row), kept = t - steps + K - 1;
    R* to = (t < 0 ? g.initial + (row * (K - 1) + t + K - 1) * c.D : g.x + (row * c.T + t) * c.D) + first;
    const R* tail = g.tail && kept >= 0 ? g.tail + (row * (K - 1) + kept) * c.D + first : nullptr;
    const R* ring[Size ? Size : MOST];
    for (int64_t i = 0; i < K; ++i) ring[i] = taps.ring + (t + i + K) % K * taps.width;
    const int64_t begin = t < 0 ? -t : 0, end = std::min(K, steps - t);
    for (int64_t at = 0; at < width; at += W) {
        const int64_t count = std::min(W, width - at);
        Vec<R> grad = tail ? load_some<R>(tail + at, count) : Vec<R>{};
        if (Size && begin == 0 && end == Size)
            for (int i = 0; i < Size; ++i)
                grad += load<R>(taps.weight + (Size - 1 - i) * taps.width + at) * load<R>(ring[i] + at);
        else
            for (int64_t i = begin; i < end; ++i)
                grad += load<R>(taps.weight + (K - 1 - i) * taps.width + at) * load<R>(ring[i] + at);
        store_some<R>(to + at, grad, count);
    }
}

template <class R, int Size>
void backward_row(const Conv<R>& c, const Gradients<R>& g, const Taps<R>& taps, int64_t row, int64_t first,
                  int64_t last) {
    const int64_t steps = c.steps(row), K = c.K;
    for (int64_t t = steps; t < c.T; ++t)
        std::memset(g.x + (row * c.T + t) * c.D + first, 0, static_cast<size_t>(last - first) * sizeof(R));
    for (int64_t t = steps - 1; t > -K; --t) {
        if (t >= 0) enter<R, Size>(c, g.y, taps, row, t, first, last);
        leave<R, Size>(c, g, taps, row, t, first, last);
    }
    for (int64_t d = first; d < last; ++d) {
        for (int64_t k = 0; k < K; ++k)
            g.weight[(row * c.D + d) * K + k] = taps.sums[k * taps.width + d - first];
        if (g.bias) g.bias[row * c.D + d] = taps.sums[K * taps.width + d - first];
    }
}

template <class R, class Row>
void each_row(const Conv<R>& c, const Row& row) {
    static thread_local Scratch scratch;
    for_rows<R>(c.B, c.D, c.parts, c.threads, [&](int64_t at, int64_t first, int64_t last, int64_t, int64_t) {
        row(Taps<R>(c, scratch, first, last), at, first, last);
    });
}

}  // namespace

#define CONV(suffix, R)                                                                                           \
    void causal_conv_forward_##suffix(const R* x, const R* weight, const R* bias, const R* initial,               \
                                      const int64_t* lengths, R* y, R* tail, int64_t B, int64_t T, int64_t D,     \
                                      int64_t K, int64_t x_step, int64_t silu, int64_t parts, int64_t threads) {  \
        const Conv<R> c{x, weight, bias, initial, lengths, B, T, D, K, x_step, silu, parts, threads};             \
        each_row<R>(c, [&](const Taps<R>& taps, int64_t row, int64_t first, int64_t last) {                       \
            const auto run = K == 4 ? forward_row<R, 4> : forward_row<R, 0>;                                      \
            run(c, taps, y, tail, row, first, last);                                                              \
        });                                                                                                       \
    }                                                                                                             \
    void causal_conv_backward_##suffix(const R* x, const R* weight, const R* bias, const R* initial,              \
                                       const int64_t* lengths, const R* grad_y, const R* grad_tail, R* grad_x,    \
                                       R* grad_weight, R* grad_bias, R* grad_initial, int64_t B, int64_t T,       \
                                       int64_t D, int64_t K, int64_t x_step, int64_t silu, int64_t parts,         \
                                       int64_t threads) {                                                         \
        const Conv<R> c{x, weight, bias, initial, lengths, B, T, D, K, x_step, silu, parts, threads};             \
        const Gradients<R> g{grad_y, grad_tail, grad_x, grad_weight, grad_bias, grad_initial};                    \
        each_row<R>(c, [&](const Taps<R>& taps, int64_t row, int64_t first, int64_t last) {                       \
            const auto run = K == 4 ? backward_row<R, 4> : backward_row<R, 0>;                                    \
            run(c, g, taps, row, first, last);                                                                    \
        });                                                                                                       \
    }
CONV(f32, float)
CONV(f64, double)
#undef CONV

}  // namespace SW_TARGET
