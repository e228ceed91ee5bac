// Convolution as matrix products without a patch matrix: which memory the rows of A lie in.
//
// An output pixel's patch is kernel_h runs of kernel_w * channels elements, each contiguous in an
// image stored (H, W, C). So one row of output pixels is a product A (pixels, kw * C) times
// B (kw * C, out channels), summed over kernel rows; A overlaps itself and is never written
// out. A band of image rows is copied to a scratch block only where its layout or padding asks
// for it. Patches are written out where they cost little: rows of few pixels and many channels,
// which would leave register tiles half empty, and dilated kernels.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/gemm_pack.h"
#include "backends/cpu/kernel.h"

namespace tf::cpu::TF_ISA {
namespace {

// An (N, C, H, W) tensor of any strides.
struct Image {
  const void* data;
  int64_t count, channels, height, width;
  int64_t stride_n, stride_c, stride_h, stride_w;
};

static inline Image image_of(const tf_view& v) {
  return {v.data,       v.shape[0],   v.shape[1],   v.shape[2],  v.shape[3],
          v.strides[0], v.strides[1], v.strides[2], v.strides[3]};
}

// Whether all pixels of an image follow each other without gaps, channels side by side.
static inline bool contiguous(const Image& x) {
  return (x.channels == 1 || x.stride_c == 1) && x.stride_w == x.channels &&
         x.stride_h == x.width * x.stride_w;
}

// Where the patches of output pixel (oh, ow) lie: rows oh * stride_h - top + i * dilation_h.
// Nothing is said of padding below and right: what lies outside of the image is 0.
struct Window {
  int64_t kernel_h, kernel_w, stride_h, stride_w, top, left, dilation_h, dilation_w;
  int64_t out_h, out_w;
};

// Attributes of all primitives begin: stride, padding (top, left, bottom, right), dilation,
// groups.
static inline Window window_of(const tf_attr* a, int64_t kernel_h, int64_t kernel_w, int64_t out_h,
                               int64_t out_w) {
  return {kernel_h, kernel_w, a[0].i, a[1].i, a[2].i, a[3].i, a[6].i, a[7].i, out_h, out_w};
}
static inline int64_t groups_of(const tf_attr* a) { return a[8].i; }

// Image rows that `out_rows` output rows read.
static inline int64_t rows_read(const Window& w, int64_t out_rows) {
  return (out_rows - 1) * w.stride_h + (w.kernel_h - 1) * w.dilation_h + 1;
}

// Work below which another tile does not pay, in multiply-adds.
constexpr int64_t kTileWork = 200'000;

// work(begin, end, memory) for [0, units) in pieces of `grain`, with `bytes` of memory in each.
template <class Work>
static tf_status parallel_with_memory(int64_t units, int64_t grain, size_t bytes,
                                      const Work& work) {
  bool starved = false;
  const tf_status status = parallel_range(units, grain, [&](int64_t begin, int64_t end) {
    void* const memory = host->host_alloc(bytes);
    if (!memory) {
      __atomic_store_n(&starved, true, __ATOMIC_RELAXED);
      return;
    }
    work(begin, end, memory);
    host->host_free(memory, bytes);
  });
  return starved ? error(TINYFIN_ERROR_MEMORY, "out of host memory for a part of the image")
                 : status;
}

// Memory that is read soon, asked for a few lines at a time.
struct Ahead {
  const char* at;
  int64_t lines;

