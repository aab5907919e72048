// A step program in memory: sections of 32-bit words behind a header, and the tables made from them.
//
// Code works on vectors at addresses: the space in the top bits (Space), the offset in floats below. Every space has
// one block of floats per row (session); constants are shared by all rows. Operands are read as `outer` pieces of
// `inner` floats, a stride between pieces, and a stride of 1 or 0 (one value for all) inside.
#pragma once

#include <cstddef>
#include <cstdint>

namespace statewise {

enum Space : int32_t { INPUT, STATE, OUTPUT, WORK, CONSTANT, SPACES };

constexpr int SPACE_SHIFT = 28;
constexpr int32_t OFFSET_MASK = (1 << SPACE_SHIFT) - 1;
constexpr uint32_t MAGIC = 0x50535753;  // "SWSP"
constexpr uint32_t VERSION = 1;
constexpr int TILE = 48;  // rows that run through the code together

struct Header {
    uint32_t magic, version;
    int32_t input, state, output, work;       // floats per row
    int32_t code, indices, constants;         // words of each section
    int32_t matrices, weights, text;          // entries; bytes (a multiple of 4); bytes
};

// Words of the instructions after (code, number of words):
enum Code : int32_t {
    MAP,      // function, outer, inner, dst, dst stride, 3 x (address, stride, inner stride)
    COPY,     // runs of (dst, src, count), in this order; a run may overlap itself
    INDEX,    // dst, src, count, first index: dst[i] = src[indices[first + i]]
    MATVEC,   // blocks of (dst, dst stride, src, src stride, many, matrix)
    REDUCE,   // function, outer, inner, dst, src, stride, inner stride
    NORM,     // outer, inner, dst, src, stride, weight, bias, epsilon; -1 for no weight, no bias
    SOFTMAX,  // outer, inner, dst, src, stride
    CUMSUM,   // outer, inner, dst, src, stride
    PRODUCT,  // batch, n, k, m, dst, a, 3 strides, b, 3 strides: dst[batch, n, m] = a[batch, n, k] b[batch, k, m]
    CELL,     // gates (4: LSTM, 3: GRU), units, hidden dst, cell dst, x, hidden, cell, matrix of x, matrix of hidden
    CLOCK,    // function (cos, sin, number, advance), count, dst, count in the state, offsets, factors (doubles)
    LOOKUP,   // count, size, dst, ids, table, rows: dst[i, :] = table[ids[i], :], ids kept to 0 … rows - 1
    CODES
};

struct Matrix {  // an entry of the table: `weights` holds floats or, with scales, bytes [rows, columns]
    int32_t rows, columns, start, bias, scales;  // byte in weights; first constant of each, -1 for none
    int32_t gates;                               // 1, or the outputs are this many gates of a CELL
};

struct Packed {
    int64_t rows, columns;
    const void* data;
    bool bytes;
};

struct Target;

}  // namespace statewise

struct sw_step {
    statewise::Header sizes;
    const int32_t* code;
    const int32_t* indices;
    const float* constants;
    const float* initial;
    statewise::Packed* packed;
    int64_t quantised;  // bytes of quantised inputs that one row needs at most
    int64_t products;   // multiply-adds of one row, about
    const statewise::Target* target;
};

namespace statewise {

// What one instruction set brings.
struct Target {
    size_t (*packed_bytes)(const Matrix& matrix);
    void (*pack)(const Matrix& matrix, const float* constants, const uint8_t* weights, void* to);
    void (*run)(const sw_step& step, const float* x, float* state, float* out, int64_t rows, int64_t threads,
                void* scratch);
};

// What a thread works with: `work` of a tile, the quantised inputs of a tile, and which way to read weights.
inline int64_t tile_rows(const sw_step& step) {
    const int64_t fit = (96 * 1024) / (step.sizes.work + 1);
    return fit < 6 ? 6 : fit > TILE ? TILE : fit / 6 * 6;
}

inline size_t rounded(size_t bytes) { return (bytes + 63) / 64 * 64; }

inline size_t thread_bytes(const sw_step& step, int64_t rows) {
    const size_t tile = static_cast<size_t>(rows < tile_rows(step) ? rows : tile_rows(step));
    return 64 + rounded(tile * static_cast<size_t>(step.sizes.work) * 4) +
           rounded(tile * static_cast<size_t>(step.quantised + 64));
}

}  // namespace statewise

#define STEP_TARGET(space)                      \
    namespace space {                           \
    extern const statewise::Target step_target; \
    }
