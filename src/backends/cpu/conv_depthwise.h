// Depthwise convolution, one kernel per channel, and its gradients: a register holds channels of
// one pixel, and nothing is summed over channels.
//
// Weights are packed (tap, channel), zeros behind the last channel. Images are channels last;
// others are copied first.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/conv_product.h"

namespace tf::cpu::TF_ISA {
namespace {

static inline bool is_depthwise(const Weights& w, int64_t groups) {
  return groups > 1 && w.in == 1 && w.out == 1;
}

// An image whose channels lie side by side, or such a copy of it.
template <class T>
struct ChannelsLast {
  const T* data = nullptr;
  int64_t image, row, pixel;
  T* copy = nullptr;
  size_t bytes = 0;

  tf_status make(const Image& x) {
    if (x.stride_c == 1) {
      data = static_cast<const T*>(x.data);
      image = x.stride_n;
      row = x.stride_h;
      pixel = x.stride_w;
      return TINYFIN_OK;
    }
    constexpr int64_t kW = Vec<T>::kWidth;
    pixel = ceil_div(x.channels, kW) * kW;
    row = x.width * pixel;
    image = x.height * row;
    bytes = size_t(x.count * image) * sizeof(T);
    data = copy = static_cast<T*>(host->host_alloc(bytes));
    if (!copy) return error(TINYFIN_ERROR_MEMORY, "out of host memory for a copy of the images");
    return parallel_range(x.count * x.height, 1 + 32768 / row, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        pack(copy + i * row, pixel,
             static_cast<const T*>(x.data) + i / x.height * x.stride_n + i % x.height * x.stride_h,
             x.stride_w, x.stride_c, x.width, x.channels);
    });
  }
  ~ChannelsLast() {
    if (copy) host->host_free(copy, bytes);
  }
};

// Pixels first … last - 1 of [0, count) whose element `at * step + offset` lies in [0, size).
struct Inside {
  int64_t first, last;
  Inside(int64_t offset, int64_t step, int64_t size, int64_t count)
      : first(smaller(count, larger(0, ceil_div(larger(0, -offset), step)))),
        last(larger(first, smaller(count, offset < size ? (size - 1 - offset) / step + 1 : 0))) {}
};

template <bool kTail, class T>
TF_INLINE Vec<T> load_lanes_of(const T* p, int64_t m) {
  return kTail ? load_n(p, m) : load(p);
}

// kPixels neighbours of an output row: taps (h0 … h1, v0 … v1) of x, whose first pixel's first
// tap is at x.
template <int kPixels, bool kTail, class T>
static TF_INLINE void depthwise_pixels(const T* x, int64_t x_row, int64_t x_tap, int64_t x_pixel,
                                       const T* weights, int64_t w_row, int64_t w_tap, int64_t rows,
                                       int64_t columns, Vec<T> bias, Vec<T> floor, T* y,
                                       int64_t y_pixel, int64_t m) {
  using V = Vec<T>;
  V acc[kPixels];
  unroll<kPixels>([&](auto i) TF_ALWAYS_INLINE { acc[i] = V(T(0)); });
  for (int64_t h = 0; h < rows; ++h) {
    const T* from = x + h * x_row;
    const T* w = weights + h * w_row;
    for (int64_t v = 0; v < columns; ++v, from += x_tap, w += w_tap) {
      const V weight = load(w);
      unroll<kPixels>([&](auto i) TF_ALWAYS_INLINE {
        acc[i] = fma(load_lanes_of<kTail>(from + i * x_pixel, m), weight, acc[i]);
      });
    }
  }
  unroll<kPixels>([&](auto i) TF_ALWAYS_INLINE {
    const V value = max(floor, acc[i] + bias);
    if (kTail) {
      store_n(y + i * y_pixel, value, m);
    } else {
      store(y + i * y_pixel, value);
    }
  });
}

// Channels c … c + m - 1 of one output row: y its first pixel, x the image.
template <bool kTail, class T>
static void depthwise_row(const Window& w, const T* x, const ChannelsLast<T>& from, int64_t height,
                          int64_t width, const T* weights, int64_t pitch, int64_t oh, Vec<T> bias,
                          Vec<T> floor, T* y, int64_t y_pixel, int64_t m) {
  constexpr int kPixels = 8;
  const int64_t top = oh * w.stride_h - w.top;
  const Inside h(top, w.dilation_h, height, w.kernel_h);
  const T* const row = x + (top + h.first * w.dilation_h) * from.row;
  const T* const row_weights = weights + h.first * w.kernel_w * pitch;
  const int64_t rows = h.last - h.first, step = w.stride_w * from.pixel;
  // Pixels all of whose taps lie in the image's width.
  const int64_t span = (w.kernel_w - 1) * w.dilation_w;
  const Inside whole(-w.left, w.stride_w, larger(0, width - span), w.out_w);
  const auto pixels = [&](auto count, int64_t ow, int64_t v0, int64_t v1) TF_ALWAYS_INLINE {
    depthwise_pixels<int(count), kTail>(
        row + (ow * w.stride_w - w.left + v0 * w.dilation_w) * from.pixel,
        w.dilation_h * from.row, w.dilation_w * from.pixel, step, row_weights + v0 * pitch,
        w.kernel_w * pitch, pitch, rows, v1 - v0, bias, floor, y + ow * y_pixel, y_pixel, m);
  };
  const auto edge = [&](int64_t ow) {
    const Inside v(ow * w.stride_w - w.left, w.dilation_w, width, w.kernel_w);
    pixels(Index<1>{}, ow, v.first, v.last);
  };
  int64_t ow = 0;
  for (; ow < whole.first; ++ow) edge(ow);
  for (; ow + kPixels <= whole.last; ow += kPixels) pixels(Index<kPixels>{}, ow, 0, w.kernel_w);
  for (; ow < whole.last; ++ow) pixels(Index<1>{}, ow, 0, w.kernel_w);
  for (; ow < w.out_w; ++ow) edge(ow);
}

// Weights to (tap, channel); turned: the last tap first.
template <class T>
static void pack_depthwise(const Weights& w, int64_t channels, bool turned, int64_t pitch, T* to) {
  const int64_t taps = w.taps();
  for (int64_t tap = 0; tap < taps; ++tap) {
    T* const row = to + (turned ? taps - 1 - tap : tap) * pitch;
    const T* from = static_cast<const T*>(w.data) + tap / w.kernel_w * w.stride_h +
                    tap % w.kernel_w * w.stride_w;
    for (int64_t c = 0; c < channels; ++c) row[c] = from[c * w.stride_out];
    for (int64_t c = channels; c < pitch; ++c) row[c] = T(0);
  }
}

// y (N, OH, OW, channels) = activation(x ∗ weights + bias). turned: for the gradient with respect
// to the input.
template <class T>
static tf_status depthwise(const Image& x, const Weights& weight, const Window& w, bool turned,
                           const Result& y) {
  using V = Vec<T>;
  constexpr int64_t kW = V::kWidth;
  const int64_t channels = x.channels, pitch = ceil_div(channels, kW) * kW;
  ChannelsLast<T> from;
  tf_status status = from.make(x);
  if (status != TINYFIN_OK) return status;
  const size_t bytes = size_t((w.kernel_h * w.kernel_w + 1) * pitch) * sizeof(T);
  T* const weights = static_cast<T*>(host->host_alloc(bytes));
  if (!weights) return error(TINYFIN_ERROR_MEMORY, "out of host memory for packed weights");
  pack_depthwise(weight, channels, turned, pitch, weights);
  T* const bias = weights + w.kernel_h * w.kernel_w * pitch;
  for (int64_t c = 0; c < pitch; ++c)
    bias[c] = y.bias && c < channels ? static_cast<const T*>(y.bias)[c] : T(0);
  const V floor(y.activation == TINYFIN_ACTIVATION_RELU ? T(0) : -T(INFINITY));
  const int64_t work = w.out_w * channels * w.kernel_h * w.kernel_w;
  // Multiply-adds wait for loads here: fewer of them are worth a thread's time.
  status = parallel_range(
      x.count * w.out_h, 1 + kTileWork / 8 / (work + 1), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t n = i / w.out_h, oh = i % w.out_h;
          T* const out = static_cast<T*>(y.data) + i * w.out_w * y.pixel;
          for (int64_t c = 0; c < channels; c += kW) {
            const T* image = from.data + n * from.image + c;
            const int64_t m = smaller(kW, channels - c);
            const auto row = m == kW ? depthwise_row<false, T> : depthwise_row<true, T>;
            row(w, image, from, x.height, x.width, weights + c, pitch, oh, load(bias + c), floor,
                out + c, y.pixel, m);
          }
        }
      });
  host->host_free(weights, bytes);
  return status;
}

