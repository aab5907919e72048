// One loop over independent pieces, shared by threads.
//
// OpenMP where it is there: the pool is the one that torch uses, so the two never fight over the cores.
// With SW_STD_THREADS (thread sanitizer, platforms without OpenMP) plain threads do the same.
#pragma once

#include <algorithm>
#include <cstdint>

#if defined(SW_STD_THREADS)
#include <thread>
#include <vector>
#elif defined(_OPENMP)
#include <omp.h>
#endif

#ifndef SW_TARGET
#error "compile with -DSW_TARGET=<plain|avx2|avx512>"
#endif

namespace SW_TARGET {

// Calls piece(first, last, thread) for consecutive ranges that cover 0 … count, on up to `threads` threads.
template <class Piece>
inline void parallel_for(int64_t count, int64_t threads, const Piece& piece) {
    if (count <= 0) return;
    const int64_t shares = std::max<int64_t>(1, std::min(threads, count));
    const auto edge = [&](int64_t share) { return count * share / shares; };
    if (shares == 1) {
        piece(int64_t{0}, count, int64_t{0});
        return;
    }
#if defined(SW_STD_THREADS)
    std::vector<std::thread> others;
    for (int64_t share = 1; share < shares; ++share)
        others.emplace_back([&, share] { piece(edge(share), edge(share + 1), share); });
    piece(edge(0), edge(1), int64_t{0});
    for (auto& other : others) other.join();
#elif defined(_OPENMP)
#pragma omp parallel for num_threads(static_cast<int>(shares)) schedule(static, 1)
    for (int64_t share = 0; share < shares; ++share) piece(edge(share), edge(share + 1), share);
#else
    for (int64_t share = 0; share < shares; ++share) piece(edge(share), edge(share + 1), share);
#endif
}

}  // namespace SW_TARGET
