// Sums of weighted outer products in chunks: what SSD (Mamba-2) and the mLSTM have in common.
//
// Inside a chunk of L steps two products with an L x L matrix between them, from chunk to chunk the state
// alone; everything of one chunk stays in the second cache. On the way back the states within a segment of
// chunks are made again from the one before it, so that little has to be kept.
#include "kernels.h"

#include "../core/chunk.h"

namespace SW_TARGET {
namespace {

template <class R>
struct Sequence {
    Heads<R> x, k, q;
    const double *rise, *fall, *base;
    int64_t B, T, H, G, P, N, L, segment;

    int64_t state() const { return N * P; }
    int64_t chunks() const { return (T + L - 1) / L; }
    int64_t segments() const { return (chunks() + segment - 1) / segment; }
};

// One chunk of one head.
template <class R>
struct Chunk : Span<R> {
    const R *x, *k, *q;
    int64_t xt, kt, qt;
};

template <class R>
void open(const Sequence<R>& of, int64_t b, int64_t h, int64_t chunk, Chunk<R>& c) {
    const int64_t from = chunk * of.L, g = h / (of.H / of.G);
    c.x = of.x.at(b, from, h), c.k = of.k.at(b, from, g), c.q = of.q.at(b, from, g);
    c.xt = of.x.time, c.kt = of.k.time, c.qt = of.q.time;
    c.steps = std::min(of.L, of.T - from);
    const int64_t at = (b * of.T + from) * of.H + h;
    c.read(of.rise + at, of.fall + at, of.H, chunk == 0 ? of.base[b * of.H + h] : of.fall[at - of.H]);
}

// state [N, P] = keep * state + k' (fade * x)
template <class R>
void advance(const Sequence<R>& of, const Chunk<R>& c, R* state, R* faded) {
    scale_rows<R>(c.fade, c.x, c.xt, faded, of.P, c.steps, of.P);
    scale<R>(state, c.keep, of.state());
    gemm_one<R>({c.k, 1, c.kt}, {faded, of.P, 1}, state, of.P, of.N, of.P, c.steps, nullptr, true);
}

// weights [L, L] = (q k') * decays, with the decays beside them
template <class R>
void weigh(const Sequence<R>& of, const Chunk<R>& c, R* decays, R* weights) {
    decay_matrix<R>(c.rise, c.fall, c.steps, decays);
    gemm_one<R>({c.q, c.qt, 1}, {c.k, 1, c.kt}, weights, c.steps, c.steps, c.steps, of.N, nullptr, false);
    for (int64_t i = 0; i < c.steps * c.steps; ++i) weights[i] *= decays[i];
}

template <class R>
void forward(const Sequence<R>& of, const R* initial, R* y, R* starts, R* last, int64_t threads) {
    const int64_t P = of.P, N = of.N, L = of.L;
    parallel_for(of.B * of.H, threads, [&](int64_t first, int64_t end, int64_t) {
        static thread_local Scratch memory, levels;
        Parts<R> parts(memory, of.state() + 2 * L * L + L * P + L * N + 2 * L);
        R *state = parts.take(of.state()), *decays = parts.take(L * L), *weights = parts.take(L * L);
        R *faded = parts.take(L * P), *reader = parts.take(L * N);
        double* level = levels.take<double>(2 * L);
        Chunk<R> c = {};
        c.rise = level, c.fall = level + L, c.kept = parts.take(L), c.fade = parts.take(L);
        for (int64_t piece = first; piece < end; ++piece) {
            const int64_t b = piece / of.H, h = piece % of.H;
            transpose<R>(initial + piece * of.state(), P, N, state);
            for (int64_t chunk = 0; chunk < of.chunks(); ++chunk) {
                if (starts && chunk % of.segment == 0)
                    std::copy_n(state, of.state(), starts + (piece * of.segments() + chunk / of.segment) * of.state());
                open<R>(of, b, h, chunk, c);
                R* out = y + ((b * of.T + chunk * L) * of.H + h) * P;
                weigh<R>(of, c, decays, weights);
                gemm_one<R>({weights, c.steps, 1}, {c.x, c.xt, 1}, out, of.H * P, c.steps, P, c.steps, nullptr, false);
                scale_rows<R>(c.kept, c.q, c.qt, reader, N, c.steps, N);
                gemm_one<R>({reader, N, 1}, {state, P, 1}, out, of.H * P, c.steps, P, N, nullptr, true);
                advance<R>(of, c, state, faded);
            }
            transpose<R>(state, N, P, last + piece * of.state());
        }
    });
}

template <class R>
struct Gradients {
    const R *y, *last;
    R *x, *k, *q;
    double *rise, *fall, *base;
    R* initial;
};

// Everything that one chunk needs on the way back, besides the gradient of the state after it.
template <class R>
struct Room {
    R *decays, *weights, *of_weights, *faded, *reached, *read, *answer, *columns;
};

// `before` is the state before the chunk, `flow` the gradient of the state after it, then of the one before.
template <class R>
void back(const Sequence<R>& of, const Gradients<R>& grad, int64_t b, int64_t h, int64_t chunk, const Chunk<R>& c,
          const R* before, R* flow, const Room<R>& room) {
    const int64_t P = of.P, N = of.N, steps = c.steps, at = (b * of.T + chunk * of.L) * of.H + h;
    const int64_t xt = of.H * P, kt = of.H * N;
    const R* gy = grad.y + at * P;
    R *gx = grad.x + at * P, *gk = grad.k + at * N, *gq = grad.q + at * N;
    double *rise = grad.rise + at, *fall = grad.fall + at;
    double* base = chunk == 0 ? grad.base + b * of.H + h : fall - of.H;

    weigh<R>(of, c, room.decays, room.weights);
    gemm_one<R>({gy, xt, 1}, {c.x, 1, c.xt}, room.of_weights, steps, steps, steps, P, nullptr, false);
    std::fill_n(room.columns, steps, R(0));
    for (int64_t t = 0; t < steps; ++t) {
        const R *weight = room.weights + t * steps, *decay = room.decays + t * steps;
        R* of_weight = room.of_weights + t * steps;
        fall[t * of.H] -= dot<R>(of_weight, weight, t + 1);
        for (int64_t s = 0; s <= t; ++s) room.columns[s] += of_weight[s] * weight[s];
        for (int64_t s = 0; s < steps; ++s) of_weight[s] *= decay[s];
    }
    gemm_one<R>({room.weights, 1, steps}, {gy, xt, 1}, gx, xt, steps, P, steps, nullptr, false);
    gemm_one<R>({c.k, c.kt, 1}, {flow, P, 1}, room.reached, P, steps, P, N, nullptr, false);
    gemm_one<R>({gy, xt, 1}, {before, 1, P}, room.read, N, steps, N, P, nullptr, false);
    gemm_one<R>({room.of_weights, steps, 1}, {c.k, c.kt, 1}, gq, kt, steps, N, steps, nullptr, false);
    gemm_one<R>({room.of_weights, 1, steps}, {c.q, c.qt, 1}, gk, kt, steps, N, steps, nullptr, false);
    scale_rows<R>(c.fade, c.x, c.xt, room.faded, P, steps, P);
    gemm_one<R>({room.faded, P, 1}, {flow, 1, P}, gk, kt, steps, N, P, nullptr, true);

    const double held = static_cast<double>(dot<R>(before, flow, of.state())) * c.keep;
    double out = held, in = held;
    for (int64_t t = 0; t < steps; ++t) {
        const double kept = static_cast<double>(dot<R>(c.q + t * c.qt, room.read + t * N, N)) * c.kept[t];
        const double fade = static_cast<double>(dot<R>(c.x + t * c.xt, room.reached + t * P, P)) * c.fade[t];
        fall[t * of.H] -= kept, rise[t * of.H] = room.columns[t] + fade;
        in += kept, out += fade;
    }
    fall[(steps - 1) * of.H] -= out;
    *base += in;
    scale_rows<R>(c.fade, room.reached, P, gx, xt, steps, P, true);
    scale_rows<R>(c.kept, room.read, N, gq, kt, steps, N, true);
    scale_rows<R>(c.kept, gy, xt, room.answer, P, steps, P);
    scale<R>(flow, c.keep, of.state());
    gemm_one<R>({c.q, 1, c.qt}, {room.answer, P, 1}, flow, P, N, P, steps, nullptr, true);
}

template <class R>
void backward(const Sequence<R>& of, const R* starts, const Gradients<R>& grad, int64_t threads) {
    const int64_t P = of.P, N = of.N, L = of.L, size = of.state();
    parallel_for(of.B * of.H, threads, [&](int64_t first, int64_t end, int64_t) {
        static thread_local Scratch memory, levels;
        Parts<R> parts(memory, (of.segment + 1) * size + 3 * L * L + 3 * L * P + L * N + 3 * L);
        R *states = parts.take(of.segment * size), *flow = parts.take(size);
        const Room<R> room = {parts.take(L * L), parts.take(L * L), parts.take(L * L), parts.take(L * P),
                              parts.take(L * P), parts.take(L * N), parts.take(L * P), parts.take(L)};
        double* level = levels.take<double>(2 * L);
        Chunk<R> c = {};
        c.rise = level, c.fall = level + L, c.kept = parts.take(L), c.fade = parts.take(L);
        for (int64_t piece = first; piece < end; ++piece) {
            const int64_t b = piece / of.H, h = piece % of.H;
            transpose<R>(grad.last + piece * size, P, N, flow);
            grad.base[piece] = 0;
            for (int64_t t = 0; t < of.T; ++t) grad.fall[(b * of.T + t) * of.H + h] = 0;
            for (int64_t part = of.segments() - 1; part >= 0; --part) {
                const int64_t from = part * of.segment, to = std::min(from + of.segment, of.chunks());
                std::copy_n(starts + (piece * of.segments() + part) * size, size, states);
                for (int64_t chunk = from; chunk + 1 < to; ++chunk) {
                    R* state = states + (chunk - from) * size;
                    open<R>(of, b, h, chunk, c);
                    std::copy_n(state, size, state + size);
                    advance<R>(of, c, state + size, room.faded);
                }
                for (int64_t chunk = to - 1; chunk >= from; --chunk) {
                    open<R>(of, b, h, chunk, c);
                    back<R>(of, grad, b, h, chunk, c, states + (chunk - from) * size, flow, room);
                }
            }
            transpose<R>(flow, N, P, grad.initial + piece * size);
        }
    });
}

}  // namespace

#define BOTH(R, suffix)                                                                                        \
    void linear_attention_forward_##suffix(                                                                    \
        const R* x, int64_t xb, int64_t xt, int64_t xh, const R* k, int64_t kb, int64_t kt, int64_t kh,        \
        const R* q, int64_t qb, int64_t qt, int64_t qh, const double* rise, const double* fall,                \
        const double* base, const R* initial, R* y, R* starts, R* last, int64_t B, int64_t T, int64_t H,       \
        int64_t G, int64_t P, int64_t N, int64_t L, int64_t segment, int64_t threads) {                        \
        forward<R>({{x, xb, xt, xh}, {k, kb, kt, kh}, {q, qb, qt, qh}, rise, fall, base, B, T, H, G, P, N, L,  \
                    segment},                                                                                  \
                   initial, y, starts, last, threads);                                                         \
    }                                                                                                          \
    void linear_attention_backward_##suffix(                                                                   \
        const R* x, int64_t xb, int64_t xt, int64_t xh, const R* k, int64_t kb, int64_t kt, int64_t kh,        \
        const R* q, int64_t qb, int64_t qt, int64_t qh, const double* rise, const double* fall,                \
        const double* base, const R* starts, const R* grad_y, const R* grad_last, R* grad_x, R* grad_k,        \
        R* grad_q, double* grad_rise, double* grad_fall, double* grad_base, R* grad_initial, int64_t B,        \
        int64_t T, int64_t H, int64_t G, int64_t P, int64_t N, int64_t L, int64_t segment, int64_t threads) {  \
        backward<R>({{x, xb, xt, xh}, {k, kb, kt, kh}, {q, qb, qt, qh}, rise, fall, base, B, T, H, G, P, N, L, \
                     segment},                                                                                 \
                    starts,                                                                                    \
                    {grad_y, grad_last, grad_x, grad_k, grad_q, grad_rise, grad_fall, grad_base,               \
                     grad_initial},                                                                            \
                    threads);                                                                                  \
    }
BOTH(float, f32)
BOTH(double, f64)
#undef BOTH

}  // namespace SW_TARGET
