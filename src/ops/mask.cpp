// Masks: where elements are not zero, the elements that a mask names, triangles.
// SPDX-License-Identifier: MIT
#include "ops/op.h"
#include "ops/ops.h"

namespace tf {
namespace {

const Primitive count_nonzero_p{{.name = "count_nonzero", .signature = "x"}};
// Row by row the indices of an element, in row-major order of the elements.
const Primitive nonzero_p{{.name = "nonzero", .signature = "x"}};

Tensor triangle(const Tensor& x, int64_t diagonal, bool upper);

void triangle_vjp(Vjp& v) { v.set(0, triangle(v.grad(), v.i(0), v.i(1) != 0)); }
const Primitive triangle_p{{.name = "triangle", .signature = "x; int diagonal, int upper",
                            .vjp = triangle_vjp}};

Tensor triangle(const Tensor& x, int64_t diagonal, bool upper) {
  TF_CHECK(x.ndim() >= 2, TINYFIN_ERROR_SHAPE, "received shape ", to_string(x.shape()),
           "; expected at least two dimensions");
  return run(triangle_p, {&x}, Attrs(diagonal, upper), meta_like(x));
}

}  // namespace

//@op count_nonzero(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: no, the result is a whole number
//@ python: function method
//@ doc: How many elements are not zero (NaN is not), int64 without dimensions.
Tensor count_nonzero(const Tensor& x) {
  return run(count_nonzero_p, {&x}, Attrs(), meta_of_shape({}, DType::i64, x.device()));
}

//@op nonzero(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: no, the result holds whole numbers
//@ python: function method
//@ doc: Indices of the elements that are not zero, in row-major order: int64 (count, ndim).
Tensor nonzero(const Tensor& x) {
  const int64_t n = item_i64(count_nonzero(x));
  return run(nonzero_p, {&x}, Attrs(), meta_of_shape({n, x.ndim()}, DType::i64, x.device()));
}

//@op masked_select(Tensor x, Tensor mask) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: The elements of x where mask is true, in row-major order; the two broadcast.
Tensor masked_select(const Tensor& x, const Tensor& mask) {
  TF_CHECK(is_bool(mask.dtype()), TINYFIN_ERROR_DTYPE, "received mask ", describe(mask),
           "; expected bool");
  const Tensor value = materialize(x, DType::none, mask.device());
  const Dims shape = broadcast_shapes(value.shape(), mask.shape());
  const int64_t spec[] = {4, 0, 0, 0};
  const Tensor list[] = {expand(mask, as_list(shape))};
  return getitem(expand(value, as_list(shape)), spec, list);
}

//@op tril(Tensor x, int diagonal=0) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: x (…, rows, columns) with zeros above a diagonal: 0 the main one, positive ones above it.
Tensor tril(const Tensor& x, int64_t diagonal) { return triangle(x, diagonal, false); }

//@op triu(Tensor x, int diagonal=0) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: x (…, rows, columns) with zeros below a diagonal: 0 the main one, positive ones above it.
Tensor triu(const Tensor& x, int64_t diagonal) { return triangle(x, diagonal, true); }

}  // namespace tf
