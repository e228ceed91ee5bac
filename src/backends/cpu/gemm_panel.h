// A panel of columns of C: its register tiles one under the other, and what follows the sums.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/activation.h"
#include "backends/cpu/gemm.h"
#include "backends/cpu/gemm_tile.h"

namespace tf::cpu::TF_ISA {
namespace {

inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Start of piece i of [0, n) cut into `pieces` of nearly equal length. The longer ones lie among
// the others: each thread starts with a run of neighbours.
inline int64_t cut(int64_t n, int64_t pieces, int64_t i) { return n * i / pieces; }

// [0, m) in register tiles of nearly equal height.
struct Rows {
  int64_t tiles, height, higher;
  Rows(int64_t m, int64_t most)
      : tiles(ceil_div(m, most)), height(m / tiles), higher(m % tiles) {}
  int64_t size(int64_t i) const { return height + (i < higher); }
  int64_t start(int64_t i) const { return i * height + smaller(i, higher); }
};

// What follows the sums in a piece of C that they are computed for as a whole. Over register tiles
// the result's rows would meet C's in the same sets of L1.
template <class T>
inline void finish_piece(const Gemm<T>& g, T* c, int64_t rows, int64_t columns) {
  if (g.result)
    through_activation(g.activation, c, g.result + (c - g.c), g.ldc, rows, columns);
}

// The residual in a block of C at (row, column) that holds sums and bias.
template <class T>
inline void add_residual(const Gemm<T>& g, int64_t row, int64_t column, int64_t rows,
                         int64_t columns) {
  using V = Vec<T>;
  if (!g.residual) return;
  map_block(g.c + row * g.ldc + column, g.ldc, g.residual + row * g.residual_row + column,
            g.residual_row, rows, columns, [](V x, V y) TF_ALWAYS_INLINE { return x + y; });
}

// Sums of the rows of one tile of A. Those of a column-major one come with the products.
template <class T>
struct RowSums {
  alignas(64) T sums[kPackedRows<T>];

  explicit RowSums(Tile<T>& t) {
    for (T& sum : sums) sum = T(0);
    t.sums = sums;
  }
  void add_rows(const Tile<T>& t, const T* a, int64_t height) {
    for (int64_t i = 0; i < height; ++i)
      for (int64_t r = 0; r < t.reduce; ++r)
        sums[i] += sum_of(a + r * t.a_step + i * t.a_row, t.k);
  }
  void store(const Tile<T>& t, int64_t height, T* to) const {
    for (int64_t i = 0; i < height; ++i) to[i] = t.load_c ? to[i] + sums[i] : sums[i];
  }

 private:
  static T sum_of(const T* x, int64_t n) {
    constexpr int64_t kW = Vec<T>::kWidth;
    Vec<T> total(T(0));
    int64_t i = 0;
    for (; i + kW <= n; i += kW) total = total + load(x + i);
    if (i < n) total = total + load_n(x + i, n - i);
    return sum(total);
  }
};

// To L2, long before it is read.
template <class T>
inline void prefetch_block(const T* at, int64_t ld, int64_t rows, int64_t columns) {
  for (int64_t i = 0; i < rows; ++i, at += ld) {
    __builtin_prefetch(at, 0, 2);
    __builtin_prefetch(at + columns - 1, 0, 2);
  }
}

template <class T>
struct Panel {
  int64_t j, columns;  // columns [j, j + columns) of C
  int vectors;
  T bias[kPanelWidth<T>];  // gathered where it does not lie side by side

  Panel(const Gemm<T>& g, int64_t j_) : j(j_), columns(smaller(kPanelWidth<T>, g.n - j_)) {
    vectors = columns > Vec<T>::kWidth ? kPanel : 1;
  }

  // Of whole vectors: B may be read where it lies.
  bool whole() const { return columns % Vec<T>::kWidth == 0; }

  // What this panel, and whether it is the last to be added, say about its tiles. relu and bias
  // come with the last product.
  void prepare(Tile<T>& t, const Gemm<T>& g, bool last) {
    t.tail = columns - (vectors - 1) * Vec<T>::kWidth;
    t.floor = last && g.ends_in_relu() ? T(0) : -T(INFINITY);
    t.bias = nullptr;
    if (!last || !g.bias) return;
    t.bias = g.bias + j;
    if (g.bias_step == 1) return;
    for (int64_t i = 0; i < columns; ++i) bias[i] = g.bias[(j + i) * g.bias_step];
    t.bias = bias;
  }

  const TileFn<T>* summed_tiles(Layout layout) const {
    if (layout == Layout::kRowMajor) return tiles_for<T>(vectors, layout);
    return vectors == 1 ? kTiles<T, 1, Layout::kSummed>.of_rows
                        : kTiles<T, kPanel, Layout::kSummed>.of_rows;
  }

  // Tiles [begin, end) of `rows`, which start at row `top` of C; a_of(i, row) is where A of tile i
  // lies, whose first row is `row` of these rows. next_b: the t.k rows of B that are read next, as
  // far apart as those of this panel, or null.
  template <class AOf>
  void multiply(Tile<T>& t, const Gemm<T>& g, const Rows& rows, int64_t top, int64_t begin,
                int64_t end, const T* b, Layout layout, bool last, const AOf& a_of,
                const T* next_b = nullptr) {
    prepare(t, g, last);
    const TileFn<T>* run = tiles_for<T>(vectors, layout);
    const bool more = last && !g.ends_in_relu() && !g.result;
    const int64_t share = t.k / 2;  // rows of next_b that a tile asks for
    for (int64_t i = begin, row = rows.start(begin); i < end; row += rows.size(i++)) {
      const int64_t height = rows.size(i);
      T* c = g.c + (top + row) * g.ldc + j;
      t.next = i + 1 < end ? c + height * g.ldc : nullptr;
      if (last && g.result) prefetch_block(g.result + (c - g.c), g.ldc, height, columns);
      if (last && g.residual)
        prefetch_block(g.residual + (top + row) * g.residual_row + j, g.residual_row, height,
                       columns);
      const T* a = a_of(i, row);
      t.ahead = nullptr;
      if (layout == Layout::kRowMajor) {
        // Long rows, of which this is a block, are a few streams, which the hardware foresees.
        if (i + 1 < end && g.a_row < 2 * t.k) t.ahead = a_of(i + 1, row + height);
      } else if (next_b && (i - begin) * share < t.k) {
        t.ahead = next_b + (i - begin) * share * t.b_row;
      }
      if (g.row_sums && j == 0) {
        RowSums<T> sums(t);
        summed_tiles(layout)[height - 1](t, a, b, c);
        if (layout == Layout::kRowMajor) sums.add_rows(t, a, height);
        sums.store(t, height, g.row_sums + top + row);
      } else {
        run[height - 1](t, a, b, c);
      }
      if (!more) continue;
      add_residual(g, top + row, j, height, columns);
      activate(g.activation, c, g.ldc, height, columns);
    }
  }
};

}  // namespace
}  // namespace tf::cpu::TF_ISA
