// The C interface of step programs: checks a block of bytes, packs its weights, and calls the best target.
#include "../include/statewise.h"

#include "../core/dispatch.h"
#include "program.h"

#include <cstring>

STEP_TARGET(plain)
#ifdef SW_X86
STEP_TARGET(avx2)
STEP_TARGET(avx512)
#endif

namespace statewise {
namespace {

const Target& best() {
#ifdef SW_X86
    if (std::strcmp(target(), "avx512") == 0) return avx512::step_target;
    if (std::strcmp(target(), "avx2") == 0) return avx2::step_target;
#endif
    return plain::step_target;
}

struct Sections {
    Header sizes;
    const int32_t *code, *indices;
    const float* constants;
    const uint8_t *matrices, *weights;
};

Matrix matrix(const Sections& parts, int64_t index) {
    Matrix found;
    std::memcpy(&found, parts.matrices + index * static_cast<int64_t>(sizeof found), sizeof found);
    return found;
}

// Checks that every address, with all its strides, stays inside its space.
class Checker {
  public:
    explicit Checker(const Sections& parts) : parts_(parts) {}

    const char* problem() {
        const int32_t *at = parts_.code, *end = at + parts_.sizes.code;
        for (int64_t i = 0; i < parts_.sizes.matrices; ++i)
            if (!sound(matrix(parts_, i))) return "a matrix lies outside the weights";
        for (; at < end; at += 2 + at[1]) {
            if (end - at < 2 || at[1] < 0 || at[1] > end - at - 2) return "an instruction is cut off";
            if (at[0] < 0 || at[0] >= CODES) return "an instruction is unknown (written by a newer version?)";
            if (!instruction(at[0], at[1], at + 2)) return "an instruction reaches outside its rows";
        }
        return "";
    }

  private:
    const Sections& parts_;

    bool sound(const Matrix& m) const {
        const Header& sizes = parts_.sizes;
        if (m.rows < 1 || m.columns < 1 || m.start < 0 || m.start % 4 != 0) return false;
        if (m.gates < 1 || m.gates > 4 || m.rows % m.gates != 0) return false;
        const int64_t bytes = int64_t(m.rows) * m.columns * (m.scales < 0 ? 4 : 1);
        return m.start + bytes <= sizes.weights && m.bias + int64_t(m.rows) <= sizes.constants &&
               m.scales + int64_t(m.rows) <= sizes.constants;
    }

    int64_t room(int32_t space) const {
        const Header& sizes = parts_.sizes;
        const int64_t rooms[SPACES] = {sizes.input, sizes.state, sizes.output, sizes.work, sizes.constants};
        return rooms[space];
    }

    // `outer` pieces, `stride` apart, of `inner` floats, `step` apart.
    bool inside(int32_t address, int64_t outer, int64_t stride, int64_t inner, int64_t step = 1) const {
        if (address < 0 || (address >> SPACE_SHIFT) >= SPACES) return false;
        if (outer < 0 || inner < 0 || stride < 0 || step < 0) return false;
        if (outer == 0 || inner == 0) return true;
        const int64_t last = (address & OFFSET_MASK) + (outer - 1) * stride + (inner - 1) * step;
        return last < room(address >> SPACE_SHIFT);
    }

    bool writable(int32_t address, int64_t outer, int64_t stride, int64_t inner) const {
        const int32_t space = address >> SPACE_SHIFT;
        return space != INPUT && space != CONSTANT && inside(address, outer, stride, inner);
    }

    bool instruction(int32_t code, int32_t words, const int32_t* at) const {
        switch (code) {
            case MAP: return words == 14 && map(at);
            case COPY: return words % 3 == 0 && copies(at, words / 3);
            case INDEX: return words == 4 && index(at);
            case MATVEC: return words % 6 == 0 && products(at, words / 6);
            case REDUCE:
                return words == 7 && at[2] >= 1 && writable(at[3], 1, 0, at[1]) &&
                       inside(at[4], at[1], at[5], at[2], at[6]) && (at[6] == 1 || at[5] == 1);
            case NORM:
                return words == 8 && writable(at[2], at[0], at[1], at[1]) && inside(at[3], at[0], at[4], at[1]) &&
                       shared(at[5], at[1]) && shared(at[6], at[1]);
            case SOFTMAX:
            case CUMSUM:
                return words == 5 && writable(at[2], at[0], at[1], at[1]) && inside(at[3], at[0], at[4], at[1]);
            case PRODUCT: return words == 13 && product(at);
            case CELL: return words == 9 && cell(at);
            case CLOCK:
                return words == 6 && at[0] >= 0 && at[0] <= 3 && at[1] >= (at[0] == 3) &&
                       writable(at[2], 1, 0, at[0] == 3 ? 2 : at[1]) && inside(at[3], 1, 0, 2) && shared(at[4], at[1]) &&
                       at[4] >= 0 && (at[0] == 3 || (at[5] >= 0 && shared(at[5], 2 * int64_t(at[1]))));
            case LOOKUP:
                return words == 6 && at[5] >= 1 && writable(at[2], at[0], at[1], at[1]) && inside(at[3], 1, 0, at[0]) &&
                       inside(at[4], at[5], at[1], at[1]);
            default: return false;
        }
    }

