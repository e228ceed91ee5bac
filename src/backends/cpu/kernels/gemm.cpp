// Matrix products: blocks that fit the caches, cut into tiles for the pool.
// SPDX-License-Identifier: MIT
#include "backends/cpu/gemm.h"

#include "backends/cpu/activation.h"
#include "backends/cpu/gemm_tile.h"

namespace tf::cpu::TF_ISA {
namespace {

inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Piece i of [0, n) cut into `pieces` of nearly equal length.
inline int64_t cut(int64_t n, int64_t pieces, int64_t i) {
  const int64_t longer = n % pieces;
  return i * (n / pieces) + smaller(i, longer);
}

// A packed panel of B (kSteps × kPanelWidth) takes 64 KiB: it lies on the stack and streams from
// L2 while the tiles below it are computed.
template <class T>
constexpr int64_t kSteps = 65536 / (kPanelWidth<T> * int64_t(sizeof(T)));

// Rows of A in micro-panels: tile by tile, each (k, rows).
template <class T>
void pack_rows(T* to, const Gemm<T>& g, const T* a, int64_t k, int64_t tiles) {
  for (int64_t i = 0; i < tiles; ++i) {
    const int64_t row = cut(g.m, tiles, i), rows = cut(g.m, tiles, i + 1) - row;
    pack(to + row * k, rows, a + row * g.a_row, g.a_col, g.a_row, k, rows);
  }
}

// Packing A costs about an eighth of a multiply-add per element; it pays where A is read for
// several panels of B, all the more where it lies badly: rows that fall into the same cache
// sets, columns each on its own page.
template <class T>
bool worth_packing_a(const Gemm<T>& g) {
  if (g.m == 1) return false;
  if (g.a_row != 1 && g.a_col != 1) return true;
  return g.m >= kMaxRows<kPanel> && g.n >= 4 * kPanelWidth<T>;
}

// The whole product on this thread.
template <class T>
void gemm_serial(const Gemm<T>& g) {
  if (g.m <= 0 || g.n <= 0) return;
  constexpr int64_t kW = Vec<T>::kWidth;
  constexpr int64_t kWidth = kPanelWidth<T>;
  alignas(64) T panel[kSteps<T> * kWidth + kW];
  T bias[kWidth];

  const int64_t products = g.k > 0 && g.reduce > 0 ? g.reduce : 0;
  const int64_t blocks = products ? ceil_div(g.k, kSteps<T>) : 1;
  const int64_t step = ceil_div(ceil_div(g.k, blocks), kW) * kW;
  // Few rows read B too seldom for a copy to pay.
  const bool b_in_place = g.b_col == 1 && g.m <= 4 * kMaxRows<kPanel>;

  const size_t packed_bytes = size_t(g.m * step + kW) * sizeof(T);
  T* packed_a = products && worth_packing_a(g)
                    ? static_cast<T*>(host->host_alloc(packed_bytes))
                    : nullptr;
  const Layout layout = !packed_a && g.a_col == 1 ? Layout::kRowMajor : Layout::kColumnMajor;
  // Tiles of one row take any strides: the way without memory for packing.
  const bool any_height = packed_a || g.a_row == 1 || g.a_col == 1;
  const int64_t tiles = any_height ? ceil_div(g.m, kMaxRows<kPanel>) : g.m;
  const bool relu = g.activation == TINYFIN_ACTIVATION_RELU;

  Tile<T> t;
  t.a_row = g.a_row;
  t.a_col = g.a_col;
  t.ldc = g.ldc;
  t.reduce = products ? 1 : 0;
  t.a_step = t.b_step = 0;
  for (int64_t r = 0; r == 0 || r < products; ++r) {
    for (int64_t p = 0; p == 0 || p < g.k; p += step) {
      const bool last = r + 1 >= products && p + step >= g.k;
      t.k = smaller(step, g.k - p);
      t.load_c = r > 0 || p > 0 || g.accumulate;
      t.floor = last && relu ? T(0) : -T(INFINITY);
      const T* a = g.a + r * g.a_step + p * g.a_col;
      const T* b = g.b + r * g.b_step + p * g.b_row;
      if (packed_a) pack_rows(packed_a, g, a, t.k, tiles);
      for (int64_t j = 0; j < g.n; j += kWidth) {
        const int64_t columns = smaller(kWidth, g.n - j);
        const int vectors = columns > kW ? kPanel : 1;
        t.tail = columns - (vectors - 1) * kW;
        t.bias = nullptr;
        if (last && g.bias) {
          t.bias = g.bias + j;
          if (g.bias_step != 1) {
            for (int64_t i = 0; i < columns; ++i) bias[i] = g.bias[(j + i) * g.bias_step];
            t.bias = bias;
          }
        }
        t.b_row = g.b_row;
        const T* b_panel = b + j * g.b_col;
        if (products && !(b_in_place && t.tail == kW)) {
          t.b_row = vectors * kW;
          pack(panel, t.b_row, b_panel, g.b_row, g.b_col, t.k, columns);
          b_panel = panel;
        }
        const TileFn<T>* run = tiles_for<T>(vectors, layout);
        for (int64_t i = 0; i < tiles; ++i) {
          const int64_t row = cut(g.m, tiles, i), rows = cut(g.m, tiles, i + 1) - row;
          if (packed_a) t.a_col = rows;
          T* c = g.c + row * g.ldc + j;
          run[rows - 1](t, packed_a ? packed_a + row * t.k : a + row * g.a_row, b_panel, c);
          if (last && !relu) activate(g.activation, c, g.ldc, rows, columns);
        }
      }
      if (!products) break;
    }
  }
  if (packed_a) host->host_free(packed_a, packed_bytes);
}

// Tiles for the pool -----------------------------------------------------------------------

// Below this many multiply-adds a parallel region costs more than it saves.
constexpr double kSmall = 200e3;

struct Grid {
  int64_t rows, columns;  // pieces
};

// Pieces of up to 256 × 256 (A's block of 256 × kSteps stays in L2 with the panel), smaller ones
// until there are enough for the threads of a desktop or a piece is too small to be worth it.
// Columns are cut first: each cut through the rows packs B once more.
template <class T>
Grid make_grid(const Gemm<T>& g) {
  const int64_t panels = ceil_div(g.n, kPanelWidth<T>);
  const double work = double(g.m) * double(g.n) * double(g.k) * double(g.reduce);
  Grid grid{g.m <= 320 ? 1 : ceil_div(g.m, 256), ceil_div(panels, 8)};
  const auto wants_more = [&] {
    const int64_t pieces = grid.rows * grid.columns;
    return pieces < 8 && work >= kSmall * double(2 * pieces);
  };
  while (wants_more() && grid.columns < panels) grid.columns = smaller(2 * grid.columns, panels);
  while (wants_more() && g.m / grid.rows >= 2 * kMaxRows<kPanel>) grid.rows *= 2;
  return grid;
}

template <class T>
Gemm<T> piece_of(Gemm<T> g, const Grid& grid, int64_t piece) {
  const int64_t i = piece / grid.columns, j = piece % grid.columns;
  const int64_t width = kPanelWidth<T>, panels = ceil_div(g.n, width);
  const int64_t row = cut(g.m, grid.rows, i), column = cut(panels, grid.columns, j) * width;
  g.m = cut(g.m, grid.rows, i + 1) - row;
  g.n = smaller(cut(panels, grid.columns, j + 1) * width, g.n) - column;
  g.a += row * g.a_row;
  g.b += column * g.b_col;
  g.c += row * g.ldc + column;
  if (g.bias) g.bias += column * g.bias_step;
  return g;
}

template <class T>
Gemm<T> product_of(Gemm<T> g, const GemmBatch& batch, int64_t index) {
  for (int d = batch.ndim - 1; d >= 0; --d) {
    const int64_t at = index % batch.shape[d];
    index /= batch.shape[d];
    g.a += at * batch.a[d];
    g.b += at * batch.b[d];
    g.c += at * batch.c[d];
  }
  return g;
}

template <class T>
tf_status run_parallel(const Gemm<T>& g, const GemmBatch& batch) {
  int64_t count = 1;
  for (int d = 0; d < batch.ndim; ++d) count *= batch.shape[d];
  if (count <= 0 || g.m <= 0 || g.n <= 0) return TINYFIN_OK;
  const Grid grid = make_grid(g);
  const int64_t pieces = grid.rows * grid.columns;
  if (pieces > 1) {
    return parallel_for(count * pieces, [&](int64_t tile) {
      gemm_serial(piece_of(product_of(g, batch, tile / pieces), grid, tile % pieces));
    });
  }
  const double work = double(g.m) * double(g.n) * double(g.k * g.reduce + 16);
  const int64_t grain = work > kSmall ? 1 : int64_t(kSmall / work) + 1;
  return parallel_range(count, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) gemm_serial(product_of(g, batch, i));
  });
}

}  // namespace

void gemm(const Gemm<float>& g) { gemm_serial(g); }
void gemm(const Gemm<double>& g) { gemm_serial(g); }

tf_status gemm_parallel(const Gemm<float>& g, const GemmBatch& batch) {
  return run_parallel(g, batch);
}
tf_status gemm_parallel(const Gemm<double>& g, const GemmBatch& batch) {
  return run_parallel(g, batch);
}

}  // namespace tf::cpu::TF_ISA
