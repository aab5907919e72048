#include "gemm.h"

#include "kernels.h"

namespace SW_TARGET {

void gemm_f32(const float* a, int64_t a_row, int64_t a_column, const float* b, int64_t b_row, int64_t b_column,
              float* c, int64_t c_row, int64_t M, int64_t N, int64_t K, const float* bias, int64_t add,
              int64_t threads) {
    gemm<float>({a, a_row, a_column}, {b, b_row, b_column}, c, c_row, M, N, K, bias, add != 0, threads);
}

void gemm_f64(const double* a, int64_t a_row, int64_t a_column, const double* b, int64_t b_row, int64_t b_column,
              double* c, int64_t c_row, int64_t M, int64_t N, int64_t K, const double* bias, int64_t add,
              int64_t threads) {
    gemm<double>({a, a_row, a_column}, {b, b_row, b_column}, c, c_row, M, N, K, bias, add != 0, threads);
}

}  // namespace SW_TARGET