    bool shared(int32_t address, int64_t count) const {
        return address < 0 || ((address >> SPACE_SHIFT) == CONSTANT && inside(address, 1, 0, count));
    }

    bool map(const int32_t* at) const {
#define FUNCTION(name, operands, value) operands,
        constexpr int counts[] = {
#include "functions.def"
        };
#undef FUNCTION
        if (at[0] < 0 || at[0] >= int32_t(sizeof counts / sizeof *counts)) return false;
        for (int n = 0; n < counts[at[0]]; ++n) {
            const int32_t* operand = at + 5 + 3 * n;
            if (operand[2] != 0 && operand[2] != 1) return false;
            if (!inside(operand[0], at[1], operand[1], at[2], operand[2])) return false;
        }
        return writable(at[3], at[1], at[4], at[2]);
    }

    bool copies(const int32_t* at, int64_t runs) const {
        for (int64_t run = 0; run < runs; ++run, at += 3)
            if (!writable(at[0], 1, 0, at[2]) || !inside(at[1], 1, 0, at[2])) return false;
        return true;
    }

    bool index(const int32_t* at) const {
        if (!writable(at[0], 1, 0, at[2]) || at[2] < 0 || at[3] < 0 || !inside(at[1], 1, 0, 1)) return false;
        if (int64_t(at[3]) + at[2] > parts_.sizes.indices) return false;
        for (int64_t i = 0; i < at[2]; ++i) {
            const int64_t place = (at[1] & OFFSET_MASK) + int64_t(parts_.indices[at[3] + i]);
            if (place < 0 || place >= room(at[1] >> SPACE_SHIFT)) return false;
        }
        return true;
    }

    bool products(const int32_t* at, int64_t blocks) const {
        for (int64_t block = 0; block < blocks; ++block, at += 6) {
            if (at[5] < 0 || at[5] >= parts_.sizes.matrices) return false;
            const Matrix m = matrix(parts_, at[5]);
            if (m.gates != 1) return false;
            if (!writable(at[0], at[4], at[1], m.rows) || !inside(at[2], at[4], at[3], m.columns)) return false;
        }
        return true;
    }

    // The hidden state is read as long as units are made, so it is never written; the cell is, unit by unit.
    bool cell(const int32_t* at) const {
        const int64_t gates = at[0], units = at[1];
        if ((gates != 3 && gates != 4) || units < 1) return false;
        for (int place = 7; place <= 8; ++place)
            if (at[place] < 0 || at[place] >= parts_.sizes.matrices) return false;
        const Matrix x = matrix(parts_, at[7]), h = matrix(parts_, at[8]);
        return x.gates == gates && h.gates == gates && x.rows == gates * units && h.rows == gates * units &&
               writable(at[2], 1, 0, units) && (gates == 3 || writable(at[3], 1, 0, units)) &&
               inside(at[3], 1, 0, units) && inside(at[4], 1, 0, x.columns) && inside(at[5], 1, 0, h.columns) &&
               inside(at[6], 1, 0, units);
    }

