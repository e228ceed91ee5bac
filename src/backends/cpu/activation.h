// Activations: of a register, and of a block of a kernel's output while it is in the cache.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/kernel.h"
#include "backends/cpu/vmath.h"

namespace tf::cpu::TF_ISA {
namespace {

// Φ(x) of the normal distribution.
template <class T>
TF_INLINE Vec<T> normal(Vec<T> x) {
#if defined(TF_SIMD_AVX512)
  if constexpr (sizeof(T) == 4) {
    const F32 above = normal_tail(abs(x));
    return select(x < F32(0.f), above, F32(1.f) - above);
  }
#endif
  const Vec<T> half(T(0.5));
  return fma(half, erf(x * Vec<T>(T(0.70710678118654752))), half);
}

// x Φ(x), on AVX-512 as max(x, 0) - |x| (1 - Φ(|x|)), which keeps its digits where x is negative.
template <class T>
TF_INLINE Vec<T> gelu(Vec<T> x) {
#if defined(TF_SIMD_AVX512)
  if constexpr (sizeof(T) == 4) {
    const F32 t = min(F32(8.f), abs(x));  // so that infinity does not meet the tail's 0
    return fma(-t, normal_tail(t), max(F32(0.f), x));
  }
#endif
  return x * normal(x);
}

// x (1 + tanh u) / 2 = x sigmoid(2u) with u = sqrt(2/π) (x + 0.044715 x³).
template <class T>
TF_INLINE Vec<T> gelu_tanh(Vec<T> x) {
  constexpr double kScale = 2 * 0.79788456080286536;
  return x * sigmoid(x * fma(Vec<T>(T(kScale * 0.044715)), x * x, Vec<T>(T(kScale))));
}

template <class T>
TF_INLINE Vec<T> silu(Vec<T> x) {
  return x * sigmoid(x);
}

// f over rows × columns in place.
template <class T, class F>
inline void map_block(T* c, int64_t ldc, int64_t rows, int64_t columns, const F& f) {
  constexpr int64_t kW = Vec<T>::kWidth;
  for (int64_t i = 0; i < rows; ++i, c += ldc) {
    int64_t j = 0;
    for (; j + kW <= columns; j += kW) store(c + j, f(load(c + j)));
    if (j < columns) store_n(c + j, f(load_n(c + j, columns - j)), columns - j);
  }
}

// The same with a second array that is read, laid out as the first: c = f(c, d).
template <class T, class F>
inline void map_block(T* c, const T* d, int64_t ld, int64_t rows, int64_t columns, const F& f) {
  constexpr int64_t kW = Vec<T>::kWidth;
  for (int64_t i = 0; i < rows; ++i, c += ld, d += ld) {
    int64_t j = 0;
    for (; j + kW <= columns; j += kW) store(c + j, f(load(c + j), load(d + j)));
    if (j < columns)
      store_n(c + j, f(load_n(c + j, columns - j), load_n(d + j, columns - j)), columns - j);
  }
}

template <class T>
void activate(tf_activation activation, T* c, int64_t ldc, int64_t rows, int64_t columns) {
  using V = Vec<T>;
  const auto apply = [&](const auto& f) { map_block(c, ldc, rows, columns, f); };
  switch (activation) {
    case TINYFIN_ACTIVATION_RELU:
      return apply([](V x) TF_ALWAYS_INLINE { return max(V(T(0)), x); });
    case TINYFIN_ACTIVATION_GELU: return apply([](V x) TF_ALWAYS_INLINE { return gelu(x); });
    case TINYFIN_ACTIVATION_GELU_TANH:
      return apply([](V x) TF_ALWAYS_INLINE { return gelu_tanh(x); });
    case TINYFIN_ACTIVATION_SIGMOID: return apply([](V x) TF_ALWAYS_INLINE { return sigmoid(x); });
    case TINYFIN_ACTIVATION_TANH: return apply([](V x) TF_ALWAYS_INLINE { return tanh(x); });
    case TINYFIN_ACTIVATION_SILU: return apply([](V x) TF_ALWAYS_INLINE { return silu(x); });
    default: return;
  }
}

// A block of gradients, times the derivative of an activation whose result, laid out as the block,
// tells it.
template <class T>
void through_activation(tf_activation activation, T* c, const T* result, int64_t ld, int64_t rows,
                        int64_t columns) {
  using V = Vec<T>;
  const auto apply = [&](const auto& f) { map_block(c, result, ld, rows, columns, f); };
  switch (activation) {
    case TINYFIN_ACTIVATION_RELU:
      return apply([](V g, V y) TF_ALWAYS_INLINE { return select(y > V(T(0)), g, V(T(0))); });
    case TINYFIN_ACTIVATION_SIGMOID:
      return apply([](V g, V y) TF_ALWAYS_INLINE { return g * (y - y * y); });
    case TINYFIN_ACTIVATION_TANH:
      return apply([](V g, V y) TF_ALWAYS_INLINE { return g * (V(T(1)) - y * y); });
    default: return;
  }
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
