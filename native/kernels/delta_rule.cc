// The gated delta rule in chunks: one triangular system per chunk says what every step writes.
//
// With S the state before a chunk, kept_t and fade_t what step t keeps of it and leaves to the state after,
// decays_ts = exp(level_s - level_t) for s <= t, the writes u solve, row after row,
//
//     u_t = beta_t (v_t - kept_t S k_t) - beta_t sum over s < t of decays_ts (k_t . k_s) u_s
//
// and y = ((q k') * decays) u + kept q S'. On the way back the states within a segment of chunks are made
// again from the one before it.
#include "kernels.h"

#include "../core/chunk.h"

namespace SW_TARGET {
namespace {

constexpr int64_t ROWS = 16;  // of the triangular system solved at a time

template <class R>
struct Sequence {
    Heads<R> q, k, v;
    const R* beta;
    const double* level;
    int64_t B, T, H, K, V, L, segment;

    int64_t state() const { return K * V; }
    int64_t chunks() const { return (T + L - 1) / L; }
    int64_t segments() const { return (chunks() + segment - 1) / segment; }
};

template <class R>
struct Chunk : Span<R> {
    const R *q, *k, *v;
    int64_t qt, kt, vt;
    R* beta;
};

// What one chunk needs: matrices [L, L], lines [L, V] and [L, K].
template <class R>
struct Room {
    R *decays, *overlap, *solver, *weights, *of_weights;
    R *seen, *written, *faded, *reached, *answer;
    R *read, *reader;
    R* columns;