    bool product(const int32_t* at) const {
        const int64_t batch = at[0], n = at[1], k = at[2], m = at[3];
        if (batch < 0 || n < 0 || k < 0 || m < 0 || batch * n > OFFSET_MASK) return false;
        const auto spans = [&](const int32_t* from, int64_t rows, int64_t columns) {
            if (from[1] < 0 || from[2] < 0 || from[3] < 0) return false;
            const int64_t extra = batch == 0 ? 0 : (batch - 1) * int64_t(from[1]);
            return inside(from[0], rows, from[2], columns, from[3]) &&
                   inside(from[0], 2, extra + (rows ? rows - 1 : 0) * from[2], columns, from[3]);
        };
        return writable(at[4], batch * n, m, m) && spans(at + 5, n, k) && spans(at + 9, k, m);
    }
};

const char* read(const void* program, size_t bytes, Sections& parts) {
    if (program == nullptr || bytes < sizeof(Header)) return "it is shorter than a header";
    std::memcpy(&parts.sizes, program, sizeof(Header));
    const Header& s = parts.sizes;
    if (s.magic != MAGIC) return "it does not begin as one";
    if (s.version != VERSION) return "it is of another version";
    const int32_t all[] = {s.input,   s.state,     s.output,   s.work,    s.code,
                           s.indices, s.constants, s.matrices, s.weights, s.text};
    for (const int32_t size : all)
        if (size < 0 || size > OFFSET_MASK) return "a size is out of range";
    const size_t words = size_t(s.code) + size_t(s.indices) + size_t(s.constants) + size_t(s.matrices) * (sizeof(Matrix) / 4);
    if (sizeof(Header) + 4 * words + size_t(s.weights) + size_t(s.text) > bytes) return "it is cut off";
    if (s.state > s.constants) return "it has no initial state";
    const uint8_t* at = static_cast<const uint8_t*>(program) + sizeof(Header);
    if (reinterpret_cast<uintptr_t>(at) % 4 != 0) return "it is not aligned to 4 bytes";
    parts.code = reinterpret_cast<const int32_t*>(at);
    parts.indices = parts.code + s.code;
    parts.constants = reinterpret_cast<const float*>(parts.indices + s.indices);
    parts.matrices = reinterpret_cast<const uint8_t*>(parts.constants + s.constants);
    parts.weights = parts.matrices + size_t(s.matrices) * sizeof(Matrix);
    return Checker(parts).problem();
}

size_t memory(const Sections& parts) {
    size_t total = rounded(sizeof(sw_step)) + rounded(size_t(parts.sizes.matrices) * sizeof(Packed));
    for (int64_t i = 0; i < parts.sizes.matrices; ++i) {
        const Matrix m = matrix(parts, i);
        total += rounded(best().packed_bytes(m));
    }
    return total;
}

// What the inputs of the 8-bit products of one instruction take, per row.
int64_t quantised_bytes(const Sections& parts) {
    const auto needed = [&](int32_t number) { return int64_t(matrix(parts, number).columns) + 4 + 32; };
    int64_t most = 0;
    const int32_t *at = parts.code, *end = at + parts.sizes.code;
    for (; at < end; at += 2 + at[1]) {
        const int32_t* words = at + 2;
        for (int32_t block = 0; at[0] == MATVEC && block < at[1] / 6; ++block, words += 6) {
            const int64_t bytes = words[4] * needed(words[5]);
            most = bytes > most ? bytes : most;
        }
        if (at[0] != CELL) continue;
        const int64_t bytes = needed(words[7]) + needed(words[8]);
        most = bytes > most ? bytes : most;
    }
    return (most + 63) / 64 * 64;
}

int64_t products(const Sections& parts) {
    int64_t total = parts.sizes.work;
    for (int64_t i = 0; i < parts.sizes.matrices; ++i) {
        const Matrix m = matrix(parts, i);
        total += int64_t(m.rows) * m.columns;
    }
    return total;
}

}  // namespace
}  // namespace statewise

using namespace statewise;

const char* sw_step_problem(const void* program, size_t bytes) {
    Sections parts;
    return read(program, bytes, parts);
}

size_t sw_step_memory(const void* program, size_t bytes) {
    Sections parts;
    return *read(program, bytes, parts) == 0 ? memory(parts) : 0;
}

sw_step* sw_step_create(const void* program, size_t bytes, void* memory) {
    Sections parts;
    if (*read(program, bytes, parts) != 0) return nullptr;
    uint8_t* at = static_cast<uint8_t*>(memory);
    sw_step* step = reinterpret_cast<sw_step*>(at);
    at += rounded(sizeof(sw_step));
    Packed* packed = reinterpret_cast<Packed*>(at);
    at += rounded(size_t(parts.sizes.matrices) * sizeof(Packed));
    for (int64_t i = 0; i < parts.sizes.matrices; ++i) {
        const Matrix m = matrix(parts, i);
        best().pack(m, parts.constants, parts.weights, at);
        packed[i] = {m.rows, m.columns, at, m.scales >= 0};
        at += rounded(best().packed_bytes(m));
    }
    *step = {parts.sizes, parts.code, parts.indices, parts.constants, parts.constants, packed,
             quantised_bytes(parts), products(parts), &best()};
    return step;
}

int64_t sw_step_input_size(const sw_step* step) { return step->sizes.input; }
int64_t sw_step_state_size(const sw_step* step) { return step->sizes.state; }
int64_t sw_step_output_size(const sw_step* step) { return step->sizes.output; }

int64_t sw_step_work(const sw_step* step) { return step->products; }

size_t sw_step_scratch(const sw_step* step, int64_t rows, int64_t threads) {
    return thread_bytes(*step, rows) * size_t(threads < 1 ? 1 : threads);
}

void sw_step_initial(const sw_step* step, float* state, int64_t rows) {
    const size_t bytes = size_t(step->sizes.state) * sizeof(float);
    for (int64_t row = 0; bytes != 0 && row < rows; ++row)
        std::memcpy(state + row * step->sizes.state, step->initial, bytes);
}

void sw_step_run(const sw_step* step, const float* x, float* state, float* out, int64_t rows, int64_t threads,
                 void* scratch) {
    if (rows > 0) step->target->run(*step, x, state, out, rows, threads, scratch);
}
