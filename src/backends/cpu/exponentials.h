// Rows of exp(x - top), of which softmax and cross-entropy are made; top is the row's maximum. A NaN
// in the row makes the sum NaN.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/rows.h"
#include "backends/cpu/vmath.h"

namespace tf::cpu::TF_ISA {
namespace {

// Their sum.
template <class T>
TF_INLINE T sum_exp_row(const T* x, Vec<T> top, int64_t n) {
  return row_sum<T>(n, [&](int64_t i, int64_t lanes) TF_ALWAYS_INLINE {
    return exp_nonpositive(load_lanes(x + i, lanes) - top);
  });
}

// The same; they are stored as well.
template <class T>
TF_INLINE T exp_row(T* out, const T* x, Vec<T> top, int64_t n) {
  return row_sum<T>(n, [&](int64_t i, int64_t lanes) TF_ALWAYS_INLINE {
    const Vec<T> y = exp_nonpositive(load_lanes(x + i, lanes) - top);
    store_lanes(out + i, y, lanes);
    return y;
  });
}

// out = x scale
template <class T>
TF_INLINE void scale_row(T* out, const T* x, Vec<T> scale, int64_t n) {
  fill_row(out, n, [&](int64_t i, int64_t lanes)
                       TF_ALWAYS_INLINE { return load_lanes(x + i, lanes) * scale; });
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
