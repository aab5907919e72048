// The kernels of the best instruction set that this machine has, chosen once when the library is loaded.
#pragma once

#include <cstdint>

namespace statewise {

// "avx512", "avx2" or "plain"; the environment variable STATEWISE_SIMD may ask for a lower one.
const char* target();

// "intel", "amd" or "other".
const char* vendor();

#define KERNEL(name, ...) extern void (*const name)(__VA_ARGS__);
#include "kernels.inc"
#undef KERNEL

}  // namespace statewise
