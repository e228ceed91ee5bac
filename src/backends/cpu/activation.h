// Activations that kernels apply to a block of their output while it is in the cache.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/kernel.h"
#include "backends/cpu/simd.h"

namespace tf::cpu::TF_ISA {
namespace {

template <class T>
T activated(tf_activation activation, T x) {
  constexpr double kSqrtHalf = 0.70710678118654752440, kSqrtTwoOverPi = 0.79788456080286535588;
  const double v = double(x);
  switch (activation) {
    case TINYFIN_ACTIVATION_GELU: return T(0.5 * v * erfc(-v * kSqrtHalf));
    case TINYFIN_ACTIVATION_GELU_TANH:
      return T(0.5 * v * (1.0 + tanh(kSqrtTwoOverPi * (v + 0.044715 * v * v * v))));
    case TINYFIN_ACTIVATION_SIGMOID: return T(1.0 / (1.0 + exp(-v)));
    case TINYFIN_ACTIVATION_TANH: return T(tanh(v));
    case TINYFIN_ACTIVATION_SILU: return T(v / (1.0 + exp(-v)));
    default: return x;
  }
}

// In place on rows × columns. RELU is done by the stores of matrix products.
template <class T>
void activate(tf_activation activation, T* c, int64_t ldc, int64_t rows, int64_t columns) {
  if (activation == TINYFIN_ACTIVATION_NONE) return;
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      c[i * ldc + j] = activation == TINYFIN_ACTIVATION_RELU
                           ? (c[i * ldc + j] < T(0) ? T(0) : c[i * ldc + j])
                           : activated(activation, c[i * ldc + j]);
    }
  }
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
