// The simple recurrent network over whole sequences: the recurrent half, forward and backward.
#include "kernels.h"

#include "recurrent.h"

namespace SW_TARGET {
namespace {

using namespace recurrent;

template <class R>
struct Options {
    const R *initial, *keep, *stay;
    R rate;
    const R *gain, *bias;
    int64_t H;
    bool relu;
};

template <class R>
struct Kept {
    R *hidden, *final, *bent, *normed, *scales;
};

template <class R>
void state_of_row(const Options<R>& o, const R* q, const R* stay, R* h, R* hidden, R* bent) {
    each_vector<R>(o.H, [&](int64_t j, auto part) {
        Vec<R> total = load<R>(q + j);
        if (o.gain) total = total * part.load(o.gain + j) + part.load(o.bias + j);
        Vec<R> next = o.relu ? (total < Vec<R>{} ? Vec<R>{} : total) : tanh(total);
        if (bent) part.store(bent + j, next);
        next = zoned<R>(part, stay, o.rate, j, next, load<R>(h + j));
        store<R>(h + j, next);
        part.store(hidden + j, next);
    });
}

template <class R>
void forward(const Options<R>& o, const R* projected, const R* weight, const Kept<R>& kept, const Group& g) {
    const int64_t H = o.H, W = padded<R>(H);
    R* h = Slots<R>::take(2, g.count * W);
    R* seen = o.keep ? Slots<R>::take(3, g.count * W) : h;
    R* q = Slots<R>::take(4, g.count * W);
    take_rows<R>(g, o.initial, H, h);
    for (int64_t t = 0; t < g.longest(); ++t) {
        const int64_t rows = g.active(t);
        if (o.keep) see<R>(g, rows, h, o.keep, H, seen);
        for (int64_t r = 0; r < rows; ++r)
            each_vector<R>(H, [&](int64_t j, auto part) {
                store<R>(q + r * W + j, part.load(projected + g.at(r, t) * H + j));
            });
        multiply<R>(seen, W, rows, weight, H, W, q, W, true);
        for (int64_t r = 0; r < rows; ++r) {
            const int64_t at = g.at(r, t);
            if (o.gain) {
                const R scale = normalise<R>(q + r * W, 1, H, W, kept.normed ? kept.normed + at * H : nullptr);
                if (kept.scales) kept.scales[at] = scale;
            }
            state_of_row<R>(o, q + r * W, o.stay ? o.stay + at * H : nullptr, h + r * W, kept.hidden + at * H,
                            kept.bent ? kept.bent + at * H : nullptr);
        }
    }
    give_rows<R>(g, h, H, kept.final);
}

template <class R>
struct Gradients {
    const R *hidden, *final;
    R *projected, *before, *initial, *bias, *gain;
};

// One row's step back to the inputs of the nonlinearity (d); flow keeps what goes straight on.
template <class R>
void back_of_row(const Options<R>& o, const R* bent, const R* stay, const R* grad, R* flow, R* d) {
    each_vector<R>(o.H, [&](int64_t j, auto part) {
        const Vec<R> all = load<R>(flow + j) + part.load(grad + j), y = part.load(bent + j);
        const Vec<R> stays = all * (stay ? part.load(stay + j) : splat<R>(o.rate)), total = all - stays;
        store<R>(flow + j, stays);
        store<R>(d + j, o.relu ? (y > Vec<R>{} ? total : Vec<R>{}) : total * (R(1) - y * y));
    });
}

template <class R>
void backward(const Options<R>& o, const R* weight, const Kept<R>& kept, const Gradients<R>& grads,
              const Group& g) {
    const int64_t H = o.H, W = padded<R>(H);
    R* flow = Slots<R>::take(2, g.count * W);
    R* d = Slots<R>::take(4, g.count * W);
    R* ds = o.keep ? Slots<R>::take(3, g.count * W) : flow;
    const R* bent = kept.bent ? kept.bent : kept.hidden;
    take_rows<R>(g, grads.final, H, flow);
    for (int64_t t = g.longest() - 1; t >= 0; --t) {
        const int64_t rows = g.active(t);
        for (int64_t r = 0; r < rows; ++r) {
            const int64_t at = g.at(r, t);
            saw<R>(t ? kept.hidden + g.at(r, t - 1) * H : o.initial + g.row[r] * H,
                   o.keep ? o.keep + g.row[r] * H : nullptr, H, grads.before + at * H);
            back_of_row<R>(o, bent + at * H, o.stay ? o.stay + at * H : nullptr, grads.hidden + at * H, flow + r * W,
                           d + r * W);
            if (o.gain) {
                R* grad_bias = grads.bias + g.share * H;
                each_vector<R>(H, [&](int64_t j, auto part) { add_to<R>(part, grad_bias + j, load<R>(d + r * W + j)); });
                normalise_back<R>(d + r * W, 1, H, W, o.gain, kept.normed + at * H, kept.scales[at],
                                  grads.gain + g.share * H);
            }
            give_gates<R>(d + r * W, 1, H, grads.projected + at * H);
        }
        multiply<R>(d, W, rows, weight, W, W, ds, W, !o.keep);
        if (o.keep) flow_back<R>(g, rows, ds, o.keep, H, flow);
    }
    give_rows<R>(g, flow, H, grads.initial);
}

}  // namespace

#define RNN_FORWARD(R, suffix)                                                                                \
    void rnn_forward_##suffix(const R* projected, const R* weight, const R* initial, const R* keep,           \
                              const R* stay, R rate, const R* gain, const R* bias, const int64_t* lengths,    \
                              R* hidden, R* final, R* bent, R* normed, R* scales, int64_t B, int64_t T,       \
                              int64_t H, int64_t relu, int64_t reverse, int64_t threads) {                    \
        const Options<R> o{initial, keep, stay, rate, gain, bias, H, relu != 0};                              \
        const R* packed = pack_across<R>(0, weight, 1, H, H);                                                 \
        const Kept<R> kept{hidden, final, bent, normed, scales};                                              \
        Rows{B, T, lengths, reverse, threads}.each_group(                                                     \
            [&](const Group& g) { forward<R>(o, projected, packed, kept, g); });                              \
    }
RNN_FORWARD(float, f32)
RNN_FORWARD(double, f64)

#define RNN_BACKWARD(R, suffix)                                                                               \
    void rnn_backward_##suffix(                                                                               \
        const R* grad_hidden, const R* grad_final, const R* weight, const R* initial, const R* keep,          \
        const R* stay, R rate, const R* gain, const int64_t* lengths, const R* hidden, const R* bent,         \
        const R* normed, const R* scales, R* grad_projected, R* before, R* grad_initial, R* grad_bias,        \
        R* grad_gain, int64_t B, int64_t T, int64_t H, int64_t relu, int64_t reverse, int64_t threads) {      \
        const Options<R> o{initial, keep, stay, rate, gain, nullptr, H, relu != 0};                           \
        const R* packed = pack_down<R>(0, weight, 1, H, H);                                                   \
        const Kept<R> kept{const_cast<R*>(hidden), nullptr, const_cast<R*>(bent), const_cast<R*>(normed),     \
                           const_cast<R*>(scales)};                                                           \
        const Gradients<R> grads{grad_hidden, grad_final, grad_projected, before, grad_initial, grad_bias, grad_gain}; \
        Rows{B, T, lengths, reverse, threads}.each_group(                                                     \
            [&](const Group& g) { backward<R>(o, packed, kept, grads, g); });                                 \
    }
RNN_BACKWARD(float, f32)
RNN_BACKWARD(double, f64)

}  // namespace SW_TARGET
