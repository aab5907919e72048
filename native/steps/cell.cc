// LSTM and GRU: the products and the gates of a register of units in one go, so that the gates' arithmetic hides
// behind the weights of the next units on their way from the cache.
#include "functions.h"
#include "panels.h"

namespace SW_TARGET {
namespace {

using statewise::Packed;

// e^-x, bounded so that products of two of them stay finite; NaN stays.
SW_INLINE Vec<float> falling(Vec<float> x) {
    const Vec<float> bounded = x < splat(-30.0f) ? splat(-30.0f) : x;
    return exp2(bounded * -1.44269504088896341f);
}

// σ(a) tanh(b) = (1 - e^-2b) / ((1 + e^-a) (1 + e^-2b)): one division for both.
SW_INLINE Vec<float> gated(Vec<float> a, Vec<float> b) {
    const Vec<float> e = falling(b + b);
    return (1.0f - e) / ((1.0f + falling(a)) * (1.0f + e));
}

SW_INLINE Vec<float> some(const float* from, int64_t count) {
    return count >= W ? load<float>(from) : load_some<float>(from, count);
}

SW_INLINE void keep(float* to, Vec<float> value, int64_t count) {
    if (count >= W) store<float>(to, value);
    else store_some<float>(to, value, count);
}

// What the gates of one row read and write; `cell` is the hidden state itself in a GRU.
struct Memory {
    float *hidden, *next;
    const float* cell;
};

// c' = σ(f) c + σ(i) tanh(g), h' = σ(o) tanh(c'); x and h hold the sums of i, f, g, o.
struct LSTM {
    static constexpr int gates = 4;
    static SW_INLINE void apply(const Vec<float>* x, const Vec<float>* h, const Memory& memory, int64_t unit,
                                int64_t count) {
        const Vec<float> kept = some(memory.cell + unit, count) / (1.0f + falling(x[1] + h[1]));
        const Vec<float> c = kept + gated(x[0] + h[0], x[2] + h[2]);
        keep(memory.next + unit, c, count);
        keep(memory.hidden + unit, gated(x[3] + h[3], c), count);
    }
};

// n = tanh(x_n + σ(r) h_n), h' = n + σ(z) (h - n); x and h hold the sums of r, z, n.
struct GRU {
    static constexpr int gates = 3;
    static SW_INLINE void apply(const Vec<float>* x, const Vec<float>* h, const Memory& memory, int64_t unit,
                                int64_t count) {
        const Vec<float> r = falling(x[0] + h[0]), z = falling(x[1] + h[1]);
        const Vec<float> raw = x[2] + h[2] / (1.0f + r);
        const Vec<float> e = falling(raw + raw), n = (1.0f - e) / (1.0f + e);
        keep(memory.hidden + unit, n + (some(memory.cell + unit, count) - n) / (1.0f + z), count);
    }
};

// Words of the instruction.
struct Words {
    int32_t gates, size, hidden, next, x, h, cell, x_matrix, h_matrix;
};

// One of the two products of a cell: its weights, and the inputs of the rows.
struct Side {
    const Packed& matrix;
    const float* first;
    int64_t stride;
    const Line* lines;

    Side(const Packed& weights, int32_t address, const Frame& frame, uint8_t* room)
        : matrix(weights), first(frame.at(address, 0)), stride(frame.step(address)), lines(nullptr) {
        if (!matrix.bytes) return;
        Line* made = reinterpret_cast<Line*>(room);
        uint8_t* bytes = room + sizeof(Line) * static_cast<size_t>(frame.rows);
        const int64_t size = 4 * quads(matrix.columns);
        for (int64_t row = 0; row < frame.rows; ++row, bytes += size)
            made[row] = {bytes, quantise(first + row * stride, matrix.columns, bytes)};
        lines = made;
    }

    template <int N, int R, int P>
    SW_INLINE void sums(int64_t panel, int64_t row, Vec<float> (&found)[P][R][N]) const {
        const float* x[R];
        for (int line = 0; line < R; ++line) x[line] = first + (row + line) * stride;
        multiply<N, R, P>(matrix, panel_at<N>(panel), x, lines == nullptr ? nullptr : lines + row, found);
    }

