// Convolution by Winograd's F(4×4, 3×3). Results are cut into tiles of 4 × 4 pixels; a block of
// tiles is transformed into 36 matrices (tile, in channel) in scratch memory, each of which is
// multiplied by the transformed weights (in channel, out channel) of its point, and the 36 products
// are transformed back on the way to the result. Nothing of the transformed images goes further
// than the second cache.
// SPDX-License-Identifier: MIT
#include "backends/cpu/conv_winograd.h"

#include "backends/cpu/conv_winograd_tile.h"
#include "backends/cpu/pool.h"

namespace tf::cpu::TF_ISA {
namespace {

// Out channels of one slice: what a unit of work computes for its block of tiles. The input is
// transformed once per slice, at a fortieth of the cost of the products of 128 channels.
constexpr int64_t kSlicePanels = 128 / kWide;
// Transformed weights that exist at once, where a slice has not more.
constexpr int64_t kWeightBytes = 10 << 20;
// Transformed images and products of a block: half of the second cache, but two register tiles of
// tiles at least, which read each transformed weight, and four at most.
constexpr int64_t kBlockBytes = 512 * 1024;
constexpr int64_t kFewTiles = 2 * kMaxRows<kPanel>, kManyTiles = 4 * kMaxRows<kPanel>;
// Fewer channels leave registers and products empty; more take too much scratch memory.
constexpr int64_t kFewChannels = 16, kManyChannels = 1024;
// Multiply-adds per tap below which the direct kernels win.
constexpr int64_t kSmall = 64 * 1024;
// Transformed weights of more bytes than this are moved for eight tiles or more.
constexpr int64_t kLargeWeights = 4 << 20, kTilesForLarge = 8;

// How the work is cut, by shape alone.
struct Cut {
  TileGrid grid;
  int64_t panels, slice, slices;   // panels of a group and of a slice, slices of a group
  int64_t pitch, width;            // elements per tile of transformed images, of products
  int64_t blocks, most;            // blocks, tiles of a block (at most)
  int64_t images, band, bands;     // pooled: images of a block or tile rows, blocks per image
  int64_t v_step, m_step, u_step;  // from point to point: images, products, weights

