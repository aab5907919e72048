// The long short-term memory over whole sequences: the recurrent half, forward and backward.
//
// Each step is one small matrix product of the group's rows with weights packed once per call, and passes over
// the gates in the first cache. tanh of the cells is computed again on the way back rather than kept.
#include "kernels.h"

#include "recurrent.h"

namespace SW_TARGET {
namespace {

using namespace recurrent;

template <class R>
struct Options {
    const R *peephole, *initial_hidden, *initial_cell, *keep, *stay_hidden, *stay_cell;
    R rate_hidden, rate_cell;
    const R *gain, *cell_gain, *cell_bias;
    int64_t H, P;
    bool coupled, projected;

    int64_t gates() const { return coupled ? 3 : 4; }
    // Where the forget gate stands; input gate before it, cell and output after it.
    int64_t forget() const { return coupled ? 0 : 1; }
};

template <class R>
struct Weights {
    const R *recurrent, *projection;
};

template <class R>
struct Kept {
    R *hidden, *final_hidden, *final_cell, *cells, *gates, *normed, *scales;
};

template <class R, class Part>
SW_INLINE Vec<R> stays(const Part& part, const R* stay, R rate, int64_t j) {
    return stay ? part.load(stay + j) : splat<R>(rate);
}

// Gates and cell of one row: the new cell into `c`, before zoneout into `raw`, the output gate into q.
template <class R>
void cell_of_row(const Options<R>& o, const R* p, R* q, const R* stay, R* c, R* raw, R* cells, R* kept) {
    const int64_t H = o.H, W = padded<R>(H), F = o.forget();
    each_vector<R>(H, [&](int64_t j, auto part) {
        const Vec<R> old = load<R>(c + j);
        const auto total = [&](int64_t gate) {
            Vec<R> sum = load<R>(q + gate * W + j);
            if (o.gain) sum *= part.load(o.gain + gate * H + j);
            return sum + part.load(p + gate * H + j);
        };
        Vec<R> f = total(F), out = total(F + 2);
        if (o.peephole) f += old * part.load(o.peephole + H + j);
        f = sigmoid<R>(f);
        Vec<R> i = R(1) - f;
        if (!o.coupled) {
            i = total(0);
            if (o.peephole) i += old * part.load(o.peephole + j);
            i = sigmoid<R>(i);
        }
        const Vec<R> g = tanh(total(F + 1)), next = f * old + i * g;
        if (o.peephole) out += next * part.load(o.peephole + 2 * H + j);
        out = sigmoid<R>(out);
        store<R>(q + (F + 2) * W + j, out);
        store<R>(raw + j, next);
        const Vec<R> cell = zoned<R>(part, stay, o.rate_cell, j, next, old);
        store<R>(c + j, cell);
        if (kept) {
            part.store(cells + j, cell);
            if (!o.coupled) part.store(kept + j, i);
            part.store(kept + F * H + j, f);
            part.store(kept + (F + 1) * H + j, g);
            part.store(kept + (F + 2) * H + j, out);
        }
    });
}

// output = o ⊙ tanh(raw), raw normalised already where it is to be.
template <class R>
void output_of_row(const Options<R>& o, const R* gate, const R* raw, R* output) {
    each_vector<R>(o.H, [&](int64_t j, auto part) {
        Vec<R> seen = load<R>(raw + j);
        if (o.cell_gain) seen = seen * part.load(o.cell_gain + j) + part.load(o.cell_bias + j);
        store<R>(output + j, load<R>(gate + j) * tanh(seen));
    });
}

template <class R>
void hidden_of_row(const Options<R>& o, const R* output, const R* stay, R* h, R* hidden) {
    each_vector<R>(o.P, [&](int64_t j, auto part) {
        const Vec<R> next = zoned<R>(part, stay, o.rate_hidden, j, load<R>(output + j), load<R>(h + j));
        store<R>(h + j, next);
        part.store(hidden + j, next);
    });
}

template <class R>
void forward(const Options<R>& o, const R* projected, const Weights<R>& weights, const Kept<R>& kept,
             const Group& g) {
    const int64_t H = o.H, P = o.P, G = o.gates(), W = padded<R>(H), V = padded<R>(P);
    R* h = Slots<R>::take(2, g.count * V);
    R* c = Slots<R>::take(3, g.count * W);
    R* seen = o.keep ? Slots<R>::take(4, g.count * V) : h;
    R* q = Slots<R>::take(5, g.count * G * W);
    R* output = Slots<R>::take(6, g.count * W);
    R* through = o.projected ? Slots<R>::take(7, g.count * V) : output;
    R* raw = Slots<R>::take(8, W);
    take_rows<R>(g, o.initial_hidden, P, h);
    take_rows<R>(g, o.initial_cell, H, c);
    for (int64_t t = 0; t < g.longest(); ++t) {
        const int64_t rows = g.active(t);
        if (o.keep) see<R>(g, rows, h, o.keep, P, seen);
        multiply<R>(seen, V, rows, weights.recurrent, P, G * W, q, G * W, false);
        for (int64_t r = 0; r < rows; ++r) {
            const int64_t at = g.at(r, t);
            R* row = q + r * G * W;
            if (o.gain) {
                const R scale = normalise<R>(row, G, H, W, kept.normed ? kept.normed + at * G * H : nullptr);
                if (kept.scales) kept.scales[at] = scale;
            }
            cell_of_row<R>(o, projected + at * G * H, row, o.stay_cell ? o.stay_cell + at * H : nullptr, c + r * W, raw,
                           kept.gates ? kept.cells + at * H : nullptr,
                           kept.gates ? kept.gates + at * G * H : nullptr);
            if (o.cell_gain) normalise<R>(raw, 1, H, W, nullptr);
            output_of_row<R>(o, row + (G - 1) * W, raw, output + r * W);
        }
        if (o.projected) multiply<R>(output, W, rows, weights.projection, H, V, through, V, false);
        for (int64_t r = 0; r < rows; ++r) {
            const int64_t at = g.at(r, t);
            hidden_of_row<R>(o, through + r * V, o.stay_hidden ? o.stay_hidden + at * P : nullptr, h + r * V,
                             kept.hidden + at * P);
        }
    }
    give_rows<R>(g, h, P, kept.final_hidden);
    give_rows<R>(g, c, H, kept.final_cell);
}

template <class R>
struct Gradients {
    const R *hidden, *final_hidden, *final_cell;
    R *projected, *product, *before, *output_gradient, *output, *initial_hidden, *initial_cell, *gain, *small;
};

// Through zoneout of h: flow keeps what stays, `d` gets the gradient of the output (or its projection).
template <class R>
void back_to_output(const Options<R>& o, const R* grad, const R* stay, R* flow, R* d) {
    each_vector<R>(o.P, [&](int64_t j, auto part) {
        const Vec<R> all = load<R>(flow + j) + part.load(grad + j);
        const Vec<R> kept = all * stays<R>(part, stay, o.rate_hidden, j);
        store<R>(flow + j, kept);
        store<R>(d + j, all - kept);
    });
}

// Through o ⊙ tanh(·): raw becomes the gradient of what tanh saw, d_out that of the output gate's input.
template <class R>
void back_to_cell(const Options<R>& o, const R* gates, const R* old, const R* d, R* raw, R* d_out,
                  R* grad_out, R* output, R* normed, R* grad_small) {
    const int64_t H = o.H, F = o.forget();
    const auto cell = [&](int64_t j, auto part) {
        const Vec<R> f = part.load(gates + F * H + j), g = part.load(gates + (F + 1) * H + j);
        const Vec<R> i = o.coupled ? R(1) - f : part.load(gates + j);
        return part.only(f * part.load(old + j) + i * g);
    };
    R scale = 0;
    if (o.cell_gain) {
        each_vector<R>(H, [&](int64_t j, auto part) { store<R>(raw + j, cell(j, part)); });
        scale = normalise<R>(raw, 1, H, padded<R>(H), normed);
    }
    each_vector<R>(H, [&](int64_t j, auto part) {
        Vec<R> seen = o.cell_gain ? load<R>(raw + j) : cell(j, part);
        if (o.cell_gain) seen = seen * part.load(o.cell_gain + j) + part.load(o.cell_bias + j);
        const Vec<R> bent = tanh(seen), out = part.load(gates + (F + 2) * H + j), grad = load<R>(d + j);
        const Vec<R> before = grad * bent * out * (R(1) - out);
        store<R>(d_out + j, before);
        part.store(grad_out + j, before);
        store<R>(raw + j, grad * out * (R(1) - bent * bent));
        if (output) part.store(output + j, out * bent);
        if (o.cell_gain) add_to<R>(part, grad_small + 4 * H + j, load<R>(raw + j));
    });
    if (o.cell_gain) normalise_back<R>(raw, 1, H, padded<R>(H), o.cell_gain, normed, scale, grad_small + 3 * H);
}

// From the gradient `raw` of the cell through the output to the gates' inputs d; flow is the cell's.
template <class R>
void back_to_gates(const Options<R>& o, const R* gates, const R* old, const R* stay, const R* raw, R* flow, R* d,
                   R* grad_projected, R* grad_small) {
    const int64_t H = o.H, W = padded<R>(H), F = o.forget();
    each_vector<R>(H, [&](int64_t j, auto part) {
        const Vec<R> f = part.load(gates + F * H + j), g = part.load(gates + (F + 1) * H + j);
        const Vec<R> i = o.coupled ? R(1) - f : part.load(gates + j), before = part.load(old + j);
        const Vec<R> all = load<R>(flow + j), kept = all * stays<R>(part, stay, o.rate_cell, j);
        Vec<R> total = all - kept + load<R>(raw + j);
        if (o.peephole) {
            const Vec<R> d_out = load<R>(d + (F + 2) * W + j);
            total += d_out * part.load(o.peephole + 2 * H + j);
            add_to<R>(part, grad_small + 2 * H + j, d_out * (f * before + i * g));
        }
        Vec<R> next = kept + total * f;
        const Vec<R> df = total * (o.coupled ? before - g : before) * f * (R(1) - f);
        const Vec<R> di = total * g * i * (R(1) - i);
        const Vec<R> dg = total * i * (R(1) - g * g);
        if (!o.coupled) store<R>(d + j, di), part.store(grad_projected + j, di);
        store<R>(d + F * W + j, df);
        store<R>(d + (F + 1) * W + j, dg);
        part.store(grad_projected + F * H + j, df);
        part.store(grad_projected + (F + 1) * H + j, dg);
        if (o.peephole) {
            next += df * part.load(o.peephole + H + j);
            add_to<R>(part, grad_small + H + j, df * before);
            if (!o.coupled) {
                next += di * part.load(o.peephole + j);
                add_to<R>(part, grad_small + j, di * before);
            }
        }
        store<R>(flow + j, next);
    });
}

template <class R>
void backward(const Options<R>& o, const Weights<R>& weights, const Kept<R>& kept, const Gradients<R>& grads,
              const Group& g) {
    const int64_t H = o.H, P = o.P, G = o.gates(), W = padded<R>(H), V = padded<R>(P);
    R* flow = Slots<R>::take(2, g.count * V);
    R* flow_cell = Slots<R>::take(3, g.count * W);
    R* ds = o.keep ? Slots<R>::take(4, g.count * V) : flow;
    R* d = Slots<R>::take(5, g.count * G * W);
    R* d_hidden = Slots<R>::take(6, g.count * V);
    R* d_output = o.projected ? Slots<R>::take(7, g.count * W) : d_hidden;
    R* raw = Slots<R>::take(8, W);
    R* normed = Slots<R>::take(9, W);
    R* small = grads.small + g.share * 5 * H;
    take_rows<R>(g, grads.final_hidden, P, flow);
    take_rows<R>(g, grads.final_cell, H, flow_cell);
    for (int64_t t = g.longest() - 1; t >= 0; --t) {
        const int64_t rows = g.active(t);
        for (int64_t r = 0; r < rows; ++r) {
            const int64_t at = g.at(r, t);
            saw<R>(t ? kept.hidden + g.at(r, t - 1) * P : o.initial_hidden + g.row[r] * P,
                   o.keep ? o.keep + g.row[r] * P : nullptr, P, grads.before + at * P);
            back_to_output<R>(o, grads.hidden + at * P, o.stay_hidden ? o.stay_hidden + at * P : nullptr, flow + r * V,
                              d_hidden + r * V);
            if (o.projected) give_gates<R>(d_hidden + r * V, 1, P, grads.output_gradient + at * P);
        }
        if (o.projected) multiply<R>(d_hidden, V, rows, weights.projection, V, W, d_output, W, false);
        for (int64_t r = 0; r < rows; ++r) {
            const int64_t at = g.at(r, t);
            const R* old = t ? kept.cells + g.at(r, t - 1) * H : o.initial_cell + g.row[r] * H;
            const R* gates = kept.gates + at * G * H;
            R *row = d + r * G * W, *grad_projected = grads.projected + at * G * H;
            back_to_cell<R>(o, gates, old, d_output + r * W, raw, row + (G - 1) * W,
                            grad_projected + (G - 1) * H, o.projected ? grads.output + at * H : nullptr, normed, small);
            back_to_gates<R>(o, gates, old, o.stay_cell ? o.stay_cell + at * H : nullptr, raw, flow_cell + r * W, row,
                             grad_projected, small);
            if (o.gain) {
                normalise_back<R>(row, G, H, W, o.gain, kept.normed + at * G * H, kept.scales[at],
                                  grads.gain + g.share * G * H);
                give_gates<R>(row, G, H, grads.product + at * G * H);
            }
        }
        multiply<R>(d, G * W, rows, weights.recurrent, G * W, V, ds, V, !o.keep);
        if (o.keep) flow_back<R>(g, rows, ds, o.keep, P, flow);
    }
    give_rows<R>(g, flow, P, grads.initial_hidden);
    give_rows<R>(g, flow_cell, H, grads.initial_cell);
}

}  // namespace

#define LSTM_FORWARD(R, suffix)                                                                               \
    void lstm_forward_##suffix(                                                                               \
        const R* projected, const R* weight, const R* projection, const R* peephole, const R* initial_hidden, \
        const R* initial_cell, const R* keep, const R* stay_hidden, const R* stay_cell, R rate_hidden,        \
        R rate_cell, const R* gain, const R* cell_gain, const R* cell_bias, const int64_t* lengths,           \
        R* hidden, R* final_hidden, R* final_cell, R* cells, R* gates, R* normed, R* scales, int64_t B,       \
        int64_t T, int64_t H, int64_t P, int64_t coupled, int64_t reverse, int64_t threads) {                 \
        const Options<R> o{peephole,    initial_hidden, initial_cell, keep,      stay_hidden,  stay_cell,     \
                           rate_hidden, rate_cell,      gain,         cell_gain, cell_bias,    H,             \
                           P,           coupled != 0,   projection != nullptr};                               \
        const Weights<R> weights{pack_across<R>(0, weight, o.gates(), H, P),                                  \
                                 projection ? pack_across<R>(1, projection, 1, P, H) : nullptr};              \
        const Kept<R> kept{hidden, final_hidden, final_cell, cells, gates, normed, scales};                   \
        Rows{B, T, lengths, reverse, threads}.each_group(                                                     \
            [&](const Group& g) { forward<R>(o, projected, weights, kept, g); });                             \
    }
