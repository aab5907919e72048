// What runs along an axis: sums, norms, shares, running sums, and products of two vectors that both change.
#include "functions.h"
#include "rows.h"

namespace SW_TARGET {
namespace {

constexpr int64_t W = Lanes<float>::count;

struct Along {
    int32_t outer, inner, dst, src, stride;
};

// Combines the elements in an order that depends on `count` alone; lanes beyond it hold `rest`.
template <class Combine>
SW_INLINE float folded(const float* from, int64_t count, float rest, const Combine& combine) {
    Vec<float> found = splat<float>(rest);
    int64_t i = 0;
    for (; i + W <= count; i += W) found = combine(found, load<float>(from + i));
    float held[W];
    store<float>(held, found);
    for (; i < count; ++i) held[i % W] = combine(splat<float>(held[i % W]), splat<float>(from[i]))[0];
    for (int64_t width = W / 2; width > 0; width /= 2)
        for (int64_t lane = 0; lane < width; ++lane)
            held[lane] = combine(splat<float>(held[lane]), splat<float>(held[lane + width]))[0];
    return held[0];
}

SW_INLINE float total(const float* from, int64_t count) {
    return folded(from, count, 0.0f, [](Vec<float> a, Vec<float> b) { return a + b; });
}

SW_INLINE float highest(const float* from, int64_t count) {
    return folded(from, count, -INFINITY, [](Vec<float> a, Vec<float> b) { return greater(a, b); });
}

// Pieces that lie `stride` apart element by element: added register by register.
template <class Combine>
void across(float* to, const float* from, int64_t outer, int64_t inner, int64_t step, const Combine& combine) {
    for (int64_t first = 0; first < outer; first += W) {
        const int64_t count = outer - first < W ? outer - first : W;
        Vec<float> found = load_some<float>(from + first, count);
        for (int64_t k = 1; k < inner; ++k) found = combine(found, load_some<float>(from + k * step + first, count));
        store_some<float>(to + first, found, count);
    }
}

template <class Combine>
void reduce_across(const int32_t* at, const Frame& frame, const Combine& combine) {
    for (int64_t row = 0; row < frame.rows; ++row)
        across(frame.at(at[3], row), frame.at(at[4], row), at[1], at[2], at[6], combine);
}

}  // namespace

// at: function, outer, inner, dst, src, stride, inner stride; stride 1 means that results lie side by side.
void run_reduce(const int32_t* at, const Frame& frame) {
    const bool sums = at[0] == 0;
    if (at[6] != 1) {
        if (sums) reduce_across(at, frame, [](Vec<float> a, Vec<float> b) { return a + b; });
        else reduce_across(at, frame, [](Vec<float> a, Vec<float> b) { return greater(a, b); });
        return;
    }
    for (int64_t row = 0; row < frame.rows; ++row) {
        float* to = frame.at(at[3], row);
        const float* from = frame.at(at[4], row);
        for (int64_t piece = 0; piece < at[1]; ++piece, from += at[5])
            to[piece] = sums ? total(from, at[2]) : highest(from, at[2]);
    }
}

// at: outer, inner, dst, src, stride, weight, bias, epsilon: (x - mean) / sqrt(variance + epsilon) weight + bias.
void run_norm(const int32_t* at, const Frame& frame) {
    const int64_t size = at[1];
    float epsilon;
    __builtin_memcpy(&epsilon, at + 7, 4);
    const float* weight = at[5] < 0 ? nullptr : frame.at(at[5], 0);
    const float* bias = at[6] < 0 ? nullptr : frame.at(at[6], 0);
    for (int64_t row = 0; row < frame.rows; ++row) {
        float* to = frame.at(at[2], row);
        const float* from = frame.at(at[3], row);
        for (int64_t piece = 0; piece < at[0]; ++piece, from += at[4], to += size) {
            const float mean = total(from, size) / static_cast<float>(size);
            Vec<float> squares = {};
            for (int64_t i = 0; i < size; i += W) {
                const int64_t count = size - i < W ? size - i : W;
                const Vec<float> off = load_some<float>(from + i, count) - mean;
                store_some<float>(to + i, off, count);
                // Lanes beyond the end hold -mean: taken out again by loading what was stored.
                const Vec<float> clean = count == W ? off : load_some<float>(to + i, count);
                squares += clean * clean;
            }
            const float scale = 1.0f / std::sqrt(sum<float>(squares) / static_cast<float>(size) + epsilon);
            for (int64_t i = 0; i < size; i += W) {
                const int64_t count = size - i < W ? size - i : W;
                Vec<float> value = load_some<float>(to + i, count) * scale;
                if (weight) value *= load_some<float>(weight + i, count);
                if (bias) value += load_some<float>(bias + i, count);
                store_some<float>(to + i, value, count);
            }
        }
    }
}

void run_softmax(const int32_t* at, const Frame& frame) {
    Along along;
    __builtin_memcpy(&along, at, sizeof along);
    const int64_t size = along.inner;
    for (int64_t row = 0; row < frame.rows; ++row) {
        float* to = frame.at(along.dst, row);
        const float* from = frame.at(along.src, row);
        for (int64_t piece = 0; piece < along.outer; ++piece, from += along.stride, to += size) {
            const float top = highest(from, size);
            for (int64_t i = 0; i < size; i += W) {
                const int64_t count = size - i < W ? size - i : W;
                store_some<float>(to + i, exp(load_some<float>(from + i, count) - top), count);
            }
            const float share = 1.0f / total(to, size);
            for (int64_t i = 0; i < size; ++i) to[i] *= share;
        }
    }
}

void run_cumsum(const int32_t* at, const Frame& frame) {
    Along along;
    __builtin_memcpy(&along, at, sizeof along);
    for (int64_t row = 0; row < frame.rows; ++row) {
        float* to = frame.at(along.dst, row);
        const float* from = frame.at(along.src, row);
        for (int64_t piece = 0; piece < along.outer; ++piece, from += along.stride, to += along.inner) {
            float sum = 0.0f;
            for (int64_t i = 0; i < along.inner; ++i) to[i] = sum += from[i];
        }
    }
}

namespace {

struct Product {
    int32_t batch, n, k, m, dst, a, a_batch, a_row, a_column, b, b_batch, b_row, b_column;
};

// One row of the result, `m` wide, from rows of b that lie side by side.
void by_rows(float* to, const float* a, const float* b, const Product& p) {
    for (int64_t j = 0; j < p.m; j += W) {
        const int64_t count = p.m - j < W ? p.m - j : W;
        Vec<float> found = {};
        for (int64_t k = 0; k < p.k; ++k)
            found += a[k * p.a_column] * load_some<float>(b + k * p.b_row + j, count);
        store_some<float>(to + j, found, count);
    }
}

float by_element(const float* a, const float* b, const Product& p) {
    if (p.a_column != 1 || p.b_row != 1) {
        float found = 0.0f;
        for (int64_t k = 0; k < p.k; ++k) found += a[k * p.a_column] * b[k * p.b_row];
        return found;
    }
    Vec<float> found = {};
    int64_t k = 0;
    for (; k + W <= p.k; k += W) found += load<float>(a + k) * load<float>(b + k);
    if (k < p.k) found += load_some<float>(a + k, p.k - k) * load_some<float>(b + k, p.k - k);
    return sum<float>(found);
}

}  // namespace

void run_product(const int32_t* at, const Frame& frame) {
    Product p;
    __builtin_memcpy(&p, at, sizeof p);
    for (int64_t row = 0; row < frame.rows; ++row) {
        float* to = frame.at(p.dst, row);
        for (int64_t piece = 0; piece < p.batch; ++piece)
            for (int64_t i = 0; i < p.n; ++i, to += p.m) {
                const float* a = frame.at(p.a, row) + piece * p.a_batch + i * p.a_row;
                const float* b = frame.at(p.b, row) + piece * p.b_batch;
                if (p.b_column == 1 && p.m > 1) {
                    by_rows(to, a, b, p);
                } else {
                    for (int64_t j = 0; j < p.m; ++j) to[j] = by_element(a, b + j * p.b_column, p);
                }
            }
    }
}

// A whole number of 64 bits in the state: cosines and sines of its multiples, itself, and how it goes on.
void run_clock(const int32_t* at, const Frame& frame) {
    const float *offsets = frame.at(at[4], 0), *factors = frame.at(at[5], 0);
    for (int64_t row = 0; row < frame.rows; ++row) {
        float* to = frame.at(at[2], row);
        int64_t count;
        __builtin_memcpy(&count, frame.at(at[3], row), sizeof count);
        if (at[0] == 3) {
            count += std::fabs(offsets[0]) < 1e9f ? static_cast<int64_t>(offsets[0]) : 0;
            __builtin_memcpy(to, &count, sizeof count);
            continue;
        }
        for (int64_t i = 0; i < at[1]; ++i) {
            double factor;
            __builtin_memcpy(&factor, factors + 2 * i, sizeof factor);
            const double number = static_cast<double>(count) + static_cast<double>(offsets[i]);
            const double angle = number * factor;
            to[i] = static_cast<float>(at[0] == 0 ? std::cos(angle) : at[0] == 1 ? std::sin(angle) : number);
        }
    }
}

}  // namespace SW_TARGET