  int64_t slice_panels(int64_t i) const { return smaller(slice, panels - i * slice); }
};

static int64_t common_multiple(int64_t a, int64_t b) {
  int64_t m = a;
  while (m % b != 0) m += a;
  return m;
}

static Cut cut_of(const Winograd& c) {
  Cut p;
  p.grid = grid_of(c.out_h, c.out_w);
  p.panels = ceil_div(c.out, kWide);
  p.slices = ceil_div(p.panels, kSlicePanels);
  p.slice = ceil_div(p.panels, p.slices);
  p.pitch = ceil_div(c.in, kLanes) * kLanes;
  p.width = p.slice * kWide;
  const int64_t tile_bytes = kWinogradPoints * (p.pitch + p.width) * int64_t(sizeof(float));
  const int64_t fit = smaller(kManyTiles, larger(kFewTiles, kBlockBytes / tile_bytes));
  if (c.pool.height == 0) {
    p.blocks = ceil_div(c.x.count * p.grid.tiles, fit);
    if (p.blocks > 1) p.blocks = ceil_div(p.blocks, 2) * 2;  // equal shares for two threads
    p.most = ceil_div(c.x.count * p.grid.tiles, p.blocks);
    p.images = p.band = p.bands = 0;
  } else {
    // Whole windows and whole tiles.
    const int64_t rows = common_multiple(kWinogradOut, c.pool.height) / kWinogradOut;
    p.band = smaller(p.grid.rows, larger(1, fit / (rows * p.grid.columns)) * rows);
    p.bands = ceil_div(p.grid.rows, p.band);
    p.images = p.bands > 1 ? 1 : larger(1, smaller(c.x.count, fit / p.grid.tiles));
    p.blocks = ceil_div(c.x.count, p.images) * p.bands;
    p.most = p.images * p.band * p.grid.columns;
  }
  p.v_step = p.most * p.pitch + kGap;
  p.m_step = p.most * p.width + kGap;
  p.u_step = p.slice * c.in * kWide + kGap;
  return p;
}

// Weights --------------------------------------------------------------------------------------

// Elements of a packed panel.
static inline int64_t packed_panel(const Winograd& c) { return kTaps * c.in * kWide; }

// One panel: packed (tap, in channel, lane) to (point, in channel, lane).
static void transform_panel(const float* packed, int64_t in, float* u, int64_t step) {
  const int64_t tap = in * kWide;
  for (int64_t i = 0; i < tap; i += kLanes) {
    F32 t[kWinogradTaps * kWinogradSide];
    unroll<kWinogradTaps>([&](auto j) TF_ALWAYS_INLINE {
      const auto g = [&](int h) TF_ALWAYS_INLINE {
        return load(packed + (h * kWinogradTaps + j) * tap + i);
      };
      winograd_weight(g(0), g(1), g(2), t + j * kWinogradSide);
    });
    unroll<kWinogradSide>([&](auto h) TF_ALWAYS_INLINE {
      F32 row[kWinogradSide];
      winograd_weight(t[h], t[kWinogradSide + h], t[2 * kWinogradSide + h], row);
      unroll<kWinogradSide>([&](auto j) TF_ALWAYS_INLINE {
        store(u + (h * kWinogradSide + j) * step + i, row[j]);
      });
    });
  }
}

// Products -------------------------------------------------------------------------------------

static void multiply_points(const Winograd& c, const Cut& p, int64_t panels, int64_t last_columns,
                            int64_t tiles, const float* v, const float* u, float* m) {
  Tile<float> t;
  t.k = c.in;
  t.reduce = 1;
  t.a_row = p.pitch;
  t.a_col = 1;
  t.a_step = t.b_step = 0;
  t.b_row = kWide;
  t.ldc = p.width;
  t.tail = kLanes;
  t.load_c = false;
  t.bias = nullptr;
  t.floor = -INFINITY;
  for (int point = 0; point < kWinogradPoints; ++point, v += p.v_step, u += p.u_step, m += p.m_step)
    for (int64_t j = 0; j < panels; ++j) {
      const int vectors = j + 1 == panels && last_columns <= kLanes ? 1 : kPanel;
      const Rows rows(tiles, vectors == 1 ? kMaxRows<1> : kMaxRows<kPanel>);
      const TileFn<float>* const tile = tiles_for<float>(vectors, Layout::kRowMajor);
      for (int64_t i = 0, row = 0; i < rows.tiles; row += rows.size(i++))
        tile[rows.size(i) - 1](t, v + row * p.pitch, u + j * c.in * kWide,
                               m + row * p.width + j * kWide);
    }
}

// Results --------------------------------------------------------------------------------------

// Where pixel (0, 0) of image 0 would be, and the distances.
struct Place {
  float* y;
  int64_t image, row, pixel;
};

// A register of out channels of a tile of `rows` × `columns` pixels from its 36 products. Answers
// whether a result is not finite.
static __attribute__((noinline)) bool finish_tile(const float* m, int64_t step, F32 bias, F32 floor,
                                                  float* y, int64_t row, int64_t pixel,
                                                  int64_t rows, int64_t columns, int64_t lanes) {
  F32 t[kWinogradOut * kWinogradSide];
  unroll<kWinogradSide>([&](auto j) TF_ALWAYS_INLINE {
    F32 column[kWinogradSide], out[kWinogradOut];
    unroll<kWinogradSide>([&](auto i) TF_ALWAYS_INLINE {
      column[i] = load(m + (i * kWinogradSide + j) * step);
    });
    winograd_output(column, out);
    unroll<kWinogradOut>([&](auto i) TF_ALWAYS_INLINE { t[i * kWinogradSide + j] = out[i]; });
  });
  F32 check(0.f);
  unroll<kWinogradOut>([&](auto i) TF_ALWAYS_INLINE {
    if (i >= rows) return;
    F32 out[kWinogradOut];
    winograd_output(t + i * kWinogradSide, out);
    unroll<kWinogradOut>([&](auto j) TF_ALWAYS_INLINE {
      if (j >= columns) return;
      check = fma(out[j], F32(0.f), check);
      const F32 value = max(floor, out[j] + bias);
      float* const to = y + i * row + j * pixel;
      if (lanes == kLanes) {
        store(to, value);
      } else {
        store_n(to, value, lanes);
      }
    });
  });
  return any(check != check);
}

// The same by the definition, in the order of the direct kernels. weights: (tap, in channel, lane);
// patch: room for 9 * in elements.
static void define_tile(const Winograd& c, const Patch<kWinogradSide>& from, const float* weights,
                        const float* bias, float* y, int64_t row, int64_t pixel, int64_t rows,
                        int64_t columns, int64_t lanes, float* patch) {
  Tile<float> t;
  t.k = kTaps * c.in;
  t.reduce = 1;
  t.a_row = t.a_step = t.b_step = t.ldc = 0;
  t.a_col = 1;
  t.b_row = kWide;
  t.tail = lanes;
  t.load_c = false;
  t.bias = bias;
  t.floor = c.relu ? 0.f : -INFINITY;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) {
      for (int h = 0; h < kWinogradTaps; ++h)
        for (int w = 0; w < kWinogradTaps; ++w)
          memcpy(patch + (h * kWinogradTaps + w) * c.in,
                 from.pixel[(i + h) * kWinogradSide + j + w], size_t(c.in) * sizeof(float));
      tiles_for<float>(1, Layout::kRowMajor)[0](t, patch, weights, y + i * row + j * pixel);
    }
}

static void finish_block(const Winograd& c, const Cut& p, int64_t group, int64_t slice, int64_t t0,
                         int64_t t1, const float* m, const Place& to, const float* zeros,
                         float* patch) {
  const int64_t first = slice * p.slice * kWide, n = smaller(p.width, c.out - first);
  const float* const bias = c.bias ? c.bias + group * c.out + first : nullptr;
  const float* const weights = c.packed + (group * p.panels + slice * p.slice) * packed_panel(c);
  const F32 floor(c.relu ? 0.f : -INFINITY);
  for (int64_t t = t0; t < t1; ++t, m += p.width) {
    const Corner at(p.grid, t);
    const int64_t rows = smaller(kWinogradOut, c.out_h - at.h);
    const int64_t columns = smaller(kWinogradOut, c.out_w - at.w);
    float* const y = to.y + at.n * to.image + at.h * to.row + at.w * to.pixel;
    for (int64_t j = 0; j < n; j += kLanes) {
      const int64_t lanes = smaller(kLanes, n - j);
      const F32 shift = bias ? load_n(bias + j, lanes) : F32(0.f);
      if (finish_tile(m + j, p.m_step, shift, floor, y + j, to.row, to.pixel, rows, columns, lanes))
        define_tile(c, patch_of(c.x, c.top, c.left, at, group * c.in, zeros),
                    weights + j / kWide * packed_panel(c) + j % kWide,
                    bias ? bias + j : nullptr, y + j, to.row, to.pixel, rows, columns, lanes,
                    patch);
    }
  }
}

// Units ----------------------------------------------------------------------------------------

struct Scratch {
  float *v, *m, *zeros, *patch, *result;

