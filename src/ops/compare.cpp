// Comparisons, logic, choice by a mask.
// SPDX-License-Identifier: MIT
#include <cmath>
#include <limits>

#include "ops/op.h"
#include "ops/ops.h"

namespace tf {
namespace {

const Primitive eq_p{{.name = "eq", .signature = "a b", .flags = kBroadcast}};
const Primitive ne_p{{.name = "ne", .signature = "a b", .flags = kBroadcast}};
const Primitive lt_p{{.name = "lt", .signature = "a b", .flags = kBroadcast}};
const Primitive le_p{{.name = "le", .signature = "a b", .flags = kBroadcast}};

Tensor compare(const Primitive& prim, const Tensor& a, const Tensor& b) {
  const auto [x, y] = promote(a, b);
  return run(prim, {&x, &y}, Attrs(), meta_broadcast(x, y, DType::b8));
}

const Primitive and_p{{.name = "bitwise_and", .signature = "a b", .flags = kBroadcast}};
const Primitive or_p{{.name = "bitwise_or", .signature = "a b", .flags = kBroadcast}};
const Primitive xor_p{{.name = "bitwise_xor", .signature = "a b", .flags = kBroadcast}};
const Primitive not_p{{.name = "bitwise_not", .signature = "x", .flags = kBroadcast}};

Tensor bitwise(const Primitive& prim, const Tensor& a, const Tensor& b) {
  TF_CHECK(!is_float(a.dtype()) && !is_float(b.dtype()), TINYFIN_ERROR_DTYPE, "received ",
           name_of(a.dtype()), " and ", name_of(b.dtype()),
           "; expected bool or integers; compare first, or cast");
  const auto [x, y] = promote(a, b);
  return run(prim, {&x, &y}, Attrs(), meta_broadcast(x, y, x.dtype()));
}

Tensor as_bool(const Tensor& x) {
  return cast_to(materialize(x, DType::none, default_device()), DType::b8);
}

void where_vjp(Vjp& v) {
  const Tensor condition = v.in(0), zero = weak_scalar(0.0);
  if (v.needs(1)) v.set(1, where(condition, v.grad(), zero));
  if (v.needs(2)) v.set(2, where(condition, zero, v.grad()));
}
const Primitive where_p{{.name = "where", .signature = "condition a b", .vjp = where_vjp,
                         .save_in = bits({0}), .flags = kBroadcast}};

// Laid out like the first operand that already has the result's shape.
Meta meta_where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  const Dims shape =
      broadcast_shapes(condition.shape(), broadcast_shapes(a.shape(), b.shape()));
  for (const Tensor* t : {&a, &b, &condition})
    if (t->shape() == shape && is_dense(t->shape(), t->strides()))
      return {shape, strides_in_order_of(shape, shape, t->strides()), a.dtype(), &a.device()};
  return meta_of_shape(shape, a.dtype(), a.device());
}

// Linear in grad.
void clamp_backward_vjp(Vjp& v) {
  v.set(0, clamp_backward(v.grad(), v.in(1), v.f(0), v.f(1)));
}
const Primitive clamp_backward_p{{.name = "clamp_backward",
                                  .signature = "grad x; float min, float max",
                                  .vjp = clamp_backward_vjp, .save_in = bits({1}),
                                  .flags = kBroadcast}};

void clamp_vjp(Vjp& v) { v.set(0, clamp_backward(v.grad(), v.in(0), v.f(0), v.f(1))); }
const Primitive clamp_p{{.name = "clamp", .signature = "x; float min, float max",
                         .vjp = clamp_vjp, .save_in = bits({0}), .flags = kBroadcast}};

Tensor clamp_between(const Tensor& x, double min, double max) {
  TF_CHECK(!std::isnan(min) && !std::isnan(max), TINYFIN_ERROR_ARGUMENT,
           "received NaN as a bound; expected numbers");
  TF_CHECK(!is_bool(x.dtype()), TINYFIN_ERROR_DTYPE, "received ", describe(x),
           "; expected numbers; cast it first");
  const bool whole = std::trunc(min) == min && std::trunc(max) == max;
  const Tensor value = whole && !x.is_weak() ? x : as_float(x);
  return run(clamp_p, {&value}, Attrs(min, max), meta_like(value));
}

constexpr double kInf = std::numeric_limits<double>::infinity();

// value as a scalar tensor of x's dtype, and the mask as bool: what masked_fill chooses from.
std::pair<Tensor, Tensor> fill_operands(const Tensor& x, const Tensor& mask, double value) {
  TF_CHECK(is_bool(mask.dtype()), TINYFIN_ERROR_DTYPE, "received a mask of ",
           name_of(mask.dtype()), "; expected bool; compare first, e.g. mask != 0");
  TF_CHECK(broadcasts_to(mask.shape(), x.shape()), TINYFIN_ERROR_SHAPE,
           "received a mask of shape ", to_string(mask.shape()), " for a tensor of shape ",
           to_string(x.shape()), "; expected one that broadcasts to it");
  return {materialize(mask, DType::b8, x.device()),
          full_scalar({}, value, x.dtype(), x.device())};
}

}  // namespace

