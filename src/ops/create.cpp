// Tensors from nothing: filled, like another, ranges.
// SPDX-License-Identifier: MIT
#include <cmath>

#include "ops/op.h"
#include "ops/ops.h"

namespace tf {
namespace {

const Primitive fill_p{{.name = "fill", .signature = "; int value, float value"}};

Device& on(Device* device) { return device ? *device : default_device(); }

DType default_float(DType dtype) { return dtype == DType::none ? DType::f32 : dtype; }

}  // namespace

Tensor full_scalar(const Dims& shape, double value, DType dtype, Device& device) {
  // The kernel reads the member that fits its dtype.
  const double whole = std::trunc(value);
  const bool fits = whole >= -0x1p63 && whole < 0x1p63;
  TF_CHECK(fits || is_float(dtype) || is_bool(dtype), TINYFIN_ERROR_ARGUMENT, "received ", value,
           " as a value of ", name_of(dtype), "; expected a finite number in its range");
  const int64_t integer = is_bool(dtype) ? value != 0 : fits ? int64_t(whole) : 0;
  return run(fill_p, {}, Attrs(integer, value), meta_of_shape(shape, dtype, device));
}

Tensor full_scalar(const Dims& shape, int64_t value, DType dtype, Device& device) {
  return run(fill_p, {}, Attrs(is_bool(dtype) ? int64_t(value != 0) : value, double(value)),
             meta_of_shape(shape, dtype, device));
}

//@op empty(shape size, dtype dtype=None, device device=None) -> Tensor
//@ since: 0.1
//@ grad: no, it has no tensor arguments
//@ python: private
//@ doc: A tensor whose values are whatever the memory held. dtype: float32 where not given.
Tensor empty(IntList size, DType dtype, Device* device) {
  return empty(as_dims(size), default_float(dtype), on(device));
}

//@op zeros(shape size, dtype dtype=None, device device=None) -> Tensor
//@ since: 0.1
//@ grad: no, it has no tensor arguments
//@ python: private
//@ doc: A tensor of zeros. dtype: float32 where not given.
Tensor zeros(IntList size, DType dtype, Device* device) {
  return full_scalar(as_dims(size), int64_t{0}, default_float(dtype), on(device));
}

//@op ones(shape size, dtype dtype=None, device device=None) -> Tensor
//@ since: 0.1
//@ grad: no, it has no tensor arguments
//@ python: private
//@ doc: A tensor of ones. dtype: float32 where not given.
Tensor ones(IntList size, DType dtype, Device* device) {
  return full_scalar(as_dims(size), int64_t{1}, default_float(dtype), on(device));
}

//@op full(int[] size, float value, dtype dtype=None, device device=None) -> Tensor
//@ since: 0.1
//@ grad: no, it has no tensor arguments
//@ python: private
//@ doc: A tensor filled with one value. dtype: float32 where not given.
Tensor full(IntList size, double value, DType dtype, Device* device) {
  return full_scalar(as_dims(size), value, default_float(dtype), on(device));
}

//@op zeros_like(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: no, the result does not depend on the values of x
//@ python: private
//@ doc: Zeros of x's shape, dtype, device and order of strides.
Tensor zeros_like(const Tensor& x) {
  return run(fill_p, {}, Attrs(int64_t{0}, 0.0), meta_like(x));
}

//@op ones_like(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: no, the result does not depend on the values of x
//@ python: private
//@ doc: Ones of x's shape, dtype, device and order of strides.
Tensor ones_like(const Tensor& x) { return run(fill_p, {}, Attrs(int64_t{1}, 1.0), meta_like(x)); }

//@op fill_(Tensor! x, float value)
//@ since: 0.1
//@ grad: no, it is refused on tensors that take part in a gradient
//@ python: method
//@ doc: Overwrites every element of x with one value.
void fill_(Tensor& x, double value) {
  TF_CHECK(!(grad_enabled() && x.requires_grad()), TINYFIN_ERROR_GRAPH,
           "received a tensor that takes part in a gradient; do it under no_grad");
  const double whole = std::trunc(value);
  TF_CHECK(is_float(x.dtype()) || is_bool(x.dtype()) || (whole >= -0x1p63 && whole < 0x1p63),
           TINYFIN_ERROR_ARGUMENT, "received ", value, " for ", describe(x),
           "; expected a number in its range");
  const int64_t integer =
      is_bool(x.dtype()) ? value != 0 : whole >= -0x1p63 && whole < 0x1p63 ? int64_t(whole) : 0;
  run_inplace("fill_", fill_p, x, {}, Attrs(integer, value));
}

}  // namespace tf
