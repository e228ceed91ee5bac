// Elements by their row-major number: for kernels whose result depends on which element it is,
// whatever the order in memory.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/elementwise.h"

namespace tf::cpu::TF_ISA {
namespace {

// Dimensions of one array, merged where they follow each other in memory.
struct Walk {
  int n;  // at least 1
  int64_t shape[8], stride[8];

  // Offset, in elements, of the element with a row-major number.
  int64_t at(int64_t i) const {
    if (n == 1) return i * stride[0];
    int64_t offset = 0;
    for (int d = n - 1; d > 0; --d) {
      offset += i % shape[d] * stride[d];
      i /= shape[d];
    }
    return offset + i * stride[0];
  }
};

static inline Walk make_walk(const int64_t* shape, const int64_t* strides, int ndim) {
  Walk w;
  w.n = 0;
  for (int d = 0; d < ndim; ++d) {
    if (shape[d] == 1) continue;
    if (w.n > 0 && w.stride[w.n - 1] == strides[d] * shape[d]) {
      w.shape[w.n - 1] *= shape[d];
      w.stride[w.n - 1] = strides[d];
    } else {
      w.shape[w.n] = shape[d];
      w.stride[w.n++] = strides[d];
    }
  }
  if (w.n == 0) {
    w.shape[0] = w.stride[0] = 1;
    w.n = 1;
  }
  return w;
}
static inline Walk make_walk(const tf_view& v) { return make_walk(v.shape, v.strides, v.ndim); }

// run(offset, stride, length, first) for the elements [begin, end), in runs of equal stride.
template <class Run>
static inline void for_runs(const Walk& w, int64_t begin, int64_t end, const Run& run) {
  const int last = w.n - 1;
  while (begin < end) {
    const int64_t left = w.n == 1 ? end - begin : w.shape[last] - begin % w.shape[last];
    const int64_t n = left < end - begin ? left : end - begin;
    run(w.at(begin), w.stride[last], n, begin);
    begin += n;
  }
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
