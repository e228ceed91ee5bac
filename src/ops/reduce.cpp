// Reductions over dimensions. Every reduction's first attribute is the mask of the dimensions
// it removes; the output holds the others, or all with size 1 at those (keepdim).
// SPDX-License-Identifier: MIT
#include "ops/op.h"
#include "ops/ops.h"

namespace tf {
namespace {

uint32_t mask_of(const Tensor& x, OptIntList dim) {
  // An empty list of dimensions means all, as a missing one does.
  return dim && !dim->empty() ? dim_mask(dim->data(), int64_t(dim->size()), x.ndim())
                              : dim_mask(nullptr, 0, x.ndim());
}

Dims reduced_shape(const Dims& shape, uint32_t mask, bool keepdim) {
  Dims out;
  for (int d = 0; d < shape.size(); ++d) {
    if (!((mask >> d) & 1))
      out.push_back(shape[d]);
    else if (keepdim)
      out.push_back(1);
  }
  return out;
}

// The gradient of a reduction, seen in the input's shape: nothing is copied.
Tensor spread(Vjp& v, const Tensor& grad) {
  const Dims kept = reduced_shape(v.in_shape(0), uint32_t(v.i(0)), true);
  return expand(reshape(grad, as_list(kept)), as_list(v.in_shape(0)));
}

void sum_vjp(Vjp& v) { v.set(0, spread(v, v.grad())); }
const Primitive sum_p{{.name = "sum", .signature = "x; int mask", .vjp = sum_vjp}};

}  // namespace

//@op sum(Tensor x, int[]? dim=None, bool keepdim=False, dtype dtype=None) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Sum over dimensions (all where none is given). Integers and bool are added up as int64.
Tensor sum(const Tensor& x, OptIntList dim, bool keepdim, DType dtype) {
  const Tensor value = cast_to(x, dtype == DType::none ? sum_type(x.dtype()) : sum_type(dtype));
  const uint32_t mask = mask_of(value, dim);
  return run(sum_p, {&value}, Attrs(mask),
             meta_of_shape(reduced_shape(value.shape(), mask, keepdim), value.dtype(),
                           value.device()));
}

}  // namespace tf
