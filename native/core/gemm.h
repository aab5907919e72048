// Matrix products C [M, N] = A [M, K] B [K, N] (+ bias, + C), at the speed of the machine's multiply-adds.
//
// The scheme of Goto and van de Geijn 2008: B is packed into panels two registers wide that stay in the
// second cache; a tile of C lives in registers while K runs. A is read in place when its rows are contiguous
// (a broadcast costs nothing there), else packed too. Every element of C is summed over k in one fixed order,
// whatever M, N and the threads, so a row's bits do not depend on its neighbours.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <new>
#include <utility>

#include "parallel.h"
#include "simd.h"

namespace SW_TARGET {

#if SW_BYTES == 64
constexpr int GEMM_ROWS = 12;
#elif SW_BYTES == 32
constexpr int GEMM_ROWS = 6;
#else
constexpr int GEMM_ROWS = 4;
#endif
constexpr int64_t GEMM_DEPTH = 256;       // steps of K between two visits to C
constexpr int64_t GEMM_PACKED = 160 << 10;  // elements of B packed at a time: 640 KB of the second cache

// Memory of one thread that is kept between calls: fresh pages cost more than the arithmetic on them.
class Scratch {
  public:
    Scratch() = default;
    Scratch(const Scratch&) = delete;
    ~Scratch() { std::free(memory_); }

    template <class R>
    R* take(int64_t count) {
        const size_t bytes = (static_cast<size_t>(count) * sizeof(R) + 63) / 64 * 64;
        if (bytes > size_) {
            std::free(memory_);
            memory_ = std::aligned_alloc(64, bytes);
            size_ = memory_ ? bytes : 0;
            if (!memory_) throw std::bad_alloc();
        }
        return static_cast<R*>(memory_);
    }

  private:
    void* memory_ = nullptr;
    size_t size_ = 0;
};

template <class R>
struct Matrix {
    const R* data;
    int64_t row, column;  // how far apart two neighbours in a column and in a row lie

