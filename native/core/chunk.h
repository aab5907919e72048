// What the kernels that work in chunks of a sequence share: decays between steps, rows times factors.
//
// A sequence of heads is read where it lies: step t of head h of row b starts at
// data + b * batch + t * time + h * head, and its elements are neighbours.
#pragma once

#include "functions.h"
#include "gemm.h"

namespace SW_TARGET {

template <class R>
struct Heads {
    const R* data;
    int64_t batch, time, head;

    const R* at(int64_t b, int64_t t, int64_t h) const { return data + b * batch + t * time + h * head; }
};

// One piece of memory handed out in parts.
template <class R>
class Parts {
  public:
    Parts(Scratch& scratch, int64_t count) : next_(scratch.take<R>(count)) {}
    R* take(int64_t count) { return std::exchange(next_, next_ + count); }

  private:
    R* next_;
};

// values[i] = exp(values[i])
template <class R>
void exp_all(R* values, int64_t count) {
    constexpr int64_t W = Lanes<R>::count;
    for (int64_t i = 0; i < count; i += W) {
        const int64_t some = std::min(W, count - i);
        store_some<R>(values + i, exp(load_some<R>(values + i, some)), some);
    }
}

// matrix[t, s] = exp(rise[s] - fall[t]) for s <= t, else 0. The difference is taken in double: in float the
// difference of two long sums would not do.
template <class R>
void decay_matrix(const double* rise, const double* fall, int64_t steps, R* matrix) {
    for (int64_t t = 0; t < steps; ++t, matrix += steps) {
        for (int64_t s = 0; s <= t; ++s) matrix[s] = static_cast<R>(rise[s] - fall[t]);
        exp_all<R>(matrix, t + 1);
        std::fill(matrix + t + 1, matrix + steps, R(0));
    }
}

// The levels of one chunk (a decay is the exponential of a difference of two), and what its steps keep of the
// state before it, leave to the state after it, and what the whole chunk keeps of it.
template <class R>
struct Span {
    int64_t steps;
    double *rise, *fall;
    R *kept, *fade, keep;

    // `stride` apart lie the levels of neighbouring steps; `before` is that of the state before.
    void read(const double* from_rise, const double* from_fall, int64_t stride, double before) {
        for (int64_t t = 0; t < steps; ++t) rise[t] = from_rise[t * stride], fall[t] = from_fall[t * stride];
        for (int64_t t = 0; t < steps; ++t) {
            kept[t] = static_cast<R>(before - fall[t]);
            fade[t] = static_cast<R>(rise[t] - fall[steps - 1]);
        }
        exp_all<R>(kept, steps);
        exp_all<R>(fade, steps);
        keep = kept[steps - 1];
    }
};

// to[i, :] = factor[i] * from[i, :], or += with `add`.
template <class R>
void scale_rows(const R* factor, const R* from, int64_t from_row, R* to, int64_t to_row, int64_t rows,
                int64_t columns, bool add = false) {
    for (int64_t i = 0; i < rows; ++i, from += from_row, to += to_row) {
        const R by = factor[i];
        if (add)
            for (int64_t j = 0; j < columns; ++j) to[j] += by * from[j];
        else
            for (int64_t j = 0; j < columns; ++j) to[j] = by * from[j];
    }
}

// a[i] *= by
template <class R>
void scale(R* a, R by, int64_t count) {
    for (int64_t i = 0; i < count; ++i) a[i] *= by;
}

// The inner product of two lines of `count` elements, always in the same order.
template <class R>
R dot(const R* a, const R* b, int64_t count) {
    constexpr int64_t W = Lanes<R>::count;
    Vec<R> total = {};
    for (int64_t i = 0; i < count; i += W) {
        const int64_t some = std::min(W, count - i);
        total += load_some<R>(a + i, some) * load_some<R>(b + i, some);
    }
    return sum<R>(total);
}

// to [columns, rows] = from [rows, columns] turned over.
template <class R>
void transpose(const R* from, int64_t rows, int64_t columns, R* to) {
    for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < columns; ++j) to[j * rows + i] = from[i * columns + j];
}

}  // namespace SW_TARGET
