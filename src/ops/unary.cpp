// Functions of one element.
// SPDX-License-Identifier: MIT
#include "ops/op.h"
#include "ops/ops.h"

namespace tf {
namespace {

void neg_vjp(Vjp& v) { v.set(0, neg(v.grad())); }
const Primitive neg_p{{.name = "neg", .signature = "x", .vjp = neg_vjp, .flags = kBroadcast}};

// grad where the output is positive, else 0: two inputs, linear in the first.
void relu_mask_vjp(Vjp& v) { v.set(0, relu_mask(v.grad(), v.in(1))); }
const Primitive relu_mask_p{{.name = "relu_mask", .signature = "grad out", .vjp = relu_mask_vjp,
                             .save_in = bits({1}), .flags = kBroadcast}};

void relu_vjp(Vjp& v) { v.set(0, relu_mask(v.grad(), v.out())); }
const Primitive relu_p{{.name = "relu", .signature = "x", .vjp = relu_vjp, .save_out = bits({0}),
                        .flags = kBroadcast}};

}  // namespace

//@op neg(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method operator(__neg__)
//@ doc: Elementwise -x. Not for bool.
Tensor neg(const Tensor& x) {
  TF_CHECK(!is_bool(x.dtype()), TINYFIN_ERROR_DTYPE, "received ", describe(x),
           "; expected numbers; use ~x for logical not");
  return run(neg_p, {&x}, Attrs(), meta_like(x));
}

//@op relu(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Elementwise max(x, 0). The gradient at 0 is 0.
Tensor relu(const Tensor& x) { return run(relu_p, {&x}, Attrs(), meta_like(x)); }

//@op relu_mask(Tensor grad, Tensor result) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: private
//@ doc: grad where result > 0, else 0: the gradient of relu.
Tensor relu_mask(const Tensor& grad, const Tensor& out) {
  return run(relu_mask_p, {&grad, &out}, Attrs(), meta_broadcast(grad, out, grad.dtype()));
}

}  // namespace tf
