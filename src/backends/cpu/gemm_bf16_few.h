// Products of bfloat16 for few rows by a transposed matrix, as inference is: nothing of the larger
// operand is packed.
//
// Very few rows are sums along k. A few more are packed in place of the transposed matrix, whose
// rows are then the rows of register tiles, and the tiles are turned when they are stored.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/gemm_bf16_tile.h"
#include "backends/cpu/gemm_dot.h"
#include "backends/cpu/own_copies.h"

namespace tf::cpu::TF_ISA {
namespace {

// Sums along k --------------------------------------------------------------------------------

bool few_rows(const Bf16Product& g) {
  return g.a_col == 1 && g.b_row == 1 && g.reduce == 1 && !g.accumulate &&
         !g.result && !g.row_sums && g.k >= 2 * kUnits * kPerUnit &&
         (g.m == 1 || (g.m <= kDotRows && g.m * kFold <= g.k));
}

// sums[x * ld + y] of kRows rows of A and kColumns columns of B, each along k in registers, then
// over the lanes.
template <int kRows, int kColumns>
void dot_block(const Bf16Product& g, int64_t i, int64_t j, float* sums, int64_t ld) {
  constexpr int64_t kStep = kUnits * kPerUnit;
  const BFloat16* a = g.a + i * g.a_row;
  const BFloat16* b = g.b + j * g.b_col;
  F32 acc[kRows * kColumns];
  unroll<kRows * kColumns>([&](auto x) TF_ALWAYS_INLINE { acc[x] = F32(0.f); });
  const auto step = [&](int64_t p, int64_t left) TF_ALWAYS_INLINE {
    F32 row[kRows];
    unroll<kRows>([&](auto x) TF_ALWAYS_INLINE { row[x] = units_along(a + x * g.a_row + p, left); });
    unroll<kColumns>([&](auto y) TF_ALWAYS_INLINE {
      const F32 column = units_along(b + y * g.b_col + p, left);
      unroll<kRows>([&](auto x) TF_ALWAYS_INLINE {
        acc[x * kColumns + y] = multiply_add(row[x], column, acc[x * kColumns + y]);
      });
    });
  };
  int64_t p = 0;
  for (; p + kStep <= g.k; p += kStep) step(p, kStep);
  if (p < g.k) step(p, g.k - p);
  unroll<kRows>([&](auto x) TF_ALWAYS_INLINE {
    unroll<kColumns>([&](auto y) TF_ALWAYS_INLINE {
      sums[x * ld + y] = sum(acc[x * kColumns + y]);
    });
  });
}

template <int kRows>
void dot_rows(const Bf16Product& g, int64_t i, int64_t begin, int64_t end, float* sums,
              int64_t ld) {
  constexpr int kColumns = kRows == 1 ? 8 : 4;
  int64_t j = begin;
  for (; j + kColumns <= end; j += kColumns)
    dot_block<kRows, kColumns>(g, i, j, sums + (j - begin), ld);
  for (; j < end; ++j) dot_block<kRows, 1>(g, i, j, sums + (j - begin), ld);
}

// What follows the sums of a block of C at (i, j), bias included.
void finish_block(const Bf16Product& g, float* sums, int64_t ld, int64_t i, int64_t j,
                  int64_t rows, int64_t columns) {
  if (g.bias)
    for (int64_t y = 0; y < columns; ++y) {
      const float bias = tf::widened(g.bias[(j + y) * g.bias_step]);
      for (int64_t x = 0; x < rows; ++x) sums[x * ld + y] += bias;
    }
  finish_sums(g, sums, ld, i, j, rows, columns);
}

// Columns [begin, end) of a product with few_rows.
void gemm_by_dots(const Bf16Product& g, int64_t begin, int64_t end) {
  constexpr int64_t kColumns = 64;
  alignas(64) float sums[kDotRows * kColumns];
  for (int64_t j = begin; j < end; j += kColumns) {
    const int64_t stop = smaller(j + kColumns, end);
    int64_t i = 0;
    for (; i + 4 <= g.m; i += 4) dot_rows<4>(g, i, j, stop, sums + i * kColumns, kColumns);
    if (g.m - i == 3) dot_rows<3>(g, i, j, stop, sums + i * kColumns, kColumns);
    if (g.m - i == 2) dot_rows<2>(g, i, j, stop, sums + i * kColumns, kColumns);
    if (g.m - i == 1) dot_rows<1>(g, i, j, stop, sums + i * kColumns, kColumns);
    finish_block(g, sums, kColumns, 0, j, g.m, stop - j);
  }
}

// Turned tiles --------------------------------------------------------------------------------

// Packing A and turning C costs less than packing B, which can be read in place.
bool worth_turning(const Bf16Product& g) {
  return kPerUnit == 2 && g.b_row == 1 && g.b_col != 1 && g.reduce == 1 && !g.accumulate &&
         !g.result && !g.row_sums && g.k > 0 && g.k % 2 == 0 && g.n >= kMaxRows<kPanel> &&
         (g.m <= 48 || !rows_collide(g.b_col)) &&
         double(g.m) * double(g.n + g.k) < double(g.n) * double(g.k) && g.m * g.k <= (1 << 18);
}

struct TurnedBf16 {
  const Bf16Product& g;

