// The gated recurrent unit over whole sequences: the recurrent half, forward and backward.
//
// Each step is one small matrix product of the group's rows with weights packed once per call, and one pass over
// the gates. The products of the inputs and of the weights' gradients are large: the caller does them for all
// steps at once.
#include "kernels.h"

#include "recurrent.h"

namespace SW_TARGET {
namespace {

using namespace recurrent;

template <class R>
struct Options {
    const R *bias, *initial, *keep, *stay;
    R rate;
    const R *gate_gain, *candidate_gain;
    int64_t H;
    bool after;
};

template <class R>
struct Weights {
    const R *gates, *candidate;
};

template <class R>
struct Kept {
    R *hidden, *final, *gates, *normed, *scales;
};

// r and z of one row into q; what the candidate's product sees into `source` (reset before it).
template <class R>
void gates_of_row(const Options<R>& o, const R* p, R* q, const R* seen, R* source) {
    const int64_t H = o.H, W = padded<R>(H);
    each_vector<R>(H, [&](int64_t j, auto part) {
        Vec<R> r = load<R>(q + j), z = load<R>(q + W + j);
        if (o.gate_gain) r *= part.load(o.gate_gain + j), z *= part.load(o.gate_gain + H + j);
        r = sigmoid<R>(r + part.load(p + j) + part.load(o.bias + j));
        z = sigmoid<R>(z + part.load(p + H + j) + part.load(o.bias + H + j));
        store<R>(q + j, r);
        store<R>(q + W + j, z);
        if (!o.after) store<R>(source + j, r * load<R>(seen + j));
    });
}

// The new state of one row, and what the way back needs.
template <class R>
void state_of_row(const Options<R>& o, const R* p, const R* q, const R* stay, R* h, R* hidden, R* kept) {
    const int64_t H = o.H, W = padded<R>(H);
    each_vector<R>(H, [&](int64_t j, auto part) {
        const Vec<R> r = load<R>(q + j), z = load<R>(q + W + j), old = load<R>(h + j);
        Vec<R> product = load<R>(q + 2 * W + j);
        if (o.candidate_gain) product *= part.load(o.candidate_gain + j);
        product += part.load(o.bias + 2 * H + j);
        const Vec<R> n = tanh(part.load(p + 2 * H + j) + (o.after ? r * product : product));
        const Vec<R> next = zoned<R>(part, stay, o.rate, j, n + z * (old - n), old);
        store<R>(h + j, next);
        part.store(hidden + j, next);
        if (kept) {
            part.store(kept + j, r);
            part.store(kept + H + j, z);
            part.store(kept + 2 * H + j, n);
            if (o.after) part.store(kept + 3 * H + j, product);
        }
    });
}

template <class R>
void forward(const Options<R>& o, const R* projected, const Weights<R>& weights, const Kept<R>& kept,
             const Group& g) {
    const int64_t H = o.H, W = padded<R>(H);
    R* h = Slots<R>::take(2, g.count * W);
    R* seen = o.keep ? Slots<R>::take(3, g.count * W) : h;
    R* source = o.after ? seen : Slots<R>::take(4, g.count * W);
    R* q = Slots<R>::take(5, g.count * 3 * W);
    take_rows<R>(g, o.initial, H, h);
    for (int64_t t = 0; t < g.longest(); ++t) {
        const int64_t rows = g.active(t);
        if (o.keep) see<R>(g, rows, h, o.keep, H, seen);
        multiply<R>(seen, W, rows, weights.gates, H, 2 * W, q, 3 * W, false);
        for (int64_t r = 0; r < rows; ++r) {
            const int64_t at = g.at(r, t);
            if (o.gate_gain) {
                const R scale = normalise<R>(q + r * 3 * W, 2, H, W, kept.normed ? kept.normed + at * 3 * H : nullptr);
                if (kept.scales) kept.scales[2 * at] = scale;
            }
            gates_of_row<R>(o, projected + at * 3 * H, q + r * 3 * W, seen + r * W, source + r * W);
        }
        multiply<R>(source, W, rows, weights.candidate, H, W, q + 2 * W, 3 * W, false);
        for (int64_t r = 0; r < rows; ++r) {
            const int64_t at = g.at(r, t);
            if (o.candidate_gain) {
                const R scale =
                    normalise<R>(q + r * 3 * W + 2 * W, 1, H, W, kept.normed ? kept.normed + (at * 3 + 2) * H : nullptr);
                if (kept.scales) kept.scales[2 * at + 1] = scale;
            }
            state_of_row<R>(o, projected + at * 3 * H, q + r * 3 * W, o.stay ? o.stay + at * H : nullptr, h + r * W,
                            kept.hidden + at * H, kept.gates ? kept.gates + at * 4 * H : nullptr);
        }
    }
    give_rows<R>(g, h, H, kept.final);
}

template <class R>
struct Gradients {
    const R *hidden, *final;
    R *projected, *gates, *candidate, *before, *before_candidate, *initial, *bias, *gain;
};

// One row's step back as far as the products: d = gradients of r, z, n's inputs, flow = what goes straight on.
template <class R>
void back_of_row(const Options<R>& o, const R* kept, const R* old, const R* stay, const R* grad, R* flow, R* d,
                 R* grad_projected, R* grad_bias) {
    const int64_t H = o.H, W = padded<R>(H);
    each_vector<R>(H, [&](int64_t j, auto part) {
        const Vec<R> r = part.load(kept + j), z = part.load(kept + H + j), n = part.load(kept + 2 * H + j);
        const Vec<R> all = load<R>(flow + j) + part.load(grad + j);
        const Vec<R> share = stay ? part.load(stay + j) : splat<R>(o.rate);
        const Vec<R> total = all - share * all;
        store<R>(flow + j, share * all + total * z);
        const Vec<R> dn = total * (R(1) - z) * (R(1) - n * n);
        const Vec<R> dz = total * (part.load(old + j) - n) * z * (R(1) - z);
        const Vec<R> dq = o.after ? dn * r : dn;
        part.store(grad_projected + H + j, dz);
        part.store(grad_projected + 2 * H + j, dn);
        add_to<R>(part, grad_bias + H + j, dz);
        add_to<R>(part, grad_bias + 2 * H + j, dq);
        store<R>(d + W + j, dz);
        store<R>(d + 2 * W + j, dq);
        if (o.after) {
            const Vec<R> dr = dn * part.load(kept + 3 * H + j) * r * (R(1) - r);
            part.store(grad_projected + j, dr);
            add_to<R>(part, grad_bias + j, dr);
            store<R>(d + j, dr);
        }
    });
}

// Reset before the product: through r ⊙ seen; `ds` is the gradient of that, and becomes the gradient of seen.
template <class R>
void back_through_reset(const Options<R>& o, const R* kept, const R* seen, R* ds, R* d, R* grad_projected,
                        R* grad_bias, R* before_candidate) {
    each_vector<R>(o.H, [&](int64_t j, auto part) {
        const Vec<R> r = part.load(kept + j), s = part.load(seen + j), grad = load<R>(ds + j);
        const Vec<R> dr = grad * s * r * (R(1) - r);
        part.store(before_candidate + j, r * s);
        part.store(grad_projected + j, dr);
        add_to<R>(part, grad_bias + j, dr);
        store<R>(d + j, dr);
        store<R>(ds + j, grad * r);
    });
}

template <class R>
void backward(const Options<R>& o, const Weights<R>& weights, const Kept<R>& kept, const Gradients<R>& grads,
              const Group& g) {
    const int64_t H = o.H, W = padded<R>(H);
    R* flow = Slots<R>::take(2, g.count * W);
    R* d = Slots<R>::take(5, g.count * 3 * W);
    const bool direct = o.after && !o.keep;
    R* ds = direct ? flow : Slots<R>::take(3, g.count * W);
    R* grad_bias = grads.bias + g.share * 3 * H;
    R* grad_gain = grads.gain ? grads.gain + g.share * 3 * H : nullptr;
    take_rows<R>(g, grads.final, H, flow);
    for (int64_t t = g.longest() - 1; t >= 0; --t) {
        const int64_t rows = g.active(t);
        for (int64_t r = 0; r < rows; ++r) {
            const int64_t at = g.at(r, t);
            const R* old = t ? kept.hidden + g.at(r, t - 1) * H : o.initial + g.row[r] * H;
            saw<R>(old, o.keep ? o.keep + g.row[r] * H : nullptr, H, grads.before + at * H);
            back_of_row<R>(o, kept.gates + at * 4 * H, old, o.stay ? o.stay + at * H : nullptr,
                           grads.hidden + at * H, flow + r * W, d + r * 3 * W, grads.projected + at * 3 * H, grad_bias);
            if (o.candidate_gain)
                normalise_back<R>(d + r * 3 * W + 2 * W, 1, H, W, o.candidate_gain, kept.normed + (at * 3 + 2) * H,
                                  kept.scales[2 * at + 1], grad_gain + 2 * H);
            give_gates<R>(d + r * 3 * W + 2 * W, 1, H, grads.candidate + at * H);
        }
        multiply<R>(d + 2 * W, 3 * W, rows, weights.candidate, W, W, ds, W, direct);
        for (int64_t r = 0; r < rows && (!o.after || o.gate_gain); ++r) {
            const int64_t at = g.at(r, t);
            if (!o.after)
                back_through_reset<R>(o, kept.gates + at * 4 * H, grads.before + at * H, ds + r * W, d + r * 3 * W,
                                      grads.projected + at * 3 * H, grad_bias, grads.before_candidate + at * H);
            if (o.gate_gain) {
                normalise_back<R>(d + r * 3 * W, 2, H, W, o.gate_gain, kept.normed + at * 3 * H, kept.scales[2 * at],
                                  grad_gain);
                give_gates<R>(d + r * 3 * W, 2, H, grads.gates + at * 2 * H);
            }
        }
        multiply<R>(d, 3 * W, rows, weights.gates, 2 * W, W, ds, W, true);
        if (!direct) flow_back<R>(g, rows, ds, o.keep, H, flow);
    }
    give_rows<R>(g, flow, H, grads.initial);
}

}  // namespace

#define GRU_FORWARD(R, suffix)                                                                                 \
    void gru_forward_##suffix(const R* projected, const R* weight, const R* bias, const R* initial,            \
                              const R* keep, const R* stay, R rate, const R* gate_gain,                        \
                              const R* candidate_gain, const int64_t* lengths, R* hidden, R* final, R* gates,  \
                              R* normed, R* scales, int64_t B, int64_t T, int64_t H, int64_t after,            \
                              int64_t reverse, int64_t threads) {                                              \
        const Options<R> o{bias, initial, keep, stay, rate, gate_gain, candidate_gain, H, after != 0};         \
        const Weights<R> weights{pack_across<R>(0, weight, 2, H, H),                                           \
                                 pack_across<R>(1, weight + 2 * H * H, 1, H, H)};                              \
        const Kept<R> kept{hidden, final, gates, normed, scales};                                              \
        Rows{B, T, lengths, reverse, threads}.each_group(                                                      \
            [&](const Group& g) { forward<R>(o, projected, weights, kept, g); });                              \
    }
