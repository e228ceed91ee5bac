// The tiles that Winograd's kernels cut images into, and their way to the 36 points.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/conv.h"
#include "backends/cpu/conv_winograd.h"
#include "backends/cpu/conv_winograd_form.h"

namespace tf::cpu::TF_ISA {
namespace {

constexpr int64_t kLanes = F32::kWidth, kWide = kPanelWidth<float>;
// Between the matrices of two points, so that they do not fall into the same sets of the caches.
constexpr int64_t kGap = 64 / sizeof(float);

// Tiles of results of out_h × out_w pixels, numbered through all images.
struct TileGrid {
  int64_t rows, columns, tiles;  // of one image
};
static inline TileGrid grid_of(int64_t out_h, int64_t out_w) {
  const int64_t rows = ceil_div(out_h, kWinogradOut), columns = ceil_div(out_w, kWinogradOut);
  return {rows, columns, rows * columns};
}

// The first pixel of tile t.
struct Corner {
  int64_t n, h, w;
  Corner(const TileGrid& g, int64_t t)
      : n(t / g.tiles), h(t % g.tiles / g.columns * kWinogradOut),
        w(t % g.columns * kWinogradOut) {}
};

// kSide × kSide pixels from (h, w) of image n on; zeros stands for those outside of it.
template <int kSide>
struct Patch {
  const float* pixel[kSide * kSide];

  Patch(const WinogradImages& x, int64_t n, int64_t h, int64_t w, int64_t channel,
        const float* zeros) {
    const float* const image = x.data + n * x.image + channel;
    unroll<kSide>([&](auto i) TF_ALWAYS_INLINE {
      const bool row = h + i >= 0 && h + i < x.height;
      unroll<kSide>([&](auto j) TF_ALWAYS_INLINE {
        pixel[i * kSide + j] = row && w + j >= 0 && w + j < x.width
                                   ? image + (h + i) * x.row + (w + j) * x.pixel
                                   : zeros;
      });
    });
  }

  template <bool kTail>
  TF_INLINE F32 load_from(int i, int j, int64_t channel, int64_t lanes) const {
    const float* const from = pixel[i * kSide + j] + channel;
    return kTail ? load_n(from, lanes) : load(from);
  }
};

// What the tile at a corner reads.
static inline Patch<kWinogradSide> patch_of(const WinogradImages& x, int64_t top, int64_t left,
                                            const Corner& at, int64_t channel,
                                            const float* zeros) {
  return {x, at.n, at.h - top, at.w - left, channel, zeros};
}

// A register of a patch's channels to its 36 points. Two rows of points at a time, for which pixels
// are loaded again: 36 results do not fit into the registers. Not inlined, or the loop over
// channels would keep 72 addresses, most of them on the stack.
template <bool kTail>
static __attribute__((noinline)) void transform_patch(const Patch<kWinogradSide>& patch,
                                                      int64_t channel, int64_t lanes, float* v,
                                                      int64_t step) {
  const auto d = [&](int i, int j) TF_ALWAYS_INLINE {
    return patch.load_from<kTail>(i, j, channel, lanes);
  };
  const auto finish = [&](const F32* t) TF_ALWAYS_INLINE {
    F32 out[kWinogradSide];
    winograd_input(t, out);
    unroll<kWinogradSide>([&](auto j) TF_ALWAYS_INLINE {
      store(v, out[j]);
      v += step;
    });
  };
  F32 s[kWinogradSide], t[kWinogradSide];
  unroll<kWinogradSide>([&](auto j) TF_ALWAYS_INLINE {
    t[j] = winograd_end(d(0, j), d(2, j), d(4, j));
  });
  finish(t);
  unroll<kWinogradSide>([&](auto j) TF_ALWAYS_INLINE {
    const WinogradPair r = winograd_inner(d(1, j), d(2, j), d(3, j), d(4, j));
    s[j] = r.plus;
    t[j] = r.minus;
  });
  finish(s);
  finish(t);
  unroll<kWinogradSide>([&](auto j) TF_ALWAYS_INLINE {
    const WinogradPair r = winograd_outer(d(1, j), d(2, j), d(3, j), d(4, j));
    s[j] = r.plus;
    t[j] = r.minus;
  });
  finish(s);
  finish(t);
  unroll<kWinogradSide>([&](auto j) TF_ALWAYS_INLINE {
    t[j] = winograd_end(d(1, j), d(3, j), d(5, j));
  });
  finish(t);
}

// Tiles t0 … t1 - 1, `channels` of them from c0 on, to v (point, tile, pitch).
static inline void transform_images(const WinogradImages& x, const TileGrid& grid, int64_t top,
                                    int64_t left, int64_t c0, int64_t channels, int64_t t0,
                                    int64_t t1, const float* zeros, float* v, int64_t pitch,
                                    int64_t step) {
  for (int64_t t = t0; t < t1; ++t, v += pitch) {
    const auto patch = patch_of(x, top, left, Corner(grid, t), c0, zeros);
    int64_t i = 0;
    for (; i + kLanes <= channels; i += kLanes)
      transform_patch<false>(patch, i, kLanes, v + i, step);
    if (i < channels) transform_patch<true>(patch, i, channels - i, v + i, step);
  }
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
