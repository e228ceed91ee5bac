// Convolution as matrix products without a patch matrix: which memory the rows of A lie in.
//
// An output pixel's patch is kernel_h runs of kernel_w * channels elements, each contiguous in an
// image stored (H, W, C). So one row of output pixels is a product A (pixels, kw * C) times
// B (kw * C, out channels), summed over kernel rows; A overlaps itself and is never written
// out. A band of image rows is copied to a scratch block only where its layout, padding or
// dilation asks for it; one band is the unit of work.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/gemm_tile.h"
#include "backends/cpu/kernel.h"

namespace tf::cpu::TF_ISA {
namespace {

inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// An (N, C, H, W) tensor of any strides; with up > 1 its pixels lie `up` apart with zeros
// between them (the gradient of a strided convolution's output).
struct Image {
  const void* data;
  int64_t count, channels, height, width;
  int64_t stride_n, stride_c, stride_h, stride_w;
  int64_t up_h = 1, up_w = 1;
};

static inline Image image_of(const tf_view& v) {
  return {v.data,       v.shape[0],   v.shape[1],   v.shape[2],  v.shape[3],
          v.strides[0], v.strides[1], v.strides[2], v.strides[3]};
}

// Where the patches of output pixel (oh, ow) lie: rows oh * stride_h - top + i * dilation_h.
// Nothing is said of padding below and right: what lies outside of the image is 0.
struct Window {
  int64_t kernel_h, kernel_w, stride_h, stride_w, top, left, dilation_h, dilation_w;
  int64_t out_h, out_w;
};

// Attributes of all three primitives begin: stride, padding (top, left, bottom, right), dilation,
// groups.
static inline Window window_of(const tf_attr* a, int64_t kernel_h, int64_t kernel_w, int64_t out_h,
                               int64_t out_w) {
  return {kernel_h, kernel_w, a[0].i, a[1].i, a[2].i, a[3].i, a[6].i, a[7].i, out_h, out_w};
}
static inline int64_t groups_of(const tf_attr* a) { return a[8].i; }

// The plan of one convolution's A, for `channels` of the image (one group).
struct Patches {
  Image x;
  Window w;
  int64_t channels;
  int64_t size;  // bytes per element
  enum { kDirect, kPadded, kPatchRows } mode;
  int64_t reduce, k;         // A is the sum over `reduce` products of k steps
  int64_t pixel, row, step;  // elements between pixels, between output rows, between products
  int64_t scratch_width;     // pixels of a scratch row
  int64_t band, bands;       // output rows per unit, units per image
  int64_t scratch_bytes;     // of one band; 0: A lies in the image itself
};

static inline int64_t scratch_rows(const Window& w, int64_t out_rows) {
  return (out_rows - 1) * w.stride_h + (w.kernel_h - 1) * w.dilation_h + 1;
}

// Bands have at most this many bytes of scratch (where a single row has not more): half an L2.
constexpr int64_t kBandBytes = 128 * 1024;
// Work below which another tile does not pay, in multiply-adds.
constexpr int64_t kTileWork = 200'000;

static inline Patches plan(const Image& x, const Window& w, int64_t channels, int64_t size,
                           int64_t work_per_pixel) {
  Patches p;
  p.x = x;
  p.w = w;
  p.channels = channels;
  p.size = size;
  p.reduce = w.kernel_h;
  p.k = w.kernel_w * channels;
  const bool inside = w.top == 0 && w.left == 0 && x.up_h == 1 && x.up_w == 1 &&
                      scratch_rows(w, w.out_h) <= x.height &&
                      (w.out_w - 1) * w.stride_w + (w.kernel_w - 1) * w.dilation_w < x.width;
  const bool channels_last =
      (channels == 1 || x.stride_c == 1) && (w.kernel_w == 1 || x.stride_w == channels);
  if (w.dilation_w != 1 && w.kernel_w > 1) {
    p.mode = Patches::kPatchRows;
    p.k *= w.kernel_h;
    p.reduce = 1;
    p.pixel = p.k;
    p.row = w.out_w * p.k;
    p.step = 0;
  } else if (inside && channels_last) {
    p.mode = Patches::kDirect;
    p.pixel = w.stride_w * x.stride_w;
    p.row = w.stride_h * x.stride_h;
    p.step = w.dilation_h * x.stride_h;
  } else {
    p.mode = Patches::kPadded;
    p.scratch_width = (w.out_w - 1) * w.stride_w + w.kernel_w;
    p.pixel = w.stride_w * channels;
    p.row = w.stride_h * p.scratch_width * channels;
    p.step = w.dilation_h * p.scratch_width * channels;
  }
  const auto bytes = [&](int64_t rows) {
    return size * (p.mode == Patches::kDirect ? 0
                   : p.mode == Patches::kPatchRows
                       ? rows * p.row
                       : scratch_rows(w, rows) * p.scratch_width * channels);
  };
  // As many rows as fit; few images are cut until there are enough bands for some threads.
  p.band = larger(w.out_h, 1);
  while (p.band > 1 && bytes(p.band) > kBandBytes) p.band = (p.band + 1) / 2;
  while (p.band > 1 && x.count * ceil_div(w.out_h, p.band) < 8 &&
         p.band * w.out_w * work_per_pixel > kTileWork)
    p.band = (p.band + 1) / 2;
  p.bands = ceil_div(w.out_h, p.band);
  p.scratch_bytes = bytes(p.band);
  return p;
}

static inline int64_t units(const Patches& p) { return p.x.count * p.bands; }

// Units per tile so that a tile is worth a thread's time.
static inline int64_t units_per_tile(const Patches& p, int64_t work_per_pixel) {
  return 1 + kTileWork / (p.band * p.w.out_w * work_per_pixel + 1);
}

// Pixels first, first + 1, … of an image row into `count` places of a scratch row, `apart`
// elements from one to the next; zeros outside of the image.
template <class T>
static inline void copy_pixels(T* to, int64_t apart, const Patches& p, const T* row, int64_t first,
                               int64_t every, int64_t count) {
  const Image& x = p.x;
  const int64_t c = p.channels;
  for (int64_t i = 0; i < count;) {
    const int64_t u = first + i * every;
    const bool inside = row && u >= 0 && u % x.up_w == 0 && u / x.up_w < x.width;
    if (!inside) {
      for (int64_t j = 0; j < c; ++j) to[i * apart + j] = T(0);
      ++i;
      continue;
    }
    if (x.up_w != 1) {
      const T* from = row + u / x.up_w * x.stride_w;
      for (int64_t j = 0; j < c; ++j) to[i * apart + j] = from[j * x.stride_c];
      ++i;
      continue;
    }
    // A run inside of the image.
    const int64_t n = smaller(count - i, ceil_div(x.width - u, every));
    const T* from = row + u * x.stride_w;
    T* out = to + i * apart;
    const int64_t from_apart = every * x.stride_w;
    if ((c == 1 || x.stride_c == 1) && from_apart == c && apart == c) {
      memcpy(out, from, size_t(n * c) * sizeof(T));
    } else if (c == 1 || x.stride_c == 1) {
      for (int64_t k = 0; k < n; ++k)
        for (int64_t j = 0; j < c; ++j) out[k * apart + j] = from[k * from_apart + j];
    } else {
      for (int64_t j = 0; j < c; ++j)
        for (int64_t k = 0; k < n; ++k) out[k * apart + j] = from[k * from_apart + j * x.stride_c];
    }
    i += n;
  }
}

// The band of `rows` output rows from oh0 of image n; channels from c0 on. Answers A's first
// element: in the image, or in `scratch` after copying there.
template <class T>
static inline const T* load_band(const Patches& p, int64_t n, int64_t c0, int64_t oh0, int64_t rows,
                                 T* scratch) {
  const Image& x = p.x;
  const Window& w = p.w;
  const T* image = static_cast<const T*>(x.data) + n * x.stride_n + c0 * x.stride_c;
  const int64_t first = oh0 * w.stride_h - w.top;
  if (p.mode == Patches::kDirect) return image + first * x.stride_h;
  const auto image_row = [&](int64_t u) -> const T* {
    const bool inside = u >= 0 && u % x.up_h == 0 && u / x.up_h < x.height;
    return inside ? image + u / x.up_h * x.stride_h : nullptr;
  };
  if (p.mode == Patches::kPadded) {
    const int64_t width = p.scratch_width * p.channels, count = scratch_rows(w, rows);
    for (int64_t r = 0; r < count; ++r)
      copy_pixels(scratch + r * width, p.channels, p, image_row(first + r), -w.left, 1,
                  p.scratch_width);
    return scratch;
  }
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < w.kernel_h; ++i) {
      const T* row = image_row(first + r * w.stride_h + i * w.dilation_h);
      for (int64_t j = 0; j < w.kernel_w; ++j) {
        T* to = scratch + r * p.row + (i * w.kernel_w + j) * p.channels;
        copy_pixels(to, p.pixel, p, row, j * w.dilation_w - w.left, w.stride_w, w.out_w);
      }
    }
  }
  return scratch;
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
