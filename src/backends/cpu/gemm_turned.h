// Products of a small A by a transposed B, as a layer's forward pass is: A is packed in place of
// the larger B, whose rows are then the rows of register tiles, and the tiles are turned as they
// are stored. Every element is the same chain of multiply-adds as on the other ways.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/gemm_pack.h"
#include "backends/cpu/gemm_panel.h"

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
  T* packed;
  Rows columns;  // of C, in register tiles

  Turned(const Gemm<T>& g_, T* packed_) : g(g_), packed(packed_), columns(g_.n, kMaxRows<kPanel>) {}

  static int64_t panels(const Gemm<T>& g) { return ceil_div(g.m, kWidth); }
  static size_t bytes(const Gemm<T>& g) { return size_t(panels(g) * kWidth * g.k) * sizeof(T); }
  int64_t height(int64_t panel) const { return smaller(kWidth, g.m - panel * kWidth); }
  int64_t width(int64_t panel) const { return height(panel) > kW ? kWidth : kW; }

  void pack_panel(int64_t i) const {
    pack(packed + i * kWidth * g.k, width(i), g.a + i * kWidth * g.a_row, g.a_col, g.a_row, g.k,
         height(i));
  }

  // Tiles [begin, end) of the columns of C, all rows.
  void multiply(int64_t begin, int64_t end) const {
    T bias[kMaxRows<kPanel>];
    Tile<T> t;
    t.k = g.k;
    t.reduce = 1;
    t.a_row = g.b_col;
    t.ldc = g.ldc;
    t.floor = g.ends_in_relu() ? T(0) : -T(INFINITY);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t j = columns.start(i), count = columns.size(i);
      t.bias = nullptr;
      if (g.bias) {
        for (int64_t x = 0; x < count; ++x) bias[x] = g.bias[(j + x) * g.bias_step];
        t.bias = bias;
      }
      for (int64_t p = 0; p < panels(g); ++p) {
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
    const int64_t first = columns.start(begin);
    finish_piece(g, g.c + first, g.m, columns.start(end) - first);
  }
};

// On this thread (parallel = false) or on the pool, in tiles of at least `small` multiply-adds.
// False: no memory for the copy, nothing done.
template <class T>
bool gemm_turned(const Gemm<T>& g, bool parallel, double small, tf_status* status) {
  const size_t bytes = Turned<T>::bytes(g);
  T* packed = static_cast<T*>(host->host_alloc(bytes));
  if (!packed) return false;
  const Turned<T> turned(g, packed);
  const int64_t panels = Turned<T>::panels(g), tiles = turned.columns.tiles;
  *status = TINYFIN_OK;
  if (!parallel) {
    for (int64_t p = 0; p < panels; ++p) turned.pack_panel(p);
    turned.multiply(0, tiles);
  } else {
    // A packed element costs about as much as eight multiply-adds.
    const double panel = 8.0 * double(Turned<T>::kWidth) * double(g.k);
    const double tile = double(kMaxRows<kPanel>) * double(g.m) * double(g.k);
    *status = parallel_range(panels, int64_t(small / panel) + 1, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) turned.pack_panel(p);
    });
    if (*status == TINYFIN_OK) {
      const int64_t grain = larger(int64_t(small / tile) + 1, ceil_div(tiles, 32));
      *status = parallel_range(tiles, grain, [&](int64_t begin, int64_t end) {
        turned.multiply(begin, end);
      });
    }
  }
  host->host_free(packed, bytes);
  return true;
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
