// Masks of zoneout, drawn by counting instead of from a stream: any cut of a sequence draws the same ones.
#include "kernels.h"

#include "parallel.h"

namespace SW_TARGET {
namespace {

// The finisher of Wellons' "lowbias32"; the same as in ops/zoneout.py.
inline uint32_t mixed(uint32_t x) {
    x = (x ^ (x >> 16)) * 0x7FEB352Du;
    x = (x ^ (x >> 15)) * 0x846CA68Bu;
    return x ^ (x >> 16);
}

template <class R>
void mask(const int64_t* keys, R* out, int64_t N, int64_t width, int64_t first, double rate, int64_t threads) {
    const uint32_t below = static_cast<uint32_t>(rate * (1u << 24));
    parallel_for(N, N * width < 1 << 14 ? 1 : threads, [&](int64_t from, int64_t to, int64_t) {
        for (int64_t n = from; n < to; ++n) {
            const uint32_t key = static_cast<uint32_t>(keys[n]) + static_cast<uint32_t>(first) * 0x9E3779B9u;
            R* row = out + n * width;
            for (int64_t j = 0; j < width; ++j)
                row[j] = (mixed(key + static_cast<uint32_t>(j) * 0x9E3779B9u) >> 8) < below ? R(1) : R(0);
        }
    });
}

}  // namespace

void zoneout_mask_f32(const int64_t* keys, float* out, int64_t N, int64_t width, int64_t first, double rate,
                      int64_t threads) {
    mask<float>(keys, out, N, width, first, rate, threads);
}

void zoneout_mask_f64(const int64_t* keys, double* out, int64_t N, int64_t width, int64_t first, double rate,
                      int64_t threads) {
    mask<double>(keys, out, N, width, first, rate, threads);
}

}  // namespace SW_TARGET
