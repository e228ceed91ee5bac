// The product of patches with packed weights: convolution forward, and its gradient with respect
// to the input where that is a convolution too.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/activation.h"
#include "backends/cpu/conv_gray.h"

namespace tf::cpu::TF_ISA {
namespace {

// Weights -------------------------------------------------------------------------------------
//
// Packed: (group, panel of out channels, tap, in channel, lane of the panel), zeros behind the
// last out channel.

// One group's weight: (out, in, taps) with the taps of a kernel contiguous or not.
struct Weights {
  const void* data;
  int64_t out, in, kernel_h, kernel_w;
  int64_t stride_out, stride_in, stride_h, stride_w;

  int64_t taps() const { return kernel_h * kernel_w; }
  int64_t steps() const { return taps() * in; }
  bool dense() const {
    return (kernel_w == 1 || stride_w == 1) && (kernel_h == 1 || stride_h == kernel_w) &&
           (in == 1 || stride_in == taps());
  }
};

static inline Weights weights_of(const tf_view& v, int64_t groups) {
  return {v.data,     v.shape[0] / groups, v.shape[1],   v.shape[2],   v.shape[3],
          v.strides[0], v.strides[1],      v.strides[2], v.strides[3]};
}

template <class T>
static inline const T* first_weight(const Weights& w, int64_t group) {
  return static_cast<const T*>(w.data) + group * w.out * w.stride_out;
}

// Rows that are transposed at once on the stack.
constexpr int64_t kPackRows = 128;

// One panel: out channels from o0 on, `n` of them.
template <class T>
static void pack_forward_panel(const Weights& w, const T* from, int64_t n, T* to) {
  constexpr int64_t kWidth = kPanelWidth<T>;
  const int64_t taps = w.taps(), steps = w.steps();
  if (!w.dense()) {
    for (int64_t tap = 0; tap < taps; ++tap)
      pack(to + tap * w.in * kWidth, kWidth,
           from + tap / w.kernel_w * w.stride_h + tap % w.kernel_w * w.stride_w, w.stride_in,
           w.stride_out, w.in, n);
    return;
  }
  if (taps == 1) return pack(to, kWidth, from, 1, w.stride_out, steps, n);
  // Weights of an out channel lie (in, tap) in memory: transposed as they lie, then moved by rows.
  alignas(64) T rows[kPackRows * kWidth];
  for (int64_t i = 0, c = 0, tap = 0; i < steps; i += kPackRows) {
    const int64_t m = smaller(kPackRows, steps - i);
    pack(rows, kWidth, from + i, 1, w.stride_out, m, n);
    for (int64_t r = 0; r < m; ++r) {
      memcpy(to + (tap * w.in + c) * kWidth, rows + r * kWidth, size_t(kWidth) * sizeof(T));
      if (++tap == taps) {
        tap = 0;
        ++c;
      }
    }
  }
}

template <class T>
static tf_status pack_forward(const Weights& w, int64_t groups, T* to) {
  constexpr int64_t kWidth = kPanelWidth<T>;
  const int64_t panels = ceil_div(w.out, kWidth);
  const int64_t grain = 1 + 32768 / (w.steps() * kWidth + 1);
  return parallel_range(groups * panels, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t o0 = i % panels * kWidth;
      pack_forward_panel(w, first_weight<T>(w, i / panels) + o0 * w.stride_out,
                         smaller(kWidth, w.out - o0), to + i * w.steps() * kWidth);
    }
  });
}

// The weights of one out channel as (tap, in channel), `pitch` elements from tap to tap.
template <class T>
static void taps_outside(const Weights& w, const T* from, int64_t pitch, T* to) {
  for (int64_t h = 0; h < w.kernel_h; ++h)
    pack(to + h * w.kernel_w * pitch, pitch, from + h * w.stride_h, w.stride_w, w.stride_in,
         w.kernel_w, w.in);
}

// Products -------------------------------------------------------------------------------------

// A quarter of an L2.
constexpr int64_t kWeightBytes = 256 * 1024;

// The output, channels last, and what happens to it on the way to memory.
struct Result {
  void* data;
  int64_t out_channels;  // of one group
  int64_t pixel;         // elements from pixel to pixel: all channels
  const void* bias;      // contiguous, or null
  tf_activation activation;
};