//@op eq(Tensor a, Tensor b) -> Tensor
//@ since: 0.1
//@ grad: no, the result is bool
//@ python: function method operator(__eq__)
//@ doc: Elementwise a == b as bool; shapes broadcast, dtypes promote.
Tensor eq(const Tensor& a, const Tensor& b) { return compare(eq_p, a, b); }

//@op ne(Tensor a, Tensor b) -> Tensor
//@ since: 0.1
//@ grad: no, the result is bool
//@ python: function method operator(__ne__)
//@ doc: Elementwise a != b as bool; shapes broadcast, dtypes promote.
Tensor ne(const Tensor& a, const Tensor& b) { return compare(ne_p, a, b); }

//@op lt(Tensor a, Tensor b) -> Tensor
//@ since: 0.1
//@ grad: no, the result is bool
//@ python: function method operator(__lt__)
//@ doc: Elementwise a < b as bool; shapes broadcast, dtypes promote.
Tensor lt(const Tensor& a, const Tensor& b) { return compare(lt_p, a, b); }

//@op le(Tensor a, Tensor b) -> Tensor
//@ since: 0.1
//@ grad: no, the result is bool
//@ python: function method operator(__le__)
//@ doc: Elementwise a <= b as bool; shapes broadcast, dtypes promote.
Tensor le(const Tensor& a, const Tensor& b) { return compare(le_p, a, b); }

//@op gt(Tensor a, Tensor b) -> Tensor
//@ since: 0.1
//@ grad: no, the result is bool
//@ python: function method operator(__gt__)
//@ doc: Elementwise a > b as bool; shapes broadcast, dtypes promote.
Tensor gt(const Tensor& a, const Tensor& b) { return compare(lt_p, b, a); }

//@op ge(Tensor a, Tensor b) -> Tensor
//@ since: 0.1
//@ grad: no, the result is bool
//@ python: function method operator(__ge__)
//@ doc: Elementwise a >= b as bool; shapes broadcast, dtypes promote.
Tensor ge(const Tensor& a, const Tensor& b) { return compare(le_p, b, a); }

//@op bitwise_and(Tensor a, Tensor b) -> Tensor
//@ since: 0.1
//@ grad: no, it is for integers and bool
//@ python: function method operator(__and__) reflected(__rand__)
//@ doc: Elementwise a & b of bools or integers; shapes broadcast, dtypes promote.
Tensor bitwise_and(const Tensor& a, const Tensor& b) { return bitwise(and_p, a, b); }

//@op bitwise_or(Tensor a, Tensor b) -> Tensor
//@ since: 0.1
//@ grad: no, it is for integers and bool
//@ python: function method operator(__or__) reflected(__ror__)
//@ doc: Elementwise a | b of bools or integers; shapes broadcast, dtypes promote.
Tensor bitwise_or(const Tensor& a, const Tensor& b) { return bitwise(or_p, a, b); }

//@op bitwise_xor(Tensor a, Tensor b) -> Tensor
//@ since: 0.1
//@ grad: no, it is for integers and bool
//@ python: function method operator(__xor__) reflected(__rxor__)
//@ doc: Elementwise a ^ b of bools or integers; shapes broadcast, dtypes promote.
Tensor bitwise_xor(const Tensor& a, const Tensor& b) { return bitwise(xor_p, a, b); }

//@op bitwise_not(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: no, it is for integers and bool
//@ python: function method operator(__invert__)
//@ doc: Elementwise ~x: the other truth value of a bool, all bits flipped of an integer.
Tensor bitwise_not(const Tensor& x) {
  TF_CHECK(!is_float(x.dtype()), TINYFIN_ERROR_DTYPE, "received ", describe(x),
           "; expected bool or integers; compare first, or use logical_not");
  const Tensor value = materialize(x, DType::none, default_device());
  return run(not_p, {&value}, Attrs(), meta_like(value));
}

//@op logical_and(Tensor a, Tensor b) -> Tensor
//@ since: 0.1
//@ grad: no, the result is bool
//@ python: function method
//@ doc: Elementwise "a and b" as bool; anything but 0 is true.
Tensor logical_and(const Tensor& a, const Tensor& b) {
  return bitwise(and_p, as_bool(a), as_bool(b));
}

