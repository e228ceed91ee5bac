// Functions of one element.
// SPDX-License-Identifier: MIT
#include <cmath>

#include "ops/op.h"
#include "ops/ops.h"

namespace tf {
namespace {

Tensor times(const Tensor& x, double factor) { return mul(x, weak_scalar(factor)); }
Tensor plus(const Tensor& x, double summand) { return add(x, weak_scalar(summand)); }

// Functions with values between the integers: integers and bool are computed in float32.
Tensor float_unary(const Primitive& prim, const Tensor& x, const Attrs& attrs = Attrs()) {
  if (is_float(x.dtype()) && !x.is_weak()) [[likely]]
    return run(prim, {&x}, attrs, meta_like(x));
  const Tensor value = as_float(x);
  return run(prim, {&value}, attrs, meta_like(value));
}

// Functions that keep the dtype; there is no such thing for bool.
Tensor number_unary(const Primitive& prim, const Tensor& x, const char* instead) {
  TF_CHECK(!is_bool(x.dtype()), TINYFIN_ERROR_DTYPE, "received ", describe(x),
           "; expected numbers; ", instead);
  const Tensor value = materialize(x, DType::none, default_device());
  return run(prim, {&value}, Attrs(), meta_like(value));
}

// Rounding to integers leaves integers as they are.
Tensor rounding(const Primitive& prim, const Tensor& x) {
  if (!is_float(x.dtype())) return clone(x);
  return float_unary(prim, x);
}

// The kernels of gradients, grad * f'(x): two inputs of one shape.
Tensor backward_of(const Primitive& prim, const Tensor& grad, const Tensor& x,
                   const Attrs& attrs = Attrs()) {
  return run(prim, {&grad, &x}, attrs, meta_broadcast(x, grad, x.dtype()));
}

// The same as a rule: written over the gradient that came where nobody else sees that. Its lines
// are in a cache, in that of the thread that made them; those of other memory may not be.
void set_backward(Vjp& v, const Primitive& prim, const Tensor& x) {
  const Tensor& came = v.gradient().value;
  if (v.create_graph() || !came.defined() || !may_overwrite(came) || came.dtype() != x.dtype() ||
      !(came.shape() == x.shape()) || !(came.strides() == x.strides()))
    return v.set(0, backward_of(prim, v.grad(), x, v.attrs()));
  Tensor grad = came;
  dispatch({prim, {&grad, &x}, v.attrs()}, &grad, /*keep_out=*/true);
  v.set(0, std::move(grad));
}

void neg_vjp(Vjp& v) { v.set(0, neg(v.grad())); }
const Primitive neg_p{{.name = "neg", .signature = "x", .vjp = neg_vjp, .flags = kBroadcast}};

void abs_vjp(Vjp& v) { v.set(0, mul(v.grad(), sign(v.in(0)))); }
const Primitive abs_p{{.name = "abs", .signature = "x", .vjp = abs_vjp, .save_in = bits({0}),
                       .flags = kBroadcast}};

void square_vjp(Vjp& v) { v.set(0, mul(v.grad(), times(v.in(0), 2))); }
const Primitive square_p{{.name = "square", .signature = "x", .vjp = square_vjp,
                          .save_in = bits({0}), .flags = kBroadcast}};

// Piecewise constant: the gradient is 0.
void zero_vjp(Vjp& v) { v.set(0, zeros_like(v.grad())); }
const Primitive sign_p{{.name = "sign", .signature = "x", .vjp = zero_vjp, .flags = kBroadcast}};
const Primitive floor_p{{.name = "floor", .signature = "x", .vjp = zero_vjp, .flags = kBroadcast}};
const Primitive ceil_p{{.name = "ceil", .signature = "x", .vjp = zero_vjp, .flags = kBroadcast}};
const Primitive round_p{{.name = "round", .signature = "x", .vjp = zero_vjp, .flags = kBroadcast}};

void exp_vjp(Vjp& v) { v.set(0, mul(v.grad(), v.out())); }
const Primitive exp_p{{.name = "exp", .signature = "x", .vjp = exp_vjp, .save_out = bits({0}),
                       .flags = kBroadcast}};

void expm1_vjp(Vjp& v) { v.set(0, mul(v.grad(), plus(v.out(), 1))); }
const Primitive expm1_p{{.name = "expm1", .signature = "x", .vjp = expm1_vjp,
                         .save_out = bits({0}), .flags = kBroadcast}};

void log_vjp(Vjp& v) { v.set(0, div(v.grad(), v.in(0))); }
const Primitive log_p{{.name = "log", .signature = "x", .vjp = log_vjp, .save_in = bits({0}),
                       .flags = kBroadcast}};

void log1p_vjp(Vjp& v) { v.set(0, div(v.grad(), plus(v.in(0), 1))); }
const Primitive log1p_p{{.name = "log1p", .signature = "x", .vjp = log1p_vjp,
                         .save_in = bits({0}), .flags = kBroadcast}};

void sqrt_vjp(Vjp& v) { v.set(0, div(times(v.grad(), 0.5), v.out())); }
const Primitive sqrt_p{{.name = "sqrt", .signature = "x", .vjp = sqrt_vjp, .save_out = bits({0}),
                        .flags = kBroadcast}};

void rsqrt_vjp(Vjp& v) {
  const Tensor out = v.out();
  v.set(0, mul(times(v.grad(), -0.5), mul(out, square(out))));
}
const Primitive rsqrt_p{{.name = "rsqrt", .signature = "x", .vjp = rsqrt_vjp,
                         .save_out = bits({0}), .flags = kBroadcast}};

void reciprocal_vjp(Vjp& v) { v.set(0, neg(mul(v.grad(), square(v.out())))); }
const Primitive reciprocal_p{{.name = "reciprocal", .signature = "x", .vjp = reciprocal_vjp,
                              .save_out = bits({0}), .flags = kBroadcast}};

void sin_vjp(Vjp& v) { v.set(0, mul(v.grad(), cos(v.in(0)))); }
const Primitive sin_p{{.name = "sin", .signature = "x", .vjp = sin_vjp, .save_in = bits({0}),
                       .flags = kBroadcast}};

void cos_vjp(Vjp& v) { v.set(0, neg(mul(v.grad(), sin(v.in(0))))); }
const Primitive cos_p{{.name = "cos", .signature = "x", .vjp = cos_vjp, .save_in = bits({0}),
                       .flags = kBroadcast}};

void erf_vjp(Vjp& v) {
  v.set(0, mul(v.grad(), times(exp(neg(square(v.in(0)))), 2 / std::sqrt(M_PI))));
}
const Primitive erf_p{{.name = "erf", .signature = "x", .vjp = erf_vjp, .save_in = bits({0}),
                       .flags = kBroadcast}};

// The gradients of activations are primitives of their own, one pass over memory each; their
// own gradients come from the formulas in `decompose`.
void tanh_backward_formula(const Call& call, Tensor* out) {
  out[0] = sub(call.in[0], mul(call.in[0], square(call.in[1])));
}
const Primitive tanh_backward_p{{.name = "tanh_backward", .signature = "grad out",
                                 .flags = kBroadcast, .decompose = tanh_backward_formula}};
void tanh_vjp(Vjp& v) { set_backward(v, tanh_backward_p, v.out()); }
const Primitive tanh_p{{.name = "tanh", .signature = "x", .vjp = tanh_vjp, .save_out = bits({0}),
                        .flags = kBroadcast}};

void sigmoid_backward_formula(const Call& call, Tensor* out) {
  const Tensor& s = call.in[1];
  out[0] = mul(call.in[0], sub(s, square(s)));
}
const Primitive sigmoid_backward_p{{.name = "sigmoid_backward", .signature = "grad out",
                                    .flags = kBroadcast, .decompose = sigmoid_backward_formula}};
void sigmoid_vjp(Vjp& v) { set_backward(v, sigmoid_backward_p, v.out()); }
const Primitive sigmoid_p{{.name = "sigmoid", .signature = "x", .vjp = sigmoid_vjp,
                           .save_out = bits({0}), .flags = kBroadcast}};

// grad where the output is positive, else 0: two inputs, linear in the first.
void relu_mask_vjp(Vjp& v) { v.set(0, relu_mask(v.grad(), v.in(1))); }
const Primitive relu_mask_p{{.name = "relu_mask", .signature = "grad out", .vjp = relu_mask_vjp,
                             .save_in = bits({1}), .flags = kBroadcast}};
void relu_vjp(Vjp& v) { v.set(0, relu_mask(v.grad(), v.out())); }
const Primitive relu_p{{.name = "relu", .signature = "x", .vjp = relu_vjp, .save_out = bits({0}),
                        .flags = kBroadcast}};

// Linear in grad as well.
void leaky_relu_backward_vjp(Vjp& v) {
  v.set(0, leaky_relu_backward(v.grad(), v.in(1), v.f(0)));
}
const Primitive leaky_relu_backward_p{{.name = "leaky_relu_backward",
                                       .signature = "grad x; float slope",
                                       .vjp = leaky_relu_backward_vjp, .save_in = bits({1}),
                                       .flags = kBroadcast}};
void leaky_relu_vjp(Vjp& v) { set_backward(v, leaky_relu_backward_p, v.in(0)); }
const Primitive leaky_relu_p{{.name = "leaky_relu", .signature = "x; float slope",
                              .vjp = leaky_relu_vjp, .save_in = bits({0}), .flags = kBroadcast}};

void elu_backward_formula(const Call& call, Tensor* out) {
  const Tensor &grad = call.in[0], &x = call.in[1];
  const Tensor falling = times(exp(clamp_max(x, 0)), call.attrs.f(0));
  out[0] = mul(grad, where(gt(x, weak_scalar(0.0)), weak_scalar(1.0), falling));
}
const Primitive elu_backward_p{{.name = "elu_backward", .signature = "grad x; float alpha",
                                .flags = kBroadcast, .decompose = elu_backward_formula}};
void elu_vjp(Vjp& v) { set_backward(v, elu_backward_p, v.in(0)); }
const Primitive elu_p{{.name = "elu", .signature = "x; float alpha", .vjp = elu_vjp,
                       .save_in = bits({0}), .flags = kBroadcast}};

void silu_backward_formula(const Call& call, Tensor* out) {
  const Tensor& x = call.in[1];
  const Tensor s = sigmoid(x);
  out[0] = mul(call.in[0], add(s, mul(x, sub(s, square(s)))));
}
const Primitive silu_backward_p{{.name = "silu_backward", .signature = "grad x",
                                 .flags = kBroadcast, .decompose = silu_backward_formula}};
void silu_vjp(Vjp& v) { set_backward(v, silu_backward_p, v.in(0)); }
const Primitive silu_p{{.name = "silu", .signature = "x", .vjp = silu_vjp, .save_in = bits({0}),
                        .flags = kBroadcast}};

void softplus_vjp(Vjp& v) {
  v.set(0, mul(v.grad(), sigmoid(times(v.in(0), v.f(0)))));
}
const Primitive softplus_p{{.name = "softplus", .signature = "x; float beta",
                            .vjp = softplus_vjp, .save_in = bits({0}), .flags = kBroadcast}};

// d/dx of x Φ(x) and of its tanh approximation x (1 + tanh u) / 2, u = k (x + c x³).
void gelu_backward_formula(const Call& call, Tensor* out) {
  const Tensor& x = call.in[1];
  Tensor slope;
  if (call.attrs.i(0)) {
    const double k = std::sqrt(2 / M_PI), c = 0.044715;
    const Tensor xx = square(x);
    const Tensor t = tanh(mul(x, plus(times(xx, k * c), k)));
    const Tensor du = plus(times(xx, 3 * k * c), k);
    const Tensor dt = mul(sub(weak_scalar(1.0), square(t)), du);
    slope = times(add(plus(t, 1), mul(x, dt)), 0.5);
  } else {
    const Tensor below = times(plus(erf(times(x, M_SQRT1_2)), 1), 0.5);
    const Tensor density = times(exp(times(square(x), -0.5)), 1 / std::sqrt(2 * M_PI));
    slope = add(below, mul(x, density));
  }
  out[0] = mul(call.in[0], slope);
}
const Primitive gelu_backward_p{{.name = "gelu_backward", .signature = "grad x; bool tanh",
                                 .flags = kBroadcast, .decompose = gelu_backward_formula}};
void gelu_vjp(Vjp& v) { set_backward(v, gelu_backward_p, v.in(0)); }
const Primitive gelu_p{{.name = "gelu", .signature = "x; bool tanh", .vjp = gelu_vjp,
                        .save_in = bits({0}), .flags = kBroadcast}};

bool is_tanh_form(tf_activation approximate) {
  TF_CHECK(approximate == TINYFIN_ACTIVATION_NONE || approximate == TINYFIN_ACTIVATION_TANH,
           TINYFIN_ERROR_ARGUMENT, "received approximation ", approximate,
           "; expected none or tanh");
  return approximate == TINYFIN_ACTIVATION_TANH;
}

}  // namespace

//@op neg(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method operator(__neg__)
//@ doc: Elementwise -x. Not for bool.
Tensor neg(const Tensor& x) { return number_unary(neg_p, x, "use ~x for logical not"); }

//@op abs(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method operator(__abs__)
//@ doc: Elementwise |x|. Not for bool. The gradient at 0 is 0.
Tensor abs(const Tensor& x) { return number_unary(abs_p, x, "cast it first"); }

//@op square(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Elementwise x * x. Not for bool.
Tensor square(const Tensor& x) { return number_unary(square_p, x, "cast it first"); }

//@op sign(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Elementwise -1, 0 or 1 as x is negative, zero or positive; keeps NaN. Not for bool. Its
//@   gradient is 0.
Tensor sign(const Tensor& x) { return number_unary(sign_p, x, "cast it first"); }

//@op floor(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Elementwise greatest integer that is not above x, in x's dtype. Its gradient is 0.
Tensor floor(const Tensor& x) { return rounding(floor_p, x); }

//@op ceil(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Elementwise least integer that is not below x, in x's dtype. Its gradient is 0.
Tensor ceil(const Tensor& x) { return rounding(ceil_p, x); }

//@op round(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Elementwise nearest integer in x's dtype; halves go to the even one. Its gradient is 0.
Tensor round(const Tensor& x) { return rounding(round_p, x); }

//@op exp(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Elementwise e to the power x. Integers and bool are computed as float32.
Tensor exp(const Tensor& x) { return float_unary(exp_p, x); }

//@op expm1(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Elementwise exp(x) - 1, exact near 0. Integers and bool are computed as float32.
Tensor expm1(const Tensor& x) { return float_unary(expm1_p, x); }

//@op log(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Elementwise natural logarithm of x: -inf at 0, NaN below. Integers and bool are computed
//@   as float32.
Tensor log(const Tensor& x) { return float_unary(log_p, x); }

//@op log1p(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Elementwise log(1 + x), exact near 0. Integers and bool are computed as float32.
Tensor log1p(const Tensor& x) { return float_unary(log1p_p, x); }

//@op sqrt(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Elementwise square root of x: NaN below 0. Integers and bool are computed as float32.
Tensor sqrt(const Tensor& x) { return float_unary(sqrt_p, x); }

//@op rsqrt(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Elementwise 1 / sqrt(x). Integers and bool are computed as float32.
Tensor rsqrt(const Tensor& x) { return float_unary(rsqrt_p, x); }

//@op reciprocal(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Elementwise 1 / x. Integers and bool are computed as float32.
Tensor reciprocal(const Tensor& x) { return float_unary(reciprocal_p, x); }

//@op sin(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Elementwise sine of x in radians. Integers and bool are computed as float32.
Tensor sin(const Tensor& x) { return float_unary(sin_p, x); }

//@op cos(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Elementwise cosine of x in radians. Integers and bool are computed as float32.
Tensor cos(const Tensor& x) { return float_unary(cos_p, x); }

//@op erf(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Elementwise error function of x. Integers and bool are computed as float32.
Tensor erf(const Tensor& x) { return float_unary(erf_p, x); }

//@op tanh(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Elementwise hyperbolic tangent of x. Integers and bool are computed as float32.
Tensor tanh(const Tensor& x) { return float_unary(tanh_p, x); }

//@op sigmoid(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Elementwise 1 / (1 + exp(-x)). Integers and bool are computed as float32.
Tensor sigmoid(const Tensor& x) { return float_unary(sigmoid_p, x); }

//@op relu(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Elementwise max(x, 0). Not for bool. The gradient at 0 is 0.
Tensor relu(const Tensor& x) { return number_unary(relu_p, x, "cast it first"); }

//@op leaky_relu(Tensor x, float slope=0.01) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Elementwise x where x > 0, slope * x elsewhere. Integers and bool are computed as
//@   float32.
Tensor leaky_relu(const Tensor& x, double slope) {
  return float_unary(leaky_relu_p, x, Attrs(slope));
}

//@op elu(Tensor x, float alpha=1) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Elementwise x where x > 0, alpha * (exp(x) - 1) elsewhere (Clevert et al. 2016). Integers
//@   and bool are computed as float32.
Tensor elu(const Tensor& x, double alpha) { return float_unary(elu_p, x, Attrs(alpha)); }

//@op silu(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Elementwise x * sigmoid(x). Integers and bool are computed as float32.
Tensor silu(const Tensor& x) { return float_unary(silu_p, x); }

//@op softplus(Tensor x, float beta=1) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Elementwise log(1 + exp(beta * x)) / beta, without overflow. beta: positive. Integers and
//@   bool are computed as float32.
Tensor softplus(const Tensor& x, double beta) {
  TF_CHECK(beta > 0 && std::isfinite(beta), TINYFIN_ERROR_ARGUMENT, "received beta = ", beta,
           "; expected a positive number");
  return float_unary(softplus_p, x, Attrs(beta));
}

//@op gelu(Tensor x, activation approximate=none) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Elementwise x * Phi(x), Phi the normal distribution (Hendrycks and Gimpel 2016).
//@   approximate: "none", or "tanh" for x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))) / 2.
//@   Integers and bool are computed as float32.
Tensor gelu(const Tensor& x, tf_activation approximate) {
  return float_unary(gelu_p, x, Attrs(is_tanh_form(approximate)));
}

//@op relu_mask(Tensor grad, Tensor result) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: private
//@ doc: grad where result > 0, else 0: the gradient of relu.
Tensor relu_mask(const Tensor& grad, const Tensor& result) {
  return run(relu_mask_p, {&grad, &result}, Attrs(), meta_broadcast(grad, result, grad.dtype()));
}

//@op tanh_backward(Tensor grad, Tensor result) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: private
//@ doc: grad * (1 - result^2): the gradient of tanh.
Tensor tanh_backward(const Tensor& grad, const Tensor& result) {
  return backward_of(tanh_backward_p, grad, result);
}

//@op sigmoid_backward(Tensor grad, Tensor result) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: private
//@ doc: grad * result * (1 - result): the gradient of sigmoid.
Tensor sigmoid_backward(const Tensor& grad, const Tensor& result) {
  return backward_of(sigmoid_backward_p, grad, result);
}

//@op leaky_relu_backward(Tensor grad, Tensor x, float slope) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: private
//@ doc: grad where x > 0, slope * grad elsewhere: the gradient of leaky_relu.
Tensor leaky_relu_backward(const Tensor& grad, const Tensor& x, double slope) {
  return backward_of(leaky_relu_backward_p, grad, x, Attrs(slope));
}

//@op elu_backward(Tensor grad, Tensor x, float alpha) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: private
//@ doc: grad where x > 0, grad * alpha * exp(x) elsewhere: the gradient of elu.
Tensor elu_backward(const Tensor& grad, const Tensor& x, double alpha) {
  return backward_of(elu_backward_p, grad, x, Attrs(alpha));
}

//@op silu_backward(Tensor grad, Tensor x) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: private
//@ doc: grad * d/dx (x * sigmoid(x)): the gradient of silu.
Tensor silu_backward(const Tensor& grad, const Tensor& x) {
  return backward_of(silu_backward_p, grad, x);
}

//@op gelu_backward(Tensor grad, Tensor x, activation approximate) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: private
//@ doc: The gradient of gelu.
Tensor gelu_backward(const Tensor& grad, const Tensor& x, tf_activation approximate) {
  return backward_of(gelu_backward_p, grad, x, Attrs(is_tanh_form(approximate)));
}

}  // namespace tf
