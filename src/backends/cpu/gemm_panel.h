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

// Start of piece i of [0, n) cut into `pieces` of nearly equal length.
inline int64_t cut(int64_t n, int64_t pieces, int64_t i) {
  const int64_t longer = n % pieces;
  return i * (n / pieces) + smaller(i, longer);
}

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

  // Tiles [begin, end) of `rows`, which start at row `top` of C; a_of(i, row) is where A of tile i
  // lies, whose first row is `row` of these rows.
  template <class AOf>
  void multiply(Tile<T>& t, const Gemm<T>& g, const Rows& rows, int64_t top, int64_t begin,
                int64_t end, const T* b, Layout layout, bool last, const AOf& a_of) {
    prepare(t, g, last);
    const TileFn<T>* run = tiles_for<T>(vectors, layout);
    const bool more = last && !g.ends_in_relu() && !g.result;
    for (int64_t i = begin, row = rows.start(begin); i < end; row += rows.size(i++)) {
      const int64_t height = rows.size(i);
      T* c = g.c + (top + row) * g.ldc + j;
      t.next = i + 1 < end ? c + height * g.ldc : nullptr;
      if (last && g.result) prefetch_block(g.result + (c - g.c), g.ldc, height, columns);
      run[height - 1](t, a_of(i, row), b, c);
      if (more) activate(g.activation, c, g.ldc, height, columns);
    }
  }
};

}  // namespace
}  // namespace tf::cpu::TF_ISA