// dx (N, H, W, channels) for steps of more than one pixel: each pixel from the taps that read it.
template <class T>
static tf_status depthwise_strided_grad(const Image& grad, const Weights& weight, const Window& w,
                                        int64_t height, int64_t width, T* dx) {
  using V = Vec<T>;
  constexpr int64_t kW = V::kWidth;
  const int64_t channels = grad.channels, pitch = ceil_div(channels, kW) * kW;
  ChannelsLast<T> from;
  tf_status status = from.make(grad);
  if (status != TINYFIN_OK) return status;
  const size_t bytes = size_t(w.kernel_h * w.kernel_w * pitch) * sizeof(T);
  T* const weights = static_cast<T*>(host->host_alloc(bytes));
  if (!weights) return error(TINYFIN_ERROR_MEMORY, "out of host memory for packed weights");
  pack_depthwise(weight, channels, false, pitch, weights);
  const int64_t work = width * channels * w.kernel_h * w.kernel_w;
  status = parallel_range(
      grad.count * height, 1 + kTileWork / 8 / (work + 1), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t n = i / height, h = i % height;
          for (int64_t v = 0; v < width; ++v)
            for (int64_t c = 0; c < channels; c += kW) {
              const int64_t m = smaller(kW, channels - c);
              V total(T(0));
              for (int64_t kh = 0; kh < w.kernel_h; ++kh) {
                const int64_t y = h + w.top - kh * w.dilation_h;
                if (y < 0 || y % w.stride_h != 0 || y / w.stride_h >= grad.height) continue;
                for (int64_t kw = 0; kw < w.kernel_w; ++kw) {
                  const int64_t x = v + w.left - kw * w.dilation_w;
                  if (x < 0 || x % w.stride_w != 0 || x / w.stride_w >= grad.width) continue;
                  const T* g = from.data + n * from.image + y / w.stride_h * from.row +
                               x / w.stride_w * from.pixel + c;
                  total = fma(load_n(g, m), load(weights + (kh * w.kernel_w + kw) * pitch + c),
                              total);
                }
              }
              store_n(dx + (i * width + v) * channels + c, total, m);
            }
        }
      });
  host->host_free(weights, bytes);
  return status;
}

