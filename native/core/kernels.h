// Declares every kernel of the .def files in the namespace of one target.
#pragma once

#include <cstdint>

#ifdef SW_TARGET
namespace SW_TARGET {
#define KERNEL(name, ...) void name(__VA_ARGS__);
#include "kernels.inc"
#undef KERNEL
}  // namespace SW_TARGET
#endif
