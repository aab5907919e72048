// Element by element: functions of one to three operands.
#include "functions.h"
#include "rows.h"

namespace SW_TARGET {
namespace {

constexpr int64_t W = Lanes<float>::count;

struct Operand {
    int32_t address, stride, inner;
};

struct Map {
    int32_t function, outer, inner, dst, dst_stride;
    Operand operand[3];
};

// One value for all lanes, or the lanes themselves; a constant choice per instruction, so well foretold.
struct Reader {
    const float* from;
    bool one;

    SW_INLINE Vec<float> whole(int64_t i) const { return one ? splat<float>(*from) : load<float>(from + i); }
    SW_INLINE Vec<float> part(int64_t i, int64_t count) const {
        return one ? splat<float>(*from) : load_some<float>(from + i, count);
    }
};

template <int operands, class Function>
void apply(const Map& map, const Frame& frame, const Function& function) {
    for (int64_t row = 0; row < frame.rows; ++row) {
        float* to = frame.at(map.dst, row);
        Reader read[operands];
        for (int n = 0; n < operands; ++n)
            read[n] = {frame.at(map.operand[n].address, row), map.operand[n].inner == 0};
        for (int64_t piece = 0; piece < map.outer; ++piece) {
            int64_t i = 0;
            for (; i + W <= map.inner; i += W) {
                Vec<float> given[3];
                for (int n = 0; n < operands; ++n) given[n] = read[n].whole(i);
                store<float>(to + i, function(given));
            }
            if (i < map.inner) {
                Vec<float> given[3];
                for (int n = 0; n < operands; ++n) given[n] = read[n].part(i, map.inner - i);
                store_some<float>(to + i, function(given), map.inner - i);
            }
            to += map.dst_stride;
            for (int n = 0; n < operands; ++n) read[n].from += map.operand[n].stride;
        }
    }
}

#define FUNCTION(name, operands, value)                                                      \
    void map_##name(const Map& map, const Frame& frame) {                                    \
        apply<operands>(map, frame, [](const Vec<float>(&given)[3]) {                        \
            [[maybe_unused]] const Vec<float> a = given[0];                                  \
            [[maybe_unused]] const Vec<float> b = operands > 1 ? given[1] : a;               \
            [[maybe_unused]] const Vec<float> c = operands > 2 ? given[2] : a;               \
            return value;                                                                    \
        });                                                                                  \
    }
#include "functions.def"
#undef FUNCTION

constexpr void (*functions[])(const Map&, const Frame&) = {
#define FUNCTION(name, operands, value) map_##name,
#include "functions.def"
#undef FUNCTION
};

}  // namespace

void run_map(const int32_t* at, const Frame& frame) {
    Map map;
    __builtin_memcpy(&map, at, sizeof map);
    functions[map.function](map, frame);
}

}  // namespace SW_TARGET
