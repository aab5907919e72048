// What the recurrent kernels share: which rows run together, the small matrix product of one step, layer norm.
//
// Sequences lie one after another without padding: `lengths` real steps of row 0, then of row 1, … (B rows of T
// steps when `lengths` is null). A group of rows runs all its steps on one thread, longest row first, so that
// the rows still running are always the first ones and no thread ever waits for another.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <numeric>
#include <vector>

#include "functions.h"
#include "parallel.h"
#include "simd.h"

namespace SW_TARGET {
namespace recurrent {

constexpr int64_t GROUP = 24;  // rows of a group: enough to hide the stream of weights from the second cache

struct Group {
    int64_t count = 0, reverse = 0, share = 0;
    int64_t row[GROUP], start[GROUP], length[GROUP];

    int64_t longest() const { return count ? length[0] : 0; }
    // Where step `s` of row `r` of the group stands among all steps.
    int64_t at(int64_t r, int64_t s) const { return start[r] + (reverse ? length[r] - 1 - s : s); }
    // How many rows have a step `s`.
    int64_t active(int64_t s) const {
        int64_t rows = count;
        while (rows > 0 && length[rows - 1] <= s) --rows;
        return rows;
    }
};

struct Rows {
    int64_t B, T;
    const int64_t* lengths;
    int64_t reverse, threads;

    // Calls body(group) for groups that cover all rows; group.share counts the threads.
    template <class Body>
    void each_group(const Body& body) const {
        if (B <= 0) return;
        std::vector<int64_t> start(B), order(B);
        std::iota(order.begin(), order.end(), int64_t{0});
        int64_t next = 0;
        for (int64_t b = 0; b < B; ++b) start[b] = next, next += length(b);
        if (lengths)
            std::stable_sort(order.begin(), order.end(),
                             [&](int64_t a, int64_t b) { return lengths[a] > lengths[b]; });
        const int64_t shares = std::min(B, std::max<int64_t>(threads, 1));
        const int64_t each = (B + shares - 1) / shares;
        const int64_t groups = shares * ((each + GROUP - 1) / GROUP);
        parallel_for(groups, shares, [&](int64_t first, int64_t last, int64_t share) {
            for (int64_t g = first; g < last; ++g) {
                Group group;
                group.reverse = reverse, group.share = share;
                for (int64_t k = g; k < B; k += groups) {
                    const int64_t b = order[k], r = group.count++;
                    group.row[r] = b, group.start[r] = start[b], group.length[r] = length(b);
                }
                body(group);
            }
        });
    }

    int64_t length(int64_t b) const { return lengths ? lengths[b] : T; }
};


template <class R>
struct Whole {
    SW_INLINE Vec<R> load(const R* from) const { return SW_TARGET::load<R>(from); }
    SW_INLINE void store(R* to, Vec<R> value) const { SW_TARGET::store<R>(to, value); }
    SW_INLINE Vec<R> only(Vec<R> value) const { return value; }
};

template <class R>
struct Some {
    int64_t count;
    SW_INLINE Vec<R> load(const R* from) const { return load_some<R>(from, count); }
    SW_INLINE void store(R* to, Vec<R> value) const { store_some<R>(to, value, count); }
    SW_INLINE Vec<R> only(Vec<R> value) const {
        R held[Lanes<R>::count] = {};
        store_some<R>(held, value, count);
        return SW_TARGET::load<R>(held);
    }
};

// body(j, part) for every register of `size` elements; part.load and part.store stay inside them.
template <class R, class Body>
SW_INLINE void each_vector(int64_t size, const Body& body) {
    int64_t j = 0;
    for (; j + Lanes<R>::count <= size; j += Lanes<R>::count) body(j, Whole<R>{});
    if (j < size) body(j, Some<R>{size - j});
}

template <class R>
int64_t padded(int64_t size) {
    return (size + Lanes<R>::count - 1) / Lanes<R>::count * Lanes<R>::count;
}


template <class R>
class Slots {
  public:
    // `size` elements, zero at first use only; they live until the same slot is taken again on this thread.
    static R* take(int slot, int64_t size) {
        thread_local Slots held[16];
        Slots& one = held[slot];
        if (one.size < size) {
            one.memory.reset(new R[size + 64 / sizeof(R)]());
            one.size = size;
        }
        void* at = one.memory.get();
        size_t room = (size + 64 / sizeof(R)) * sizeof(R);
        return static_cast<R*>(std::align(64, size * sizeof(R), at, room));
    }