// sums (tap, pitch) += x · grad over one image, channels c … c + m - 1.
template <bool kTail, class T>
static void add_depthwise(const Window& w, const T* x, const ChannelsLast<T>& from, int64_t height,
                          int64_t width, const T* grad, int64_t g_row, int64_t g_pixel,
                          int64_t pitch, T* sums, int64_t m) {
  using V = Vec<T>;
  constexpr int kTaps = 4;  // at once, by two pixels: eight sums hide the latency of the adds
  for (int64_t tap = 0; tap < w.kernel_h * w.kernel_w;) {
    const int64_t kh = tap / w.kernel_w, kw = tap % w.kernel_w;
    const int64_t taps = smaller(kTaps, w.kernel_w - kw);
    const Inside rows(kh * w.dilation_h - w.top, w.stride_h, height, w.out_h);
    unroll<kTaps>([&](auto count) TF_ALWAYS_INLINE {
      constexpr int kCount = int(count) + 1;
      if (taps != kCount) return;
      V acc[kCount * 2];
      unroll<kCount * 2>([&](auto i) TF_ALWAYS_INLINE { acc[i] = V(T(0)); });
      for (int64_t oh = rows.first; oh < rows.last; ++oh) {
        const T* line = x + (oh * w.stride_h - w.top + kh * w.dilation_h) * from.row;
        const T* g = grad + oh * g_row;
        // Pixels of which all these taps lie in the image, then the others tap by tap.
        const int64_t left = kw * w.dilation_w - w.left;
        const int64_t span = (kCount - 1) * w.dilation_w;
        const Inside whole(left, w.stride_w, larger(0, width - span), w.out_w);
        const auto add = [&](auto p, int64_t ow) TF_ALWAYS_INLINE {
          const V value = load_lanes_of<kTail>(g + ow * g_pixel, m);
          const T* at = line + (ow * w.stride_w + left) * from.pixel;
          unroll<kCount>([&](auto i) TF_ALWAYS_INLINE {
            acc[i * 2 + p] = fma(
                load_lanes_of<kTail>(at + i * w.dilation_w * from.pixel, m), value, acc[i * 2 + p]);
          });
        };
        const auto edge = [&](int64_t ow) {
          unroll<kCount>([&](auto i) TF_ALWAYS_INLINE {
            const int64_t v = ow * w.stride_w + left + i * w.dilation_w;
            if (v >= 0 && v < width)
              acc[i * 2] = fma(load_lanes_of<kTail>(line + v * from.pixel, m),
                               load_lanes_of<kTail>(g + ow * g_pixel, m), acc[i * 2]);
          });
        };
        int64_t ow = 0;
        for (; ow < whole.first; ++ow) edge(ow);
        for (; ow + 2 <= whole.last; ow += 2) {
          add(Index<0>{}, ow);
          add(Index<1>{}, ow + 1);
        }
        for (; ow < whole.last; ++ow) add(Index<0>{}, ow);
        for (; ow < w.out_w; ++ow) edge(ow);
      }
      unroll<kCount>([&](auto i) TF_ALWAYS_INLINE {
        T* const to = sums + (tap + i) * pitch;
        store(to, load(to) + (acc[i * 2] + acc[i * 2 + 1]));
      });
    });
    tap += taps;
  }
}

