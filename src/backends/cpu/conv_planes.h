// The gradient of a convolution of few channels with respect to its input: each pixel of the
// output's gradient times the weights of all taps at once, added to where those taps read. A
// register would stay mostly empty of so few channels: its lanes are pixels of the gradient.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/conv_product.h"
#include "backends/cpu/gemm.h"

namespace tf::cpu::TF_ISA {
namespace {

// Calls row(group, out channel, weights as (tap, in channel)) with `pitch` elements from tap to
// tap, zeros behind the last in channel. pitch: a multiple of the vector's width.
template <class T, class Row>
static tf_status for_out_channels(const Weights& w, int64_t groups, int64_t pitch, const Row& row) {
  const size_t bytes = size_t(w.taps() * pitch) * sizeof(T);
  const int64_t grain = 1 + 32768 / (w.taps() * pitch);
  return parallel_with_memory(
      groups * w.out, grain, bytes, [&](int64_t begin, int64_t end, void* memory) {
        T* const taps = static_cast<T*>(memory);
        for (int64_t i = begin; i < end; ++i) {
          const int64_t g = i / w.out, o = i % w.out;
          const T* from = first_weight<T>(w, g) + o * w.stride_out;
          for (int64_t h = 0; h < w.kernel_h; ++h)
            pack(taps + h * w.kernel_w * pitch, pitch, from + h * w.stride_h, w.stride_w,
                 w.stride_in, w.kernel_w, w.in);
          row(g, o, taps);
        }
      });
}

// Rows of the output's gradient of which a tap lies in rows h0 … h1 - 1 of dx.
struct RowRange {
  int64_t first, last;
};
static inline RowRange rows_reaching(const Window& w, int64_t h0, int64_t h1) {
  const int64_t reach = (w.kernel_h - 1) * w.dilation_h;
  return {larger(0, ceil_div(larger(0, h0 + w.top - reach), w.stride_h)),
          smaller(w.out_h, (h1 - 1 + w.top) / w.stride_h + 1)};
}

// Few images are cut into bands of rows until there are `enough`. Each computes the rows of the
// gradient that reach over its edges once more. Answers the bands of an image.
static inline int64_t bands_of(int64_t images, int64_t enough, int64_t height, int64_t reach,
                               int64_t* band) {
  *band = height;
  while (images * ceil_div(height, *band) < enough && *band > 8 * (reach + 1))
    *band = (*band + 1) / 2;
  return ceil_div(height, *band);
}

template <class T>
static TF_INLINE void add_to(T* to, const T* from, int64_t n) {
  constexpr int64_t kW = Vec<T>::kWidth;
  int64_t i = 0;
  for (; i + kW <= n; i += kW) store(to + i, load(to + i) + load(from + i));
  if (i < n) store_n(to + i, load_n(to + i, n - i) + load_n(from + i, n - i), n - i);
}

// Pixels of the gradient per product: seven panels, whose products stay in the second cache.
constexpr int64_t kPlanePixels = 224;

// A row of dx is kept as planes (column % stride_w, channel) of every stride_w-th pixel: a tap adds
// neighbouring products to neighbouring elements of one of them.
template <class T>
struct Planes {
  Image grad;
  Window w;
  int64_t in, out, groups, height, width;  // channels of one group; size of dx
  int64_t pitch;         // of the weights (out, taps * in)
  int64_t length;        // of a plane's row
  int64_t pieces;        // rows of the gradient per product
  int64_t rows;          // of dx that these reach: so many are kept
  int64_t band, bands;   // rows of dx per unit, units per image

