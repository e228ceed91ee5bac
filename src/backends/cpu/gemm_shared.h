// Large products: all threads pack the operands, each panel once, then all threads multiply.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/gemm_pack.h"
#include "backends/cpu/gemm_panel.h"
#include "backends/cpu/gemm_straight.h"

namespace tf::cpu::TF_ISA {
namespace {

// A panel of B and a tile of A as deep stream from L2. Deeper blocks of k pass over C less often.
template <class T>
constexpr int64_t kSharedSteps = 4096 / int64_t(sizeof(T));
// What is packed at a time takes up to 14 MiB and may well lie outside the caches: a panel of B is
// read once per piece of C, a tile of A once per panel.
constexpr int64_t kSharedRows = 96 * kMaxRows<kPanel>;
constexpr int64_t kSharedColumns = 2048;

// A piece of C that one thread computes: its part of A (512 KiB) stays in L2.
constexpr int64_t kPieceTiles = 8, kPiecePanels = 8;
// Pieces are cut smaller until there are enough for the threads of a desktop, or until one has
// too few multiply-adds to be worth a hand-over.
constexpr int64_t kEnoughPieces = 16;
constexpr double kSmallPiece = 1e6;

// One job's share of packing: enough work to be worth a hand-over.
constexpr int64_t kTilesPerJob = 8, kPanelsPerJob = 4, kLinesPerJob = 64;

// Fewer columns read A too seldom for a copy to pay.
constexpr int64_t kFewColumns = 768;

// Pieces of lines of `from`, which lie `step` elements apart: `count` pieces of kVectors vectors,
// piece i from element start(i) on to to[i * pitch]. Eight lines at a time are as many streams as
// the hardware foresees; a whole piece at a time would read one cache line per page.
template <int kVectors, class T, class Start>
void pack_lines(T* to, int64_t pitch, const T* from, int64_t step, int64_t lines, int64_t count,
                const Start& start) {
  constexpr int64_t kW = Vec<T>::kWidth, kStreams = 8;
  for (int64_t p = 0; p < lines; p += kStreams) {
    const int64_t streams = smaller(kStreams, lines - p);
    for (int64_t i = 0; i < count; ++i) {
      const T* source = from + p * step + start(i);
      T* out = to + i * pitch + p * kVectors * kW;
      for (int64_t s = 0; s < streams; ++s, source += step, out += kVectors * kW) {
        unroll<kVectors>([&](auto j) TF_ALWAYS_INLINE {
          store(out + j * kW, load(source + j * kW));
        });
      }
    }
  }
}

// Whether A is read where it lies.
template <class T>
bool a_in_place(const Gemm<T>& g) {
  if (g.n > kFewColumns) return false;
  return (g.a_col == 1 && !collide<T>(g.a_row)) || (g.a_row == 1 && !collide<T>(g.a_col));
}

template <class T>
struct Shared {
  static constexpr int64_t kW = Vec<T>::kWidth, kWidth = kPanelWidth<T>;
  const Gemm<T>& g;
  T* packed_a;
  T* packed_b;
  // The block of C and of k that is being computed.
  int64_t row, column, k, columns;
  const T *a, *b;
  Rows rows;
  bool load_c, last;

  int64_t panels() const { return ceil_div(columns, kWidth); }

  // Distance of packed tiles and panels: a line more than they take, or lines of neighbours would
  // compete for the same places of the caches.
  static int64_t a_pitch(int64_t k) { return k * kPackedRows<T> + kW; }
  static int64_t b_pitch(int64_t k) { return k * kWidth + kW; }

  // Columns of a column-major A and rows of a row-major B are cut into pieces, line by line;
  // else lines run along k and are transposed, a tile or panel at a time.
  bool lines_of_a() const { return g.a_row == 1; }
  bool lines_of_b() const { return g.b_col == 1; }

  // Steps [p, p + lines) of k of tile i.
  void pack_tile(int64_t i, int64_t p, int64_t lines) const {
    pack(packed_a + i * a_pitch(k) + p * kPackedRows<T>, kPackedRows<T>,
         a + rows.start(i) * g.a_row + p * g.a_col, g.a_col, g.a_row, lines, rows.size(i));
  }