// A as load_band() and load_run() answer it times one group's weights: `runs` rows of `run`
// pixels, `apart` elements of A from row to row.
template <class T>
static void multiply(const Patches& p, const Result& y, const T* a, int64_t runs, int64_t run,
                     int64_t apart, const T* weights, const T* bias, T* out) {
  constexpr int64_t kW = Vec<T>::kWidth, kWidth = kPanelWidth<T>;
  if (apart == run * p.pixel) {
    run *= runs;
    runs = 1;
  }
  Tile<T> t;
  t.k = p.k;
  t.reduce = p.reduce;
  t.a_row = p.pixel;
  t.a_col = 1;
  t.a_step = p.step;
  t.b_row = kWidth;
  t.b_step = p.k * kWidth;
  t.ldc = y.pixel;
  t.load_c = false;
  t.floor = y.activation == TINYFIN_ACTIVATION_RELU ? T(0) : -T(INFINITY);
  const bool separate = y.activation != TINYFIN_ACTIVATION_RELU;
  // Pixels of an image that no tap shares come from far away.
  const bool asks = p.mode == Patches::kDirect && p.w.kernel_h == 1 && p.w.kernel_w == 1;
  const bool gray = is_gray(p.w, p.channels) && p.mode != Patches::kPatchRows;
  // Weights that stay in the second cache are gone through tile by tile: pixels are read and
  // written whole.
  const int64_t panel = p.reduce * p.k * kWidth, panels = ceil_div(y.out_channels, kWidth);
  const bool by_tiles = !gray && panels * panel * int64_t(sizeof(T)) <= kWeightBytes;
  const int64_t pieces = by_tiles ? ceil_div(run, kMaxRows<1>) : 1;
  for (int64_t piece = 0; piece < runs * pieces; ++piece) {
    const int64_t r = piece / pieces;
    const int64_t begin = cut(run, pieces, piece % pieces);
    const int64_t end = cut(run, pieces, piece % pieces + 1);
    for (int64_t j = 0; j < y.out_channels; j += kWidth) {
      const int64_t columns = smaller(kWidth, y.out_channels - j);
      const T* const from = a + r * apart + begin * p.pixel;
      T* const to = out + (r * run + begin) * y.pixel + j;
      const T* const b = weights + j / kWidth * panel;
      if (gray) {
        for (int64_t v = 0; v < columns; v += kW) {
          const int64_t m = smaller(kW, columns - v);
          gray_pixels(from, p.pixel, p.step, run, b + v, kWidth,
                      bias ? load_n(bias + j + v, m) : Vec<T>(T(0)), Vec<T>(t.floor), to + v,
                      y.pixel, m);
        }
        if (separate) activate(y.activation, to, y.pixel, run, columns);
        continue;
      }
      const int vectors = columns > kW ? kPanel : 1;
      t.tail = columns - (vectors - 1) * kW;
      t.bias = bias ? bias + j : nullptr;
      const TileFn<T>* tile = tiles_for<T>(vectors, Layout::kRowMajor);
      const Rows rows(end - begin, vectors == 1 ? kMaxRows<1> : kMaxRows<kPanel>);
      for (int64_t i = 0, done = 0; i < rows.tiles; done += rows.size(i++)) {
        const int64_t m = rows.size(i);
        T* const c = to + done * y.pixel;
        t.ahead = asks && j == 0 ? from + (done + m) * p.pixel : nullptr;
        tile[m - 1](t, from + done * p.pixel, b, c);
        if (separate) activate(y.activation, c, y.pixel, m, columns);
      }
    }
  }
}

// All units, with weights packed as above.
template <class T>
static tf_status convolve(const Patches& p, const T* weights, const Result& y, int64_t groups) {
  const int64_t pixels = p.x.count * p.w.out_h * p.w.out_w;
  const int64_t group = ceil_div(y.out_channels, kPanelWidth<T>) * p.reduce * p.k * kPanelWidth<T>;
  const int64_t unit = p.flat ? p.run : p.band * p.w.out_w;
  const int64_t grain = 1 + kTileWork / (unit * p.reduce * p.k * y.pixel + 1);
  const auto work = [&](int64_t begin, int64_t end, void* memory) {
    T* const scratch = static_cast<T*>(memory);
    for (int64_t u = begin; u < end; ++u) {
      const int64_t n = u / p.bands, oh = u % p.bands * p.band;
      const int64_t first = p.flat ? u * p.run : (n * p.w.out_h + oh) * p.w.out_w;
      T* out = static_cast<T*>(y.data) + first * y.pixel;
      for (int64_t g = 0; g < groups; ++g) {
        const T* bias = y.bias ? static_cast<const T*>(y.bias) + g * y.out_channels : nullptr;
        const T* b = weights + g * group;
        T* c = out + g * y.out_channels;
        if (p.flat) {
          const int64_t last = smaller(first + p.run, pixels);
          const T* a = load_run(p, g * p.channels, first, last, scratch);
          multiply(p, y, a, 1, last - first, 0, b, bias, c);
        } else {
          const int64_t rows = smaller(p.band, p.w.out_h - oh);
          const T* a = load_rows(p, n, g * p.channels, oh, rows, scratch);
          multiply(p, y, a, rows, p.w.out_w, p.row, b, bias, c);
        }
      }
    }
  };
  return parallel_with_memory(p.units, grain, size_t(p.scratch) * sizeof(T), work);
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