  // The `count` elements behind the first `count` of `from`.
  template <class T>
  static Ahead behind(const T* from, int64_t count) {
    return {reinterpret_cast<const char*>(from + count), count * int64_t(sizeof(T)) / 64};
  }
  TF_INLINE void ask(int64_t n) {
    for (; n > 0 && lines > 0; --n, --lines, at += 64) __builtin_prefetch(at, 0, 2);
  }
};

// `count` pixels of `channels` to places `apart` elements from each other.
template <class T>
static inline void copy_channels(T* to, int64_t apart, const T* from, int64_t pixel,
                                 int64_t channel, int64_t count, int64_t channels) {
  if ((channels == 1 || channel == 1) && pixel == channels && apart == channels) {
    memcpy(to, from, size_t(count * channels) * sizeof(T));
  } else if (channels == 1 || channel == 1) {
    for (int64_t k = 0; k < count; ++k)
      for (int64_t j = 0; j < channels; ++j) to[k * apart + j] = from[k * pixel + j];
  } else {
    for (int64_t j = 0; j < channels; ++j)
      for (int64_t k = 0; k < count; ++k) to[k * apart + j] = from[k * pixel + j * channel];
  }
}

template <class T>
static inline void clear_channels(T* to, int64_t apart, int64_t count, int64_t channels) {
  if (apart == channels) {
    memset(to, 0, size_t(count * channels) * sizeof(T));
    return;
  }
  for (int64_t k = 0; k < count; ++k) memset(to + k * apart, 0, size_t(channels) * sizeof(T));
}

// Pixels first, first + every, … of an image row into `count` places, `apart` elements from one
// to the next; zeros outside of the image. row: null for one outside of it.
template <class T>
static inline void copy_pixels(T* to, int64_t apart, const Image& x, int64_t channels, const T* row,
                               int64_t first, int64_t every, int64_t count) {
  const int64_t before = first < 0 ? smaller(count, ceil_div(-first, every)) : 0;
  const int64_t u = first + before * every;
  const int64_t inside =
      row && u < x.width ? smaller(count - before, ceil_div(x.width - u, every)) : 0;
  if (inside == 0) return clear_channels(to, apart, count, channels);
  clear_channels(to, apart, before, channels);
  copy_channels(to + before * apart, apart, row + u * x.stride_w, every * x.stride_w, x.stride_c,
                inside, channels);
  clear_channels(to + (before + inside) * apart, apart, count - before - inside, channels);
}

// The plan of one convolution's A, for `channels` of the image (one group). A unit of work is a
// band of output rows of one image or, where pixels follow each other at one distance through the
// whole batch (`flat`), a run of pixels.
struct Patches {
  Image x;
  Window w;
  int64_t channels;
  enum { kDirect, kPadded, kPatchRows } mode;
  bool flat;
  int64_t reduce, k;         // A is the sum over `reduce` products of k steps
  int64_t pixel, row, step;  // elements between pixels, between output rows, between products
  int64_t scratch_width;     // pixels of a scratch row
  int64_t band, bands;       // output rows per unit, units per image
  int64_t run, units;        // pixels per unit where flat; number of units
  int64_t scratch;           // elements that a unit needs; 0: A lies in the image itself

