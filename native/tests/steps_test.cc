// Steps without Python: `steps_test [program…]`. Ends with 0 when all held; says what did not.
//
// A small program written by hand is compared with plain loops; every program given (and that one) must give the
// same bits for a row alone and among others, on one thread and on several, take no rows, allocate nothing, and
// survive damage to its code.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "../include/statewise.h"
#include "../steps/program.h"

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define COUNTED
static int64_t allocations = 0;
extern "C" void* __libc_malloc(size_t);
extern "C" void* malloc(size_t bytes) {
    ++allocations;
    return __libc_malloc(bytes);
}
#endif

namespace {

int failures = 0;

void expect(bool holds, const char* what, const std::string& where) {
    if (holds) return;
    std::printf("%s: %s\n", where.c_str(), what);
    ++failures;
}

struct Block {
    explicit Block(size_t bytes) : data(std::aligned_alloc(64, (bytes + 64) / 64 * 64)) { std::memset(data, 0, bytes); }
    ~Block() { std::free(data); }
    Block(const Block&) = delete;
    void* data;
};

typedef std::vector<float> Floats;

Floats noise(size_t count, uint32_t seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> spread(-1.0f, 1.0f);
    Floats found(count);
    for (float& value : found) value = spread(random);
    return found;
}

struct Machine {
    explicit Machine(const std::vector<uint8_t>& program)
        : memory(sw_step_memory(program.data(), program.size())),
          step(sw_step_create(program.data(), program.size(), memory.data)),
          inputs(size_t(sw_step_input_size(step))), states(size_t(sw_step_state_size(step))),
          outputs(size_t(sw_step_output_size(step))) {}

    // `count` steps of `rows` rows; x and state are changed by nobody else.
    Floats run(const Floats& x, Floats& state, size_t rows, int64_t threads, int count = 2) {
        Block scratch(sw_step_scratch(step, int64_t(rows), threads));
        Floats out(rows * outputs);
        for (int i = 0; i < count; ++i)
            sw_step_run(step, x.data(), state.data(), out.data(), int64_t(rows), threads, scratch.data);
        return out;
    }