  private:
    std::unique_ptr<R[]> memory;
    int64_t size = 0;
};


#if SW_BYTES == 64
constexpr int PANEL = 4;  // registers of columns: 6 rows x 4 registers of sums fill the 32 registers
#else
constexpr int PANEL = 2;
#endif
constexpr int TILE = 6;
constexpr int64_t DEPTH = 128;  // rows of a panel worked through at once: they stay in the first cache

// Weights are packed into panels of columns, K rows of a panel after each other; the last one may be narrower.

// For sums = U h: U [gates * H, K] by rows, each gate's H columns padded to whole registers.
template <class R>
const R* pack_across(int slot, const R* weight, int64_t gates, int64_t H, int64_t K) {
    const int64_t wide = padded<R>(H), N = gates * wide, panel = PANEL * Lanes<R>::count;
    R* packed = Slots<R>::take(slot, N * K);
    for (int64_t first = 0; first < N; first += panel) {
        const int64_t columns = std::min(panel, N - first);
        R* out = packed + K * first;
        for (int64_t n = 0; n < columns; ++n) {
            const int64_t gate = (first + n) / wide, unit = (first + n) % wide;
            const R* row = weight + (gate * H + unit) * K;
            for (int64_t k = 0; k < K; ++k) out[k * columns + n] = unit < H ? row[k] : R(0);
        }
    }
    return packed;
}

// For the way back, U' d: d [gates * padded H] to N columns.
template <class R>
const R* pack_down(int slot, const R* weight, int64_t gates, int64_t H, int64_t N) {
    const int64_t wide = padded<R>(H), all = padded<R>(N), panel = PANEL * Lanes<R>::count;
    R* packed = Slots<R>::take(slot, gates * wide * all);
    for (int64_t first = 0; first < all; first += panel) {
        const int64_t columns = std::min(panel, all - first), real = std::min(columns, N - first);
        R* out = packed + gates * wide * first;
        for (int64_t k = 0; k < gates * wide; ++k, out += columns) {
            const int64_t gate = k / wide, unit = k % wide, copied = unit < H ? real : 0;
            if (copied) std::copy_n(weight + (gate * H + unit) * N + first, copied, out);
            std::fill(out + copied, out + columns, R(0));
        }
    }
    return packed;
}

template <class R, int rows, int vectors>
SW_INLINE void tile(const R* a, int64_t lda, const R* b, int64_t K, R* c, int64_t ldc, bool add) {
    constexpr int64_t lanes = Lanes<R>::count;
    Vec<R> sums[rows][vectors];
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) sums[r][v] = add ? load<R>(c + r * ldc + v * lanes) : Vec<R>{};
    for (int64_t k = 0; k < K; ++k, b += vectors * lanes) {
        Vec<R> column[vectors];
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) column[v] = load<R>(b + v * lanes);
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r) {
            const Vec<R> one = splat<R>(a[r * lda + k]);
#pragma GCC unroll 8
            for (int v = 0; v < vectors; ++v) sums[r][v] += one * column[v];
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) store<R>(c + r * ldc + v * lanes, sums[r][v]);
}

template <class R, int vectors>
void tile_rows(int64_t rows, const R* a, int64_t lda, const R* b, int64_t K, R* c, int64_t ldc, bool add) {
    switch (rows) {
        case 1: return tile<R, 1, vectors>(a, lda, b, K, c, ldc, add);
        case 2: return tile<R, 2, vectors>(a, lda, b, K, c, ldc, add);
        case 3: return tile<R, 3, vectors>(a, lda, b, K, c, ldc, add);
        case 4: return tile<R, 4, vectors>(a, lda, b, K, c, ldc, add);
        case 5: return tile<R, 5, vectors>(a, lda, b, K, c, ldc, add);
        default: return tile<R, 6, vectors>(a, lda, b, K, c, ldc, add);
    }
}

template <class R>
void tile_any(int64_t rows, int64_t vectors, const R* a, int64_t lda, const R* b, int64_t K, R* c,
              int64_t ldc, bool add) {
#if SW_BYTES == 64
    if (vectors == 4) return tile_rows<R, 4>(rows, a, lda, b, K, c, ldc, add);
    if (vectors == 3) return tile_rows<R, 3>(rows, a, lda, b, K, c, ldc, add);
#endif
    if (vectors == 2) return tile_rows<R, 2>(rows, a, lda, b, K, c, ldc, add);
    return tile_rows<R, 1>(rows, a, lda, b, K, c, ldc, add);
}