  static int64_t elements(const Winograd& c, const Cut& p) {
    const int64_t result = c.pool.height == 0 ? 0
                                         : p.images * p.band * kWinogradOut * c.out_w * p.width;
    return kWinogradPoints * (p.v_step + p.m_step) + p.pitch * (1 + kTaps) + result;
  }
  Scratch(const Cut& p, void* memory) {
    v = static_cast<float*>(memory);
    m = v + kWinogradPoints * p.v_step;
    zeros = m + kWinogradPoints * p.m_step;
    patch = zeros + p.pitch;
    result = patch + p.pitch * kTaps;
    memset(zeros, 0, size_t(p.pitch) * sizeof(float));
  }
};

// One block of tiles and one slice of out channels, whose transformed weights are at u.
static void convolve_block(const Winograd& c, const Cut& p, int64_t block, int64_t group,
                           int64_t slice, const float* u, const Scratch& s) {
  const int64_t first = group * c.out + slice * p.slice * kWide, channels = c.groups * c.out;
  int64_t t0, t1, n0 = 0, h0 = 0;
  if (c.pool.height == 0) {
    t0 = cut(c.x.count * p.grid.tiles, p.blocks, block);
    t1 = cut(c.x.count * p.grid.tiles, p.blocks, block + 1);
  } else {
    n0 = block / p.bands * p.images;
    h0 = block % p.bands * p.band;
    const int64_t rows = smaller(p.band, p.grid.rows - h0);
    t0 = n0 * p.grid.tiles + h0 * p.grid.columns;
    const int64_t images = smaller(p.images, c.x.count - n0);
    t1 = t0 + (p.bands > 1 ? rows * p.grid.columns : images * p.grid.tiles);
  }
  const int64_t columns = smaller(p.width, c.out - slice * p.slice * kWide);
  const int64_t panels = p.slice_panels(slice);
  transform_images(c.x, p.grid, c.top, c.left, group * c.in, c.in, t0, t1, s.zeros, s.v, p.pitch,
                   p.v_step);
  multiply_points(c, p, panels, columns - (panels - 1) * kWide, t1 - t0, s.v, u, s.m);
  if (c.pool.height == 0) {
    const Place to{c.y + first, c.out_h * c.out_w * channels, c.out_w * channels, channels};
    return finish_block(c, p, group, slice, t0, t1, s.m, to, s.zeros, s.patch);
  }
  Place to{s.result, p.band * kWinogradOut * c.out_w * columns, c.out_w * columns, columns};
  to.y -= n0 * to.image + h0 * kWinogradOut * to.row;
  finish_block(c, p, group, slice, t0, t1, s.m, to, s.zeros, s.patch);
  const Windows windows{c.pool.height, c.pool.width, c.pool.height, c.pool.width, 0, 0};
  const int64_t row0 = h0 * kWinogradOut / c.pool.height;
  const int64_t row1 = smaller(c.pool.out_h, (h0 + p.band) * kWinogradOut / c.pool.height);
  for (int64_t n = n0; n < smaller(n0 + p.images, c.x.count); ++n)
    for (int64_t r = row0; r < row1; ++r) {
      const int64_t out = (n * c.pool.out_h + r) * c.pool.out_w * channels + first;
      max_of_windows<true, float>(
          windows, {r * c.pool.height, (r + 1) * c.pool.height}, c.out_w, columns,
          {to.y + n * to.image + r * c.pool.height * to.row, to.pixel, 1}, to.row, c.pool.out_w,
          {c.y + out, channels, 1}, {c.pool.index + out, channels, 1});
    }
}

}  // namespace