// dw (channels, taps) row-major.
template <class T>
static tf_status depthwise_grad_weight(const Image& x, const Image& grad, const Window& w, T* dw) {
  constexpr int64_t kW = Vec<T>::kWidth;
  const int64_t channels = x.channels, vectors = ceil_div(channels, kW), pitch = vectors * kW;
  const int64_t taps = w.kernel_h * w.kernel_w;
  ChannelsLast<T> from, g;
  tf_status status = from.make(x);
  if (status == TINYFIN_OK) status = g.make(grad);
  if (status != TINYFIN_OK) return status;
  const int64_t partials = smaller(8, x.count), part = taps * pitch;
  const size_t bytes = size_t(partials * part) * sizeof(T);
  T* const sums = static_cast<T*>(host->host_alloc(bytes));
  if (!sums) return error(TINYFIN_ERROR_MEMORY, "out of host memory for partial sums");
  const int64_t work = w.out_h * w.out_w * kW * taps * (x.count / partials);
  status = parallel_range(
      partials * vectors, 1 + kTileWork / 4 / (work + 1), [&](int64_t begin, int64_t end) {
        for (int64_t job = begin; job < end; ++job) {
          const int64_t q = job / vectors, c = job % vectors * kW, m = smaller(kW, channels - c);
          T* const sum = sums + q * part + c;
          for (int64_t tap = 0; tap < taps; ++tap) store(sum + tap * pitch, Vec<T>(T(0)));
          const auto add = m == kW ? add_depthwise<false, T> : add_depthwise<true, T>;
          for (int64_t n = x.count * q / partials; n < x.count * (q + 1) / partials; ++n)
            add(w, from.data + n * from.image + c, from, x.height, x.width,
                g.data + n * g.image + c, g.row, g.pixel, pitch, sum, m);
        }
      });
  for (int64_t c = 0; c < channels && status == TINYFIN_OK; ++c)
    for (int64_t tap = 0; tap < taps; ++tap) {
      const T* at = sums + tap * pitch + c;
      T total = at[0];
      for (int64_t q = 1; q < partials; ++q) total += at[q * part];
      dw[c * taps + tap] = total;
    }
  host->host_free(sums, bytes);
  return status;
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
