// The selective scan of Mamba and its gradient.
//
// Channels lie in the lanes and the N states of a channel in as many registers, so that B and C are broadcasts,
// nothing is summed over lanes in the forward pass, and any N does. Time runs in chunks; the forward pass keeps
// the state before each, the backward pass computes the chunk's states and decays again from there. What this
// costs is one exponential per state and pass: the loops over time are written around that.
#include "kernels.h"

#include "../core/fold.h"
#include "../core/functions.h"
#include "../core/gemm.h"
#include "../core/parallel.h"
#include "../core/simd.h"
#include "../core/stream.h"
#include "../core/strips.h"

namespace SW_TARGET {
namespace {

constexpr double LN2 = 0.693147180559945309417;
constexpr int BLOCK = SW_BYTES == 64 ? 8 : 4;  // states of a strip that run through a chunk together

template <class R>
struct Scan {
    const R *u, *delta, *A, *in, *out, *skip, *initial, *gate, *bias;
    const int64_t* lengths;
    int64_t B, T, D, N, u_step, delta_step, in_step, out_step, gate_step, softplus, chunk, parts, threads;

    static constexpr int64_t W = Lanes<R>::count;
    int64_t strips() const { return (D + W - 1) / W; }
    int64_t chunks() const { return (T + chunk - 1) / chunk; }
    int64_t padded() const { return (N + W - 1) / W * W; }
    int64_t steps(int64_t row) const { return lengths ? lengths[row] : T; }
    const R* checkpoint(const R* base, int64_t row, int64_t piece, int64_t strip) const {
        return base + ((row * chunks() + piece) * strips() + strip) * N * W;
    }
};

// What one chunk of one strip needs at every step, [chunk] registers each; slope is dΔ/d(delta).
template <class R>
struct Steps {
    R *delta, *input, *y, *slope, *u, *grad_y, *grad_delta, *grad_input, *grad_gate;
    R *states, *decays;  // [chunk + 1, BLOCK] and [chunk, BLOCK] registers; first the state before the chunk
};

// Δ, Δ u and D u of `count` channels from column d, over the steps t … t + length.
template <class R, bool Keep>
void prepare(const Scan<R> s, const Steps<R> at, int64_t row, int64_t t, int64_t length, int64_t d, int64_t count) {
    constexpr int64_t W = Lanes<R>::count;
    const R *u = s.u + (row * s.T + t) * s.u_step + d, *delta = s.delta + (row * s.T + t) * s.delta_step + d;
    const Vec<R> bias = s.bias ? load_some<R>(s.bias + d, count) : Vec<R>{}, skip = load_some<R>(s.skip + d, count);
    // A strip is one line of every row: no hardware foresees that. The next chunk's is fetched with this one.
    const int64_t next = (Keep ? -s.chunk : s.chunk) * static_cast<int64_t>(sizeof(R));
    for (int64_t i = 0; i < length; ++i) {
        prefetch(u + i * s.u_step, next * s.u_step);
        prefetch(delta + i * s.delta_step, next * s.delta_step);
        const Vec<R> value = load_some<R>(u + i * s.u_step, count);
        Vec<R> step = load_some<R>(delta + i * s.delta_step, count) + bias, slope = splat(R(1));
        if (s.softplus) step = softplus<R>(step, slope);
        store<R>(at.delta + i * W, step);
        store<R>(at.input + i * W, step * value);
        store<R>(at.y + i * W, skip * value);
        if constexpr (Keep) {
            store<R>(at.slope + i * W, slope);
            store<R>(at.u + i * W, value);
        }
    }
}

// Size states from n on of one strip through a chunk. Keep stores all states and decays; Read adds to y.
template <class R, int Size, bool Keep, bool Read>
void run_states(const Scan<R> s, const Steps<R> at, const R* decay, const R* in, const R* out, R* state,
                int64_t length, int64_t n) {
    constexpr int64_t W = Lanes<R>::count;
    Vec<R> h[Size], a[Size];
    for (int j = 0; j < Size; ++j) h[j] = load<R>(state + (n + j) * W), a[j] = load<R>(decay + (n + j) * W);
    if constexpr (Keep)
        for (int j = 0; j < Size; ++j) store<R>(at.states + j * W, h[j]);
    for (int64_t i = 0; i < length; ++i) {
        const Vec<R> delta = load<R>(at.delta + i * W), input = load<R>(at.input + i * W);
        Vec<R> y = Read ? load<R>(at.y + i * W) : Vec<R>{};
#pragma GCC unroll 8
        for (int j = 0; j < Size; ++j) {
            const Vec<R> e = exp2(delta * a[j]);
            h[j] = e * h[j] + input * splat(in[i * s.in_step + n + j]);
            if constexpr (Read) y += h[j] * splat(out[i * s.out_step + n + j]);
            if constexpr (Keep) {
                store<R>(at.states + ((i + 1) * Size + j) * W, h[j]);
                store<R>(at.decays + (i * Size + j) * W, e);
            }
        }
        if constexpr (Read) store<R>(at.y + i * W, y);
    }
    if constexpr (!Keep)
        for (int j = 0; j < Size; ++j) store<R>(state + (n + j) * W, h[j]);
}

template <class R>
void write_outputs(const Scan<R> s, const Steps<R> at, R* y, int64_t row, int64_t t, int64_t length, int64_t d,
                   int64_t count) {
    constexpr int64_t W = Lanes<R>::count;
    for (int64_t i = 0; i < length; ++i) {
        Vec<R> value = load<R>(at.y + i * W);
        if (s.gate) {
            const R* from = s.gate + (row * s.T + t + i) * s.gate_step + d;
            prefetch(from, s.chunk * s.gate_step * static_cast<int64_t>(sizeof(R)));
            const Vec<R> gate = load_some<R>(from, count);
            value *= gate * sigmoid<R>(gate);
        }
        store_some<R>(y + (row * s.T + t + i) * s.D + d, value, count);
    }
}

template <class R>
void forward(const Scan<R>& s, R* y, R* state, R* checkpoints) {
    constexpr int64_t W = Lanes<R>::count;
    static thread_local Scratch decays, scratch;
    R* decay = decays.take<R>(s.strips() * W * s.N);
    to_strips<R>(s.A, decay, 0, s.D, s.N, R(1 / LN2));
    for_rows<R>(s.B, s.D, s.parts, s.threads, [&](int64_t row, int64_t first, int64_t last, int64_t, int64_t) {
        const int64_t steps = s.steps(row), width = (last - first + W - 1) / W * W;
        R* carry = scratch.take<R>(width * s.N + 3 * s.chunk * W);
        Steps<R> at{};
        at.delta = carry + width * s.N, at.input = at.delta + s.chunk * W, at.y = at.input + s.chunk * W;
        to_strips<R>(s.initial + row * s.D * s.N, carry, first, last, s.N, R(1));
        for (int64_t t = 0; t < steps; t += s.chunk)
            for (int64_t d = first; d < last; d += W) {
                const int64_t length = std::min(s.chunk, steps - t), count = std::min(W, last - d);
                R* held = carry + (d - first) * s.N;
                if (checkpoints)
                    std::memcpy(const_cast<R*>(s.checkpoint(checkpoints, row, t / s.chunk, d / W)), held,
                                static_cast<size_t>(s.N * W) * sizeof(R));
                prepare<R, false>(s, at, row, t, length, d, count);
                for_states<BLOCK>(0, s.N, [&](auto size, int64_t n) {
                    run_states<R, size(), false, true>(s, at, decay + d * s.N, s.in + (row * s.T + t) * s.in_step,
                                                       s.out + (row * s.T + t) * s.out_step, held, length, n);
                });
                write_outputs<R>(s, at, y, row, t, length, d, count);
            }
        for (int64_t t = steps; t < s.T; ++t)
            std::memset(y + (row * s.T + t) * s.D + first, 0, static_cast<size_t>(last - first) * sizeof(R));
        from_strips<R>(carry, state + row * s.D * s.N, first, last, s.N);
    });
}

template <class R>
struct Gradients {
    const R *checkpoints, *grad_y, *grad_state;
    R *u, *delta, *A, *in, *out, *skip, *initial, *gate, *bias;
};

// The gradients that one part of one row sums up: strips of [N] registers, one register, and [chunk, padded N].
template <class R>
struct Sums {
    R *state, *A, *skip, *bias, *in, *out;
};

// The gradient that enters a strip: that of y, times silu(gate).
template <class R>
void enter(const Scan<R> s, const Gradients<R> g, const Steps<R> at, const R* held, int64_t row, int64_t t,
           int64_t length, int64_t d, int64_t count) {
    constexpr int64_t W = Lanes<R>::count;
    const int64_t back = -s.chunk * static_cast<int64_t>(sizeof(R));
    for (int64_t i = 0; i < length; ++i) {
        const int64_t place = (row * s.T + t + i) * s.D + d;
        prefetch(g.grad_y + place, back * s.D);
        if (i < s.N) prefetch(held + i * W, back * s.strips() * s.N * W / s.chunk);
        prefetch_to_write(g.u + place);
        prefetch_to_write(g.delta + place);
        Vec<R> grad = load_some<R>(g.grad_y + place, count);
        if (s.gate) {
            const R* from = s.gate + (row * s.T + t + i) * s.gate_step + d;
            prefetch(from, back * s.gate_step);
            const Vec<R> gate = load_some<R>(from, count), open = sigmoid<R>(gate);
            // That of the gate but for y, which is not known yet.
            store<R>(at.grad_gate + i * W, grad * (open + gate * open * (R(1) - open)));
            grad *= gate * open;
        }
        store<R>(at.grad_y + i * W, grad);
        store<R>(at.grad_delta + i * W, Vec<R>{});
        store<R>(at.grad_input + i * W, Vec<R>{});
    }
}

// Size states from n on, of Strips neighbouring strips at once, backwards through a chunk.
template <class R, int Strips, int Size>
void run_back(const Scan<R>& s, const Steps<R>* steps, const R* decay, const R* in, const R* out, const Sums<R>& sums,
              int64_t length, int64_t n) {
    constexpr int64_t W = Lanes<R>::count;
    const int64_t strip = s.N * W, line = s.padded() * W, in_step = s.in_step, out_step = s.out_step;
    Steps<R> at[Strips];  // copies, so that no store can be taken to change a pointer
    for (int k = 0; k < Strips; ++k) at[k] = steps[k];
    R *const sums_in = sums.in + n * W, *const sums_out = sums.out + n * W;
    in += n, out += n, decay += n * W;
    Vec<R> carry[Strips][Size], total[Strips][Size];
    for (int k = 0; k < Strips; ++k)
        for (int j = 0; j < Size; ++j) {
            carry[k][j] = load<R>(sums.state + k * strip + (n + j) * W);
            total[k][j] = load<R>(sums.A + k * strip + (n + j) * W);
        }
    for (int64_t i = length - 1; i >= 0; --i) {
        Vec<R> grad[Strips], input[Strips], delta[Strips], grad_delta[Strips], grad_input[Strips];
        for (int k = 0; k < Strips; ++k) {
            grad[k] = load<R>(at[k].grad_y + i * W), input[k] = load<R>(at[k].input + i * W);
            delta[k] = load<R>(at[k].delta + i * W), grad_delta[k] = load<R>(at[k].grad_delta + i * W);
            grad_input[k] = load<R>(at[k].grad_input + i * W);
        }
#pragma GCC unroll 8
        for (int j = 0; j < Size; ++j) {
            const Vec<R> b = splat(in[i * in_step + j]), c = splat(out[i * out_step + j]);
            R *sum_in = sums_in + i * line + j * W, *sum_out = sums_out + i * line + j * W;
            Vec<R> grad_in = load<R>(sum_in), grad_out = load<R>(sum_out);
            for (int k = 0; k < Strips; ++k) {
                const R* states = at[k].states + (i * Size + j) * W;
                const Vec<R> grad_h = grad[k] * c + carry[k][j];
                grad_out += grad[k] * load<R>(states + Size * W);
                grad_in += grad_h * input[k];
                grad_input[k] += grad_h * b;
                carry[k][j] = grad_h * load<R>(at[k].decays + (i * Size + j) * W);
                const Vec<R> change = carry[k][j] * load<R>(states);
                total[k][j] += delta[k] * change;
                grad_delta[k] += load<R>(decay + k * strip + j * W) * change;
            }
            store<R>(sum_in, grad_in);
            store<R>(sum_out, grad_out);
        }
        for (int k = 0; k < Strips; ++k) {
            store<R>(at[k].grad_delta + i * W, grad_delta[k]);
            store<R>(at[k].grad_input + i * W, grad_input[k]);
        }
    }
    for (int k = 0; k < Strips; ++k)
        for (int j = 0; j < Size; ++j) {
            store<R>(sums.state + k * strip + (n + j) * W, carry[k][j]);
            store<R>(sums.A + k * strip + (n + j) * W, total[k][j]);
        }
}

// What leaves a strip: the gradients of u, delta and gate, and the sums for D and the bias.
template <class R>
void leave(const Scan<R> s, const Gradients<R> g, const Steps<R> at, const Sums<R>& sums, int64_t row, int64_t t,
           int64_t length, int64_t d, int64_t count) {
    constexpr int64_t W = Lanes<R>::count;
    const Vec<R> skip = load_some<R>(s.skip + d, count);
    Vec<R> sum_skip = load<R>(sums.skip), sum_bias = load<R>(sums.bias);
    for (int64_t i = 0; i < length; ++i) {
        const int64_t place = (row * s.T + t + i) * s.D + d;
        const Vec<R> grad = load<R>(at.grad_y + i * W), u = load<R>(at.u + i * W);
        const Vec<R> grad_input = load<R>(at.grad_input + i * W);
        const Vec<R> grad_step = load<R>(at.grad_delta + i * W) * R(LN2) + grad_input * u;
        const Vec<R> grad_delta = grad_step * load<R>(at.slope + i * W);
        store_some<R>(g.u + place, grad * skip + grad_input * load<R>(at.delta + i * W), count);
        store_some<R>(g.delta + place, grad_delta, count);
        if (s.gate) store_some<R>(g.gate + place, load<R>(at.grad_gate + i * W) * load<R>(at.y + i * W), count);
        sum_skip += grad * u;
        sum_bias += grad_delta;
    }
    store<R>(sums.skip, sum_skip);
    store<R>(sums.bias, sum_bias);
}

template <class R, int Strips>
void back_strips(const Scan<R>& s, const Gradients<R>& g, Steps<R>* at, const R* decay, const Sums<R>& sums,
                 int64_t row, int64_t t, int64_t length, int64_t d, int64_t last) {
    constexpr int64_t W = Lanes<R>::count;
    const R *in = s.in + (row * s.T + t) * s.in_step, *out = s.out + (row * s.T + t) * s.out_step;
    R* held[Strips];
    for (int k = 0; k < Strips; ++k) {
        const int64_t from = d + k * W, count = std::min(W, last - from);
        held[k] = const_cast<R*>(s.checkpoint(g.checkpoints, row, t / s.chunk, from / W));
        prepare<R, true>(s, at[k], row, t, length, from, count);
        enter<R>(s, g, at[k], held[k], row, t, length, from, count);
    }
    // A few states forth and back at once: what lies between stays in the first cache.
    for_states<BLOCK / 2>(0, s.N, [&](auto size, int64_t n) {
        const auto run = s.gate ? run_states<R, size(), true, true> : run_states<R, size(), true, false>;
        for (int k = 0; k < Strips; ++k) run(s, at[k], decay + k * s.N * W, in, out, held[k], length, n);
        run_back<R, Strips, size()>(s, at, decay, in, out, sums, length, n);
    });
    for (int k = 0; k < Strips; ++k) {
        Sums<R> own = sums;
        own.skip += k * W, own.bias += k * W;
        leave<R>(s, g, at[k], own, row, t, length, d + k * W, std::min(W, last - d - k * W));
    }
}

// Sums the gradients of in or out over the lanes, writes them, and leaves zeros for the next chunk.
template <class R>
void write_sums(R* sums, R* to, int64_t length, int64_t N, int64_t padded) {
    constexpr int64_t W = Lanes<R>::count;
    for (int64_t i = 0; i < length; ++i)
        for (int64_t n = 0; n < N; n += W) {
            Vec<R> rows[W];
            R* from = sums + (i * padded + n) * W;
            for (int64_t j = 0; j < W; ++j) rows[j] = load<R>(from + j * W), store<R>(from + j * W, Vec<R>{});
            store_some<R>(to + i * N + n, fold<R>(rows), std::min(W, N - n));
        }
}

// The memory of one thread: sums of `width` channels, and the steps of two strips.
template <class R>
struct Room {
    Steps<R> at[2];
    Sums<R> sums;