  // Elements that `rows` output rows need.
  int64_t scratch_of(int64_t rows) const {
    if (mode == kDirect) return 0;
    if (mode == kPatchRows) return rows * row;
    return rows_read(w, rows) * scratch_width * channels;
  }
};

// Bands have at most this many bytes of scratch (where a single row has not more).
constexpr int64_t kBandBytes = 128 * 1024;
// Written out patches of a unit: half an L2.
constexpr int64_t kPatchBytes = 512 * 1024;

// What a unit is multiplied by: `out` channels per group and `groups` groups.
template <class T>
static inline Patches plan(const Image& x, const Window& w, int64_t channels, int64_t out,
                           int64_t groups) {
  constexpr int64_t kRows = kMaxRows<kPanel>;
  const int64_t size = int64_t(sizeof(T)), taps = w.kernel_h * w.kernel_w;
  const int64_t pixels = x.count * w.out_h * w.out_w, work = taps * channels * out * groups;
  Patches p;
  p.x = x;
  p.w = w;
  p.channels = channels;
  p.reduce = w.kernel_h;
  p.k = w.kernel_w * channels;
  const bool inside = w.top == 0 && w.left == 0 && rows_read(w, w.out_h) <= x.height &&
                      (w.out_w - 1) * w.stride_w + (w.kernel_w - 1) * w.dilation_w < x.width;
  const bool channels_last =
      (channels == 1 || x.stride_c == 1) && (w.kernel_w == 1 || x.stride_w == channels);
  const bool direct = inside && channels_last && (w.dilation_w == 1 || w.kernel_w == 1);
  const bool merges = direct && w.stride_h * x.stride_h == w.out_w * w.stride_w * x.stride_w;
  const bool small = w.out_w * 3 < kRows * 2 && out >= 96;
  if ((w.dilation_w != 1 && w.kernel_w > 1) || (small && taps > 1 && !merges)) {
    p.mode = Patches::kPatchRows;
    p.k *= w.kernel_h;
    p.reduce = 1;
    p.pixel = p.k;
    p.row = w.out_w * p.k;
    p.step = 0;
  } else if (direct) {
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
  p.flat = p.mode == Patches::kPatchRows ||
           (merges && (x.count == 1 || x.stride_n == w.out_h * p.row));
  p.band = w.out_h;
  p.bands = 1;
  if (p.flat) {
    // Whole tiles, enough units for some threads, and enough work in each.
    int64_t tiles = p.mode == Patches::kDirect ? 16 : kPatchBytes / (kRows * p.k * size);
    tiles = smaller(tiles, ceil_div(pixels, 8 * kRows));
    tiles = larger(larger(tiles, 2), kTileWork / (kRows * work + 1));
    p.run = tiles * kRows;
    p.units = ceil_div(pixels, p.run);
    p.scratch = p.mode == Patches::kDirect ? 0 : p.run * p.k;
    return p;
  }
  // As many rows as fit; few images are cut until there are enough bands for some threads.
  while (p.band > 1 && size * p.scratch_of(p.band) > kBandBytes) p.band = (p.band + 1) / 2;
  while (p.band > 1 && x.count * ceil_div(w.out_h, p.band) < 8 &&
         p.band * w.out_w * work > kTileWork)
    p.band = (p.band + 1) / 2;
  p.bands = ceil_div(w.out_h, p.band);
  p.units = x.count * p.bands;
  p.scratch = p.scratch_of(p.band);
  return p;
}

template <class T>
static inline const T* image_row(const Image& x, const T* image, int64_t row) {
  return row >= 0 && row < x.height ? image + row * x.stride_h : nullptr;
}

// Output pixels begin … end - 1 of the batch, where A is flat; channels from c0 on. Answers A's
// first element: in the image, or in `scratch` after copying there.
template <class T>
static inline const T* load_run(const Patches& p, int64_t c0, int64_t begin, int64_t end,
                                T* scratch) {
  const Image& x = p.x;
  const Window& w = p.w;
  const T* images = static_cast<const T*>(x.data) + c0 * x.stride_c;
  if (p.mode == Patches::kDirect) return images + begin * p.pixel;
  T* to = scratch;
  for (int64_t done = begin; done < end;) {
    const int64_t ow = done % w.out_w, oh = done / w.out_w % w.out_h;
    const int64_t m = smaller(end - done, w.out_w - ow);
    const T* image = images + done / w.out_w / w.out_h * x.stride_n;
    for (int64_t i = 0; i < w.kernel_h; ++i) {
      const T* row = image_row(x, image, oh * w.stride_h - w.top + i * w.dilation_h);
      for (int64_t j = 0; j < w.kernel_w; ++j)
        copy_pixels(to + (i * w.kernel_w + j) * p.channels, p.pixel, x, p.channels, row,
                    ow * w.stride_w + j * w.dilation_w - w.left, w.stride_w, m);
    }
    to += m * p.pixel;
    done += m;
  }
  return scratch;
}

// The same for `rows` output rows from oh0 of image n, where A is not flat.
template <class T>
static inline const T* load_rows(const Patches& p, int64_t n, int64_t c0, int64_t oh0, int64_t rows,
                                 T* scratch) {
  const Image& x = p.x;
  const Window& w = p.w;
  const T* image = static_cast<const T*>(x.data) + n * x.stride_n + c0 * x.stride_c;
  const int64_t first = oh0 * w.stride_h - w.top;
  if (p.mode == Patches::kDirect) return image + first * x.stride_h;
  const int64_t width = p.scratch_width * p.channels, count = rows_read(w, rows);
  for (int64_t r = 0; r < count; ++r)
    copy_pixels(scratch + r * width, p.channels, x, p.channels, image_row(x, image, first + r),
                -w.left, 1, p.scratch_width);
  return scratch;
}

// Output rows oh0 … oh0 + rows - 1 of image n, whatever the plan.
template <class T>
static inline const T* load_band(const Patches& p, int64_t n, int64_t c0, int64_t oh0, int64_t rows,
                                 T* scratch) {
  if (!p.flat) return load_rows(p, n, c0, oh0, rows, scratch);
  const int64_t first = (n * p.w.out_h + oh0) * p.w.out_w;
  return load_run(p, c0, first, first + rows * p.w.out_w, scratch);
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
