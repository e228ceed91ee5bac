// concat: xs… → out, one behind the other along a dimension. slice_put: base with a part
// overwritten by value.
// SPDX-License-Identifier: MIT
#include "backends/cpu/copy.h"

namespace tf::cpu::TF_ISA {
namespace {

static inline char* element(const tf_view& v, int64_t offset) {
  return static_cast<char*>(v.data) + offset * bytes_of(v.dtype);
}

static tf_status concat_kernel(const tf_kernel_call* c, void*) {
  const int dim = int(c->attr[0].i);
  const tf_view& out = c->out[0];
  int64_t start = 0;
  for (int k = 0; k < c->n_in; ++k) {
    const tf_view& x = c->in[k];
    tf_view part = out;
    part.shape = x.shape;
    part.data = element(out, start * out.strides[dim]);
    start += x.shape[dim];
    if (const tf_status status = copy_view(part, x)) return status;
  }
  return TINYFIN_OK;
}
TF_KERNEL(concat, TINYFIN_DTYPES_ALL | TINYFIN_DTYPES_BFLOAT16, concat_kernel);

// Attributes: (dim, start, step, length) for each dimension that is cut, by increasing
// dimension; a step of 0 takes one element and drops the dimension.
static tf_status slice_put_kernel(const tf_kernel_call* c, void*) {
  const tf_view &base = c->in[0], &value = c->in[1], &out = c->out[0];
  if (numel(value) != numel(out)) {
    const tf_status status = absent(base)             ? zero_view(out)
                             : base.data != out.data ? copy_view(out, base)
                                                     : TINYFIN_OK;
    if (status != TINYFIN_OK) return status;
  }
  int64_t strides[8], offset = 0;
  int n = 0, next = 0;
  for (int d = 0; d < out.ndim; ++d) {
    int64_t stride = out.strides[d];
    if (next < c->n_attr && c->attr[next].i == d) {
      const int64_t start = c->attr[next + 1].i, step = c->attr[next + 2].i;
      next += 4;
      offset += start * stride;
      if (step == 0) continue;
      stride *= step;
    }
    strides[n++] = stride;
  }
  if (numel(value) == 0) return TINYFIN_OK;
  const tf_view part{element(out, offset), value.shape, strides, n, out.dtype};
  return copy_view(part, value);
}
TF_KERNEL(slice_put, TINYFIN_DTYPES_ALL | TINYFIN_DTYPES_BFLOAT16, slice_put_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