GRU_FORWARD(float, f32)
GRU_FORWARD(double, f64)

#define GRU_BACKWARD(R, suffix)                                                                                \
    void gru_backward_##suffix(                                                                                \
        const R* grad_hidden, const R* grad_final, const R* weight, const R* initial, const R* keep,           \
        const R* stay, R rate, const R* gate_gain, const R* candidate_gain, const int64_t* lengths,            \
        const R* hidden, const R* gates, const R* normed, const R* scales, R* grad_projected, R* grad_gates,   \
        R* grad_candidate, R* before, R* before_candidate, R* grad_initial, R* grad_bias, R* grad_gain,        \
        int64_t B, int64_t T, int64_t H, int64_t after, int64_t reverse, int64_t threads) {                    \
        const Options<R> o{nullptr, initial, keep, stay, rate, gate_gain, candidate_gain, H, after != 0};      \
        const Weights<R> weights{pack_down<R>(0, weight, 2, H, H),                                             \
                                 pack_down<R>(1, weight + 2 * H * H, 1, H, H)};                                \
        const Kept<R> kept{const_cast<R*>(hidden), nullptr, const_cast<R*>(gates), const_cast<R*>(normed),     \
                           const_cast<R*>(scales)};                                                            \
        const Gradients<R> grads{grad_hidden, grad_final, grad_projected, grad_gates, grad_candidate, before,  \
                                 before_candidate, grad_initial, grad_bias, grad_gain};                        \
        Rows{B, T, lengths, reverse, threads}.each_group(                                                      \
            [&](const Group& g) { backward<R>(o, weights, kept, grads, g); });                                 \
    }
GRU_BACKWARD(float, f32)
GRU_BACKWARD(double, f64)

}  // namespace SW_TARGET
