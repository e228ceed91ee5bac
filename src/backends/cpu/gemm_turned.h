// Products of a small A by a transposed B, as a layer's forward pass is: A is packed in place of
// the larger B, whose rows are then the rows of register tiles, and the tiles are turned as they
// are stored. Every element is the same chain of multiply-adds as on the other ways.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/gemm_pack.h"
#include "backends/cpu/gemm_panel.h"
#include "backends/cpu/own_copies.h"

namespace tf::cpu::TF_ISA {
namespace {

// Packing A and turning C costs less than packing B.
template <class T>
bool worth_turning(const Gemm<T>& g) {
  return kTurns && g.b_row == 1 && g.b_col != 1 && g.reduce == 1 && !g.accumulate && !g.row_sums &&
         g.k > 0 && g.n >= kMaxRows<kPanel> &&
         double(g.m) * double(g.n + g.k) < double(g.n) * double(g.k) &&
         g.m * g.k <= (1 << 20) / int64_t(sizeof(T));
}

template <class T>
struct Turned {
  static constexpr int64_t kWidth = kPanelWidth<T>, kW = Vec<T>::kWidth;
  const Gemm<T>& g;

  int64_t panels() const { return ceil_div(g.m, kWidth); }
  int64_t size() const { return panels() * kWidth * g.k; }
  int64_t height(int64_t panel) const { return smaller(kWidth, g.m - panel * kWidth); }
  int64_t width(int64_t panel) const { return height(panel) > kW ? kWidth : kW; }

  void pack_all(T* packed) const {
    for (int64_t i = 0; i < panels(); ++i)
      pack(packed + i * kWidth * g.k, width(i), g.a + i * kWidth * g.a_row, g.a_col, g.a_row, g.k,
           height(i));
  }

  // Columns [begin, end) of C, all rows.
  void multiply(const T* packed, int64_t begin, int64_t end) const {
    const Rows columns(end - begin, kMaxRows<kPanel>);
    T bias[kMaxRows<kPanel>];
    Tile<T> t;
    t.k = g.k;
    t.reduce = 1;
    t.a_row = g.b_col;
    t.ldc = g.ldc;
    t.floor = g.ends_in_relu() ? T(0) : -T(INFINITY);
    for (int64_t i = 0; i < columns.tiles; ++i) {
      const int64_t j = begin + columns.start(i), count = columns.size(i);
      t.bias = nullptr;
      if (g.bias) {
        for (int64_t x = 0; x < count; ++x) bias[x] = g.bias[(j + x) * g.bias_step];
        t.bias = bias;
      }
      for (int64_t p = 0; p < panels(); ++p) {
        const int vectors = int(width(p) / kW);
        T* c = g.c + p * kWidth * g.ldc + j;
        t.b_row = width(p);
        t.tail = height(p) - (vectors - 1) * kW;
        tiles_for<T>(vectors, Layout::kTurned)[count - 1](t, g.b + j * g.b_col,
                                                          packed + p * kWidth * g.k, c);
        if (g.ends_in_relu() || g.result) continue;
        add_residual(g, p * kWidth, j, height(p), count);
        activate(g.activation, c, g.ldc, height(p), count);
      }
    }
    finish_piece(g, g.c + begin, g.m, end - begin);
  }
};

// On this thread (parallel = false) or on the pool, in pieces of at least `small` multiply-adds.
// False: no memory for the copy, nothing done.
template <class T>
bool gemm_turned(const Gemm<T>& g, bool parallel, double small, tf_status* status) {
  const Turned<T> turned{g};
  const int64_t least = int64_t(small / (double(g.m) * double(g.k))) + 1;
  const size_t bytes = size_t(turned.size()) * sizeof(T);
  const int64_t pieces = parallel ? column_pieces(g.n, least, bytes) : 1;
  OwnCopies<T> copies(pieces, turned.size());
  if (!copies.there()) return false;
  *status = for_column_pieces<T>(g.n, pieces, [&](int64_t piece, int64_t begin, int64_t end) {
    turned.multiply(copies.in_piece(piece, [&](T* packed) { turned.pack_all(packed); }), begin,
                    end);
  });
  return true;
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