  int64_t products() const { return w.kernel_h * w.kernel_w * in; }
  int64_t row_elements() const { return w.stride_w * in * length; }
};

// Adds the products of `count` pixels from (oh, ow) on, (products, kPlanePixels), to the rows that
// are kept, of h0 … h1 - 1. Rows and channels inside: an element is added to again much later.
// Meanwhile the gradient's next pixels arrive.
template <class T>
static void add_products(const Planes<T>& s, const T* products, int64_t oh, int64_t ow,
                         int64_t count, int64_t h0, int64_t h1, T* kept, Ahead& ahead) {
  const Window& w = s.w;
  for (int64_t j = 0; j < w.kernel_w; ++j) {
    ahead.ask(1 + count * s.out * int64_t(sizeof(T)) / (64 * w.kernel_w));
    const int64_t left = (ow * w.stride_w + j * w.dilation_w) - w.left;
    const int64_t phase = (left % w.stride_w + w.stride_w) % w.stride_w;
    const int64_t at = (left - phase) / w.stride_w;
    const int64_t begin = larger(0, -at);
    const int64_t end = smaller(count, ceil_div(s.width - phase, w.stride_w) - at);
    if (begin >= end) continue;
    for (int64_t i = 0; i < w.kernel_h; ++i) {
      const int64_t h = oh * w.stride_h - w.top + i * w.dilation_h;
      if (h < h0 || h >= h1) continue;
      T* to = kept + h % s.rows * s.row_elements() + phase * s.in * s.length + at + begin;
      const T* from = products + (i * w.kernel_w + j) * s.in * kPlanePixels + begin;
      for (int64_t c = 0; c < s.in; ++c, to += s.length, from += kPlanePixels)
        add_to(to, from, end - begin);
    }
  }
}

// Writes rows h0 … h1 - 1 of one group, whose first element of dx is `image`, and clears them.
template <class T>
static void store_rows(const Planes<T>& s, int64_t h0, int64_t h1, T* kept, T* image) {
  const int64_t channels = s.in * s.groups, step = s.w.stride_w;
  for (int64_t h = h0; h < h1; ++h) {
    T* const row = kept + h % s.rows * s.row_elements();
    for (int64_t phase = 0; phase < smaller(step, s.width); ++phase)
      copy_channels(image + (h * s.width + phase) * channels, step * channels,
                    row + phase * s.in * s.length, 1, s.length, ceil_div(s.width - phase, step),
                    s.in);
    memset(row, 0, size_t(s.row_elements()) * sizeof(T));
  }
}

// Rows h0 … h1 - 1 of image n of dx. kept: rows of zeros, behind them room for the products.
template <class T>
static void planes_band(const Planes<T>& s, const T* weights, int64_t n, int64_t h0, int64_t h1,
                        T* image, T* kept) {
  const Window& w = s.w;
  const Image& x = s.grad;
  T* const products = kept + s.rows * s.row_elements();
  const auto [first, last] = rows_reaching(w, h0, h1);
  const bool merges = x.stride_h == w.out_w * x.stride_w;
  for (int64_t g = 0; g < s.groups; ++g, weights += s.out * s.pitch, image += s.in) {
    const T* grad = static_cast<const T*>(x.data) + n * x.stride_n + g * s.out * x.stride_c;
    int64_t done = h0;
    const auto store_before = [&](int64_t h) {
      if (h <= done) return;
      store_rows(s, done, h, kept, image);
      done = h;
    };
    for (int64_t oh = first; oh < last; oh += s.pieces) {
      store_before(smaller(oh * w.stride_h - w.top, h1));
      const int64_t rows = smaller(s.pieces, last - oh);
      for (int64_t ow = 0; ow < w.out_w; ow += kPlanePixels) {
        const int64_t count = smaller(kPlanePixels, w.out_w - ow);
        const T* from = grad + oh * x.stride_h + ow * x.stride_w;
        for (int64_t r = 0; r < (merges ? 1 : rows); ++r)
          gemm(Gemm<T>{s.products(), merges ? rows * count : count, s.out, weights, 1, s.pitch,
                       from + r * x.stride_h, x.stride_c, x.stride_w, products + r * count,
                       kPlanePixels});
        Ahead ahead{};
        if (s.groups == 1 && contiguous(x)) ahead = Ahead::behind(from, rows * count * s.out);
        for (int64_t r = 0; r < rows; ++r)
          add_products(s, products + r * count, oh + r, ow, count, h0, h1, kept, ahead);
      }
    }
    store_before(h1);
  }
}

template <class T>
static tf_status by_planes(const tf_view& grad, const Weights& w, const Window& window,
                           int64_t groups, const tf_view& dx) {
  constexpr int64_t kW = Vec<T>::kWidth;
  Planes<T> s;
  s.grad = image_of(grad);
  s.w = window;
  s.w.out_h = grad.shape[2];
  s.w.out_w = grad.shape[3];
  s.in = w.in;
  s.out = w.out;
  s.groups = groups;
  s.height = dx.shape[2];
  s.width = dx.shape[3];
  s.pitch = ceil_div(s.products(), kW) * kW;
  s.length = ceil_div(ceil_div(s.width, window.stride_w), kW) * kW;
  s.pieces = larger(1, smaller(kPlanePixels / s.w.out_w, s.w.out_h));
  const int64_t reach = (w.kernel_h - 1) * window.dilation_h;
  s.rows = (s.pieces - 1) * window.stride_h + reach + 1;
  s.bands = bands_of(s.grad.count, 4, s.height, reach, &s.band);

  const size_t bytes = size_t(groups * w.out * s.pitch) * sizeof(T);
  T* const packed = static_cast<T*>(host->host_alloc(bytes));
  if (!packed) return error(TINYFIN_ERROR_MEMORY, "out of host memory for packed weights");
  tf_status status =
      for_out_channels<T>(w, groups, kW, [&](int64_t g, int64_t o, const T* row) {
        T* const to = packed + (g * w.out + o) * s.pitch;
        for (int64_t tap = 0; tap < w.taps(); ++tap)
          memcpy(to + tap * w.in, row + tap * kW, size_t(w.in) * sizeof(T));
      });
  const int64_t work = s.w.out_h * s.w.out_w * w.out * s.products() * groups / s.bands;
  const int64_t kept = s.rows * s.row_elements();
  if (status == TINYFIN_OK)
    status = parallel_with_memory(
        s.grad.count * s.bands, 1 + kTileWork / (work + 1),
        size_t(kept + s.products() * kPlanePixels) * sizeof(T),
        [&](int64_t begin, int64_t end, void* memory) {
          memset(memory, 0, size_t(kept) * sizeof(T));
          for (int64_t u = begin; u < end; ++u) {
            const int64_t n = u / s.bands, h0 = u % s.bands * s.band;
            T* image = static_cast<T*>(dx.data) + n * s.height * s.width * s.in * groups;
            planes_band(s, packed, n, h0, smaller(s.height, h0 + s.band), image,
                        static_cast<T*>(memory));
          }
        });
  host->host_free(packed, bytes);
  return status;
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
