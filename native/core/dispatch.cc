#include "dispatch.h"

#include <cstdlib>
#include <cstring>

#define KERNEL(name, ...) void name(__VA_ARGS__);
namespace plain {
#include "kernels.inc"
}
#ifdef SW_X86
namespace avx2 {
#include "kernels.inc"
}
namespace avx512 {
#include "kernels.inc"
}
#endif
#undef KERNEL

namespace statewise {
namespace {

enum Level { PLAIN, AVX2, AVX512 };

Level supported() {
#ifdef SW_X86
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                        __builtin_cpu_supports("avx512vnni");
    return avx512 ? AVX512 : avx2 ? AVX2 : PLAIN;
#else
    return PLAIN;
#endif
}

Level chosen() {
    const char* asked = std::getenv("STATEWISE_SIMD");
    const Level best = supported();
    if (asked == nullptr) return best;
    const Level wanted = std::strcmp(asked, "plain") == 0 ? PLAIN : std::strcmp(asked, "avx2") == 0 ? AVX2 : AVX512;
    return wanted < best ? wanted : best;
}

Level level() {
    static const Level found = chosen();
    return found;
}

template <class Function>
Function pick(Function plain, Function avx2, Function avx512) {
    return level() == AVX512 ? avx512 : level() == AVX2 ? avx2 : plain;
}

}  // namespace

const char* target() { return level() == AVX512 ? "avx512" : level() == AVX2 ? "avx2" : "plain"; }

const char* vendor() {
#ifdef SW_X86
    __builtin_cpu_init();
    return __builtin_cpu_is("intel") ? "intel" : __builtin_cpu_is("amd") ? "amd" : "other";
#else
    return "other";
#endif
}

#ifdef SW_X86
#define KERNEL(name, ...) \
    void (*const name)(__VA_ARGS__) = pick<void (*)(__VA_ARGS__)>(plain::name, avx2::name, avx512::name);
#else
#define KERNEL(name, ...) void (*const name)(__VA_ARGS__) = plain::name;
#endif
#include "kernels.inc"
#undef KERNEL

}  // namespace statewise
