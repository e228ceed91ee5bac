// exp, log, sin, … and the activations made of them, each followed by its gradient's kernel.
// SPDX-License-Identifier: MIT
#include "backends/cpu/activation.h"
#include "backends/cpu/elementwise.h"
#include "backends/cpu/vmath_trig.h"

namespace tf::cpu::TF_ISA {
namespace {

// Registers of floats side by side; kMany where nothing but a table and few constants are kept.
constexpr int kSide = kRegisters == 32 ? 4 : 1, kMany = kVectorBytes == 64 ? 6 : kSide;

template <int kFloats = kSide, class Op>
static inline tf_status on_floats(const tf_kernel_call* c, const Op& op) {
  return c->out[0].dtype == TINYFIN_FLOAT32 ? unary<float, kFloats>(c, op) : unary<double>(c, op);
}
template <class Op>
static inline tf_status on_float_pairs(const tf_kernel_call* c, const Op& op) {
  return c->out[0].dtype == TINYFIN_FLOAT32 ? binary<float>(c, op) : binary<double>(c, op);
}

// A number as a register like r.
template <class V>
TF_INLINE V constant(V, double value) {
  using T = std::remove_reference_t<decltype(V{}.v[0])>;
  return V(T(value));
}

#define TF_FLOAT_FUNCTION(name, side)                                             \
  static tf_status name##_kernel(const tf_kernel_call* c, void*) {                \
    return on_floats<side>(c, [](auto a) TF_ALWAYS_INLINE { return name(a); });   \
  }                                                                               \
  TF_KERNEL(name, TINYFIN_DTYPES_FLOAT, name##_kernel)

TF_FLOAT_FUNCTION(exp, kMany);
TF_FLOAT_FUNCTION(expm1, kSide);
TF_FLOAT_FUNCTION(log, kSide);
TF_FLOAT_FUNCTION(log1p, kSide);
TF_FLOAT_FUNCTION(sin, kSide);
TF_FLOAT_FUNCTION(cos, kSide);
TF_FLOAT_FUNCTION(erf, kSide);

TF_FLOAT_FUNCTION(tanh, kMany);

static tf_status tanh_backward_kernel(const tf_kernel_call* c, void*) {
  return on_float_pairs(c, [](auto grad, auto out) TF_ALWAYS_INLINE {
    return grad * (constant(out, 1) - out * out);
  });
}
TF_KERNEL(tanh_backward, TINYFIN_DTYPES_FLOAT, tanh_backward_kernel);

TF_FLOAT_FUNCTION(sigmoid, kSide);

static tf_status sigmoid_backward_kernel(const tf_kernel_call* c, void*) {
  return on_float_pairs(c, [](auto grad, auto out) TF_ALWAYS_INLINE {
    return grad * (out - out * out);
  });
}
TF_KERNEL(sigmoid_backward, TINYFIN_DTYPES_FLOAT, sigmoid_backward_kernel);

static tf_status silu_kernel(const tf_kernel_call* c, void*) {
  return on_floats(c, [](auto x) TF_ALWAYS_INLINE { return silu(x); });
}
TF_KERNEL(silu, TINYFIN_DTYPES_FLOAT, silu_kernel);

static tf_status silu_backward_kernel(const tf_kernel_call* c, void*) {
  return on_float_pairs(
      c, [](auto grad, auto x) TF_ALWAYS_INLINE { return grad * silu_slope(x); });
}
TF_KERNEL(silu_backward, TINYFIN_DTYPES_FLOAT, silu_backward_kernel);

static tf_status elu_kernel(const tf_kernel_call* c, void*) {
  const double alpha = c->attr[0].f;
  return on_floats(c, [=](auto x) TF_ALWAYS_INLINE {
    return select(x > constant(x, 0), x, constant(x, alpha) * expm1(x));
  });
}
TF_KERNEL(elu, TINYFIN_DTYPES_FLOAT, elu_kernel);

static tf_status elu_backward_kernel(const tf_kernel_call* c, void*) {
  const double alpha = c->attr[0].f;
  return on_float_pairs(c, [=](auto grad, auto x) TF_ALWAYS_INLINE {
    return select(x > constant(x, 0), grad, grad * constant(x, alpha) * exp(x));
  });
}
TF_KERNEL(elu_backward, TINYFIN_DTYPES_FLOAT, elu_backward_kernel);

// max(x, 0) + log(1 + exp(-|x|)): nothing overflows.
static tf_status softplus_kernel(const tf_kernel_call* c, void*) {
  const double beta = c->attr[0].f;
  return on_floats(c, [=](auto x) TF_ALWAYS_INLINE {
    const auto y = x * constant(x, beta);
    const auto above = select(y < constant(x, 0), constant(x, 0), y);
    return (above + log1p(exp_nonpositive(-abs(y)))) / constant(x, beta);
  });
}
TF_KERNEL(softplus, TINYFIN_DTYPES_FLOAT, softplus_kernel);

static tf_status gelu_kernel(const tf_kernel_call* c, void*) {
  if (c->attr[0].i)
    return on_floats(c, [](auto x) TF_ALWAYS_INLINE { return gelu_tanh(x); });
  return on_floats(c, [](auto x) TF_ALWAYS_INLINE { return gelu(x); });
}
TF_KERNEL(gelu, TINYFIN_DTYPES_FLOAT, gelu_kernel);

static tf_status gelu_backward_kernel(const tf_kernel_call* c, void*) {
  if (c->attr[0].i)
    return on_float_pairs(
        c, [](auto grad, auto x) TF_ALWAYS_INLINE { return grad * gelu_tanh_slope(x); });
  return on_float_pairs(
      c, [](auto grad, auto x) TF_ALWAYS_INLINE { return grad * gelu_slope(x); });
}
TF_KERNEL(gelu_backward, TINYFIN_DTYPES_FLOAT, gelu_backward_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