    Room(const Scan<R>& s, Scratch& scratch, int64_t width) {
        constexpr int64_t W = Lanes<R>::count;
        const int64_t line = s.chunk * W, states = (s.chunk + 1) * BLOCK * W, padded = s.chunk * s.padded() * W;
        const int64_t zeros = 2 * width * s.N + 2 * width + 2 * padded;
        R* next = scratch.take<R>(zeros + 2 * (9 * line + 2 * states));
        std::memset(next, 0, static_cast<size_t>(zeros) * sizeof(R));
        const auto take = [&](int64_t count) { return std::exchange(next, next + count); };
        sums = {take(width * s.N), take(width * s.N), take(width), take(width), take(padded), take(padded)};
        for (Steps<R>& one : at)
            one = {take(line), take(line), take(line), take(line),   take(line),  take(line),
                   take(line), take(line), take(line), take(states), take(states)};
    }
};

template <class R>
void clear_padding(const Scan<R>& s, const Gradients<R>& g, int64_t row, int64_t part, int64_t first, int64_t last) {
    const int64_t steps = s.steps(row), rest = (s.T - steps) * s.N;
    for (int64_t t = steps; t < s.T; ++t)
        for (R* to : {g.u, g.delta, g.gate})
            if (to) std::memset(to + (row * s.T + t) * s.D + first, 0, static_cast<size_t>(last - first) * sizeof(R));
    for (R* to : {g.in, g.out})
        if (rest)
            std::memset(to + ((part * s.B + row) * s.T + steps) * s.N, 0, static_cast<size_t>(rest) * sizeof(R));
}

template <class R>
void backward(const Scan<R>& s, const Gradients<R>& g) {
    constexpr int64_t W = Lanes<R>::count;
    static thread_local Scratch decays, scratch;
    R* decay = decays.take<R>(s.strips() * W * s.N);
    to_strips<R>(s.A, decay, 0, s.D, s.N, R(1 / LN2));
    for_rows<R>(s.B, s.D, s.parts, s.threads, [&](int64_t row, int64_t first, int64_t last, int64_t part, int64_t) {
        const int64_t steps = s.steps(row), width = (last - first + W - 1) / W * W;
        Room<R> room(s, scratch, width);
        if (g.grad_state)
            to_strips<R>(g.grad_state + row * s.D * s.N, room.sums.state, first, last, s.N, R(1));
        for (int64_t t = (steps - 1) / s.chunk * s.chunk; t >= 0 && steps > 0; t -= s.chunk) {
            const int64_t length = std::min(s.chunk, steps - t);
            for (int64_t d = first; d < last;) {
                const int64_t at = d - first, two = last - d > W;
                Sums<R> sums = room.sums;
                sums.state += at * s.N, sums.A += at * s.N, sums.skip += at, sums.bias += at;
                const auto run = two ? back_strips<R, 2> : back_strips<R, 1>;
                run(s, g, room.at, decay + d * s.N, sums, row, t, length, d, last);
                d += two ? 2 * W : W;
            }
            const int64_t place = ((part * s.B + row) * s.T + t) * s.N;
            write_sums<R>(room.sums.in, g.in + place, length, s.N, s.padded());
            write_sums<R>(room.sums.out, g.out + place, length, s.N, s.padded());
        }
        clear_padding<R>(s, g, row, part, first, last);
        from_strips<R>(room.sums.state, g.initial + row * s.D * s.N, first, last, s.N);
        from_strips<R>(room.sums.A, g.A + row * s.D * s.N, first, last, s.N);
        const size_t bytes = static_cast<size_t>(last - first) * sizeof(R);
        std::memcpy(g.skip + row * s.D + first, room.sums.skip, bytes);
        if (g.bias) std::memcpy(g.bias + row * s.D + first, room.sums.bias, bytes);
    });
}

}  // namespace

#define SELECTIVE(R)                                                                                              \
    const R *u, const R *delta, const R *A, const R *in, const R *out, const R *skip, const R *initial,           \
        const R *gate, const R *bias, const int64_t *lengths, int64_t B, int64_t T, int64_t D, int64_t N,         \
        int64_t u_step, int64_t delta_step, int64_t in_step, int64_t out_step, int64_t gate_step,                 \
        int64_t softplus, int64_t chunk, int64_t parts, int64_t threads
#define GIVEN                                                                                                     \
    { u, delta, A, in, out, skip, initial, gate, bias, lengths, B, T, D, N, u_step, delta_step, in_step, out_step, \
      gate_step, softplus, chunk, parts, threads }
#define KERNELS(suffix, R)                                                                                        \
    void selective_scan_forward_##suffix(SELECTIVE(R), R* y, R* state, R* checkpoints) {                          \
        forward<R>(GIVEN, y, state, checkpoints);                                                                 \
    }                                                                                                             \
    void selective_scan_backward_##suffix(SELECTIVE(R), const R* checkpoints, const R* grad_y,                    \
                                          const R* grad_state, R* grad_u, R* grad_delta, R* grad_A, R* grad_in,   \
                                          R* grad_out, R* grad_skip, R* grad_initial, R* grad_gate,               \
                                          R* grad_bias) {                                                         \
        backward<R>(GIVEN, {checkpoints, grad_y, grad_state, grad_u, grad_delta, grad_A, grad_in, grad_out,       \
                            grad_skip, grad_initial, grad_gate, grad_bias});                                      \
    }
KERNELS(f32, float)
KERNELS(f64, double)
#undef KERNELS
#undef GIVEN
#undef SELECTIVE

}  // namespace SW_TARGET
