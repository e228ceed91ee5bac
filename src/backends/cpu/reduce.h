// Reductions over a mask of dimensions: the walk that all of them share.
//
// The output is one loop over kept dimensions; each of its elements reduces a block of the
// input. Which elements meet in which order depends on shapes and strides alone.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/elementwise.h"

namespace tf::cpu::TF_ISA {
namespace {

// Kept and reduced dimensions of one call, merged where contiguous. Strides in elements.
struct Reduction {
  int kept, reduced;
  int64_t kept_shape[8], kept_in[8], kept_out[8];
  int64_t shape[8], stride[8];  // of the reduced dimensions, outermost first
  int64_t outputs, count;       // elements of the output; elements that each one reduces
};

// out may hold the reduced dimensions with size 1 or not at all.
static inline Reduction make_reduction(const tf_view& in, const tf_view& out, uint64_t mask) {
  Reduction r;
  r.kept = r.reduced = 0;
  r.outputs = r.count = 1;
  const bool keepdim = out.ndim == in.ndim;
  int o = 0;
  for (int d = 0; d < in.ndim; ++d) {
    const bool gone = (mask >> d) & 1;
    const int64_t n = in.shape[d], s = in.strides[d];
    const int64_t t = gone ? 0 : out.strides[o];
    if (!gone || keepdim) ++o;
    (gone ? r.count : r.outputs) *= n;
    if (n == 1) continue;
    if (gone) {
      if (r.reduced > 0 && r.stride[r.reduced - 1] == s * n) {
        r.shape[r.reduced - 1] *= n;
        r.stride[r.reduced - 1] = s;
      } else {
        r.shape[r.reduced] = n;
        r.stride[r.reduced++] = s;
      }
    } else if (r.kept > 0 && r.kept_in[r.kept - 1] == s * n && r.kept_out[r.kept - 1] == t * n) {
      r.kept_shape[r.kept - 1] *= n;
      r.kept_in[r.kept - 1] = s;
      r.kept_out[r.kept - 1] = t;
    } else {
      r.kept_shape[r.kept] = n;
      r.kept_in[r.kept] = s;
      r.kept_out[r.kept++] = t;
    }
  }
  return r;
}

// Offsets (in elements) of output number i in the input and in the output.
static inline void locate(const Reduction& r, int64_t i, int64_t& in, int64_t& out) {
  in = out = 0;
  for (int d = r.kept - 1; d >= 0; --d) {
    const int64_t k = i % r.kept_shape[d];
    i /= r.kept_shape[d];
    in += k * r.kept_in[d];
    out += k * r.kept_out[d];
  }
}

// Offset of reduced element number i from the first one of its output.
static inline int64_t reduced_offset(const Reduction& r, int64_t i) {
  int64_t offset = 0;
  for (int d = r.reduced - 1; d >= 0; --d) {
    offset += i % r.shape[d] * r.stride[d];
    i /= r.shape[d];
  }
  return offset;
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
