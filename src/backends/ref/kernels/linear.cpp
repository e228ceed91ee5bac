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

// x (rows, in), weight (out, in), bias (out): activation(x weight^T + bias)
const Define linear("linear", [](const Call& c) {
  const Array &x = c.in[0], &weight = c.in[1], &bias = c.in[2], &out = c.out[0];
  for_each(out, [&](const Index& i) {
    double sum = bias.present() ? bias.get({{i[1]}}) : 0;
    for (int64_t k = 0; k < x.size(1); ++k) sum += x.get({{i[0], k}}) * weight.get({{i[1], k}});
    out.set(i, activated(sum, tf_activation(c.i(0))));
  });
}, TINYFIN_DTYPES_FLOAT);

}  // namespace
}  // namespace ref