// Two panels at once for one or two rows: with fewer sums under way the multiply-adds would wait for each other.
template <class R, int rows>
void tile_two(const R* a, int64_t lda, const R* b, const R* other, int64_t K, R* c, int64_t ldc, bool add) {
    constexpr int64_t lanes = Lanes<R>::count;
    Vec<R> sums[rows][2 * PANEL];
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 8
        for (int v = 0; v < 2 * PANEL; ++v) sums[r][v] = add ? load<R>(c + r * ldc + v * lanes) : Vec<R>{};
    for (int64_t k = 0; k < K; ++k, b += PANEL * lanes, other += PANEL * lanes) {
#pragma GCC unroll 8
        for (int v = 0; v < 2 * PANEL; ++v) {
            const Vec<R> column = v < PANEL ? load<R>(b + v * lanes) : load<R>(other + (v - PANEL) * lanes);
#pragma GCC unroll 8
            for (int r = 0; r < rows; ++r) sums[r][v] += splat<R>(a[r * lda + k]) * column;
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 8
        for (int v = 0; v < 2 * PANEL; ++v) store<R>(c + r * ldc + v * lanes, sums[r][v]);
}

// C [M, N] = A [M, K] · packed, added to what C holds when `add`; N counts whole registers.
// Every row's sums are taken in the same order whatever M is, so its bits do not depend on its neighbours.
template <class R>
void multiply(const R* a, int64_t lda, int64_t M, const R* packed, int64_t K, int64_t N, R* c, int64_t ldc,
              bool add) {
    const int64_t wide = PANEL * Lanes<R>::count, blocks = (M + TILE - 1) / TILE;
    for (int64_t first = 0; first < N; first += wide) {
        const int64_t columns = std::min(wide, N - first), vectors = columns / Lanes<R>::count;
        const R* panel = packed + K * first;
        if (M <= 2 && K >= 2 * DEPTH && first + 2 * wide <= N) {
            const auto two = M == 1 ? tile_two<R, 1> : tile_two<R, 2>;
            two(a, lda, panel, panel + K * wide, K, c + first, ldc, add);
            first += wide;
            continue;
        }
        for (int64_t k = 0; k < K; k += DEPTH) {
            const int64_t depth = std::min(DEPTH, K - k);
            for (int64_t block = 0; block < blocks; ++block) {
                const int64_t m = M * block / blocks, rows = M * (block + 1) / blocks - m;
                tile_any<R>(rows, vectors, a + m * lda + k, lda, panel + k * columns, depth,
                            c + m * ldc + first, ldc, add || k > 0);
            }
        }
    }
}


constexpr double EPSILON = 1e-5;

// Over `gates` pieces of H values, `wide` apart: x becomes (x - mean) / deviation, also written to `kept`
// (without gaps, unless null). Gives 1 / deviation.
template <class R>
R normalise(R* x, int64_t gates, int64_t H, int64_t wide, R* kept) {
    Vec<R> total = {};
    for (int64_t g = 0; g < gates; ++g)
        each_vector<R>(H, [&](int64_t j, auto part) { total += part.load(x + g * wide + j); });
    const Vec<R> mean = splat<R>(sum<R>(total) / R(gates * H));
    Vec<R> square = {};
    for (int64_t g = 0; g < gates; ++g)
        each_vector<R>(H, [&](int64_t j, auto part) {
            const Vec<R> d = part.only(part.load(x + g * wide + j) - mean);
            square += d * d;
        });
    const R scale = R(1) / std::sqrt(sum<R>(square) / R(gates * H) + R(EPSILON));
    for (int64_t g = 0; g < gates; ++g)
        each_vector<R>(H, [&](int64_t j, auto part) {
            const Vec<R> value = (part.load(x + g * wide + j) - mean) * scale;
            part.store(x + g * wide + j, value);
            if (kept) part.store(kept + g * H + j, value);
        });
    return scale;
}

// The way back: d, the gradient of gain * normalised, becomes that of x; `grad_gain` is added to.
template <class R>
void normalise_back(R* d, int64_t gates, int64_t H, int64_t wide, const R* gain, const R* kept, R scale,
                    R* grad_gain) {
    Vec<R> total = {}, along = {};
    for (int64_t g = 0; g < gates; ++g)
        each_vector<R>(H, [&](int64_t j, auto part) {
            const int64_t n = g * H + j;
            const Vec<R> grad = part.load(d + g * wide + j), value = part.load(kept + n);
            part.store(grad_gain + n, part.load(grad_gain + n) + grad * value);
            const Vec<R> inner = grad * part.load(gain + n);
            part.store(d + g * wide + j, inner);
            total += inner;
            along += inner * value;
        });
    const R count = R(gates * H);
    const Vec<R> mean = splat<R>(sum<R>(total) / count), slope = splat<R>(sum<R>(along) / count);
    for (int64_t g = 0; g < gates; ++g)
        each_vector<R>(H, [&](int64_t j, auto part) {
            const Vec<R> value = part.load(kept + g * H + j);
            part.store(d + g * wide + j, (part.load(d + g * wide + j) - mean - value * slope) * scale);
        });
}

// Rows of a group between [B, F] and the registers of scratch, padding zero.
template <class R>
void take_rows(const Group& g, const R* from, int64_t F, R* to) {
    const int64_t W = padded<R>(F);
    for (int64_t r = 0; r < g.count; ++r)
        each_vector<R>(F, [&](int64_t j, auto part) {
            store<R>(to + r * W + j, from ? part.load(from + g.row[r] * F + j) : Vec<R>{});
        });
}

template <class R>
void give_rows(const Group& g, const R* from, int64_t F, R* to) {
    const int64_t W = padded<R>(F);
    for (int64_t r = 0; r < g.count; ++r)
        each_vector<R>(F, [&](int64_t j, auto part) {
            part.store(to + g.row[r] * F + j, load<R>(from + r * W + j));
        });
}

// Gates of one row from scratch to where they lie without gaps.
template <class R>
void give_gates(const R* from, int64_t gates, int64_t H, R* to) {
    for (int64_t gate = 0; gate < gates; ++gate)
        each_vector<R>(H, [&](int64_t j, auto part) {
            part.store(to + gate * H + j, load<R>(from + gate * padded<R>(H) + j));
        });
}

// seen = h ⊙ keep for the first rows of a group; all of scratch.
template <class R>
void see(const Group& g, int64_t rows, const R* h, const R* keep, int64_t F, R* seen) {
    const int64_t W = padded<R>(F);
    for (int64_t r = 0; r < rows; ++r)
        each_vector<R>(F, [&](int64_t j, auto part) {
            store<R>(seen + r * W + j, load<R>(h + r * W + j) * part.load(keep + g.row[r] * F + j));
        });
}

// What a product saw at one step: `old`, dropped by `keep` unless null; both without gaps.
template <class R>
void saw(const R* old, const R* keep, int64_t F, R* before) {
    each_vector<R>(F, [&](int64_t j, auto part) {
        const Vec<R> value = part.load(old + j);
        part.store(before + j, keep ? value * part.load(keep + j) : value);
    });
}

// flow += grad ⊙ keep for the first rows of a group; flow and grad in scratch.
template <class R>
void flow_back(const Group& g, int64_t rows, const R* grad, const R* keep, int64_t F, R* flow) {
    const int64_t W = padded<R>(F);
    for (int64_t r = 0; r < rows; ++r)
        each_vector<R>(F, [&](int64_t j, auto part) {
            Vec<R> value = load<R>(grad + r * W + j);
            if (keep) value *= part.load(keep + g.row[r] * F + j);
            store<R>(flow + r * W + j, load<R>(flow + r * W + j) + value);
        });
}

// Zoneout: `stay` (a mask, or null for `rate` everywhere) of the old value; exactly it, or exactly the new one,
// where the mask is 1 or 0.
template <class R, class Part>
SW_INLINE Vec<R> zoned(const Part& part, const R* stay, R rate, int64_t j, Vec<R> next, Vec<R> old) {
    if (!stay && rate == R(0)) return next;
    const Vec<R> share = stay ? part.load(stay + j) : splat<R>(rate);
    return share * old + (R(1) - share) * next;
}

// to += value, elements inside an array.
template <class R, class Part>
SW_INLINE void add_to(const Part& part, R* to, Vec<R> value) {
    part.store(to, part.load(to) + value);
}

}  // namespace recurrent
}  // namespace SW_TARGET
