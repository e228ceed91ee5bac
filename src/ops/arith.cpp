// Arithmetic with broadcasting and promotion.
// SPDX-License-Identifier: MIT
#include "ops/op.h"
#include "ops/ops.h"

namespace tf {
namespace {

Tensor binary(const Primitive& prim, const Tensor& a, const Tensor& b) {
  if (a.dtype() == b.dtype() && !a.is_weak() && !b.is_weak()) [[likely]]
    return run(prim, {&a, &b}, Attrs(), meta_broadcast(a, b, a.dtype()));
  const auto [x, y] = promote(a, b);
  return run(prim, {&x, &y}, Attrs(), meta_broadcast(x, y, x.dtype()));
}

// self = prim(self, b): b takes self's dtype, which must be able to hold the result.
void binary_inplace(const char* op, const Primitive& prim, Tensor& self, const Tensor& b,
                    bool gives_float = false) {
  const auto [x, y] = promote(self, b);
  const DType result = gives_float ? float_type(x.dtype()) : x.dtype();
  TF_CHECK(result == self.dtype(), TINYFIN_ERROR_DTYPE, "received ", describe(self), " and ",
           name_of(b.dtype()), ", whose result is ", name_of(result),
           "; expected a result that the first can hold; use the form that is not in-place");
  TF_CHECK(broadcasts_to(y.shape(), self.shape()), TINYFIN_ERROR_SHAPE, "received shapes ",
           to_string(self.shape()), " and ", to_string(y.shape()),
           "; expected the second to broadcast to the first");
  run_inplace(op, prim, self, {&self, &y}, Attrs());
}

void check_numbers(const Tensor& a, const Tensor& b, const char* instead) {
  TF_CHECK(!is_bool(a.dtype()) || !is_bool(b.dtype()), TINYFIN_ERROR_DTYPE,
           "received bool and bool; expected numbers; ", instead);
}

void add_vjp(Vjp& v) {
  v.set(0, v.grad());
  v.set(1, v.grad());
}
const Primitive add_p{{.name = "add", .signature = "a b", .vjp = add_vjp, .flags = kBroadcast}};

void sub_vjp(Vjp& v) {
  v.set(0, v.grad());
  if (v.needs(1)) v.set(1, neg(v.grad()));
}
const Primitive sub_p{{.name = "sub", .signature = "a b", .vjp = sub_vjp, .flags = kBroadcast}};

void mul_vjp(Vjp& v) {
  if (v.needs(0)) v.set(0, mul(v.grad(), v.in(1)));
  if (v.needs(1)) v.set(1, mul(v.grad(), v.in(0)));
}
const Primitive mul_p{{.name = "mul", .signature = "a b", .vjp = mul_vjp, .save_in = bits({0, 1}),
                       .flags = kBroadcast | kSaveForOthers}};

void div_vjp(Vjp& v) {
  const Tensor scaled = div(v.grad(), v.in(1));
  v.set(0, scaled);
  if (v.needs(1)) v.set(1, neg(mul(scaled, v.out())));
}
const Primitive div_p{{.name = "div", .signature = "a b", .vjp = div_vjp, .save_in = bits({1}),
                       .save_out = bits({0}), .flags = kBroadcast}};

const Primitive floor_divide_p{{.name = "floor_divide", .signature = "a b", .flags = kBroadcast}};

// a % b = a - b * floor(a / b), and floor is constant almost everywhere.
void remainder_vjp(Vjp& v) {
  v.set(0, v.grad());
  if (v.needs(1)) v.set(1, neg(mul(v.grad(), floor_divide(v.in(0), v.in(1)))));
}
const Primitive remainder_p{{.name = "remainder", .signature = "a b", .vjp = remainder_vjp,
                             .save_in = bits({0, 1}), .flags = kBroadcast}};

// The places where a factor of the textbook formula is infinite while the product is not get
// another number there, chosen such that the formula stays right for gradients of gradients.
void pow_vjp(Vjp& v) {
  const Tensor a = v.in(0), b = v.in(1), zero = weak_scalar(0.0), one = weak_scalar(1.0);
  if (v.needs(0)) {  // b * a^(b-1), which is 0 at b = 0 whatever a is
    const Tensor exponent = sub(where(eq(b, zero), one, b), one);
    v.set(0, mul(v.grad(), mul(b, pow(a, exponent))));
  }
  if (v.needs(1)) {  // a^b * log(a), which is 0 at a = 0 for b >= 0
    const Tensor flat = bitwise_and(eq(a, zero), ge(b, zero));
    v.set(1, mul(v.grad(), mul(v.out(), log(where(flat, one, a)))));
  }
}
const Primitive pow_p{{.name = "pow", .signature = "a b", .vjp = pow_vjp, .save_in = bits({0, 1}),
                       .save_out = bits({0}), .flags = kBroadcast}};

// The gradient of the larger (smaller) operand; equal ones get half each.
void extremum_vjp(Vjp& v, bool greater) {
  const Tensor a = v.in(0), b = v.in(1), zero = weak_scalar(0.0);
  const Tensor shared = where(eq(a, b), mul(v.grad(), weak_scalar(0.5)), v.grad());
  if (v.needs(0)) v.set(0, where(greater ? lt(a, b) : gt(a, b), zero, shared));
  if (v.needs(1)) v.set(1, where(greater ? gt(a, b) : lt(a, b), zero, shared));
}
void maximum_vjp(Vjp& v) { extremum_vjp(v, true); }
const Primitive maximum_p{{.name = "maximum", .signature = "a b", .vjp = maximum_vjp,
                           .save_in = bits({0, 1}), .flags = kBroadcast}};
void minimum_vjp(Vjp& v) { extremum_vjp(v, false); }
const Primitive minimum_p{{.name = "minimum", .signature = "a b", .vjp = minimum_vjp,
                           .save_in = bits({0, 1}), .flags = kBroadcast}};

}  // namespace

//@op add(Tensor a, Tensor b) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method operator(__add__) reflected(__radd__)
//@ doc: Elementwise a + b; shapes broadcast, dtypes promote. Of bools: logical or.
Tensor add(const Tensor& a, const Tensor& b) { return binary(add_p, a, b); }

//@op add_(Tensor! a, Tensor b)
//@ since: 0.1
//@ grad: yes
//@ python: method inplace(__iadd__)
//@ doc: a += b; b broadcasts to a's shape.
void add_(Tensor& a, const Tensor& b) { binary_inplace("add_", add_p, a, b); }

//@op sub(Tensor a, Tensor b) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method operator(__sub__) reflected(__rsub__)
//@ doc: Elementwise a - b; shapes broadcast, dtypes promote. Not of two bools.
Tensor sub(const Tensor& a, const Tensor& b) {
  check_numbers(a, b, "use a ^ b");
  return binary(sub_p, a, b);
}

//@op sub_(Tensor! a, Tensor b)
//@ since: 0.1
//@ grad: yes
//@ python: method inplace(__isub__)
//@ doc: a -= b; b broadcasts to a's shape.
void sub_(Tensor& a, const Tensor& b) {
  check_numbers(a, b, "use a ^ b");
  binary_inplace("sub_", sub_p, a, b);
}

//@op mul(Tensor a, Tensor b) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method operator(__mul__) reflected(__rmul__)
//@ doc: Elementwise a * b; shapes broadcast, dtypes promote. Of bools: logical and.
Tensor mul(const Tensor& a, const Tensor& b) { return binary(mul_p, a, b); }

//@op mul_(Tensor! a, Tensor b)
//@ since: 0.1
//@ grad: yes
//@ python: method inplace(__imul__)
//@ doc: a *= b; b broadcasts to a's shape.
void mul_(Tensor& a, const Tensor& b) { binary_inplace("mul_", mul_p, a, b); }

//@op div(Tensor a, Tensor b) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method operator(__truediv__) reflected(__rtruediv__)
//@ doc: Elementwise a / b; shapes broadcast, dtypes promote. Integers and bools are divided as
//@   float32.
Tensor div(const Tensor& a, const Tensor& b) {
  if (a.dtype() == b.dtype() && is_float(a.dtype()) && !a.is_weak() && !b.is_weak()) [[likely]]
    return run(div_p, {&a, &b}, Attrs(), meta_broadcast(a, b, a.dtype()));
  const auto [p, q] = promote(a, b);
  const Tensor x = as_float(p), y = as_float(q);
  return run(div_p, {&x, &y}, Attrs(), meta_broadcast(x, y, x.dtype()));
}

//@op div_(Tensor! a, Tensor b)
//@ since: 0.1
//@ grad: yes
//@ python: method inplace(__itruediv__)
//@ doc: a /= b; b broadcasts to a's shape. a: float32 or float64.
void div_(Tensor& a, const Tensor& b) { binary_inplace("div_", div_p, a, b, true); }

//@op floor_divide(Tensor a, Tensor b) -> Tensor
//@ since: 0.1
//@ grad: no, it is piecewise constant
//@ python: function method operator(__floordiv__) reflected(__rfloordiv__)
//@ doc: Elementwise floor(a / b), as Python's a // b. An integer divided by 0 gives 0, a float
//@   what IEEE division gives. Not of two bools.
Tensor floor_divide(const Tensor& a, const Tensor& b) {
  check_numbers(a, b, "cast them to int64");
  return binary(floor_divide_p, a, b);
}

//@op remainder(Tensor a, Tensor b) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method operator(__mod__) reflected(__rmod__)
//@ doc: Elementwise remainder with the sign of b, as Python's a % b. An integer modulo 0 is 0, a
//@   float NaN. Not of two bools.
Tensor remainder(const Tensor& a, const Tensor& b) {
  check_numbers(a, b, "cast them to int64");
  return binary(remainder_p, a, b);
}

//@op pow(Tensor a, Tensor b) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method operator(__pow__) reflected(__rpow__)
//@ doc: Elementwise a to the power b; shapes broadcast, dtypes promote. x^0 is 1 for every x.
//@   Integers to a negative power are what is left of 1 / a^-b: 0 unless a is 1 or -1; 0 to a
//@   negative power is 0. Not of two bools. Gradients: 0 for a at b = 0; 0 for b at a = 0, b >= 0.
Tensor pow(const Tensor& a, const Tensor& b) {
  check_numbers(a, b, "use a | ~b");
  if (b.is_weak() && !a.is_weak() && item_f64(b) == 2 &&
      (is_float(a.dtype()) || !is_float(b.dtype())))
    return square(a);
  return binary(pow_p, a, b);
}

//@op maximum(Tensor a, Tensor b) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Elementwise larger of a and b; NaN where either is NaN. Equal elements share the gradient.
Tensor maximum(const Tensor& a, const Tensor& b) { return binary(maximum_p, a, b); }

//@op minimum(Tensor a, Tensor b) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Elementwise smaller of a and b; NaN where either is NaN. Equal elements share the gradient.
Tensor minimum(const Tensor& a, const Tensor& b) { return binary(minimum_p, a, b); }

}  // namespace tf