    Room(Parts<R>& parts, int64_t L, int64_t K, int64_t V) {
        for (R** matrix : {&decays, &overlap, &solver, &weights, &of_weights}) *matrix = parts.take(L * L);
        for (R** lines : {&seen, &written, &faded, &reached, &answer}) *lines = parts.take(L * V);
        for (R** lines : {&read, &reader}) *lines = parts.take(L * K);
        columns = parts.take(L);
    }
    static int64_t size(int64_t L, int64_t K, int64_t V) { return L * (5 * L + 5 * V + 2 * K + 1); }
};

template <class R>
void open(const Sequence<R>& of, int64_t b, int64_t h, int64_t chunk, Chunk<R>& c) {
    const int64_t from = chunk * of.L, at = (b * of.T + from) * of.H + h;
    c.q = of.q.at(b, from, h), c.k = of.k.at(b, from, h), c.v = of.v.at(b, from, h);
    c.qt = of.q.time, c.kt = of.k.time, c.vt = of.v.time;
    c.steps = std::min(of.L, of.T - from);
    for (int64_t t = 0; t < c.steps; ++t) c.beta[t] = of.beta[at + t * of.H];
    c.read(of.level + at, of.level + at, of.H, chunk == 0 ? 0.0 : of.level[at - of.H]);
}

// lines [L, V] solved in place for (I - solver) u = lines, solver strictly lower.
template <class R>
void solve(const R* solver, R* lines, int64_t steps, int64_t V) {
    for (int64_t from = 0; from < steps; from += ROWS) {
        const int64_t to = std::min(from + ROWS, steps);
        if (from)
            gemm_one<R>({solver + from * steps, steps, 1}, {lines, V, 1}, lines + from * V, V, to - from, V, from,
                        nullptr, true);
        for (int64_t t = from + 1; t < to; ++t)
            for (int64_t s = from; s < t; ++s)
                scale_rows<R>(solver + t * steps + s, lines + s * V, V, lines + t * V, V, 1, V, true);
    }
}

// The same for (I - solver)' z = lines, from the last row to the first.
template <class R>
void solve_back(const R* solver, R* lines, int64_t steps, int64_t V) {
    for (int64_t from = (steps - 1) / ROWS * ROWS; from >= 0; from -= ROWS) {
        const int64_t to = std::min(from + ROWS, steps);
        if (to < steps)
            gemm_one<R>({solver + to * steps + from, 1, steps}, {lines + to * V, V, 1}, lines + from * V, V, to - from,
                        V, steps - to, nullptr, true);
        for (int64_t s = to - 2; s >= from; --s)
            for (int64_t t = s + 1; t < to; ++t)
                scale_rows<R>(solver + t * steps + s, lines + t * V, V, lines + s * V, V, 1, V, true);
    }
}

// decays, overlap = (k k') * decays below the diagonal, solver = -beta * overlap, seen = k S', written = u.
template <class R>
void write(const Sequence<R>& of, const Chunk<R>& c, const R* state, const Room<R>& room) {
    const int64_t steps = c.steps, V = of.V;
    decay_matrix<R>(c.rise, c.fall, steps, room.decays);
    gemm_one<R>({c.k, c.kt, 1}, {c.k, 1, c.kt}, room.overlap, steps, steps, steps, of.K, nullptr, false);
    for (int64_t t = 0; t < steps; ++t) {
        R *overlap = room.overlap + t * steps, *solver = room.solver + t * steps;
        for (int64_t s = 0; s < steps; ++s) {
            overlap[s] = s < t ? overlap[s] * room.decays[t * steps + s] : R(0);
            solver[s] = -c.beta[t] * overlap[s];
        }
    }
    gemm_one<R>({c.k, c.kt, 1}, {state, V, 1}, room.seen, V, steps, V, of.K, nullptr, false);
    for (int64_t t = 0; t < steps; ++t) {
        const R *v = c.v + t * c.vt, *seen = room.seen + t * V;
        R* to = room.written + t * V;
        for (int64_t j = 0; j < V; ++j) to[j] = c.beta[t] * (v[j] - c.kept[t] * seen[j]);
    }
    solve<R>(room.solver, room.written, steps, V);
}

// state [K, V] = keep * state + k' (fade * u)
template <class R>
void advance(const Sequence<R>& of, const Chunk<R>& c, R* state, const Room<R>& room) {
    scale_rows<R>(c.fade, room.written, of.V, room.faded, of.V, c.steps, of.V);
    scale<R>(state, c.keep, of.state());
    gemm_one<R>({c.k, 1, c.kt}, {room.faded, of.V, 1}, state, of.V, of.K, of.V, c.steps, nullptr, true);
}

template <class R>
void weigh(const Sequence<R>& of, const Chunk<R>& c, const Room<R>& room) {
    gemm_one<R>({c.q, c.qt, 1}, {c.k, 1, c.kt}, room.weights, c.steps, c.steps, c.steps, of.K, nullptr, false);
    for (int64_t i = 0; i < c.steps * c.steps; ++i) room.weights[i] *= room.decays[i];
}

template <class R>
void forward(const Sequence<R>& of, const R* initial, R* y, R* starts, R* last, int64_t threads) {
    const int64_t K = of.K, V = of.V, L = of.L, size = of.state();
    parallel_for(of.B * of.H, threads, [&](int64_t first, int64_t end, int64_t) {
        static thread_local Scratch memory, levels;
        Parts<R> parts(memory, size + 3 * L + Room<R>::size(L, K, V));
        R* state = parts.take(size);
        double* level = levels.take<double>(2 * L);
        Chunk<R> c = {};
        c.rise = level, c.fall = level + L, c.kept = parts.take(L), c.fade = parts.take(L), c.beta = parts.take(L);
        const Room<R> room(parts, L, K, V);
        for (int64_t piece = first; piece < end; ++piece) {
            const int64_t b = piece / of.H, h = piece % of.H;
            transpose<R>(initial + piece * size, V, K, state);
            for (int64_t chunk = 0; chunk < of.chunks(); ++chunk) {
                if (starts && chunk % of.segment == 0)
                    std::copy_n(state, size, starts + (piece * of.segments() + chunk / of.segment) * size);
                open<R>(of, b, h, chunk, c);
                write<R>(of, c, state, room);
                weigh<R>(of, c, room);
                R* out = y + ((b * of.T + chunk * L) * of.H + h) * V;
                gemm_one<R>({room.weights, c.steps, 1}, {room.written, V, 1}, out, of.H * V, c.steps, V, c.steps,
                            nullptr, false);
                scale_rows<R>(c.kept, c.q, c.qt, room.reader, K, c.steps, K);
                gemm_one<R>({room.reader, K, 1}, {state, V, 1}, out, of.H * V, c.steps, V, K, nullptr, true);
                advance<R>(of, c, state, room);
            }
            transpose<R>(state, K, V, last + piece * size);
        }
    });
}

template <class R>
struct Gradients {
    const R *y, *last;
    R *q, *k, *v, *beta;
    double* level;
    R* initial;
};

// Sums over what the exponent level_s - level_t of each entry of a matrix weighs: rows lose, columns gain.
template <class R>
void spread(const R* a, const R* b, int64_t steps, int64_t stride, double* level, R* columns) {
    std::fill_n(columns, steps, R(0));
    for (int64_t t = 0; t < steps; ++t, a += steps, b += steps) {
        level[t * stride] -= dot<R>(a, b, t + 1);
        for (int64_t s = 0; s <= t; ++s) columns[s] += a[s] * b[s];
    }
    for (int64_t s = 0; s < steps; ++s) level[s * stride] += columns[s];
}

// `before` is the state before the chunk, `flow` the gradient of the state after it, then of the one before.
template <class R>
void back(const Sequence<R>& of, const Gradients<R>& grad, int64_t b, int64_t h, int64_t chunk, const Chunk<R>& c,
          const R* before, R* flow, const Room<R>& room) {
    const int64_t K = of.K, V = of.V, H = of.H, steps = c.steps, at = (b * of.T + chunk * of.L) * H + h;
    const R* gy = grad.y + at * V;
    R *gq = grad.q + at * K, *gk = grad.k + at * K, *gv = grad.v + at * V, *gbeta = grad.beta + at;
    double* level = grad.level + at;
    write<R>(of, c, before, room);
    weigh<R>(of, c, room);

    // Through y = weights u + kept q S' and the state after it, to u and q.
    gemm_one<R>({gy, H * V, 1}, {room.written, 1, V}, room.of_weights, steps, steps, steps, V, nullptr, false);
    spread<R>(room.of_weights, room.weights, steps, H, level, room.columns);
    for (int64_t i = 0; i < steps * steps; ++i) room.of_weights[i] *= room.decays[i];
    gemm_one<R>({c.k, c.kt, 1}, {flow, V, 1}, room.reached, V, steps, V, K, nullptr, false);
    gemm_one<R>({gy, H * V, 1}, {before, 1, V}, room.read, K, steps, K, V, nullptr, false);
    gemm_one<R>({room.of_weights, steps, 1}, {c.k, c.kt, 1}, gq, H * K, steps, K, steps, nullptr, false);
    gemm_one<R>({room.of_weights, 1, steps}, {c.q, c.qt, 1}, gk, H * K, steps, K, steps, nullptr, false);
    scale_rows<R>(c.fade, room.written, V, room.faded, V, steps, V);
    gemm_one<R>({room.faded, V, 1}, {flow, 1, V}, gk, H * K, steps, K, V, nullptr, true);
    scale_rows<R>(c.kept, room.read, K, gq, H * K, steps, K, true);
    const double held = static_cast<double>(dot<R>(before, flow, of.state())) * c.keep;
    double out = held, in = held;
    for (int64_t t = 0; t < steps; ++t) {
        const double kept = static_cast<double>(dot<R>(c.q + t * c.qt, room.read + t * K, K)) * c.kept[t];
        const double fade = static_cast<double>(dot<R>(room.written + t * V, room.reached + t * V, V)) * c.fade[t];
        level[t * H] += fade - kept;
        in += kept, out += fade;
    }
    scale_rows<R>(c.kept, gy, H * V, room.answer, V, steps, V);
    scale<R>(flow, c.keep, of.state());
    gemm_one<R>({c.q, 1, c.qt}, {room.answer, V, 1}, flow, V, K, V, steps, nullptr, true);

    // The gradient of u, then of what the triangular system was given: z, in `reached`.
    R* z = room.reached;
    for (int64_t t = 0; t < steps; ++t) scale<R>(z + t * V, c.fade[t], V);
    gemm_one<R>({room.weights, 1, steps}, {gy, H * V, 1}, z, V, steps, V, steps, nullptr, true);
    solve_back<R>(room.solver, z, steps, V);
    gemm_one<R>({z, V, 1}, {room.written, 1, V}, room.of_weights, steps, steps, steps, V, nullptr, false);
    spread<R>(room.of_weights, room.solver, steps, H, level, room.columns);
    for (int64_t t = 0; t < steps; ++t) {
        R *line = room.of_weights + t * steps, *zt = z + t * V, *seen = room.seen + t * V;
        gbeta[t * H] = -dot<R>(line, room.overlap + t * steps, t) + dot<R>(zt, c.v + t * c.vt, V);
        const R along = dot<R>(zt, seen, V) * c.kept[t];
        gbeta[t * H] -= along;
        level[t * H] += static_cast<double>(along) * c.beta[t];
        in -= static_cast<double>(along) * c.beta[t];
        for (int64_t s = 0; s < t; ++s) line[s] *= -c.beta[t] * room.decays[t * steps + s];
        std::fill(line + t, line + steps, R(0));
        for (int64_t j = 0; j < V; ++j) gv[t * H * V + j] = c.beta[t] * zt[j];
        for (int64_t j = 0; j < V; ++j) seen[j] = -c.kept[t] * c.beta[t] * zt[j];
    }
    gemm_one<R>({room.of_weights, steps, 1}, {c.k, c.kt, 1}, gk, H * K, steps, K, steps, nullptr, true);
    gemm_one<R>({room.of_weights, 1, steps}, {c.k, c.kt, 1}, gk, H * K, steps, K, steps, nullptr, true);
    gemm_one<R>({room.seen, V, 1}, {before, 1, V}, gk, H * K, steps, K, V, nullptr, true);
    gemm_one<R>({c.k, 1, c.kt}, {room.seen, V, 1}, flow, V, K, V, steps, nullptr, true);
    level[(steps - 1) * H] -= out;
    if (chunk > 0) level[-H] += in;
}

template <class R>
void backward(const Sequence<R>& of, const R* starts, const Gradients<R>& grad, int64_t threads) {
    const int64_t K = of.K, V = of.V, L = of.L, size = of.state();
    parallel_for(of.B * of.H, threads, [&](int64_t first, int64_t end, int64_t) {
        static thread_local Scratch memory, levels;
        Parts<R> parts(memory, (of.segment + 1) * size + 3 * L + Room<R>::size(L, K, V));
        R *states = parts.take(of.segment * size), *flow = parts.take(size);
        double* level = levels.take<double>(2 * L);
        Chunk<R> c = {};
        c.rise = level, c.fall = level + L, c.kept = parts.take(L), c.fade = parts.take(L), c.beta = parts.take(L);
        const Room<R> room(parts, L, K, V);
        for (int64_t piece = first; piece < end; ++piece) {
            const int64_t b = piece / of.H, h = piece % of.H;
            transpose<R>(grad.last + piece * size, V, K, flow);
            for (int64_t t = 0; t < of.T; ++t) grad.level[(b * of.T + t) * of.H + h] = 0;
            for (int64_t part = of.segments() - 1; part >= 0; --part) {
                const int64_t from = part * of.segment, to = std::min(from + of.segment, of.chunks());
                std::copy_n(starts + (piece * of.segments() + part) * size, size, states);
                for (int64_t chunk = from; chunk + 1 < to; ++chunk) {
                    R* state = states + (chunk - from) * size;
                    open<R>(of, b, h, chunk, c);
                    write<R>(of, c, state, room);
                    std::copy_n(state, size, state + size);
                    advance<R>(of, c, state + size, room);
                }
                for (int64_t chunk = to - 1; chunk >= from; --chunk) {
                    open<R>(of, b, h, chunk, c);
                    back<R>(of, grad, b, h, chunk, c, states + (chunk - from) * size, flow, room);
                }
            }
            transpose<R>(flow, K, V, grad.initial + piece * size);
        }
    });
}

}  // namespace

#define BOTH(R, suffix)                                                                                        \
    void delta_rule_forward_##suffix(                                                                          \
        const R* q, int64_t qb, int64_t qt, int64_t qh, const R* k, int64_t kb, int64_t kt, int64_t kh,        \
        const R* v, int64_t vb, int64_t vt, int64_t vh, const R* beta, const double* level, const R* initial,  \
        R* y, R* starts, R* last, int64_t B, int64_t T, int64_t H, int64_t K, int64_t V, int64_t L,            \
        int64_t segment, int64_t threads) {                                                                    \
        forward<R>({{q, qb, qt, qh}, {k, kb, kt, kh}, {v, vb, vt, vh}, beta, level, B, T, H, K, V, L, segment}, \
                   initial, y, starts, last, threads);                                                         \
    }                                                                                                          \
    void delta_rule_backward_##suffix(                                                                         \
        const R* q, int64_t qb, int64_t qt, int64_t qh, const R* k, int64_t kb, int64_t kt, int64_t kh,        \
        const R* v, int64_t vb, int64_t vt, int64_t vh, const R* beta, const double* level, const R* starts,   \
        const R* grad_y, const R* grad_last, R* grad_q, R* grad_k, R* grad_v, R* grad_beta,                    \
        double* grad_level, R* grad_initial, int64_t B, int64_t T, int64_t H, int64_t K, int64_t V, int64_t L, \
        int64_t segment, int64_t threads) {                                                                    \
        backward<R>({{q, qb, qt, qh}, {k, kb, kt, kh}, {v, vb, vt, vh}, beta, level, B, T, H, K, V, L, segment}, \
                    starts, {grad_y, grad_last, grad_q, grad_k, grad_v, grad_beta, grad_level, grad_initial},  \
                    threads);                                                                                  \
    }
BOTH(float, f32)
BOTH(double, f64)
#undef BOTH

}  // namespace SW_TARGET
