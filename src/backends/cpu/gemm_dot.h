// Products of few rows by a transposed matrix, as inference of one sample is: sums along k, where
// both operands are contiguous, instead of a transposition that too few rows would pay for.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/gemm_panel.h"

namespace tf::cpu::TF_ISA {
namespace {

// Folding the lanes of a sum costs about as much as the transposition of 24 elements, and more
// than 12 rows share one always.
constexpr int64_t kDotRows = 12, kFold = 24;

template <class T>
bool few_rows(const Gemm<T>& g) {
  return g.a_col == 1 && g.b_row == 1 && g.reduce == 1 && !g.row_sums &&
         g.k >= 2 * Vec<T>::kWidth && (g.m == 1 || (g.m <= kDotRows && g.m * kFold <= g.k));
}

// One column: C is a row of the transposed product.
template <class T>
Gemm<T> with_column_as_row(Gemm<T> g) {
  if (g.n != 1 || g.m <= 1 || g.ldc != 1 || g.row_sums) return g;
  if (g.residual && g.residual_row != 1) return g;
  Gemm<T> t = g;
  t.m = 1;
  t.n = g.m;
  t.a = g.b;
  t.a_row = g.b_col;
  t.a_col = g.b_row;
  t.a_step = g.b_step;
  t.b = g.a;
  t.b_row = g.a_col;
  t.b_col = g.a_row;
  t.b_step = g.a_step;
  t.ldc = g.m;
  t.bias_step = 0;
  return t;
}

// kRows × kColumns sums, each along k in vectors, then over the lanes.
template <int kRows, int kColumns, class T>
void dot_block(const Gemm<T>& g, int64_t i, int64_t j) {
  using V = Vec<T>;
  const T* a = g.a + i * g.a_row;
  const T* b = g.b + j * g.b_col;
  V acc[kRows * kColumns];
  unroll<kRows * kColumns>([&](auto x) TF_ALWAYS_INLINE { acc[x] = V(T(0)); });
  const auto step = [&](auto&& read) TF_ALWAYS_INLINE {
    V row[kRows];
    unroll<kRows>([&](auto x) TF_ALWAYS_INLINE { row[x] = read(a + x * g.a_row); });
    unroll<kColumns>([&](auto y) TF_ALWAYS_INLINE {
      const V column = read(b + y * g.b_col);
      unroll<kRows>([&](auto x) TF_ALWAYS_INLINE {
        acc[x * kColumns + y] = fma(row[x], column, acc[x * kColumns + y]);
      });
    });
  };
  int64_t p = 0;
  for (; p + V::kWidth <= g.k; p += V::kWidth)
    step([&](const T* from) TF_ALWAYS_INLINE { return load(from + p); });
  if (p < g.k) step([&](const T* from) TF_ALWAYS_INLINE { return load_n(from + p, g.k - p); });
  unroll<kRows>([&](auto x) TF_ALWAYS_INLINE {
    unroll<kColumns>([&](auto y) TF_ALWAYS_INLINE {
      T* c = g.c + (i + x) * g.ldc + j + y;
      const T start = g.accumulate ? *c : T(0);
      *c = start + sum(acc[x * kColumns + y]) + (g.bias ? g.bias[(j + y) * g.bias_step] : T(0));
    });
  });
}

template <int kRows, class T>
void dot_rows(const Gemm<T>& g, int64_t i, int64_t begin, int64_t end) {
  constexpr int kColumns = kRows == 1 ? 8 : 4;
  int64_t j = begin;
  for (; j + kColumns <= end; j += kColumns) dot_block<kRows, kColumns>(g, i, j);
  for (; j < end; ++j) dot_block<kRows, 1>(g, i, j);
}

// Columns [begin, end) of a product with few_rows.
template <class T>
void gemm_by_dots(const Gemm<T>& g, int64_t begin, int64_t end) {
  int64_t i = 0;
  for (; i + 4 <= g.m; i += 4) dot_rows<4>(g, i, begin, end);
  if (g.m - i == 3) dot_rows<3>(g, i, begin, end);
  if (g.m - i == 2) dot_rows<2>(g, i, begin, end);
  if (g.m - i == 1) dot_rows<1>(g, i, begin, end);
  if (g.result) return finish_piece(g, g.c + begin, g.m, end - begin);
  add_residual(g, 0, begin, g.m, end - begin);
  activate(g.activation, g.c + begin, g.ldc, g.m, end - begin);
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
