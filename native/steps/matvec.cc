// Products of a constant matrix with the vectors of one or many rows (see panels.h), and how matrices are packed.
#include "panels.h"

namespace SW_TARGET {
namespace {

using statewise::Matrix;
using statewise::Packed;

struct Block {
    int32_t dst, dst_stride, src, src_stride, many, matrix;
};

// The rows of a tile and the `many` vectors of each, as one loop inside the other: the longer one inside.
struct Lines {
    int64_t outer, inner;
    int64_t x_outer, x_inner, y_outer, y_inner;

    Lines(const Block& block, const Frame& frame) {
        const int64_t x_row = frame.step(block.src), y_row = frame.step(block.dst);
        if (frame.rows >= block.many) {
            outer = block.many, inner = frame.rows;
            x_outer = block.src_stride, x_inner = x_row, y_outer = block.dst_stride, y_inner = y_row;
        } else {
            outer = frame.rows, inner = block.many;
            x_outer = x_row, x_inner = block.src_stride, y_outer = y_row, y_inner = block.dst_stride;
        }
    }
};

template <int N, int R>
void some(const Packed& matrix, const uint8_t* panel, const float* const* x, const Line* given, float* const* y,
          int64_t lanes) {
    Vec<float> sums[1][R][N];
    multiply<N, R, 1>(matrix, panel, x, given, sums);
    for (int line = 0; line < R; ++line)
        for (int v = 0; v < N; ++v)
            if (lanes >= (v + 1) * W) store<float>(y[line] + v * W, sums[0][line][v]);
            else store_some<float>(y[line] + v * W, sums[0][line][v], lanes - v * W);
}

typedef void (*Some)(const Packed&, const uint8_t*, const float* const*, const Line*, float* const*, int64_t);

template <int N>
constexpr Some by_lines(int64_t lines) {
    switch (lines) {
        case 1: return some<N, 1>;
#if defined(__AVX512F__)
        case 2: return some<N, 2>;
        case 3: return some<N, 3>;
        case 4: return some<N, 4>;
        case 5: return some<N, 5>;
#endif
        default: return some<N, LINES>;
    }
}

Some kernel(int64_t wide, int64_t lines) {
    switch (wide) {
        case 1: return by_lines<1>(lines);
        case 2: return by_lines<2>(lines);
        case 3: return by_lines<3>(lines);
        default: return by_lines<4>(lines);
    }
}

void multiply_all(const Packed& matrix, const float* x, float* y, const Line* given, const Lines& lines,
                  bool backwards) {
    const int64_t wide = registers(matrix.rows), size = share(matrix.columns, matrix.bytes);
    const uint8_t* data = static_cast<const uint8_t*>(matrix.data);
    each((wide + WIDE - 1) / WIDE, backwards, [&](int64_t index) {
        const int64_t first = index * WIDE, here = wide - first < WIDE ? wide - first : WIDE;
        for (int64_t o = 0; o < lines.outer; ++o)
            for (int64_t i = 0; i < lines.inner; i += LINES) {
                const int64_t count = lines.inner - i < LINES ? lines.inner - i : LINES;
                const float* from[LINES];
                float* to[LINES];
                for (int64_t n = 0; n < count; ++n) {
                    from[n] = x + o * lines.x_outer + (i + n) * lines.x_inner;
                    to[n] = y + o * lines.y_outer + (i + n) * lines.y_inner + first * W;
                }
                const Line* own = given == nullptr ? nullptr : given + o * lines.inner + i;
                kernel(here, count)(matrix, data + first * size, from, own, to, matrix.rows - first * W);
            }
    });
}

// The inputs of all lines in 8 bits, in `room`.
const Line* quantised(const Packed& matrix, const float* x, const Lines& lines, uint8_t* room) {
    const int64_t size = 4 * quads(matrix.columns);
    Line* found = reinterpret_cast<Line*>(room);
    uint8_t* bytes = room + sizeof(Line) * static_cast<size_t>(lines.outer * lines.inner);
    for (int64_t o = 0; o < lines.outer; ++o)
        for (int64_t i = 0; i < lines.inner; ++i, bytes += size) {
            const float* from = x + o * lines.x_outer + i * lines.x_inner;
            found[o * lines.inner + i] = {bytes, quantise(from, matrix.columns, bytes)};
        }
    return found;
}

}  // namespace

void run_matvec(const int32_t* at, int64_t blocks, const Packed* packed, const Frame& frame) {
    each(blocks, frame.backwards, [&](int64_t index) {
        Block block;
        std::memcpy(&block, at + 6 * index, sizeof block);
        const Packed& matrix = packed[block.matrix];
        const Lines lines(block, frame);
        const float* x = frame.at(block.src, 0);
        float* y = frame.at(block.dst, 0);
        multiply_all(matrix, x, y, matrix.bytes ? quantised(matrix, x, lines, frame.bytes) : nullptr, lines,
                     frame.backwards);
    });
}

size_t packed_bytes(const Matrix& matrix) {
    const int64_t units = matrix.rows / matrix.gates;
    return static_cast<size_t>(matrix.gates * registers(units) * share(matrix.columns, matrix.scales >= 0));
}

// Where output `row` lies: the first register of its panel, the registers of that, its lane among theirs. Gates have
// a panel for each register of units.
struct Place {
    int64_t first, width, lane;
};

Place place_of(const Matrix& matrix, int64_t row) {
    const int64_t gates = matrix.gates, units = matrix.rows / gates, unit = row % units, panel = unit / W;
    if (gates == 1) {
        const int64_t first = row / W / WIDE * WIDE, rest = registers(units) - first;
        return {first, rest < WIDE ? rest : WIDE, row - first * W};
    }
    return {panel * gates, gates, row / units * W + unit % W};
}

void pack(const Matrix& matrix, const float* constants, const uint8_t* weights, void* to) {
    const bool small = matrix.scales >= 0;
    const int64_t columns = matrix.columns, size = share(columns, small);
    std::memset(to, 0, packed_bytes(matrix));
    for (int64_t row = 0; row < matrix.rows; ++row) {
        const auto [first, width, lane] = place_of(matrix, row);
        float* begin = reinterpret_cast<float*>(static_cast<uint8_t*>(to) + first * size);
        if (matrix.bias >= 0) begin[lane] = constants[matrix.bias + row];
        const uint8_t* from = weights + matrix.start;
        if (!small) {
            for (int64_t k = 0; k < columns; ++k)
                std::memcpy(begin + (1 + k) * width * W + lane, from + 4 * (row * columns + k), 4);
            continue;
        }
        begin[width * W + lane] = constants[matrix.scales + row];
        int32_t total = 0;
        uint8_t* put = reinterpret_cast<uint8_t*>(begin) + 3 * width * SW_BYTES;
        for (int64_t k = 0; k < columns; ++k) {
            const uint8_t weight = from[row * columns + k];
            put[(k / 4 * width * W + lane) * 4 + k % 4] = weight;
            total += static_cast<int8_t>(weight);
        }
        const int32_t taken = -SHIFT * total;
        std::memcpy(begin + 2 * width * W + lane, &taken, 4);
    }
}

}  // namespace SW_TARGET
