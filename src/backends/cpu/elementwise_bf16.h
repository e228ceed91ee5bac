// Elementwise kernels on bfloat16: widened in registers, computed in float32, rounded once.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/bf16.h"
#include "backends/cpu/elementwise.h"

namespace tf::cpu::TF_ISA {
namespace {

// Rows of one type are all that these kernels know: the core converts others.
static inline bool all_bf16(const tf_kernel_call* c) {
  bool all = true;
  for (int32_t k = 0; k < c->n_in; ++k)
    all = all && (absent(c->in[k]) || c->in[k].dtype == TINYFIN_BFLOAT16);
  for (int32_t k = 0; k < c->n_out; ++k) all = all && c->out[k].dtype == TINYFIN_BFLOAT16;
  return all;
}

// Elements [i, i + n) of a row as contiguous ones, or the row's only one.
static inline const BFloat16* side_by_side(const BFloat16* row, int64_t stride, int64_t i,
                                           int64_t n, BFloat16* buffer) {
  if (stride == 1 || stride == 0) return row + i * stride;
  gather(row + i * stride, stride, buffer, n);
  return buffer;
}

// The whole of a kernel of kInputs operands; op takes as many registers of float32.
template <int kInputs, class Op>
static inline tf_status elementwise_bf16(const tf_kernel_call* c, const Op& op) {
  if (!all_bf16(c)) return TINYFIN_ERROR_UNSUPPORTED;
  const tf_view* views[] = {&c->out[0], &c->in[0], &c->in[kInputs - 1]};
  const Loop<3> loop = make_loop<3>({views[0], views[1], views[2]});
  return for_rows(loop, [&](char* const* ptr, const int64_t* stride, int64_t n) {
    constexpr int w = F32::kWidth;
    BFloat16* out = reinterpret_cast<BFloat16*>(ptr[0]);
    BFloat16 x_buffer[kBuffer], y_buffer[kBuffer], out_buffer[kBuffer];
    for (int64_t i = 0; i < n; i += kBuffer) {
      const int64_t m = n - i < kBuffer ? n - i : kBuffer;
      const BFloat16* x = side_by_side(reinterpret_cast<const BFloat16*>(ptr[1]), stride[1], i, m,
                                       x_buffer);
      const BFloat16* y = x;
      if constexpr (kInputs == 2)
        y = side_by_side(reinterpret_cast<const BFloat16*>(ptr[2]), stride[2], i, m, y_buffer);
      BFloat16* to = stride[0] == 1 ? out + i : out_buffer;
      const auto read = [&](const BFloat16* from, int64_t step, int64_t j, int64_t left)
                            TF_ALWAYS_INLINE {
        return step == 0   ? F32(tf::widened(*from))
               : left >= w ? load_wide(from + j)
                           : load_wide_n(from + j, left);
      };
      for (int64_t j = 0; j < m; j += w) {
        const F32 a = read(x, stride[1], j, m - j);
        F32 result;
        if constexpr (kInputs == 2) {
          result = op(a, read(y, stride[2], j, m - j));
        } else {
          result = op(a);
        }
        m - j >= w ? store_rounded(to + j, result) : store_rounded_n(to + j, result, m - j);
      }
      if (stride[0] != 1) scatter(out_buffer, out + i * stride[0], stride[0], m);
    }
  });
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