    Block memory;
    sw_step* step;
    size_t inputs, states, outputs;
};

bool same(const Floats& a, size_t at, const Floats& b, size_t count) {
    return count == 0 || std::memcmp(a.data() + at, b.data(), count * 4) == 0;
}

void check_rows(const std::vector<uint8_t>& program, const std::string& name) {
    Machine machine(program);
    const size_t most = 130;
    const Floats x = noise(most * machine.inputs, 1);
    Floats start(most * machine.states);
    sw_step_initial(machine.step, start.data(), int64_t(most));
    for (size_t rows : {size_t(0), size_t(1), size_t(2), size_t(3), size_t(17), most})
        for (int64_t threads : {1, 3}) {
            Floats state(start.begin(), start.begin() + int64_t(rows * machine.states));
            const Floats out = machine.run(x, state, rows, threads);
            for (size_t row = 0; row < rows; ++row) {
                const Floats own(x.begin() + int64_t(row * machine.inputs), x.begin() + int64_t((row + 1) * machine.inputs));
                Floats alone(start.begin() + int64_t(row * machine.states),
                             start.begin() + int64_t((row + 1) * machine.states));
                const Floats answer = machine.run(own, alone, 1, 1);
                expect(same(out, row * machine.outputs, answer, machine.outputs), "an answer depends on other rows", name);
                expect(same(state, row * machine.states, alone, machine.states), "a state depends on other rows", name);
            }
        }
}

void check_still(const std::vector<uint8_t>& program, const std::string& name) {
#ifdef COUNTED
    Machine machine(program);
    const size_t rows = 3;
    const Floats x = noise(rows * machine.inputs, 2);
    Floats state(rows * machine.states), out(rows * machine.outputs);
    sw_step_initial(machine.step, state.data(), int64_t(rows));
    Block scratch(sw_step_scratch(machine.step, int64_t(rows), 1));
    const int64_t before = allocations;
    for (int i = 0; i < 1000; ++i)
        sw_step_run(machine.step, x.data(), state.data(), out.data(), int64_t(rows), 1, scratch.data);
    expect(allocations == before, "a step allocates", name);
#else
    (void)program;
    (void)name;
#endif
}

void check_damage(std::vector<uint8_t> program, const std::string& name) {
    const std::vector<uint8_t> sound = program;
    statewise::Header sizes;
    std::memcpy(&sizes, sound.data(), sizeof sizes);
    std::mt19937 random(3);
    const int32_t values[] = {-1, 1, 5, 1 << 20, (3 << 28) + 1, 0x7fffffff};
    int refused = 0;
    for (int trial = 0; trial < 300 && sizes.code > 0; ++trial) {
        program = sound;
        const size_t word = 48 + 4 * (random() % uint32_t(sizes.code));
        std::memcpy(program.data() + word, &values[random() % 6], 4);
        if (sw_step_memory(program.data(), program.size()) == 0) {
            ++refused;
            continue;
        }
        Machine machine(program);
        Floats state(2 * machine.states);
        sw_step_initial(machine.step, state.data(), 2);
        machine.run(noise(2 * machine.inputs, 4), state, 2, 1, 1);
    }
    for (size_t bytes = 0; bytes < 48 && bytes < sound.size(); ++bytes)
        expect(sw_step_memory(sound.data(), bytes) == 0, "half a header is taken", name);
    expect(refused > 0 || sizes.code == 0, "no damage is refused", name);
}

// out = state' = tanh(W x + b) + ½ state, with I = 5 and 19 outputs.
std::vector<uint8_t> by_hand(const Floats& weight, const Floats& bias, bool small) {
    using namespace statewise;
    const int32_t I = 5, O = 19, half = 2 * O, scales = 2 * O + 1;
    const int32_t at[SPACES] = {0, 1 << 28, 2 << 28, 3 << 28, 4 << 28};
    const int32_t tanh = 12, fma = 41;
    const std::vector<int32_t> code = {
        MATVEC, 6, at[WORK], O, at[INPUT], I, 1, 0,
        MAP, 14, tanh, 1, O, at[WORK] + 32, O, at[WORK], O, 1, 0, 0, 0, 0, 0, 0,
        MAP, 14, fma, 1, O, at[STATE], O, at[STATE], O, 1, at[CONSTANT] + half, 0, 0, at[WORK] + 32, O, 1,
        COPY, 3, at[OUTPUT], at[STATE], O};
    Floats constants(size_t(half), 0.0f);  // the first state, then the bias
    std::copy(bias.begin(), bias.end(), constants.begin() + O);
    constants.push_back(0.5f);
    std::vector<uint8_t> weights(small ? 96 : 4 * weight.size());
    if (!small) std::memcpy(weights.data(), weight.data(), weights.size());
    for (int32_t row = 0; small && row < O; ++row) {
        float top = 0.0f;
        for (int32_t k = 0; k < I; ++k) top = std::fmax(top, std::fabs(weight[size_t(row * I + k)]));
        constants.push_back(top / 127.0f);
        for (int32_t k = 0; k < I; ++k)
            weights[size_t(row * I + k)] = uint8_t(int8_t(std::lrint(weight[size_t(row * I + k)] / constants.back())));
    }
    const Header sizes = {MAGIC, VERSION, I, O, O, 64, int32_t(code.size()), 0, int32_t(constants.size()), 1,
                          int32_t(weights.size()), 0};
    const Matrix matrix = {O, I, 0, O, small ? scales : -1, 1};
    std::vector<uint8_t> program;
    const auto put = [&](const void* from, size_t bytes) {
        const uint8_t* begin = static_cast<const uint8_t*>(from);
        program.insert(program.end(), begin, begin + bytes);
    };
    put(&sizes, sizeof sizes);
    put(code.data(), 4 * code.size());
    put(constants.data(), 4 * constants.size());
    put(&matrix, sizeof matrix);
    put(weights.data(), weights.size());
    return program;
}

void check_by_hand(bool small) {
    const std::string name = small ? "by hand, 8 bits" : "by hand";
    const Floats weight = noise(19 * 5, 5), bias = noise(19, 6), x = noise(3 * 5, 7);
    const std::vector<uint8_t> program = by_hand(weight, bias, small);
    const char* problem = sw_step_problem(program.data(), program.size());
    expect(*problem == 0, problem, name);
    if (*problem != 0) return;
    Machine machine(program);
    Floats state = noise(3 * 19, 8);
    const Floats before = state, out = machine.run(x, state, 3, 1, 1);
    for (size_t row = 0; row < 3; ++row)
        for (size_t o = 0; o < 19; ++o) {
            float sum = bias[o];
            for (size_t k = 0; k < 5; ++k) sum += weight[o * 5 + k] * x[row * 5 + k];
            const float want = std::tanh(sum) + 0.5f * before[row * 19 + o];
            expect(std::fabs(out[row * 19 + o] - want) < (small ? 3e-2f : 1e-6f), "a wrong answer", name);
            expect(out[row * 19 + o] == state[row * 19 + o], "the state is not what was answered", name);
        }
    check_rows(program, name);
    check_still(program, name);
    check_damage(program, name);
}

}  // namespace

int main(int count, char** given) {
    check_by_hand(false);
    check_by_hand(true);
    for (int i = 1; i < count; ++i) {
        std::ifstream file(given[i], std::ios::binary);
        const std::vector<uint8_t> program((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
        const char* problem = sw_step_problem(program.data(), program.size());
        expect(*problem == 0, problem, given[i]);
        if (*problem != 0) continue;
        check_rows(program, given[i]);
        check_still(program, given[i]);
        check_damage(program, given[i]);
    }
    std::printf(failures ? "%d failures\n" : "all steps hold\n", failures);
    return failures != 0;
}
