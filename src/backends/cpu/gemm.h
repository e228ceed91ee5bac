// Matrix products for kernel files: linear layers, matmul and, by its sum over several pairs,
// convolution as implicit GEMM.
//
//   C = activation([C +] sum over r of A_r · B_r + bias + residual),
//     A_r (m,k), B_r (k,n), C (m,n)
//   C = ([C +] sum over r of A_r · B_r + bias) * the activation's derivative, where `result` is given
//
// Every element of C is one chain of multiply-adds over r and k in ascending order (short vectors:
// a fixed tree; long sums over rows: two chains; chosen by m, n, k and strides alone), so neither
// the cut into tiles nor the number of threads can change a bit of it. Sums of A's rows go along k
// in order too, by blocks that m, n, k and strides choose.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/kernel.h"

namespace tf::cpu {

// T: float or double. Strides count elements and may be anything, 0 and negative included.
// Fast without copies: b_col == 1 (B row-major), and any A. B with b_row == 1 (transposed, as a
// weight (out,in) is) is transposed in registers, panel by panel. C must not overlap A or B.
template <class T>
struct Gemm {
  int64_t m, n, k;
  const T* a;  // element (i, p) of A_r is a[r * a_step + i * a_row + p * a_col]
  int64_t a_row, a_col;
  const T* b;  // element (p, j) of B_r is b[r * b_step + p * b_row + j * b_col]
  int64_t b_row, b_col;
  T* c;  // element (i, j) is c[i * ldc + j]
  int64_t ldc;
  bool accumulate = false;  // add to C instead of overwriting it
  const T* bias = nullptr;  // n values, one per column, or null
  int64_t bias_step = 1;
  tf_activation activation = TINYFIN_ACTIVATION_NONE;
  int64_t reduce = 1;  // how many products are summed (0: none, C becomes the epilogue of 0)
  int64_t a_step = 0, b_step = 0;
  // The result of the activation whose derivative is multiplied by, laid out as C, or null.
  const T* result = nullptr;
  // Element (i, j) of what is added to the sums and the bias: residual[i * residual_row + j], or
  // null. Not together with `result`.
  const T* residual = nullptr;
  int64_t residual_row = 0;
  T* row_sums = nullptr;  // m values or null: sums over r and k of A, written or added to as C is

  // What the register tile of the last product ends in.
  bool ends_in_relu() const {
    return activation == TINYFIN_ACTIVATION_RELU && !result && !residual;
  }
  // C and what is laid out as C is, from an element on; the sums of A's rows belong to the pieces
  // of the first columns.
  void move_to(int64_t row, int64_t column) {
    const int64_t by = row * ldc + column;
    c += by;
    if (result) result += by;
    if (residual) residual += row * residual_row + column;
    if (row_sums) row_sums = column > 0 ? nullptr : row_sums + row;
  }
};

// Products of one shape at strided places: index i of dimension d moves the pointers by
// i * a[d], i * b[d] and i * c[d] elements.
struct GemmBatch {
  int ndim = 0;
  int64_t shape[8], a[8], b[8], c[8];
};

namespace TF_ISA {

// On the calling thread: for use inside a tile of parallel_for. Sizes may be 0. Needs up to
// 64 KiB of stack; takes a block from the host where packing A pays.
void gemm(const Gemm<float>& g);
void gemm(const Gemm<double>& g);

// Cut into tiles for the pool; small products stay on the calling thread.
tf_status gemm_parallel(const Gemm<float>& g, const GemmBatch& batch = {});
tf_status gemm_parallel(const Gemm<double>& g, const GemmBatch& batch = {});

}  // namespace TF_ISA
}  // namespace tf::cpu
