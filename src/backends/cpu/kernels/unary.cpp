// Functions of one element that need no more than arithmetic.
// SPDX-License-Identifier: MIT
#include "backends/cpu/elementwise_bf16.h"
#include "backends/cpu/vmath_basic.h"

namespace tf::cpu::TF_ISA {
namespace {

constexpr uint32_t kNumbers = TINYFIN_DTYPES_FLOAT | TINYFIN_DTYPES_INT;

template <class Op>
static inline tf_status on_numbers(const tf_kernel_call* c, const Op& op) {
  return with_number(c->out[0].dtype, [&](auto t) { return unary<decltype(t)>(c, op); });
}
template <class Op>
static inline tf_status on_floats(const tf_kernel_call* c, const Op& op) {
  return c->out[0].dtype == TINYFIN_FLOAT32 ? unary<float>(c, op) : unary<double>(c, op);
}

static tf_status neg_kernel(const tf_kernel_call* c, void*) {
  return on_numbers(c, [](auto a) TF_ALWAYS_INLINE { return -a; });
}
TF_KERNEL(neg, kNumbers, neg_kernel);

static tf_status abs_kernel(const tf_kernel_call* c, void*) {
  return on_numbers(c, [](auto a) TF_ALWAYS_INLINE { return abs(a); });
}
TF_KERNEL(abs, kNumbers, abs_kernel);

static tf_status square_kernel(const tf_kernel_call* c, void*) {
  return on_numbers(c, [](auto a) TF_ALWAYS_INLINE { return a * a; });
}
TF_KERNEL(square, kNumbers, square_kernel);

static tf_status sign_kernel(const tf_kernel_call* c, void*) {
  return with_number(c->out[0].dtype, [&](auto t) {
    using T = decltype(t);
    return unary<T>(c, [](Vec<T> a) TF_ALWAYS_INLINE {
      const Vec<T> zero(T(0)), below = select(a < zero, Vec<T>(T(-1)), a);
      return select(a > zero, Vec<T>(T(1)), below);  // zeros and NaN are themselves
    });
  });
}
TF_KERNEL(sign, kNumbers, sign_kernel);

static tf_status floor_kernel(const tf_kernel_call* c, void*) {
  return on_floats(c, [](auto a) TF_ALWAYS_INLINE { return floor(a); });
}
TF_KERNEL(floor, TINYFIN_DTYPES_FLOAT, floor_kernel);

static tf_status ceil_kernel(const tf_kernel_call* c, void*) {
  return on_floats(c, [](auto a) TF_ALWAYS_INLINE { return ceil(a); });
}
TF_KERNEL(ceil, TINYFIN_DTYPES_FLOAT, ceil_kernel);

static tf_status round_kernel(const tf_kernel_call* c, void*) {
  return on_floats(c, [](auto a) TF_ALWAYS_INLINE { return round(a); });
}
TF_KERNEL(round, TINYFIN_DTYPES_FLOAT, round_kernel);

static tf_status sqrt_kernel(const tf_kernel_call* c, void*) {
  return on_floats(c, [](auto a) TF_ALWAYS_INLINE { return sqrt(a); });
}
TF_KERNEL(sqrt, TINYFIN_DTYPES_FLOAT, sqrt_kernel);

static tf_status rsqrt_kernel(const tf_kernel_call* c, void*) {
  return on_floats(c, [](auto a) TF_ALWAYS_INLINE { return decltype(a)(1) / sqrt(a); });
}
TF_KERNEL(rsqrt, TINYFIN_DTYPES_FLOAT, rsqrt_kernel);

static tf_status reciprocal_kernel(const tf_kernel_call* c, void*) {
  return on_floats(c, [](auto a) TF_ALWAYS_INLINE { return decltype(a)(1) / a; });
}
TF_KERNEL(reciprocal, TINYFIN_DTYPES_FLOAT, reciprocal_kernel);

// max(x, 0) that keeps NaN.
static tf_status relu_kernel(const tf_kernel_call* c, void*) {
  const auto relu = [](auto a) TF_ALWAYS_INLINE {
    const decltype(a) zero(0);
    return select(a < zero, zero, a);
  };
  if (c->out[0].dtype == TINYFIN_BFLOAT16) return elementwise_bf16<1>(c, relu);
  return on_numbers(c, relu);
}
TF_KERNEL(relu, kNumbers | TINYFIN_DTYPES_BFLOAT16, relu_kernel);

static tf_status relu_mask_kernel(const tf_kernel_call* c, void*) {
  const auto masked = [](auto grad, auto out) TF_ALWAYS_INLINE {
    const decltype(out) zero(0);
    return select(out > zero, grad, zero);
  };
  switch (c->out[0].dtype) {
    case TINYFIN_FLOAT32: return binary<float>(c, masked);
    case TINYFIN_FLOAT64: return binary<double>(c, masked);
    default: return elementwise_bf16<2>(c, masked);
  }
}
TF_KERNEL(relu_mask, TINYFIN_DTYPES_FLOAT | TINYFIN_DTYPES_BFLOAT16, relu_mask_kernel);

template <class T>
static inline tf_status leaky_relu(const tf_kernel_call* c) {
  const T slope = T(c->attr[0].f);
  return unary<T>(c, [=](Vec<T> a) TF_ALWAYS_INLINE {
    return select(a > Vec<T>(T(0)), a, a * Vec<T>(slope));
  });
}
static tf_status leaky_relu_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT32 ? leaky_relu<float>(c) : leaky_relu<double>(c);
}
TF_KERNEL(leaky_relu, TINYFIN_DTYPES_FLOAT, leaky_relu_kernel);

template <class T>
static inline tf_status leaky_relu_backward(const tf_kernel_call* c) {
  const T slope = T(c->attr[0].f);
  return binary<T>(c, [=](Vec<T> grad, Vec<T> x) TF_ALWAYS_INLINE {
    return select(x > Vec<T>(T(0)), grad, grad * Vec<T>(slope));
  });
}
static tf_status leaky_relu_backward_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT32 ? leaky_relu_backward<float>(c)
                                            : leaky_relu_backward<double>(c);
}
TF_KERNEL(leaky_relu_backward, TINYFIN_DTYPES_FLOAT, leaky_relu_backward_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
