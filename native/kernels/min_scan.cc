// The scans of minGRU and minLSTM, their gates computed on the way.
//
// As in the linear scan memory is the limit, so the coefficients a and b are never written: the forward pass reads
// the pre-activations and writes h, the backward pass computes the gates again.
#include "kernels.h"

#include "../core/functions.h"
#include "../core/parallel.h"
#include "../core/simd.h"
#include "../core/stream.h"
#include "../core/strips.h"

namespace SW_TARGET {
namespace {

constexpr int GROUP = 4;         // registers of state held at once; the functions need the others
constexpr int64_t AHEAD = 4096;  // bytes read ahead in every array

// The value, or with Positive g(value): value + 1/2 from 0 on, its sigmoid below; and the derivative.
template <class R, bool Positive>
SW_INLINE Vec<R> candidate(Vec<R> value, Vec<R>& slope) {
    slope = splat(R(1));
    if constexpr (!Positive) return value;
    const Vec<R> open = sigmoid<R>(value);
    slope = value >= Vec<R>{} ? slope : open * (R(1) - open);
    return value >= Vec<R>{} ? value + R(0.5) : open;
}

// h' = (1 - z) h + z v, z = σ(gate)
template <class R, bool Positive>
struct Gru {
    static constexpr int inputs = 2;

    static SW_INLINE Vec<R> step(const Vec<R>* x, Vec<R> h) {
        Vec<R> slope;
        return h + sigmoid<R>(x[0]) * (candidate<R, Positive>(x[1], slope) - h);
    }
    // From the gradient of h' those of the inputs, and that of h.
    static SW_INLINE Vec<R> back(const Vec<R>* x, Vec<R> h, Vec<R> grad, Vec<R>* grads) {
        Vec<R> slope;
        const Vec<R> v = candidate<R, Positive>(x[1], slope), z = sigmoid<R>(x[0]), rest = R(1) - z;
        grads[0] = grad * (v - h) * z * rest;
        grads[1] = grad * z * slope;
        return grad * rest;
    }
};

// h' = r h + (1 - r) v, r = σ(forget) / (σ(forget) + σ(input)) = i / (i + f), f = 1 + e^-forget, i likewise
template <class R, bool Positive>
struct Lstm {
    static constexpr int inputs = 3;

    struct Gates {
        Vec<R> keep, enter, shut_forget, shut_input;  // r, 1 - r, σ(-forget), σ(-input)
    };

