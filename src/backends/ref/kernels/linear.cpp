// Products of matrices.
// SPDX-License-Identifier: MIT
#include <cmath>

#include "call.h"

namespace ref {
namespace {

double activated(double x, tf_activation kind) {
  switch (kind) {
    case TINYFIN_ACTIVATION_RELU: return x > 0 || std::isnan(x) ? x : 0;
    case TINYFIN_ACTIVATION_GELU: return x * std::erfc(-x * M_SQRT1_2) / 2;
    case TINYFIN_ACTIVATION_GELU_TANH:
      return x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))) / 2;
    case TINYFIN_ACTIVATION_SIGMOID: return 1 / (1 + std::exp(-x));
    case TINYFIN_ACTIVATION_TANH: return std::tanh(x);
    case TINYFIN_ACTIVATION_SILU: return x / (1 + std::exp(-x));
    default: return x;
  }
}

// a (…, m, k), b (…, k, n) → (…, m, n)
const Define matmul("matmul", [](const Call& c) {
  const Array &a = c.in[0], &b = c.in[1], &out = c.out[0];
  const int row = out.ndim - 2, col = out.ndim - 1;
  for_each(out, [&](const Index& i) {
    Index left = i, right = i;
    double sum = 0;
    uint64_t whole = 0;  // integers wrap
    for (int64_t k = 0; k < a.size(-1); ++k) {
      left[col] = k;
      right[row] = k;
      if (out.holds_floats())
        sum += a.get(left) * b.get(right);
      else
        whole += uint64_t(a.get_int(left)) * uint64_t(b.get_int(right));
    }
    out.holds_floats() ? out.set(i, sum) : out.set_int(i, int64_t(whole));
  });
});

// x (…, in) · weight (out, in), transposed, + bias (out) + residual (…, out) at position i
double before_activation(const Call& c, const Index& i) {
  const Array &x = c.in[0], &weight = c.in[1], &bias = c.in[2];
  const int last = x.ndim - 1;
  double sum = bias.present() ? bias.get({{i[last]}}) : 0;
  if (c.in[3].present()) sum += c.in[3].get(i);
  Index at = i;
  for (int64_t k = 0; k < x.size(-1); ++k) {
    at[last] = k;
    sum += x.get(at) * weight.get({{i[last], k}});
  }
  return sum;
}

const Define linear("linear", [](const Call& c) {
  for_each(c.out[0], [&](const Index& i) {
    c.out[0].set(i, activated(before_activation(c, i), tf_activation(c.i(0))));
  });
}, TINYFIN_DTYPES_FLOAT);

// grad (rows, out)ᵀ · x (rows, in), and the sums of grad's columns
const Define linear_grad_weight("linear_grad_weight", [](const Call& c) {
  const Array &grad = c.in[0], &x = c.in[1], &weight = c.out[0], &bias = c.out[1];
  for_each(weight, [&](const Index& i) {
    double sum = 0;
    for (int64_t k = 0; k < x.size(0); ++k) sum += grad.get({{k, i[0]}}) * x.get({{k, i[1]}});
    weight.set(i, sum);
  });
  for_each(bias, [&](const Index& i) {
    double sum = 0;
    for (int64_t k = 0; k < grad.size(0); ++k) sum += grad.get({{k, i[0]}});
    bias.set(i, sum);
  });
}, TINYFIN_DTYPES_FLOAT);

double through(double grad, double result, tf_activation kind) {
  switch (kind) {
    case TINYFIN_ACTIVATION_RELU: return result > 0 ? grad : 0;
    case TINYFIN_ACTIVATION_SIGMOID: return grad * result * (1 - result);
    case TINYFIN_ACTIVATION_TANH: return grad * (1 - result * result);
    default: return grad;
  }
}

// (base + a (…, k) · b (k, n)) times the derivative of the activation whose result is given
const Define product_through("product_through", [](const Call& c) {
  const Array &a = c.in[0], &b = c.in[1], &base = c.in[2], &result = c.in[3];
  const int last = a.ndim - 1;
  for_each(c.out[0], [&](const Index& i) {
    double sum = base.present() ? base.get(i) : 0;
    Index at = i;
    for (int64_t k = 0; k < a.size(-1); ++k) {
      at[last] = k;
      sum += a.get(at) * b.get({{k, i[last]}});
    }
    c.out[0].set(i, result.present() ? through(sum, result.get(i), tf_activation(c.i(0))) : sum);
  });
}, TINYFIN_DTYPES_FLOAT);

}  // namespace
}  // namespace ref
