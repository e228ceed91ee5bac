// Views: the same storage seen in another shape or order. O(1), with gradients.
// SPDX-License-Identifier: MIT
#include <algorithm>

#include "ops/op.h"
#include "ops/ops.h"

namespace tf {
namespace {

void identity_vjp(Vjp& v) { v.set(0, v.grad()); }
const Primitive identity_p{{.name = "identity", .signature = "x", .vjp = identity_vjp,
                            .flags = kView}};

// The engine sums over what was expanded.
const Primitive expand_p{{.name = "expand", .signature = "x; int[] shape", .vjp = identity_vjp,
                          .flags = kView}};

void reshape_vjp(Vjp& v) { v.set(0, reshape(v.grad(), as_list(v.in_shape(0)))); }
const Primitive reshape_p{{.name = "reshape", .signature = "x; int[] shape", .vjp = reshape_vjp,
                           .flags = kView}};

void permute_vjp(Vjp& v) {
  const Dims order = v.attrs().dims(0);
  Dims inverse = order;
  for (int i = 0; i < order.size(); ++i) inverse[int(order[i])] = i;
  v.set(0, permute(v.grad(), as_list(inverse)));
}
const Primitive permute_p{{.name = "permute", .signature = "x; int[] order", .vjp = permute_vjp,
                           .flags = kView}};

// Replaces one -1 by what the other sizes leave.
Dims infer_size(IntList size, int64_t numel) {
  Dims shape = as_dims(size);
  int unknown = -1;
  int64_t known = 1;
  for (int i = 0; i < shape.size(); ++i) {
    if (shape[i] == -1) {
      TF_CHECK(unknown < 0, TINYFIN_ERROR_SHAPE, "received shape ", to_string(shape),
               "; expected at most one -1");
      unknown = i;
      continue;
    }
    TF_CHECK(shape[i] >= 0, TINYFIN_ERROR_SHAPE, "received shape ", to_string(shape),
             "; expected sizes that are not negative, or one -1");
    TF_CHECK(!__builtin_mul_overflow(known, shape[i], &known), TINYFIN_ERROR_SHAPE,
             "received shape ", to_string(shape), "; expected ", numel, " elements");
  }
  if (unknown >= 0) {
    TF_CHECK(known > 0 && numel % known == 0, TINYFIN_ERROR_SHAPE, "received shape ",
             to_string(shape), " for ", numel,
             " elements; expected known sizes whose product divides that");
    shape[unknown] = numel / known;
    known = numel;
  }
  TF_CHECK(known == numel, TINYFIN_ERROR_SHAPE, "received shape ", to_string(shape), " for ",
           numel, " elements; expected a product of sizes equal to that");
  return shape;
}

// Strides that show a tensor in a new shape without a copy; false where there are none.
bool view_strides(const Tensor& x, const Dims& shape, Dims& strides) {
  strides = contiguous_strides(shape);
  if (x.is_contiguous() || x.numel() == 0) return true;
  // Runs of old dimensions that are contiguous among themselves are cut into new dimensions.
  int o = 0, n = 0;
  while (o < x.ndim() || n < shape.size()) {
    if (o < x.ndim() && x.size(o) == 1) { ++o; continue; }
    if (n < shape.size() && shape[n] == 1) { strides[n++] = 1; continue; }
    if (o >= x.ndim() || n >= shape.size()) return false;
    int o_end = o + 1, n_end = n + 1;
    int64_t have = x.size(o), want = shape[n];
    while (have != want) {
      if (have < want) {
        if (o_end >= x.ndim()) return false;
        have *= x.size(o_end++);
      } else {
        if (n_end >= shape.size()) return false;
        want *= shape[n_end++];
      }
    }
    for (int d = o; d + 1 < o_end; ++d)
      if (x.strides()[d] != x.strides()[d + 1] * x.size(d + 1)) return false;
    int64_t stride = x.strides()[o_end - 1];
    for (int d = n_end - 1; d >= n; --d) {
      strides[d] = stride;
      stride *= shape[d];
    }
    o = o_end;
    n = n_end;
  }
  return true;
}

Attrs attrs_of(const Dims& dims) {
  Attrs attrs;
  attrs.add(dims);
  return attrs;
}

}  // namespace

//@op identity(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: private
//@ doc: Another tensor with x's values and history; shares storage.
Tensor identity(const Tensor& x) {
  return run_view(identity_p, x, Attrs(), x.shape(), x.strides(), x.get()->offset);
}

//@op reshape(Tensor x, shape size) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: x in another shape with the same elements in row-major order; one size may be -1. A view
//@   where strides allow, else a copy.
Tensor reshape(const Tensor& x, IntList size) {
  const Dims shape = infer_size(size, x.numel());
  Dims strides;
  if (view_strides(x, shape, strides))
    return run_view(reshape_p, x, attrs_of(shape), shape, strides, x.get()->offset);
  const Tensor packed = contiguous(x);
  return run_view(reshape_p, packed, attrs_of(shape), shape, contiguous_strides(shape),
                  packed.get()->offset);
}

//@op expand(Tensor x, shape size) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: A view of x broadcast to a shape; -1 keeps a size. Nothing is copied.
Tensor expand(const Tensor& x, IntList size) {
  Dims shape = as_dims(size);
  const int extra = shape.size() - x.ndim();
  for (int d = 0; d < shape.size(); ++d)
    if (shape[d] == -1 && d >= extra) shape[d] = x.size(d - extra);
  TF_CHECK(extra >= 0 && broadcasts_to(x.shape(), shape), TINYFIN_ERROR_SHAPE, "received shape ",
           to_string(as_dims(size)), " for a tensor of shape ", to_string(x.shape()),
           "; expected a shape that it broadcasts to");
  checked_numel(shape);
  Dims strides = Dims::filled(shape.size(), 0);
  for (int d = extra; d < shape.size(); ++d)
    if (x.size(d - extra) == shape[d]) strides[d] = x.strides()[d - extra];
  return run_view(expand_p, x, attrs_of(shape), shape, strides, x.get()->offset);
}

//@op permute(Tensor x, shape dims) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: A view of x with its dimensions in another order. dims: a permutation of 0 … ndim-1,
//@   negative numbers count from the end.
Tensor permute(const Tensor& x, IntList dims) {
  TF_CHECK(int(dims.size()) == x.ndim(), TINYFIN_ERROR_AXIS, "received ", dims.size(),
           " dimensions for a tensor of ", x.ndim(), "; expected a permutation of all");
  Dims order, shape, strides;
  uint32_t seen = 0;
  for (int64_t dim : dims) {
    const int d = wrap_dim(dim, x.ndim());
    TF_CHECK(!(seen & (1u << d)), TINYFIN_ERROR_AXIS, "received ", to_string(as_dims(dims)),
             "; expected a permutation, each dimension once");
    seen |= 1u << d;
    order.push_back(d);
    shape.push_back(x.size(d));
    strides.push_back(x.strides()[d]);
  }
  return run_view(permute_p, x, attrs_of(order), shape, strides, x.get()->offset);
}

//@op swapaxes(Tensor x, int a, int b) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: A view of x with dimensions a and b exchanged.
Tensor swapaxes(const Tensor& x, int64_t a, int64_t b) {
  Dims order;
  for (int d = 0; d < x.ndim(); ++d) order.push_back(d);
  if (x.ndim() > 0) std::swap(order[wrap_dim(a, x.ndim())], order[wrap_dim(b, x.ndim())]);
  return permute(x, as_list(order));
}

}  // namespace tf
