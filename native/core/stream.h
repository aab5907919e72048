// What a loop that is bound by memory needs: reading ahead, and storing past the caches.
#pragma once

#include "simd.h"

namespace SW_TARGET {

// Asks for the cache line of `from`, which may lie beyond the end of the array: nothing is read.
SW_INLINE void prefetch(const void* from, int64_t bytes_ahead) {
    __builtin_prefetch(reinterpret_cast<const char*>(reinterpret_cast<uintptr_t>(from) + bytes_ahead));
}

// Fetches the cache line of `to` early: a store that misses holds up those behind it.
SW_INLINE void prefetch_to_write(void* to) { __builtin_prefetch(to, 1); }

// Stores without reading the line first; `to` lies on a register's width. `publish` must follow.
template <class R>
SW_INLINE void stream(R* to, Vec<R> value) {
#if defined(__AVX512F__)
    if constexpr (sizeof(R) == 4)
        _mm512_stream_ps(to, reinterpret_cast<__m512>(value));
    else
        _mm512_stream_pd(to, reinterpret_cast<__m512d>(value));
#elif defined(__AVX2__)
    if constexpr (sizeof(R) == 4)
        _mm256_stream_ps(to, reinterpret_cast<__m256>(value));
    else
        _mm256_stream_pd(to, reinterpret_cast<__m256d>(value));
#else
    store<R>(to, value);
#endif
}

// Makes streamed values visible to other threads.
SW_INLINE void publish() {
#if defined(__AVX2__)
    _mm_sfence();
#endif
}

// Outputs of this many bytes do not stay in the caches anyway: reading their lines first would be in vain.
constexpr int64_t STREAM_BYTES = int64_t{8} << 20;

// Whether every register of rows of `width` elements from `to` may be streamed.
template <class R>
inline bool streams(const R* to, int64_t width, int64_t elements) {
    return reinterpret_cast<uintptr_t>(to) % SW_BYTES == 0 && width % Lanes<R>::count == 0 &&
           elements * static_cast<int64_t>(sizeof(R)) >= STREAM_BYTES;
}

}  // namespace SW_TARGET
