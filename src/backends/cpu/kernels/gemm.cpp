// Matrix products: blocks that fit the caches, cut into tiles for the pool.
// SPDX-License-Identifier: MIT
#include "backends/cpu/gemm.h"

#include "backends/cpu/gemm_dot.h"
#include "backends/cpu/gemm_pack.h"
#include "backends/cpu/gemm_panel.h"
#include "backends/cpu/gemm_shared.h"
#include "backends/cpu/gemm_straight.h"
#include "backends/cpu/gemm_turned.h"

namespace tf::cpu::TF_ISA {
namespace {

// A packed panel of B (kSteps × kPanelWidth) takes 64 KiB: it lies on the stack and streams from
// L2 while the tiles below it are computed.
template <class T>
constexpr int64_t kSteps = 65536 / (kPanelWidth<T> * int64_t(sizeof(T)));

// The whole product on this thread.
template <class T>
void gemm_serial(const Gemm<T>& g) {
  if (g.m <= 0 || g.n <= 0) return;
  constexpr int64_t kW = Vec<T>::kWidth;
  constexpr int64_t kWidth = kPanelWidth<T>;
  constexpr int64_t kCapacity = kSteps<T> * kWidth;
  alignas(64) T panel[kCapacity];

  const int64_t products = g.k > 0 ? g.reduce : 0;
  // Few rows read B too seldom for a copy to pay. The sum over products then runs inside the
  // register tile, unless a last panel of fewer columns has no room for all of them.
  const bool b_in_place = g.b_col == 1 && g.m <= 20 * kMaxRows<kPanel>;
  const bool inner_sum = products > 1 && b_in_place && (g.a_row == 1 || g.a_col == 1) &&
                         (g.n % kW == 0 || products * g.k * kWidth <= kCapacity);
  const int64_t blocks = products > 0 && !inner_sum ? ceil_div(g.k, kSteps<T>) : 1;
  const int64_t step = ceil_div(ceil_div(g.k, blocks), kW) * kW;

  // So is A: packing pays only if neither its rows nor its columns lie side by side.
  const bool a_in_place = g.a_row == 1 || g.a_col == 1;
  const size_t packed_bytes =
      size_t(ceil_div(g.m, kMaxRows<kPanel>) * kPackedRows<T> * step) * sizeof(T);
  T* packed_a = products > 0 && g.m > 1 && !a_in_place
                    ? static_cast<T*>(host->host_alloc(packed_bytes))
                    : nullptr;
  const Layout layout = !packed_a && g.a_col == 1 ? Layout::kRowMajor : Layout::kColumnMajor;
  // Tiles of one row take any strides: the way without memory for packing.
  const bool any_height = packed_a || a_in_place;
  const Rows rows(g.m, any_height ? kMaxRows<kPanel> : 1);

  // Closer rows of B the hardware foresees, better than anyone asks for them.
  const bool far_apart = g.b_row * int64_t(sizeof(T)) >= 1024;
  Tile<T> t;
  t.a_row = g.a_row;
  t.a_col = packed_a ? kPackedRows<T> : g.a_col;
  t.a_step = g.a_step;
  t.b_step = g.b_step;
  t.ldc = g.ldc;
  t.reduce = products <= 0 ? 0 : inner_sum ? products : 1;
  const int64_t passes = inner_sum || products <= 0 ? 1 : products;
  for (int64_t pass = 0; pass < passes * blocks; ++pass) {
    const int64_t r = pass / blocks, p = pass % blocks * step;
    const bool last = pass + 1 == passes * blocks;
    t.k = smaller(step, g.k - p);
    t.load_c = pass > 0 || g.accumulate;
    const T* a = g.a + r * g.a_step + p * g.a_col;
    const T* b = g.b + r * g.b_step + p * g.b_row;
    if (packed_a) pack_rows(packed_a, g, a, t.k, rows, 0, rows.tiles);
    for (int64_t j = 0; j < g.n; j += kWidth) {
      Panel<T> columns(g, j);
      const T* b_panel = b + j * g.b_col;
      t.b_row = g.b_row;
      t.b_step = g.b_step;
      const bool copied = t.reduce > 0 && !(b_in_place && columns.whole());
      if (copied) {
        t.b_row = columns.vectors * kW;
        t.b_step = t.k * t.b_row;
        for (int64_t i = 0; i < t.reduce; ++i) {
          pack(panel + i * t.b_step, t.b_row, b_panel + i * g.b_step, g.b_row, g.b_col, t.k,
               columns.columns);
        }
        b_panel = panel;
      }
      const T* next_b = copied || !far_apart  ? nullptr
                        : j + kWidth < g.n    ? b_panel + kWidth
                        : pass + 1 < blocks   ? b + step * g.b_row
                                              : nullptr;
      columns.multiply(t, g, rows, 0, 0, rows.tiles, b_panel, layout, last,
                       [&](int64_t i, int64_t row) {
                         return packed_a ? packed_a + i * t.k * kPackedRows<T>
                                         : a + row * g.a_row;
                       },
                       next_b);
    }
  }
  if (packed_a) host->host_free(packed_a, packed_bytes);
  finish_piece(g, g.c, g.m, g.n);
}

// Tiles for the pool -----------------------------------------------------------------------

// Below this many multiply-adds a parallel region costs more than it saves.
constexpr double kSmall = 200e3;

template <class T>
double work_of(const Gemm<T>& g) {
  return double(g.m) * double(g.n) * double(g.k) * double(g.reduce) + 16;
}

struct Grid {
  int64_t rows, columns;  // pieces
};

// Pieces of up to 256 × 256 (A's block of 256 × kSteps stays in L2 with the panel), smaller ones
// until there are enough for the threads of a desktop or a piece is too small to be worth it.
// Columns are cut first: each cut through the rows packs B once more.
template <class T>
Grid make_grid(const Gemm<T>& g) {
  const int64_t panels = ceil_div(g.n, kPanelWidth<T>);
  const double work = work_of(g);
  Grid grid{g.m <= 320 ? 1 : ceil_div(g.m, 256), ceil_div(panels, 8)};
  const auto wants_more = [&] {
    const int64_t pieces = grid.rows * grid.columns;
    return pieces < 8 && work >= kSmall * double(2 * pieces);
  };
  while (wants_more() && grid.columns < panels) grid.columns = smaller(2 * grid.columns, panels);
  const int64_t lowest = (g.b_col == 1 ? 4 : 10) * kMaxRows<kPanel>;
  while (wants_more() && g.m / grid.rows >= 2 * lowest) grid.rows *= 2;
  return grid;
}

// Rows (down) or columns [begin, end) of C.
template <class T>
Gemm<T> part_of(Gemm<T> g, bool down, int64_t begin, int64_t end) {
  if (down) {
    g.m = end - begin;
    g.a += begin * g.a_row;
    g.move_to(begin, 0);
    return g;
  }
  g.n = end - begin;
  g.b += begin * g.b_col;
  g.move_to(0, begin);
  if (g.bias) g.bias += begin * g.bias_step;
  return g;
}

template <class T>
Gemm<T> piece_of(const Gemm<T>& g, const Grid& grid, int64_t piece) {
  const int64_t i = piece / grid.columns, j = piece % grid.columns;
  const int64_t width = kPanelWidth<T>, panels = ceil_div(g.n, width);
  const Gemm<T> rows = part_of(g, true, cut(g.m, grid.rows, i), cut(g.m, grid.rows, i + 1));
  return part_of(rows, false, cut(panels, grid.columns, j) * width,
                 smaller(cut(panels, grid.columns, j + 1) * width, g.n));
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

// A whole product on this thread. Which way it goes must not depend on the cut into pieces,
// hence is settled before it.
template <class T>
void run(const Gemm<T>& whole) {
  const Gemm<T> g = with_column_as_row(whole);
  if (few_rows(g)) return gemm_by_dots(g, 0, g.n);
  tf_status status;
  if (worth_turning(g) && gemm_turned(g, false, 0, &status)) return;
  gemm_serial(g);
}

template <class T>
struct Halves {
  Gemm<T> first, rest;
};

// Along k if that is long, else along the longer side of C.
template <class T>
Halves<T> halves(const Gemm<T>& g) {
  constexpr int64_t kLong = 4096;
  if (g.k <= kLong) {
    const bool down = g.m > g.n;
    const int64_t size = down ? g.m : g.n, unit = down ? kMaxRows<kPanel> : kPanelWidth<T>;
    const int64_t half = ceil_div(ceil_div(size, unit), 2) * unit;
    return {part_of(g, down, 0, half), part_of(g, down, half, size)};
  }
  const int64_t half = ceil_div(g.k, 2 * kLong) * kLong;
  Halves<T> two{g, g};
  two.first.k = half;
  two.first.bias = nullptr;
  two.first.activation = TINYFIN_ACTIVATION_NONE;
  two.first.result = nullptr;
  two.first.residual = nullptr;
  two.rest.k -= half;
  two.rest.a += half * g.a_col;
  two.rest.b += half * g.b_row;
  two.rest.accumulate = true;
  return two;
}

// By pieces, each of which packs what it needs.
template <class T>
tf_status run_pieces(const Gemm<T>& g) {
  const double work = work_of(g);
  tf_status status;
  if (worth_turning(g) && gemm_turned(g, work > 2 * kSmall, kSmall, &status)) return status;
  const Grid grid = make_grid(g);
  const int64_t pieces = grid.rows * grid.columns;
  if (pieces == 1) {
    gemm_serial(g);
    return TINYFIN_OK;
  }
  return parallel_for(pieces, [&](int64_t i) { gemm_serial(piece_of(g, grid, i)); });
}

// The same with copies of operands whose lines collide, of so much of them at a time that the
// copies stay in a cache.
template <class T>
tf_status run_straight(const Gemm<T>& g) {
  Straight<T> copies(g, !worth_turning(g), true);  // turning reads A but once
  if (!copies.needed()) return run_pieces(g);
  if (!copies.fits()) {
    const auto [first, rest] = halves(g);
    const tf_status status = run_straight(first);
    return status != TINYFIN_OK ? status : run_straight(rest);
  }
  Gemm<T> straight = g;
  copies.copy(straight);
  return run_pieces(straight);
}

template <class T>
tf_status run_parallel(const Gemm<T>& whole, const GemmBatch& batch) {
  int64_t count = 1;
  for (int d = 0; d < batch.ndim; ++d) count *= batch.shape[d];
  if (count <= 0 || whole.m <= 0 || whole.n <= 0) return TINYFIN_OK;
  const double work = work_of(whole);
  if (count == 1) {
    if (work <= kSmall) {
      run(whole);
      return TINYFIN_OK;
    }
    const Gemm<T> g = with_column_as_row(whole);
    if (few_rows(g)) {
      const int64_t columns = int64_t(kSmall / work * double(g.n)) + 1;
      return parallel_range(g.n, columns, [&](int64_t begin, int64_t end) {
        gemm_by_dots(g, begin, end);
      });
    }
    tf_status status;
    if (worth_sharing(g) && gemm_shared(g, &status)) return status;
    return run_straight(g);
  }
  const Grid grid = few_rows(with_column_as_row(whole)) ? Grid{1, 1} : make_grid(whole);
  const int64_t pieces = whole.n == 1 ? 1 : grid.rows * grid.columns;
  if (pieces > 1) {
    return parallel_for(count * pieces, [&](int64_t tile) {
      gemm_serial(piece_of(product_of(whole, batch, tile / pieces), grid, tile % pieces));
    });
  }
  const int64_t grain = work > kSmall ? 1 : int64_t(kSmall / work) + 1;
  return parallel_range(count, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) run(product_of(whole, batch, i));
  });
}

}  // namespace

void gemm(const Gemm<float>& g) { run(g); }
void gemm(const Gemm<double>& g) { run(g); }

tf_status gemm_parallel(const Gemm<float>& g, const GemmBatch& batch) {
  return run_parallel(g, batch);
}
tf_status gemm_parallel(const Gemm<double>& g, const GemmBatch& batch) {
  return run_parallel(g, batch);
}

}  // namespace tf::cpu::TF_ISA
