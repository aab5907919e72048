// The sLSTM over whole sequences: the recurrent half, forward and backward.
//
// Every head of a row is a piece of its own, padded to whole registers; its products see no other head. The
// stabiliser has a gradient too: it cancels in h, but it is part of the state that is handed on.
#include "kernels.h"

#include "recurrent.h"

namespace SW_TARGET {
namespace {

using namespace recurrent;

constexpr int PARTS = 4;  // of the state: hidden, cell, normaliser, stabiliser

template <class R>
struct Shape {
    int64_t B, H, heads;

    int64_t size() const { return H / heads; }
    int64_t wide() const { return padded<R>(size()); }
    int64_t row() const { return heads * wide(); }
};

// All parts of the state between [4, B, H] and scratch [4, rows, heads, wide].
template <class R>
void take_state(const Shape<R>& s, const Group& g, const R* from, R* to) {
    for (int64_t part = 0; part < PARTS; ++part)
        for (int64_t r = 0; r < g.count; ++r)
            for (int64_t head = 0; head < s.heads; ++head) {
                const R* piece = from + (part * s.B + g.row[r]) * s.H + head * s.size();
                R* at = to + (part * g.count + r) * s.row() + head * s.wide();
                each_vector<R>(s.size(), [&](int64_t j, auto some) { store<R>(at + j, some.load(piece + j)); });
            }
}

template <class R>
void give_state(const Shape<R>& s, const Group& g, const R* from, R* to) {
    for (int64_t part = 0; part < PARTS; ++part)
        for (int64_t r = 0; r < g.count; ++r)
            for (int64_t head = 0; head < s.heads; ++head) {
                const R* at = from + (part * g.count + r) * s.row() + head * s.wide();
                R* piece = to + (part * s.B + g.row[r]) * s.H + head * s.size();
                each_vector<R>(s.size(), [&](int64_t j, auto some) { some.store(piece + j, load<R>(at + j)); });
            }
}

// One head of one row: p and q are its pre-activations, H and `wide` apart; h, c, n, m its state.
template <class R>
void state_of_piece(const Shape<R>& s, bool exponential, const R* p, const R* q, R* const* state, R* hidden, R* cells,
                    R* kept) {
    const int64_t H = s.H, W = s.wide();
    auto [h, c, n, m] = *reinterpret_cast<R* const(*)[PARTS]>(state);
    each_vector<R>(s.size(), [&, h = h, c = c, n = n, m = m](int64_t j, auto part) {
        const auto total = [&](int64_t gate) { return load<R>(q + gate * W + j) + part.load(p + gate * H + j); };
        const Vec<R> entry = total(0), before = total(1), z = tanh(total(2)), o = sigmoid<R>(total(3));
        const Vec<R> open = sigmoid<R>(before);
        // log σ(f), exact where σ(f) is 0 or 1 to the last digit
        const Vec<R> small = exp(before < Vec<R>{} ? before : -before);
        const Vec<R> log_open = (before < Vec<R>{} ? before : Vec<R>{}) - log1p(small);
        Vec<R> stays = load<R>(m + j) + (exponential ? before : log_open);
        const Vec<R> old = load<R>(n + j);
        stays = old == Vec<R>{} ? splat<R>(R(-1e30)) : stays;  // nothing is remembered yet
        const Vec<R> most = stays > entry ? stays : entry;
        const Vec<R> f = exp(stays - most), i = exp(entry - most);
        const Vec<R> cell = f * load<R>(c + j) + i * z, normaliser = f * old + i, output = o * cell / normaliser;
        store<R>(h + j, output);
        store<R>(c + j, cell);
        store<R>(n + j, normaliser);
        store<R>(m + j, most);
        part.store(hidden + j, output);
        if (!kept) return;
        part.store(cells + j, cell);
        part.store(cells + H + j, normaliser);
        part.store(kept + j, i);
        part.store(kept + H + j, f);
        part.store(kept + 2 * H + j, z);
        part.store(kept + 3 * H + j, o);
        const Vec<R> slope = exponential ? splat<R>(1) : R(1) - open;
        part.store(kept + 4 * H + j, old == Vec<R>{} ? Vec<R>{} : slope);
    });
}

template <class R>
void forward(const Shape<R>& s, bool exponential, const R* projected, const R* weight, const R* initial, R* hidden,
             R* final, R* cells, R* kept, const Group& g) {
    const int64_t H = s.H, W = s.wide(), row = s.row(), size = s.size();
    R* state = Slots<R>::take(2, PARTS * g.count * row);
    R* q = Slots<R>::take(3, g.count * 4 * row);
    take_state<R>(s, g, initial, state);
    for (int64_t t = 0; t < g.longest(); ++t) {
        const int64_t rows = g.active(t);
        for (int64_t head = 0; head < s.heads; ++head)
            multiply<R>(state + head * W, row, rows, weight + head * size * 4 * W, size, 4 * W, q + head * 4 * W,
                        4 * row, false);
        for (int64_t r = 0; r < rows; ++r)
            for (int64_t head = 0; head < s.heads; ++head) {
                const int64_t at = g.at(r, t), unit = head * size;
                R* parts[PARTS];
                for (int64_t part = 0; part < PARTS; ++part) parts[part] = state + (part * g.count + r) * row + head * W;
                state_of_piece<R>(s, exponential, projected + at * 4 * H + unit, q + r * 4 * row + head * 4 * W, parts,
                                  hidden + at * H + unit, kept ? cells + at * 2 * H + unit : nullptr,
                                  kept ? kept + at * 5 * H + unit : nullptr);
            }
    }
    give_state<R>(s, g, state, final);
}

template <class R>
struct Kept {
    const R *initial, *hidden, *cells, *gates;
};

// One head of one row: from the gradients `flow` of the state after the step to those before it.
template <class R>
void back_of_piece(const Shape<R>& s, const R* grad, const R* kept, const R* hidden, const R* cells, const R* old_cell,
                   const R* old_normaliser, R* const* flow, R* d, R* grad_projected) {
    const int64_t H = s.H, W = s.wide();
    auto [gh, gc, gn, gm] = *reinterpret_cast<R* const(*)[PARTS]>(flow);
    each_vector<R>(s.size(), [&, gh = gh, gc = gc, gn = gn, gm = gm](int64_t j, auto part) {
        const Vec<R> i = part.load(kept + j), f = part.load(kept + H + j), z = part.load(kept + 2 * H + j);
        const Vec<R> o = part.load(kept + 3 * H + j), slope = part.load(kept + 4 * H + j);
        // Beyond the end of the piece zeros would be divided by: one instead.
        Vec<R> n = part.load(cells + H + j);
        n = n == Vec<R>{} ? splat<R>(1) : n;
        const Vec<R> all = load<R>(gh + j) + part.load(grad + j), y = part.load(hidden + j), inverse = R(1) / n;
        const Vec<R> dc = load<R>(gc + j) + all * o * inverse, dn = load<R>(gn + j) - all * y * inverse;
        const Vec<R> df = (dc * part.load(old_cell + j) + dn * part.load(old_normaliser + j)) * f;
        const Vec<R> di = (dc * z + dn) * i, dm = load<R>(gm + j) - df - di;
        // The larger of both exponents is the stabiliser: its factor is e^0.
        const Vec<R> half = i == splat<R>(1) ? splat<R>(R(0.5)) : splat<R>(1);
        const Vec<R> share = f == splat<R>(1) ? half : Vec<R>{};
        const Vec<R> stays = slope == Vec<R>{} ? Vec<R>{} : df + share * dm;
        const Vec<R> gates[4] = {di + (R(1) - share) * dm, stays * slope, dc * i * (R(1) - z * z),
                                 all * part.load(cells + j) * inverse * o * (R(1) - o)};
#pragma GCC unroll 4
        for (int64_t gate = 0; gate < 4; ++gate) {
            store<R>(d + gate * W + j, gates[gate]);
            part.store(grad_projected + gate * H + j, gates[gate]);
        }
        store<R>(gc + j, dc * f);
        store<R>(gn + j, dn * f);
        store<R>(gm + j, stays);
    });
}

template <class R>
void backward(const Shape<R>& s, const R* weight, const Kept<R>& kept, const R* grad_hidden, const R* grad_final,
              R* grad_projected, R* before, R* grad_initial, const Group& g) {
    const int64_t H = s.H, W = s.wide(), row = s.row(), size = s.size();
    R* flow = Slots<R>::take(2, PARTS * g.count * row);
    R* d = Slots<R>::take(3, g.count * 4 * row);
    take_state<R>(s, g, grad_final, flow);
    for (int64_t t = g.longest() - 1; t >= 0; --t) {
        const int64_t rows = g.active(t);
        for (int64_t r = 0; r < rows; ++r) {
            const int64_t at = g.at(r, t), last = t ? g.at(r, t - 1) : 0, b = g.row[r];
            const R* old = t ? kept.cells + last * 2 * H : kept.initial + (s.B + b) * H;
            const R* old_normaliser = t ? old + H : kept.initial + (2 * s.B + b) * H;
            saw<R>(t ? kept.hidden + last * H : kept.initial + b * H, nullptr, H, before + at * H);
            for (int64_t head = 0; head < s.heads; ++head) {
                const int64_t unit = head * size;
                R* parts[PARTS];
                for (int64_t part = 0; part < PARTS; ++part) parts[part] = flow + (part * g.count + r) * row + head * W;
                back_of_piece<R>(s, grad_hidden + at * H + unit, kept.gates + at * 5 * H + unit,
                                 kept.hidden + at * H + unit, kept.cells + at * 2 * H + unit, old + unit,
                                 old_normaliser + unit, parts, d + r * 4 * row + head * 4 * W,
                                 grad_projected + at * 4 * H + unit);
            }
        }
        for (int64_t head = 0; head < s.heads; ++head)
            multiply<R>(d + head * 4 * W, 4 * row, rows, weight + head * 4 * W * W, 4 * W, W, flow + head * W, row,
                        false);
    }
    give_state<R>(s, g, flow, grad_initial);
}

// All heads packed one after another, `across` for the way forward.
template <class R>
const R* pack_heads(const Shape<R>& s, const R* weight, bool across) {
    const int64_t size = s.size(), W = s.wide(), each = 4 * W * (across ? size : W);
    R* all = Slots<R>::take(0, s.heads * each);
    for (int64_t head = 0; head < s.heads; ++head) {
        const R* block = weight + head * 4 * size * size;
        const R* packed = across ? pack_across<R>(1, block, 4, size, size) : pack_down<R>(1, block, 4, size, size);
        std::copy(packed, packed + each, all + head * each);
    }
    return all;
}

}  // namespace

#define SLSTM_FORWARD(R, suffix)                                                                              \
    void slstm_forward_##suffix(const R* projected, const R* weight, const R* initial,                        \
                                const int64_t* lengths, R* hidden, R* final, R* cells, R* gates, int64_t B,   \
                                int64_t T, int64_t H, int64_t heads, int64_t exponential, int64_t reverse,    \
                                int64_t threads) {                                                            \
        const Shape<R> s{B, H, heads};                                                                        \
        const R* packed = pack_heads<R>(s, weight, true);                                                     \
        Rows{B, T, lengths, reverse, threads}.each_group([&](const Group& g) {                                \
            forward<R>(s, exponential != 0, projected, packed, initial, hidden, final, cells, gates, g);      \
        });                                                                                                   \
    }
SLSTM_FORWARD(float, f32)
SLSTM_FORWARD(double, f64)

#define SLSTM_BACKWARD(R, suffix)                                                                             \
    void slstm_backward_##suffix(const R* grad_hidden, const R* grad_final, const R* weight,                  \
                                 const R* initial, const int64_t* lengths, const R* hidden, const R* cells,   \
                                 const R* gates, R* grad_projected, R* before, R* grad_initial, int64_t B,    \
                                 int64_t T, int64_t H, int64_t heads, int64_t reverse, int64_t threads) {     \
        const Shape<R> s{B, H, heads};                                                                        \
        const R* packed = pack_heads<R>(s, weight, false);                                                    \
        const Kept<R> kept{initial, hidden, cells, gates};                                                    \
        Rows{B, T, lengths, reverse, threads}.each_group([&](const Group& g) {                                \
            backward<R>(s, packed, kept, grad_hidden, grad_final, grad_projected, before, grad_initial, g);   \
        });                                                                                                   \
    }
SLSTM_BACKWARD(float, f32)
SLSTM_BACKWARD(double, f64)

}  // namespace SW_TARGET