  int64_t panels() const { return ceil_div(g.m, kUnitPanel); }
  int64_t panel_size() const { return kUnitPanel * units_of(g.k); }
  int64_t size() const { return panels() * panel_size(); }
  int64_t height(int64_t i) const { return smaller(kUnitPanel, g.m - i * kUnitPanel); }
  int64_t width(int64_t i) const { return height(i) > kUnits ? kUnitPanel : kUnits; }

  void pack_all(float* packed) const {
    for (int64_t i = 0; i < panels(); ++i)
      pack_units(packed + i * panel_size(), width(i), g.a + i * kUnitPanel * g.a_row, g.a_col,
                 g.a_row, g.k, height(i));
  }

  // Columns [begin, end) of C, all rows.
  void multiply(const float* packed, int64_t begin, int64_t end) const {
    const Rows columns(end - begin, kMaxRows<kPanel>);
    alignas(64) float tile[kUnitRows * kUnitPanel] = {}, block[kUnits * kUnits];
    UnitTile t = {};
    t.units = units_of(g.k);
    t.a_row = g.b_col;
    t.floor = -INFINITY;
    for (int64_t q = 0; q < columns.tiles; ++q) {
      const int64_t j = begin + columns.start(q), count = columns.size(q);
      for (int64_t i = 0; i < panels(); ++i) {
        t.b_row = t.ldc = width(i);
        unit_tiles(int(width(i) / kUnits), true)[count - 1](
            t, g.b + j * g.b_col, packed + i * panel_size(), tile);
        for (int64_t x = 0; x < height(i); x += kUnits) {
          F32 r[kUnits];
          unroll<int(kUnits)>([&](auto y) TF_ALWAYS_INLINE { r[y] = load(tile + x + y * t.ldc); });
          transpose(r);
          unroll<int(kUnits)>([&](auto y) TF_ALWAYS_INLINE { store(block + y * kUnits, r[y]); });
          finish_block(g, block, kUnits, i * kUnitPanel + x, j, smaller(kUnits, height(i) - x),
                       count);
        }
      }
    }
  }
};

// On the pool in pieces of at least `small` multiply-adds, or on this thread. False: no memory for
// the copy, nothing done.
bool gemm_turned(const Bf16Product& g, bool parallel, double small, tf_status* status) {
  const TurnedBf16 turned{g};
  const int64_t least = int64_t(small / (double(g.m) * double(g.k))) + 1;
  const size_t bytes = size_t(turned.size()) * sizeof(float);
  const int64_t pieces = parallel ? column_pieces(g.n, least, bytes) : 1;
  OwnCopies<float> copies(pieces, turned.size());
  if (!copies.there()) return false;
  const auto run = [&](int64_t piece, int64_t begin, int64_t end) {
    turned.multiply(copies.in_piece(piece, [&](float* packed) { turned.pack_all(packed); }), begin,
                    end);
  };
  *status = for_column_pieces<BFloat16>(g.n, pieces, run);
  return true;
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