bool worth_winograd(const WinogradShape& s) {
  const int64_t tiles = s.count * grid_of(s.out_h, s.out_w).tiles;
  const int64_t weights = s.in * s.out * kWinogradPoints * int64_t(sizeof(float));
  return winograd_enabled && s.kernel_h == kWinogradTaps && s.kernel_w == kWinogradTaps &&
         s.stride_h == 1 && s.stride_w == 1 && s.dilation_h == 1 && s.dilation_w == 1 &&
         s.in >= kFewChannels && s.out >= kFewChannels && s.in <= kManyChannels &&
         // Half a tile in both directions at least.
         s.out_h > kWinogradOut / 2 && s.out_w > kWinogradOut / 2 &&
         s.count * s.out_h * s.out_w * s.in * s.out >= kSmall &&
         (weights <= kLargeWeights || tiles >= kTilesForLarge);
}

tf_status winograd(const Winograd& c) {
  const Cut p = cut_of(c);
  const int64_t slices = c.groups * p.slices, slice_elements = kWinogradPoints * p.u_step;
  const int64_t most =
      smaller(slices, larger(1, kWeightBytes / (slice_elements * int64_t(sizeof(float)))));
  const size_t bytes = size_t(most * slice_elements) * sizeof(float);
  float* const u = static_cast<float*>(host->host_alloc(bytes));
  if (!u) return error(TINYFIN_ERROR_MEMORY, "out of host memory for transformed weights");
  tf_status status = TINYFIN_OK;
  for (int64_t s0 = 0; s0 < slices && status == TINYFIN_OK; s0 += most) {
    const int64_t s1 = smaller(slices, s0 + most);
    const int64_t grain = 1 + 65536 / (kWinogradPoints * c.in * kWide);
    status = parallel_range((s1 - s0) * p.slice, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t s = s0 + i / p.slice, j = i % p.slice;
        const int64_t group = s / p.slices, panel = s % p.slices * p.slice + j;
        if (panel >= p.panels) continue;
        transform_panel(c.packed + (group * p.panels + panel) * packed_panel(c), c.in,
                        u + (s - s0) * slice_elements + j * c.in * kWide, p.u_step);
      }
    });
    if (status != TINYFIN_OK) break;
    const int64_t work = p.most * kWinogradPoints * c.in * p.width;
    const size_t scratch_bytes = size_t(Scratch::elements(c, p)) * sizeof(float);
    status = parallel_with_memory(
        p.blocks * (s1 - s0), 1 + kTileWork / (work + 1), scratch_bytes,
        [&](int64_t begin, int64_t end, void* memory) {
          const Scratch scratch(p, memory);
          for (int64_t i = begin; i < end; ++i) {
            const int64_t s = s0 + i % (s1 - s0);
            convolve_block(c, p, i / (s1 - s0), s / p.slices, s % p.slices,
                           u + (s - s0) * slice_elements, scratch);
          }
        });
  }
  host->host_free(u, bytes);
  return status;
}

}  // namespace tf::cpu::TF_ISA