    // Everything is divided by the largest of the exponentials, so that none overflows.
    static SW_INLINE Gates gates(Vec<R> forget, Vec<R> input) {
        const Vec<R> least = min<R>(Vec<R>{}, min<R>(forget, input));
        const Vec<R> one = exp(least), low_forget = exp(least - forget), low_input = exp(least - input);
        const Vec<R> f = one + low_forget, i = one + low_input, whole = R(1) / (f + i);
        return {i * whole, f * whole, low_forget / f, low_input / i};
    }
    static SW_INLINE Vec<R> step(const Vec<R>* x, Vec<R> h) {
        Vec<R> slope;
        const Gates gate = gates(x[0], x[1]);
        return gate.keep * h + gate.enter * candidate<R, Positive>(x[2], slope);
    }
    static SW_INLINE Vec<R> back(const Vec<R>* x, Vec<R> h, Vec<R> grad, Vec<R>* grads) {
        Vec<R> slope;
        const Gates gate = gates(x[0], x[1]);
        const Vec<R> both = grad * (h - candidate<R, Positive>(x[2], slope)) * gate.keep * gate.enter;
        grads[0] = both * gate.shut_forget;
        grads[1] = -both * gate.shut_input;
        grads[2] = grad * gate.enter * slope;
        return grad * gate.keep;
    }
};

template <class R, int Inputs>
struct Given {
    const R* x[Inputs];
    int64_t step[Inputs];
    const R* initial;
    const int64_t* lengths;
    int64_t B, T, D, threads;
};

template <class R, class Cell, int G>
void forward_strip(const Given<R, Cell::inputs> s, R* h, int64_t row, int64_t d, int64_t count) {
    constexpr int64_t W = Lanes<R>::count;
    constexpr int registers = G ? G : 1, inputs = Cell::inputs;
    const int64_t steps = s.lengths ? s.lengths[row] : s.T;
    const R* x[inputs];
    for (int k = 0; k < inputs; ++k) x[k] = s.x[k] + row * s.T * s.step[k] + d;
    h += row * s.T * s.D + d;
    Vec<R> state[registers];
    for (int g = 0; g < registers; ++g)
        state[g] = load_some<R>(s.initial + row * s.D + d + g * W, G ? W : count);
    for (int64_t t = 0; t < steps; ++t, h += s.D) {
        for (int g = 0; g < registers; ++g) {
            Vec<R> now[inputs];
            for (int k = 0; k < inputs; ++k) {
                prefetch(x[k] + g * W, AHEAD);
                now[k] = G ? load<R>(x[k] + g * W) : load_some<R>(x[k], count);
            }
            state[g] = Cell::step(now, state[g]);
            G ? store<R>(h + g * W, state[g]) : store_some<R>(h, state[g], count);
        }
        for (int k = 0; k < inputs; ++k) x[k] += s.step[k];
    }
    for (int64_t t = steps; t < s.T; ++t, h += s.D)
        std::memset(h, 0, static_cast<size_t>(count) * sizeof(R));
}

template <class R, int Inputs>
struct Gradients {
    const R *h, *grad;
    R* x[Inputs];
    R* initial;
    int64_t step;
};

template <class R, class Cell, int G>
void backward_strip(const Given<R, Cell::inputs> s, const Gradients<R, Cell::inputs> to, int64_t row, int64_t d,
                    int64_t count) {
    constexpr int64_t W = Lanes<R>::count;
    constexpr int registers = G ? G : 1, inputs = Cell::inputs;
    const int64_t steps = s.lengths ? s.lengths[row] : s.T, rest = G ? W : count;
    Vec<R> carry[registers];
    for (int g = 0; g < registers; ++g) carry[g] = Vec<R>{};
    for (int64_t t = steps; t < s.T; ++t)
        for (int k = 0; k < inputs; ++k)
            std::memset(to.x[k] + (row * s.T + t) * to.step + d, 0, static_cast<size_t>(count) * sizeof(R));
    for (int64_t t = steps - 1; t >= 0; --t) {
        const int64_t at = row * s.T + t;
        const R* before = t ? to.h + (at - 1) * s.D + d : s.initial + row * s.D + d;
        for (int g = 0; g < registers; ++g) {
            Vec<R> now[inputs], grads[inputs];
            for (int k = 0; k < inputs; ++k) {
                const R* from = s.x[k] + at * s.step[k] + d + g * W;
                prefetch(from, -AHEAD);
                now[k] = G ? load<R>(from) : load_some<R>(from, rest);
            }
            const R* from = to.grad + at * s.D + d + g * W;
            prefetch(from, -AHEAD);
            prefetch(before + g * W, -AHEAD);
            const Vec<R> grad = (G ? load<R>(from) : load_some<R>(from, rest)) + carry[g];
            const Vec<R> h = G ? load<R>(before + g * W) : load_some<R>(before, rest);
            carry[g] = Cell::back(now, h, grad, grads);
            for (int k = 0; k < inputs; ++k) {
                R* place = to.x[k] + at * to.step + d + g * W;
                G ? store<R>(place, grads[k]) : store_some<R>(place, grads[k], rest);
            }
        }
    }
    for (int g = 0; g < registers; ++g) store_some<R>(to.initial + row * s.D + d + g * W, carry[g], rest);
}

template <class R, int Inputs, class Strip>
void each_strip(const Given<R, Inputs>& s, const Strip& strip) {
    for_rows<R>(s.B, s.D, channel_parts<R>(s.B, s.D, s.threads), s.threads,
                [&](int64_t row, int64_t first, int64_t last, int64_t, int64_t) {
                    for_strips<R, GROUP>(first, last, [&](auto group, int64_t d, int64_t count) {
                        strip(group, row, d, count);
                    });
                });
}

template <class R, class Cell>
void forward(const Given<R, Cell::inputs>& s, R* h) {
    each_strip<R>(s, [&](auto group, int64_t row, int64_t d, int64_t count) {
        forward_strip<R, Cell, group()>(s, h, row, d, count);
    });
}

template <class R, class Cell>
void backward(const Given<R, Cell::inputs>& s, const Gradients<R, Cell::inputs>& to) {
    each_strip<R>(s, [&](auto group, int64_t row, int64_t d, int64_t count) {
        backward_strip<R, Cell, group()>(s, to, row, d, count);
    });
}

}  // namespace

#define MIN_GRU(R)                                                                                               \
    const R *gate, const R *value, const R *initial, const int64_t *lengths, int64_t gate_step,                  \
        int64_t value_step, int64_t B, int64_t T, int64_t D, int64_t positive, int64_t threads
#define MIN_LSTM(R)                                                                                              \
    const R *forget, const R *input, const R *value, const R *initial, const int64_t *lengths,                   \
        int64_t forget_step, int64_t input_step, int64_t value_step, int64_t B, int64_t T, int64_t D,            \
        int64_t positive, int64_t threads
#define KERNELS(suffix, R)                                                                                       \
    void min_gru_forward_##suffix(MIN_GRU(R), R* h) {                                                            \
        const Given<R, 2> s{{gate, value}, {gate_step, value_step}, initial, lengths, B, T, D, threads};         \
        positive ? forward<R, Gru<R, true>>(s, h) : forward<R, Gru<R, false>>(s, h);                             \
    }                                                                                                            \
    void min_gru_backward_##suffix(MIN_GRU(R), const R* h, const R* grad, R* grad_gate, R* grad_value,           \
                                   R* grad_initial, int64_t grad_step) {                                         \
        const Given<R, 2> s{{gate, value}, {gate_step, value_step}, initial, lengths, B, T, D, threads};         \
        const Gradients<R, 2> to{h, grad, {grad_gate, grad_value}, grad_initial, grad_step};                     \
        positive ? backward<R, Gru<R, true>>(s, to) : backward<R, Gru<R, false>>(s, to);                         \
    }                                                                                                            \
    void min_lstm_forward_##suffix(MIN_LSTM(R), R* h) {                                                          \
        const Given<R, 3> s{{forget, input, value}, {forget_step, input_step, value_step}, initial, lengths, B,  \
                            T, D, threads};                                                                      \
        positive ? forward<R, Lstm<R, true>>(s, h) : forward<R, Lstm<R, false>>(s, h);                           \
    }                                                                                                            \
    void min_lstm_backward_##suffix(MIN_LSTM(R), const R* h, const R* grad, R* grad_forget, R* grad_input,       \
                                    R* grad_value, R* grad_initial, int64_t grad_step) {                         \
        const Given<R, 3> s{{forget, input, value}, {forget_step, input_step, value_step}, initial, lengths, B,  \
                            T, D, threads};                                                                      \
        const Gradients<R, 3> to{h, grad, {grad_forget, grad_input, grad_value}, grad_initial, grad_step};       \
        positive ? backward<R, Lstm<R, true>>(s, to) : backward<R, Lstm<R, false>>(s, to);                       \
    }
KERNELS(f32, float)
KERNELS(f64, double)
#undef KERNELS
#undef MIN_GRU
#undef MIN_LSTM

}  // namespace SW_TARGET