    template <int N>
    SW_INLINE const uint8_t* panel_at(int64_t panel) const {
        return static_cast<const uint8_t*>(matrix.data) + panel * N * share(matrix.columns, matrix.bytes);
    }
};

template <class Cell, int R, int P>
void units(const Words& words, const Side& x, const Side& h, const Frame& frame, int64_t panel, int64_t row) {
    Vec<float> from_x[P][R][Cell::gates], from_h[P][R][Cell::gates];
    x.template sums<Cell::gates, R, P>(panel, row, from_x);
    h.template sums<Cell::gates, R, P>(panel, row, from_h);
    for (int p = 0; p < P; ++p)
        for (int line = 0; line < R; ++line) {
            const Memory memory = {frame.at(words.hidden, row + line), frame.at(words.next, row + line),
                                   frame.at(words.cell, row + line)};
            const int64_t unit = (panel + p) * W;
            Cell::apply(from_x[p][line], from_h[p][line], memory, unit, words.size - unit);
        }
}

// One panel of one row, x and h column by column side by side: two streams of weights, and twice as many chains.
template <class Cell>
void together(const Words& words, const Side& x, const Side& h, const Frame& frame, int64_t panel) {
    constexpr int N = Cell::gates;
    const Side* sides[2] = {&x, &h};
    const float* at[2];
    Vec<float> sums[2][N];
    for (int side = 0; side < 2; ++side) {
        at[side] = reinterpret_cast<const float*>(sides[side]->template panel_at<N>(panel));
        for (int v = 0; v < N; ++v) sums[side][v] = load<float>(at[side] + v * W);
    }
    const auto add = [&](int side, int64_t k) {
        at[side] += N * W;
        const Vec<float> value = splat<float>(sides[side]->first[k]);
        for (int v = 0; v < N; ++v) sums[side][v] = fused(value, load<float>(at[side] + v * W), sums[side][v]);
    };
    const int64_t most_x = x.matrix.columns, most_h = h.matrix.columns, common = most_x < most_h ? most_x : most_h;
    for (int64_t k = 0; k < common; ++k) {
        add(0, k);
        add(1, k);
    }
    for (int64_t k = common; k < most_x; ++k) add(0, k);
    for (int64_t k = common; k < most_h; ++k) add(1, k);
    const Memory memory = {frame.at(words.hidden, 0), frame.at(words.next, 0), frame.at(words.cell, 0)};
    Cell::apply(sums[0], sums[1], memory, panel * W, words.size - panel * W);
}

template <class Cell>
void rows_of(const Words& words, const Side& x, const Side& h, const Frame& frame, int64_t panel) {
    int64_t row = 0;
    for (; row + LINES <= frame.rows; row += LINES) units<Cell, LINES, 1>(words, x, h, frame, panel, row);
    for (; row < frame.rows; ++row) units<Cell, 1, 1>(words, x, h, frame, panel, row);
}

template <class Cell>
void run(const Words& words, const Packed* packed, const Frame& frame) {
    const Packed &x_matrix = packed[words.x_matrix], &h_matrix = packed[words.h_matrix];
    const size_t room = sizeof(Line) + 4 * static_cast<size_t>(quads(x_matrix.columns));
    const Side x(x_matrix, words.x, frame, frame.bytes);
    const Side h(h_matrix, words.h, frame, frame.bytes + (room * static_cast<size_t>(frame.rows) + 15) / 16 * 16);
    const int64_t panels = registers(words.size);
    if (frame.rows != 1) {
        each(panels, frame.backwards, [&](int64_t panel) { rows_of<Cell>(words, x, h, frame, panel); });
        return;
    }
    // Alone, a panel has too few chains to keep the adders busy: of four gates x and h go together, else two panels.
    if (Cell::gates == 4 && !x_matrix.bytes && !h_matrix.bytes) {
        each(panels, frame.backwards, [&](int64_t panel) { together<Cell>(words, x, h, frame, panel); });
        return;
    }
    each((panels + 1) / 2, frame.backwards, [&](int64_t pair) {
        if (2 * pair + 1 < panels) units<Cell, 1, 2>(words, x, h, frame, 2 * pair, 0);
        else units<Cell, 1, 1>(words, x, h, frame, 2 * pair, 0);
    });
}

}  // namespace

void run_cell(const int32_t* at, const Packed* packed, const Frame& frame) {
    Words words;
    std::memcpy(&words, at, sizeof words);
    if (words.gates == LSTM::gates) run<LSTM>(words, packed, frame);
    else run<GRU>(words, packed, frame);
}

}  // namespace SW_TARGET
