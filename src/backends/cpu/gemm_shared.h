// Large products: all threads pack both operands, each panel once, then all threads multiply.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/gemm_pack.h"
#include "backends/cpu/gemm_panel.h"

namespace tf::cpu::TF_ISA {
namespace {

// What is packed at a time stays in a shared cache of a few MiB per operand.
constexpr int64_t kSharedRows = 144 * kMaxRows<kPanel>;
constexpr int64_t kSharedColumns = 4096;
// A packed panel of B streams from L2 while tiles of A, as deep, do so too.
template <class T>
constexpr int64_t kSharedSteps = 2048 / int64_t(sizeof(T));

// A piece of C that one thread computes: its part of A (16 tiles of 32 KiB) stays in L2.
constexpr int64_t kPieceTiles = 16, kPiecePanels = 8;
// Pieces are cut smaller until there are enough for the threads of a desktop, or until one has
// too few multiply-adds to be worth a hand-over.
constexpr int64_t kEnoughPieces = 16;
constexpr double kSmallPiece = 1e6;

// One operand's share of a packing job: enough work to be worth a hand-over.
constexpr int64_t kTilesPerJob = 8, kPanelsPerJob = 4;

template <class T>
struct Shared {
  const Gemm<T>& g;
  T* packed_a;
  T* packed_b;
  // The block of C and of k that is being computed.
  int64_t row, column, k, columns;
  const T *a, *b;
  Rows rows;
  bool load_c, last;

  int64_t panels() const { return ceil_div(columns, kPanelWidth<T>); }

  // Panels of whole vectors of a row-major B are read where they lie.
  bool in_place(int64_t wide) const { return g.b_col == 1 && wide % Vec<T>::kWidth == 0; }

  void pack_panels(int64_t begin, int64_t end) const {
    constexpr int64_t kWidth = kPanelWidth<T>, kW = Vec<T>::kWidth;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t wide = smaller(kWidth, columns - i * kWidth);
      if (in_place(wide)) continue;
      pack(packed_b + i * kWidth * k, wide > kW ? kWidth : kW, b + i * kWidth * g.b_col, g.b_row,
           g.b_col, k, wide);
    }
  }

  tf_status pack_all(bool with_b) const {
    with_b = with_b && !in_place(columns);
    const int64_t b_jobs = with_b ? ceil_div(panels(), kPanelsPerJob) : 0;
    return parallel_for(b_jobs + ceil_div(rows.tiles, kTilesPerJob), [&](int64_t job) {
      if (job < b_jobs) {
        const int64_t begin = job * kPanelsPerJob;
        pack_panels(begin, smaller(begin + kPanelsPerJob, panels()));
      } else {
        const int64_t begin = (job - b_jobs) * kTilesPerJob;
        pack_rows(packed_a, g, a, k, rows, begin, smaller(begin + kTilesPerJob, rows.tiles));
      }
    });
  }

  void multiply_piece(int64_t first_tile, int64_t end_tile, int64_t first_panel,
                      int64_t end_panel) const {
    Tile<T> t;
    t.k = k;
    t.reduce = 1;
    t.a_row = 1;
    t.a_col = kPackedRows<T>;
    t.ldc = g.ldc;
    t.load_c = load_c;
    for (int64_t p = first_panel; p < end_panel; ++p) {
      Panel<T> panel(g, column + p * kPanelWidth<T>);
      const bool there = in_place(panel.columns);
      t.b_row = there ? g.b_row : panel.vectors * int64_t(Vec<T>::kWidth);
      panel.multiply(t, g, rows, row, first_tile, end_tile,
                     there ? b + p * kPanelWidth<T> : packed_b + p * kPanelWidth<T> * k, Layout::kColumnMajor, last, [&](int64_t i, int64_t) {
                       return packed_a + i * k * kPackedRows<T>;
                     });
    }
    if (!last) return;
    const int64_t top = rows.start(first_tile), left = first_panel * kPanelWidth<T>;
    finish_piece(g, g.c + (row + top) * g.ldc + column + left, rows.start(end_tile) - top,
                 smaller(end_panel * kPanelWidth<T>, columns) - left);
  }

  tf_status multiply_all() const {
    int64_t down = ceil_div(rows.tiles, kPieceTiles), across = ceil_div(panels(), kPiecePanels);
    const double work = double(rows.start(rows.tiles)) * double(columns) * double(k);
    while (down * across < kEnoughPieces && work >= kSmallPiece * double(2 * down * across)) {
      if (across < panels() && (across <= down || down >= rows.tiles)) {
        across = smaller(2 * across, panels());
      } else if (down < rows.tiles) {
        down = smaller(2 * down, rows.tiles);
      } else {
        break;
      }
    }
    return parallel_for(down * across, [&](int64_t piece) {
      const int64_t i = piece / across, j = piece % across;
      multiply_piece(cut(rows.tiles, down, i), cut(rows.tiles, down, i + 1),
                     cut(panels(), across, j), cut(panels(), across, j + 1));
    });
  }
};

// Whether something would be packed several times if every piece of C packed its own. A
// column-major A never is.
template <class T>
bool worth_sharing(const Gemm<T>& g) {
  return g.a_row != 1 && g.m > 20 * kMaxRows<kPanel> && g.n > kPiecePanels * kPanelWidth<T> &&
         g.k >= 32;
}

// The whole product. False: no memory for the copies, nothing done.
template <class T>
bool gemm_shared(const Gemm<T>& g, tf_status* status) {
  constexpr int64_t kW = Vec<T>::kWidth, kWidth = kPanelWidth<T>;
  const int64_t row_blocks = ceil_div(g.m, kSharedRows);
  const int64_t column_blocks = ceil_div(g.n, kSharedColumns);
  const int64_t k_blocks = ceil_div(g.k, kSharedSteps<T>);
  const int64_t step = ceil_div(ceil_div(g.k, k_blocks), kW) * kW;
  const int64_t high = ceil_div(g.m, row_blocks);
  const int64_t wide = ceil_div(ceil_div(g.n, column_blocks), kWidth) * kWidth;
  const size_t a_size = size_t(ceil_div(high, kMaxRows<kPanel>) * kPackedRows<T> * step);
  const size_t b_size = size_t(wide * step);
  const size_t bytes = (a_size + b_size) * sizeof(T);
  T* memory = static_cast<T*>(host->host_alloc(bytes));
  if (!memory) return false;

  *status = TINYFIN_OK;
  for (int64_t column = 0; column < g.n; column += wide) {
    for (int64_t r = 0; r < g.reduce; ++r) {
      for (int64_t p = 0; p < g.k; p += step) {
        const bool first = r == 0 && p == 0;
        const bool last = r + 1 == g.reduce && p + step >= g.k;
        for (int64_t i = 0; i < row_blocks && *status == TINYFIN_OK; ++i) {
          const int64_t row = cut(g.m, row_blocks, i);
          const Shared<T> block{g,
                                memory,
                                memory + a_size,
                                row,
                                column,
                                smaller(step, g.k - p),
                                smaller(wide, g.n - column),
                                g.a + r * g.a_step + p * g.a_col + row * g.a_row,
                                g.b + r * g.b_step + p * g.b_row + column * g.b_col,
                                Rows(cut(g.m, row_blocks, i + 1) - row, kMaxRows<kPanel>),
                                g.accumulate || !first,
                                last};
          *status = block.pack_all(i == 0);
          if (*status == TINYFIN_OK) *status = block.multiply_all();
        }
      }
    }
  }
  host->host_free(memory, bytes);
  return true;
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
