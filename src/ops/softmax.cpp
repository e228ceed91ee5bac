// softmax and log_softmax, always shifted by the maximum.
// SPDX-License-Identifier: MIT
#include "ops/op.h"
#include "ops/ops.h"

namespace tf {
namespace {

// The sum along the dimension that is the call's first attribute, of size 1 there.
Tensor line_sum(const Tensor& x, int64_t dim) { return sum(x, IntList(&dim, 1), true); }

void softmax_backward_formula(const Call& call, Tensor* out) {
  const Tensor weighted = mul(call.in[0], call.in[1]);
  out[0] = sub(weighted, mul(call.in[1], line_sum(weighted, call.attrs.i(0))));
}
const Primitive softmax_backward_p{{.name = "softmax_backward", .signature = "grad out; int dim",
                                    .decompose = softmax_backward_formula}};

void softmax_vjp(Vjp& v) { v.set(0, softmax_backward(v.grad(), v.out(), v.i(0))); }
const Primitive softmax_p{{.name = "softmax", .signature = "x; int dim", .vjp = softmax_vjp,
                           .save_out = bits({0})}};

void log_softmax_backward_formula(const Call& call, Tensor* out) {
  const Tensor &grad = call.in[0], &result = call.in[1];
  out[0] = sub(grad, mul(exp(result), line_sum(grad, call.attrs.i(0))));
}
const Primitive log_softmax_backward_p{{.name = "log_softmax_backward",
                                        .signature = "grad out; int dim",
                                        .decompose = log_softmax_backward_formula}};

void log_softmax_vjp(Vjp& v) { v.set(0, log_softmax_backward(v.grad(), v.out(), v.i(0))); }
const Primitive log_softmax_p{{.name = "log_softmax", .signature = "x; int dim",
                               .vjp = log_softmax_vjp, .save_out = bits({0})}};

// A tensor without dimensions counts as a line of one element.
Tensor along(const Primitive& prim, const Tensor& x, int64_t dim) {
  const Tensor value = as_float(x);
  const int d = wrap_dim(dim, value.ndim());
  const Tensor lines = value.ndim() ? value : reshape(value, as_list(Dims{1}));
  const Tensor out = run(prim, {&lines}, Attrs(d), meta_like(lines));
  return value.ndim() ? out : reshape(out, IntList());
}

Tensor backward_along(const Primitive& prim, const Tensor& grad, const Tensor& result,
                      int64_t dim) {
  TF_CHECK(grad.shape() == result.shape(), TINYFIN_ERROR_SHAPE, "received shapes ",
           to_string(grad.shape()), " and ", to_string(result.shape()), "; expected equal ones");
  return run(prim, {&grad, &result}, Attrs(wrap_dim(dim, result.ndim())), meta_like(result));
}

}  // namespace

//@op softmax(Tensor x, int dim=-1) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: exp(x) divided by its sum along a dimension, without overflow. Integers and bool are
//@   computed as float32.
Tensor softmax(const Tensor& x, int64_t dim) { return along(softmax_p, x, dim); }

//@op log_softmax(Tensor x, int dim=-1) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: The logarithm of softmax, without overflow or loss of digits. Integers and bool are
//@   computed as float32.
Tensor log_softmax(const Tensor& x, int64_t dim) { return along(log_softmax_p, x, dim); }

//@op softmax_backward(Tensor grad, Tensor result, int dim) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: private
//@ doc: result * (grad - sum(grad * result)): the gradient of softmax.
Tensor softmax_backward(const Tensor& grad, const Tensor& result, int64_t dim) {
  return backward_along(softmax_backward_p, grad, result, dim);
}

//@op log_softmax_backward(Tensor grad, Tensor result, int dim) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: private
//@ doc: grad - exp(result) * sum(grad): the gradient of log_softmax.
Tensor log_softmax_backward(const Tensor& grad, const Tensor& result, int64_t dim) {
  return backward_along(log_softmax_backward_p, grad, result, dim);
}

}  // namespace tf