  void pack_a(int64_t job) const {
    if (!lines_of_a()) {
      const int64_t begin = job * kTilesPerJob;
      const int64_t end = smaller(begin + kTilesPerJob, rows.tiles);
      for (int64_t i = begin; i < end; ++i) pack_tile(i, 0, k);
      return;
    }
    // Tiles are copied with the rows below them that fill their last vector. Those at the end
    // have none.
    const int64_t m = rows.start(rows.tiles), p = job * kLinesPerJob;
    const int64_t lines = smaller(kLinesPerJob, k - p);
    int64_t whole = rows.tiles;
    while (whole > 0 && rows.start(whole - 1) + kPackedRows<T> > m) --whole;
    pack_lines<kPackedRows<T> / kW>(packed_a + p * kPackedRows<T>, a_pitch(k), a + p * g.a_col,
                                    g.a_col, lines, whole,
                                    [&](int64_t i) TF_ALWAYS_INLINE { return rows.start(i); });
    for (int64_t i = whole; i < rows.tiles; ++i) pack_tile(i, p, lines);
  }

  void pack_b(int64_t job) const {
    const int64_t pitch = b_pitch(k);
    int64_t begin = job * kPanelsPerJob, end = smaller(begin + kPanelsPerJob, panels());
    int64_t p = 0, lines = k;
    if (lines_of_b()) {
      p = job * kLinesPerJob;
      lines = smaller(kLinesPerJob, k - p);
      begin = columns / kWidth;  // what is left to do below
      end = panels();
      pack_lines<kPanel>(packed_b + p * kWidth, pitch, b + p * g.b_row, g.b_row, lines, begin,
                         [](int64_t i) TF_ALWAYS_INLINE { return i * kWidth; });
    }
    for (int64_t i = begin; i < end; ++i) {
      const int64_t wide = smaller(kWidth, columns - i * kWidth), ld = wide > kW ? kWidth : kW;
      pack(packed_b + i * pitch + p * ld, ld, b + p * g.b_row + i * kWidth * g.b_col, g.b_row,
           g.b_col, lines, wide);
    }
  }

  tf_status pack_all(bool with_b) const {
    const int64_t line_jobs = ceil_div(k, kLinesPerJob);
    const int64_t a_jobs = a_in_place(g)  ? 0
                           : lines_of_a() ? line_jobs
                                          : ceil_div(rows.tiles, kTilesPerJob);
    const int64_t b_jobs = !with_b        ? 0
                           : lines_of_b() ? line_jobs
                                          : ceil_div(panels(), kPanelsPerJob);
    return parallel_for(b_jobs + a_jobs, [&](int64_t job) {
      if (job < b_jobs) {
        pack_b(job);
      } else {
        pack_a(job - b_jobs);
      }
    });
  }

  void multiply_piece(int64_t first_tile, int64_t end_tile, int64_t first_panel,
                      int64_t end_panel) const {
    Tile<T> t;
    t.k = k;
    t.reduce = 1;
    const bool there = a_in_place(g);
    t.a_row = g.a_row;
    t.a_col = there ? g.a_col : kPackedRows<T>;
    t.ldc = g.ldc;
    t.load_c = load_c;
    for (int64_t p = first_panel; p < end_panel; ++p) {
      Panel<T> panel(g, column + p * kWidth);
      t.b_row = panel.vectors * kW;
      panel.multiply(t, g, rows, row, first_tile, end_tile, packed_b + p * b_pitch(k),
                     there && g.a_col == 1 ? Layout::kRowMajor : Layout::kColumnMajor, last,
                     [&](int64_t i, int64_t first_row) {
                       return there ? a + first_row * g.a_row : packed_a + i * a_pitch(k);
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

// Whether copies of B are read often enough to pay.
template <class T>
bool worth_sharing(const Gemm<T>& g) {
  return g.m > 20 * kMaxRows<kPanel> && g.n >= kPiecePanels * kPanelWidth<T> && g.k >= 32;
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
  const int64_t tiles = a_in_place(g) ? 0 : ceil_div(high, kMaxRows<kPanel>);
  const size_t a_size = size_t(tiles * Shared<T>::a_pitch(step));
  const size_t b_size = size_t(wide / kWidth * Shared<T>::b_pitch(step));
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