LSTM_FORWARD(float, f32)
LSTM_FORWARD(double, f64)

#define LSTM_BACKWARD(R, suffix)                                                                              \
    void lstm_backward_##suffix(                                                                              \
        const R* grad_hidden, const R* grad_final_hidden, const R* grad_final_cell, const R* weight,          \
        const R* projection, const R* peephole, const R* initial_hidden, const R* initial_cell,               \
        const R* keep, const R* stay_hidden, const R* stay_cell, R rate_hidden, R rate_cell, const R* gain,   \
        const R* cell_gain, const R* cell_bias, const int64_t* lengths, const R* hidden, const R* cells,      \
        const R* gates, const R* normed, const R* scales, R* grad_projected, R* grad_product, R* before,      \
        R* grad_output, R* output, R* grad_initial_hidden, R* grad_initial_cell, R* grad_gain,                \
        R* grad_small, int64_t B, int64_t T, int64_t H, int64_t P, int64_t coupled, int64_t reverse,          \
        int64_t threads) {                                                                                    \
        const Options<R> o{peephole,    initial_hidden, initial_cell, keep,      stay_hidden,  stay_cell,     \
                           rate_hidden, rate_cell,      gain,         cell_gain, cell_bias,    H,             \
                           P,           coupled != 0,   projection != nullptr};                               \
        const Weights<R> weights{pack_down<R>(0, weight, o.gates(), H, P),                                    \
                                 projection ? pack_down<R>(1, projection, 1, P, H) : nullptr};                \
        const Kept<R> kept{const_cast<R*>(hidden), nullptr, nullptr, const_cast<R*>(cells),                   \
                           const_cast<R*>(gates), const_cast<R*>(normed), const_cast<R*>(scales)};            \
        const Gradients<R> grads{grad_hidden, grad_final_hidden, grad_final_cell, grad_projected,             \
                                 grad_product, before, grad_output, output, grad_initial_hidden,              \
                                 grad_initial_cell, grad_gain, grad_small};                                   \
        Rows{B, T, lengths, reverse, threads}.each_group(                                                     \
            [&](const Group& g) { backward<R>(o, weights, kept, grads, g); });                                \
    }
LSTM_BACKWARD(float, f32)
LSTM_BACKWARD(double, f64)

}  // namespace SW_TARGET