//@op logical_or(Tensor a, Tensor b) -> Tensor
//@ since: 0.1
//@ grad: no, the result is bool
//@ python: function method
//@ doc: Elementwise "a or b" as bool; anything but 0 is true.
Tensor logical_or(const Tensor& a, const Tensor& b) {
  return bitwise(or_p, as_bool(a), as_bool(b));
}

//@op logical_xor(Tensor a, Tensor b) -> Tensor
//@ since: 0.1
//@ grad: no, the result is bool
//@ python: function method
//@ doc: Elementwise "either a or b" as bool; anything but 0 is true.
Tensor logical_xor(const Tensor& a, const Tensor& b) {
  return bitwise(xor_p, as_bool(a), as_bool(b));
}

//@op logical_not(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: no, the result is bool
//@ python: function method
//@ doc: Elementwise "not x" as bool: true where x is 0.
Tensor logical_not(const Tensor& x) { return bitwise_not(as_bool(x)); }

//@op isnan(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: no, the result is bool
//@ python: function method
//@ doc: Elementwise whether x is NaN.
Tensor isnan(const Tensor& x) { return ne(x, x); }

//@op isinf(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: no, the result is bool
//@ python: function method
//@ doc: Elementwise whether x is an infinity of either sign.
Tensor isinf(const Tensor& x) {
  NoGrad no_grad;
  return eq(abs(as_float(x)), weak_scalar(kInf));
}

//@op isfinite(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: no, the result is bool
//@ python: function method
//@ doc: Elementwise whether x is neither infinite nor NaN.
Tensor isfinite(const Tensor& x) {
  NoGrad no_grad;
  return lt(abs(as_float(x)), weak_scalar(kInf));
}

//@op where(Tensor condition, Tensor a, Tensor b) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function
//@ doc: Elements of a where condition is true, of b elsewhere; all three broadcast, a and b
//@   promote. condition: bool; of other dtypes anything but 0 is true.
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  const auto [p, q] = promote(a, b);
  const Tensor mask = cast_to(materialize(condition, DType::b8, p.device()), DType::b8);
  // Two scalars of the host language choose their device by the condition.
  const bool scalars = a.is_weak() && b.is_weak();
  const Tensor x = scalars ? to_device(p, &mask.device()) : p;
  const Tensor y = scalars ? to_device(q, &mask.device()) : q;
  return run(where_p, {&mask, &x, &y}, Attrs(), meta_where(mask, x, y));
}

//@op masked_fill(Tensor x, Tensor mask, float value) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: x with `value` where mask is true. mask: bool, broadcasts to x's shape; the result keeps
//@   x's dtype.
Tensor masked_fill(const Tensor& x, const Tensor& mask, double value) {
  const Tensor self = materialize(x, DType::none, default_device());
  const auto [m, filling] = fill_operands(self, mask, value);
  return where(m, filling, self);
}

//@op masked_fill_(Tensor! x, Tensor mask, float value)
//@ since: 0.1
//@ grad: yes
//@ python: method
//@ doc: Overwrites x with `value` where mask is true. mask: bool, broadcasts to x's shape.
void masked_fill_(Tensor& x, const Tensor& mask, double value) {
  const auto [m, filling] = fill_operands(x, mask, value);
  run_inplace("masked_fill_", where_p, x, {&m, &filling, &x}, Attrs());
}

//@op clamp(Tensor x, float? min=None, float? max=None) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method alias(clip)
//@ doc: Elementwise x, but not below min nor above max; max counts where min > max. Keeps NaN. The
//@   gradient passes where min <= x <= max. Integers with bounds that are not whole: float32.
Tensor clamp(const Tensor& x, std::optional<double> min, std::optional<double> max) {
  TF_CHECK(min || max, TINYFIN_ERROR_ARGUMENT, "received neither min nor max; expected one or both");
  return clamp_between(x, min.value_or(-kInf), max.value_or(kInf));
}

//@op clamp_min(Tensor x, float min) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Elementwise x, but not below min. Keeps NaN.
Tensor clamp_min(const Tensor& x, double min) { return clamp_between(x, min, kInf); }

//@op clamp_max(Tensor x, float max) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Elementwise x, but not above max. Keeps NaN.
Tensor clamp_max(const Tensor& x, double max) { return clamp_between(x, -kInf, max); }

//@op clamp_backward(Tensor grad, Tensor x, float min, float max) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: private
//@ doc: grad where min <= x <= max, else 0: the gradient of clamp.
Tensor clamp_backward(const Tensor& grad, const Tensor& x, double min, double max) {
  return run(clamp_backward_p, {&grad, &x}, Attrs(min, max), meta_broadcast(x, grad, x.dtype()));
}

}  // namespace tf
