// Windows over images: what pooling and the convolution that pools its own output share.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/elementwise.h"

namespace tf::cpu::TF_ISA {
namespace {

// Attributes of all pooling primitives begin: kernel, stride, padding.
struct Windows {
  int64_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;

  // No element lies in two windows.
  bool disjoint() const { return stride_h >= kernel_h && stride_w >= kernel_w; }
};

static inline Windows windows_of(const tf_attr* a) {
  return {a[0].i, a[1].i, a[2].i, a[3].i, a[4].i, a[5].i};
}

// Elements first … last - 1 of a side that window number i covers.
struct Cover {
  int64_t first, last;
};
static inline Cover covered(int64_t i, int64_t kernel, int64_t stride, int64_t pad, int64_t size) {
  const int64_t first = i * stride - pad, last = first + kernel;
  return {first < 0 ? 0 : first, last > size ? size : last};
}

// Up to a register of channels of a pixel, `stride` elements apart. kDense: stride is 1.
template <bool kDense, class T>
TF_INLINE Vec<T> load_channels(const T* from, int64_t stride, int64_t m) {
  if (kDense) return m == Vec<T>::kWidth ? load(from) : load_n(from, m);
  T lanes[Vec<T>::kWidth] = {};
  for (int64_t i = 0; i < m; ++i) lanes[i] = from[i * stride];
  return load(lanes);
}
template <bool kDense, class T>
TF_INLINE void store_channels(T* to, int64_t stride, Vec<T> value, int64_t m) {
  if (kDense) return m == Vec<T>::kWidth ? store(to, value) : store_n(to, value, m);
  for (int64_t i = 0; i < m; ++i) to[i * stride] = value[int(i)];
}

// Indices are int32 in memory, lanes of T's size in registers.
template <bool kDense>
TF_INLINE void store_index(int32_t* to, int64_t stride, Vec<int32_t> index, int64_t m) {
  store_channels<kDense>(to, stride, index, m);
}
template <bool kDense>
TF_INLINE void store_index(int32_t* to, int64_t stride, Vec<int64_t> index, int64_t m) {
  for (int64_t i = 0; i < m; ++i) to[i * (kDense ? 1 : stride)] = int32_t(index[int(i)]);
}
template <class T, bool kDense>
TF_INLINE Vec<IntOf<T>> load_index(const int32_t* from, int64_t stride, int64_t m) {
  if constexpr (sizeof(T) == 4) {
    return load_channels<kDense>(from, stride, m);
  } else {
    int64_t wide[Vec<int64_t>::kWidth] = {};
    for (int64_t i = 0; i < m; ++i) wide[i] = from[i * (kDense ? 1 : stride)];
    return load(wide);
  }
}

// A row of pixels: `pixel` elements from one to the next, `channel` between its channels.
template <class T>
struct PixelRow {
  T* data;
  int64_t pixel, channel;
};

// Windows of 2 × 2 that lie wholly in the image: the usual ones, and short enough that loops over
// them cost more than what they do.
static inline bool twos(const Windows& w) {
  return w.kernel_h == 2 && w.kernel_w == 2 && w.pad_h == 0 && w.pad_w == 0;
}

// Maxima of one row of windows over image rows `rows`, and h * width + w of where each lies. The
// last NaN of a window counts as its maximum, else the first of equals.
//   x: the first of these rows in memory, `row` elements from each to the next.
template <bool kDense, bool kTwos, class T>
static void max_of_each(const Windows& w, const Cover& rows, int64_t width, int64_t channels,
                        const PixelRow<const T>& x, int64_t row, int64_t windows,
                        const PixelRow<T>& out, const PixelRow<int32_t>& index) {
  using V = Vec<T>;
  using I = IntOf<T>;
  constexpr int64_t kW = V::kWidth;
  const int64_t height = kTwos ? 2 : rows.last - rows.first;
  for (int64_t ow = 0; ow < windows; ++ow) {
    const Cover columns = kTwos ? Cover{ow * w.stride_w, ow * w.stride_w + 2}
                                : covered(ow, w.kernel_w, w.stride_w, w.pad_w, width);
    const int64_t first = rows.first * width + columns.first;
    const int64_t length = kTwos ? 2 : columns.last - columns.first;
    const T* corner = x.data + columns.first * x.pixel;
    for (int64_t ch = 0; ch < channels; ch += kW) {
      const int64_t m = channels - ch < kW ? channels - ch : kW;
      const T* line = corner + ch * x.channel;
      V best = load_channels<kDense>(line, x.channel, m);
      Vec<I> where{I(first)};
      const auto compare = [&](int64_t h, int64_t v) TF_ALWAYS_INLINE {
        const V value = load_channels<kDense>(line + h * row + v * x.pixel, x.channel, m);
        const Vec<I> wins = (value > best) | (value != value);
        best = select(wins, value, best);
        where = select(wins, Vec<I>(I(first + h * width + v)), where);
      };
      if constexpr (kTwos) {
        compare(0, 1);
        compare(1, 0);
        compare(1, 1);
      } else {
        for (int64_t h = 0; h < height; ++h)
          for (int64_t v = h == 0; v < length; ++v) compare(h, v);
      }
      store_channels<kDense>(out.data + ow * out.pixel + ch * out.channel, out.channel, best, m);
      store_index<kDense>(index.data + ow * index.pixel + ch * index.channel, index.channel, where,
                          m);
    }
  }
}

template <bool kDense, class T>
static void max_of_windows(const Windows& w, const Cover& rows, int64_t width, int64_t channels,
                           const PixelRow<const T>& x, int64_t row, int64_t windows,
                           const PixelRow<T>& out, const PixelRow<int32_t>& index) {
  const auto run = twos(w) ? max_of_each<kDense, true, T> : max_of_each<kDense, false, T>;
  run(w, rows, width, channels, x, row, windows, out, index);
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
