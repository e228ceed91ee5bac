// 3 × 3 taps on one channel, as the first layer on grey images has: nine steps are too few for the
// register tiles of products, and nine registers hold all that stays the same.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/conv.h"

namespace tf::cpu::TF_ISA {
namespace {

constexpr int kGraySide = 3, kGrayTaps = 9;

static inline bool is_gray(const Window& w, int64_t channels) {
  return channels == 1 && w.kernel_h == kGraySide && w.kernel_w == kGraySide && w.dilation_w == 1;
}

// One register of out channels of `count` pixels, `pixel` elements apart in x: weights (tap,
// lane), `pitch` elements from tap to tap; row: elements between the rows that taps read. Adds in
// the order of run_tile(): the same bits.
template <class T>
static void gray_pixels(const T* x, int64_t pixel, int64_t row, int64_t count, const T* weights,
                        int64_t pitch, Vec<T> bias, Vec<T> floor, T* y, int64_t y_pixel,
                        int64_t m) {
  using V = Vec<T>;
  V w[kGrayTaps];
  unroll<kGrayTaps>([&](auto i) TF_ALWAYS_INLINE { w[i] = load(weights + i * pitch); });
  const auto value = [&](const T* from) TF_ALWAYS_INLINE {
    V acc(T(0));
    unroll<kGraySide>([&](auto h) TF_ALWAYS_INLINE {
      unroll<kGraySide>([&](auto v) TF_ALWAYS_INLINE {
        acc = fma(V(from[h * row + v]), w[h * kGraySide + v], acc);
      });
    });
    return max(floor, acc + bias);
  };
  if (m == V::kWidth) {
    for (int64_t i = 0; i < count; ++i, x += pixel, y += y_pixel) store(y, value(x));
  } else {
    for (int64_t i = 0; i < count; ++i, x += pixel, y += y_pixel) store_n(y, value(x), m);
  }
}

// sums (tap, kVectors registers) += x · grad over `rows` rows of `count` pixels. x0, x1, x2: where
// the taps of each kernel row begin.
template <int kVectors, class T>
static void gray_sums(const T* x0, const T* x1, const T* x2, int64_t pixel, int64_t x_row,
                      const T* grad, int64_t grad_row, int64_t rows, int64_t count, bool first,
                      T* sums) {
  using V = Vec<T>;
  constexpr int kW = V::kWidth, kWidth = kVectors * kW;
  V acc[kGrayTaps * kVectors];
  unroll<kGrayTaps * kVectors>([&](auto i) TF_ALWAYS_INLINE {
    acc[i] = first ? V(T(0)) : load(sums + i * kW);
  });
  for (int64_t r = 0; r < rows; ++r, x0 += x_row, x1 += x_row, x2 += x_row) {
    const T *a0 = x0, *a1 = x1, *a2 = x2, *from = grad + r * grad_row;
    for (int64_t i = 0; i < count; ++i, from += kWidth, a0 += pixel, a1 += pixel, a2 += pixel) {
      V g[kVectors];
      unroll<kVectors>([&](auto j) TF_ALWAYS_INLINE { g[j] = load(from + j * kW); });
      unroll<kGrayTaps>([&](auto tap) TF_ALWAYS_INLINE {
        constexpr int kRow = tap / kGraySide;
        const V x((kRow == 0 ? a0 : kRow == 1 ? a1 : a2)[tap % kGraySide]);
        unroll<kVectors>([&](auto j) TF_ALWAYS_INLINE {
          acc[tap * kVectors + j] = fma(x, g[j], acc[tap * kVectors + j]);
        });
      });
    }
  }
  unroll<kGrayTaps * kVectors>([&](auto i) TF_ALWAYS_INLINE { store(sums + i * kW, acc[i]); });
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