    const R* at(int64_t i, int64_t j) const { return data + i * row + j * column; }
};

// One tile of C: ROWS x two registers. `a` steps by `deep` along K and by `down` along M.
template <class R, int ROWS>
SW_INLINE void gemm_tile(const R* a, int64_t down, int64_t deep, const R* b, int64_t K, const R* bias, R* c,
                         int64_t ldc, int64_t columns, bool add) {
    constexpr int64_t W = Lanes<R>::count;
    Vec<R> left[ROWS], right[ROWS];
    const int64_t first = std::min(columns, W), second = columns - first;
    const bool whole = second == W;
    const Vec<R> bias0 = bias ? load_some<R>(bias, first) : Vec<R>{};
    const Vec<R> bias1 = bias && second ? load_some<R>(bias + W, second) : Vec<R>{};
    for (int i = 0; i < ROWS; ++i) left[i] = bias0, right[i] = bias1;
    for (int64_t k = 0; k < K; ++k) {
        const Vec<R> b0 = load<R>(b + k * 2 * W), b1 = load<R>(b + k * 2 * W + W);
#pragma GCC unroll 16
        for (int i = 0; i < ROWS; ++i) {
            const Vec<R> value = splat(a[i * down + k * deep]);
            left[i] += value * b0;
            right[i] += value * b1;
        }
    }
    // What stands in C is added last: sums of GEMM_DEPTH terms, then the sum of those, lose fewer digits.
    for (int i = 0; i < ROWS; ++i, c += ldc) {
        if (whole) {
            store<R>(c, add ? left[i] + load<R>(c) : left[i]);
            store<R>(c + W, add ? right[i] + load<R>(c + W) : right[i]);
        } else {
            store_some<R>(c, add ? left[i] + load_some<R>(c, first) : left[i], first);
            if (second) store_some<R>(c + W, add ? right[i] + load_some<R>(c + W, second) : right[i], second);
        }
    }
}

template <class R>
using GemmTile = void (*)(const R*, int64_t, int64_t, const R*, int64_t, const R*, R*, int64_t, int64_t, bool);

template <class R, int ROWS>
__attribute__((noinline)) void gemm_rows(const R* a, int64_t down, int64_t deep, const R* b, int64_t K,
                                         const R* bias, R* c, int64_t ldc, int64_t columns, bool add) {
    if (deep == 1)
        gemm_tile<R, ROWS>(a, down, 1, b, K, bias, c, ldc, columns, add);
    else
        gemm_tile<R, ROWS>(a, 1, GEMM_ROWS, b, K, bias, c, ldc, columns, add);
}

template <class R, int... COUNT>
GemmTile<R> gemm_pick(int64_t rows, std::integer_sequence<int, COUNT...>) {
    static constexpr GemmTile<R> tiles[] = {gemm_rows<R, COUNT + 1>...};
    return tiles[rows - 1];
}

// Panels of two registers: panel p holds K rows of columns 2 W p … 2 W (p + 1), zeros beyond N.
template <class R>
void gemm_pack(Matrix<R> b, int64_t K, int64_t N, R* packed) {
    constexpr int64_t WIDE = 2 * Lanes<R>::count;
    for (int64_t j = 0; j < N; j += WIDE, packed += K * WIDE) {
        const int64_t columns = std::min(WIDE, N - j);
        if (b.column == 1 && columns == WIDE) {
            for (int64_t k = 0; k < K; ++k) {
                store<R>(packed + k * WIDE, load<R>(b.at(k, j)));
                store<R>(packed + k * WIDE + WIDE / 2, load<R>(b.at(k, j) + WIDE / 2));
            }
            continue;
        }
        for (int64_t n = 0; n < WIDE; ++n)
            for (int64_t k = 0; k < K; ++k) packed[k * WIDE + n] = n < columns ? *b.at(k, j + n) : R(0);
    }
}

// The rows of A in groups of GEMM_ROWS, K after K.
template <class R>
void gemm_pack_left(Matrix<R> a, int64_t M, int64_t K, R* packed) {
    for (int64_t i = 0; i < M; i += GEMM_ROWS, packed += K * GEMM_ROWS) {
        const int64_t rows = std::min<int64_t>(GEMM_ROWS, M - i);
        if (a.row == 1 && rows == GEMM_ROWS) {
            for (int64_t k = 0; k < K; ++k) std::memcpy(packed + k * GEMM_ROWS, a.at(i, k), GEMM_ROWS * sizeof(R));
            continue;
        }
        for (int64_t k = 0; k < K; ++k)
            for (int64_t m = 0; m < rows; ++m) packed[k * GEMM_ROWS + m] = *a.at(i + m, k);
    }
}

// On one thread. `bias` [N] or null; with `add` the product is added to C and `bias` is not read.
template <class R>
void gemm_one(Matrix<R> a, Matrix<R> b, R* c, int64_t ldc, int64_t M, int64_t N, int64_t K, const R* bias,
              bool add) {
    constexpr int64_t WIDE = 2 * Lanes<R>::count;
    static thread_local Scratch right, left;
    if (K == 0 && !add)
        for (int64_t i = 0; i < M; ++i)
            for (int64_t j = 0; j < N; ++j) c[i * ldc + j] = bias ? bias[j] : R(0);
    const bool in_place = a.column == 1;
    for (int64_t from = 0; from < K; from += GEMM_DEPTH) {
        const int64_t deep = std::min(GEMM_DEPTH, K - from);
        const int64_t most = std::max(WIDE, GEMM_PACKED / deep / WIDE * WIDE);
        const bool adding = add || from > 0;
        const R* rows = a.at(0, from);
        if (!in_place) {
            R* held = left.take<R>((M + GEMM_ROWS - 1) / GEMM_ROWS * GEMM_ROWS * deep);
            gemm_pack_left<R>({a.at(0, from), a.row, a.column}, M, deep, held);
            rows = held;
        }
        for (int64_t j = 0; j < N; j += most) {
            const int64_t wide = std::min(most, N - j);
            R* panels = right.take<R>((wide + WIDE - 1) / WIDE * WIDE * deep);
            gemm_pack<R>({b.at(from, j), b.row, b.column}, deep, wide, panels);
            for (int64_t i = 0; i < M; i += GEMM_ROWS) {
                const int64_t count = std::min<int64_t>(GEMM_ROWS, M - i);
                const auto tile = gemm_pick<R>(count, std::make_integer_sequence<int, GEMM_ROWS>{});
                const R* at = in_place ? rows + i * a.row : rows + i * deep;
                for (int64_t n = 0; n < wide; n += WIDE)
                    tile(at, a.row, in_place ? 1 : GEMM_ROWS, panels + n * deep, deep, bias && !adding ? bias + j + n : nullptr,
                         c + i * ldc + j + n, ldc, std::min(WIDE, wide - n), adding);
            }
        }
    }
}

// C [M, N] = A B (+ bias) or, with `add`, C += A B, shared by threads along the longer side of C.
template <class R>
void gemm(Matrix<R> a, Matrix<R> b, R* c, int64_t ldc, int64_t M, int64_t N, int64_t K, const R* bias, bool add,
          int64_t threads) {
    if (M * N * std::max<int64_t>(K, 1) < 32 * 1024) threads = 1;  // waking a thread takes longer
    const bool by_rows = M >= N;
    const int64_t unit = by_rows ? GEMM_ROWS : 2 * Lanes<R>::count, side = by_rows ? M : N;
    parallel_for((side + unit - 1) / unit, threads, [&](int64_t first, int64_t last, int64_t) {
        const int64_t from = first * unit, to = std::min(last * unit, side);
        if (by_rows)
            gemm_one<R>({a.at(from, 0), a.row, a.column}, b, c + from * ldc, ldc, to - from, N, K, bias, add);
        else
            gemm_one<R>(a, {b.at(0, from), b.row, b.column}, c + from, ldc, M, to - from, K,
                        bias ? bias + from : nullptr, add);
    });
}

}  // namespace SW_TARGET
