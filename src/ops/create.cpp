// Tensors from nothing: filled, like another, ranges.
// SPDX-License-Identifier: MIT
#include <cmath>

#include "core/bfloat16.h"
#include "ops/op.h"
#include "ops/ops.h"

namespace tf {
namespace {

const Primitive fill_p{{.name = "fill", .signature = "; int value, float value"}};
// Element i: start + i * step, in integers or floats as the dtype asks.
const Primitive arange_p{{.name = "arange",
                          .signature = "; int start, int step, float start, float step"}};

bool is_whole(double v) { return std::trunc(v) == v && v >= -0x1p63 && v < 0x1p63; }

Tensor ramp(double start, double step, int64_t n, DType dtype, Device& device) {
  TF_CHECK(!is_bool(dtype), TINYFIN_ERROR_DTYPE, "received bool; expected a dtype of numbers");
  TF_CHECK(is_float(dtype) || (is_whole(start) && is_whole(step)), TINYFIN_ERROR_ARGUMENT,
           "received start ", start, " and step ", step, " for ", name_of(dtype),
           "; expected whole numbers, or a float dtype");
  const int64_t first = is_float(dtype) ? 0 : int64_t(start);
  const int64_t each = is_float(dtype) ? 0 : int64_t(step);
  return run(arange_p, {}, Attrs(first, each, start, step), meta_of_shape({n}, dtype, device));
}

Device& on(Device* device) { return device ? *device : default_device(); }

// A scalar in the host's memory, which needs no kernel: what numbers in expressions become.
Tensor one_element(int64_t integer, double value, DType dtype) {
  Tensor t = empty(Dims{}, dtype, cpu_device());
  void* const at = t.data();
  switch (dtype) {
    case DType::f32: *static_cast<float*>(at) = float(value); break;
    case DType::f64: *static_cast<double*>(at) = value; break;
    case DType::i32: *static_cast<int32_t*>(at) = int32_t(integer); break;
    case DType::i64: *static_cast<int64_t*>(at) = integer; break;
    case DType::bf16: *static_cast<BFloat16*>(at) = bfloat16(value); break;
    case DType::b8: *static_cast<uint8_t*>(at) = integer != 0; break;
    case DType::none: break;
  }
  return t;
}

DType default_float(DType dtype) { return dtype == DType::none ? DType::f32 : dtype; }

}  // namespace

Tensor full_scalar(const Dims& shape, double value, DType dtype, Device& device) {
  // The kernel reads the member that fits its dtype.
  const double whole = std::trunc(value);
  const bool fits = whole >= -0x1p63 && whole < 0x1p63;
  TF_CHECK(fits || is_float(dtype) || is_bool(dtype), TINYFIN_ERROR_ARGUMENT, "received ", value,
           " as a value of ", name_of(dtype), "; expected a finite number in its range");
  const int64_t integer = is_bool(dtype) ? value != 0 : fits ? int64_t(whole) : 0;
  if (shape.empty() && &device == &cpu_device()) return one_element(integer, value, dtype);
  return run(fill_p, {}, Attrs(integer, value), meta_of_shape(shape, dtype, device));
}

Tensor full_scalar(const Dims& shape, int64_t value, DType dtype, Device& device) {
  const int64_t integer = is_bool(dtype) ? int64_t(value != 0) : value;
  if (shape.empty() && &device == &cpu_device())
    return one_element(integer, double(value), dtype);
  return run(fill_p, {}, Attrs(integer, double(value)), meta_of_shape(shape, dtype, device));
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

//@op full_like(Tensor x, float value) -> Tensor
//@ since: 0.1
//@ grad: no, the result does not depend on the values of x
//@ python: private
//@ doc: A tensor of one value with x's shape, dtype, device and order of strides.
Tensor full_like(const Tensor& x, double value) {
  Tensor out = empty(meta_like(x));
  NoGrad no_grad;
  fill_(out, value);
  return out;
}

//@op empty_like(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: no, the result does not depend on the values of x
//@ python: private
//@ doc: A tensor of x's shape, dtype, device and order of strides that holds whatever the memory
//@   held.
Tensor empty_like(const Tensor& x) { return empty(meta_like(x)); }

//@op arange(float start, float stop, float step=1, dtype dtype=None, device device=None) -> Tensor
//@ since: 0.1
//@ grad: no, it has no tensor arguments
//@ python: private
//@ doc: start, start + step, … up to but without stop. dtype: int64 where not given and start and
//@   step are whole numbers, else float32.
//@   Errors: argument if step is 0 or a number is not finite.
Tensor arange(double start, double stop, double step, DType dtype, Device* device) {
  TF_CHECK(std::isfinite(start) && std::isfinite(stop) && std::isfinite(step) && step != 0,
           TINYFIN_ERROR_ARGUMENT, "received start ", start, ", stop ", stop, ", step ", step,
           "; expected finite numbers and a step other than 0");
  if (dtype == DType::none)
    dtype = is_whole(start) && is_whole(step) && is_whole(stop) ? DType::i64 : DType::f32;
  const double count = std::ceil((stop - start) / step);
  TF_CHECK(count < 0x1p60, TINYFIN_ERROR_SHAPE, "received a range of ", count,
           " elements; expected fewer than 2^60");
  return ramp(start, step, count > 0 ? int64_t(count) : 0, dtype, on(device));
}

//@op linspace(float start, float stop, int steps, dtype dtype=None, device device=None) -> Tensor
//@ since: 0.1
//@ grad: no, it has no tensor arguments
//@ python: private
//@ doc: Numbers at equal distances from start to stop, both included. dtype: float32 where not
//@   given.
//@   Errors: argument if steps is negative or the dtype is no float.
Tensor linspace(double start, double stop, int64_t steps, DType dtype, Device* device) {
  const DType type = default_float(dtype);
  TF_CHECK(steps >= 0 && is_float(type), TINYFIN_ERROR_ARGUMENT, "received ", steps,
           " steps of ", name_of(type), "; expected at least 0 of a float dtype");
  Tensor out = ramp(start, steps > 1 ? (stop - start) / double(steps - 1) : 0.0, steps, type,
                    on(device));
  if (steps > 1) {  // exactly, whatever rounding did on the way
    NoGrad no_grad;
    Tensor last = narrow(out, 0, steps - 1, 1);
    fill_(last, stop);
  }
  return out;
}

//@op eye(int n, int? m=None, dtype dtype=None, device device=None) -> Tensor
//@ since: 0.1
//@ grad: no, it has no tensor arguments
//@ python: private
//@ doc: The matrix (n, m) with ones on the main diagonal; square without m. dtype: float32 where
//@   not given.
Tensor eye(int64_t n, std::optional<int64_t> m, DType dtype, Device* device) {
  const int64_t columns = m.value_or(n);
  Tensor out = full_scalar({n, columns}, int64_t{0}, default_float(dtype), on(device));
  // The diagonal is a strided line through the same memory.
  Tensor diagonal = alias(out, {n < columns ? n : columns}, {columns + 1}, 0);
  NoGrad no_grad;
  fill_(diagonal, 1);
  return out;
}

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
