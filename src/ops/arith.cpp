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
void binary_inplace(const char* op, const Primitive& prim, Tensor& self, const Tensor& b) {
  const auto [x, y] = promote(self, b);
  TF_CHECK(x.dtype() == self.dtype(), TINYFIN_ERROR_DTYPE, "received ", describe(self), " and ",
           name_of(b.dtype()), ", whose result is ", name_of(x.dtype()),
           "; expected a result that the first can hold; use the form that is not in-place");
  TF_CHECK(broadcasts_to(y.shape(), self.shape()), TINYFIN_ERROR_SHAPE, "received shapes ",
           to_string(self.shape()), " and ", to_string(y.shape()),
           "; expected the second to broadcast to the first");
  run_inplace(op, prim, self, {&self, &y}, Attrs());
}

void add_vjp(Vjp& v) {
  v.set(0, v.grad());
  v.set(1, v.grad());
}
const Primitive add_p{{.name = "add", .signature = "a b", .vjp = add_vjp, .flags = kBroadcast}};

void mul_vjp(Vjp& v) {
  if (v.needs(0)) v.set(0, mul(v.grad(), v.in(1)));
  if (v.needs(1)) v.set(1, mul(v.grad(), v.in(0)));
}
const Primitive mul_p{{.name = "mul", .signature = "a b", .vjp = mul_vjp, .save_in = bits({0, 1}),
                       .flags = kBroadcast | kSaveForOthers}};

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

}  // namespace tf
