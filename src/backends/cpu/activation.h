// Activations: of a register, and of a block of a kernel's output while it is in the cache.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/kernel.h"
#include "backends/cpu/vmath.h"

namespace tf::cpu::TF_ISA {
namespace {

// At infinity every activation and every slope has its limit: an argument that goes into a product
// stops where the other factor is 0 or does not change any more. NaN stays.
template <class T>
TF_INLINE Vec<T> bounded(Vec<T> x) {
  constexpr T kBound(sizeof(T) == 4 ? 200 : 1000);
  return max(Vec<T>(-kBound), min(Vec<T>(kBound), x));
}
template <class T>
TF_INLINE Vec<T> bounded_below(Vec<T> x) {
  return max(Vec<T>(T(sizeof(T) == 4 ? -200 : -1000)), x);
}

// Φ(x) of the normal distribution.
template <class T>
TF_INLINE Vec<T> normal(Vec<T> x) {
  const Vec<T> above = normal_tail(abs(x));
  return select(x < Vec<T>(T(0)), above, Vec<T>(T(1)) - above);
}

// x Φ(x) as max(x, 0) - |x| (1 - Φ(|x|)), which keeps its digits where x is negative.
template <class T>
TF_INLINE Vec<T> gelu(Vec<T> x) {
  const Vec<T> t = min(Vec<T>(T(10)), abs(x));  // there the tail is 0
  return fma(-t, normal_tail(t), max(Vec<T>(T(0)), x));
}
// Φ(x) + x φ(x)
template <class T>
TF_INLINE Vec<T> gelu_slope(Vec<T> x) {
  const Vec<T> t = bounded(x);
  const Vec<T> density = Vec<T>(T(0.39894228040143268)) * exp_nonpositive(Vec<T>(T(-0.5)) * t * t);
  return fma(t, density, normal(t));
}

// s = sigmoid(x) and s (1 - s), which keeps its digits where s is near 1.
template <class T>
struct Logistic {
  Vec<T> s, slope;
};
template <class T>
TF_INLINE Logistic<T> logistic(Vec<T> x) {
  const Vec<T> e = exp_nonpositive(-abs(x)), inverse = Vec<T>(T(1)) / (Vec<T>(T(1)) + e);
  const Vec<T> low = e * inverse;
  return {select(x < Vec<T>(T(0)), low, inverse), low * inverse};
}

// x (1 + tanh u) / 2 = x sigmoid(2u) with u = sqrt(2/π) (x + 0.044715 x³).
constexpr double kGeluScale = 2 * 0.79788456080286536, kGeluCubic = 0.044715 * kGeluScale;
template <class T>
TF_INLINE Vec<T> gelu_tanh(Vec<T> x) {
  const Vec<T> t = bounded_below(x);
  return t * sigmoid(t * fma(Vec<T>(T(kGeluCubic)), t * t, Vec<T>(T(kGeluScale))));
}
template <class T>
TF_INLINE Vec<T> gelu_tanh_slope(Vec<T> x) {
  const Vec<T> t = bounded(x), square = t * t, scale(static_cast<T>(kGeluScale));
  const Logistic<T> y = logistic(t * fma(Vec<T>(T(kGeluCubic)), square, scale));
  const Vec<T> inner = fma(Vec<T>(T(3 * kGeluCubic)), square, scale);
  return fma(t * inner, y.slope, y.s);
}

template <class T>
TF_INLINE Vec<T> silu(Vec<T> x) {
  const Vec<T> t = bounded_below(x);
  return t * sigmoid(t);
}
template <class T>
TF_INLINE Vec<T> silu_slope(Vec<T> x) {
  const Vec<T> t = bounded(x);
  const Logistic<T> y = logistic(t);
  return fma(t, y.slope, y.s);
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

// The same with a second array that is read: c = f(c, d).
template <class T, class F>
inline void map_block(T* c, int64_t ldc, const T* d, int64_t ldd, int64_t rows, int64_t columns,
                      const F& f) {
  constexpr int64_t kW = Vec<T>::kWidth;
  for (int64_t i = 0; i < rows; ++i, c += ldc, d += ldd) {
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
  const auto apply = [&](const auto& f) { map_block(c, ld, result, ld, rows, columns, f); };
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
