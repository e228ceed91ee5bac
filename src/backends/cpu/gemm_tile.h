// The inner part of the matrix product: tiles of C held in registers.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/simd.h"

namespace tf::cpu::TF_ISA {
namespace {

// A tile is rows × (2 or 1) vectors of C held in registers: per step of k it loads one row of B
// (kNR vectors) and multiplies it by one broadcast element of A per row. 14 × 2 of 32 registers
// (6 × 2 of 16) leaves two for B and one for A: 28 independent chains hide the latency of the
// multiply-add, and 16 loads per 28 of them stay below what the load ports give.
constexpr int kPanel = 2;
template <int kVectors>
constexpr int kMaxRows = kRegisters == 32 ? 14 : 12 / kVectors;

template <class T>
constexpr int64_t kPanelWidth = kPanel* int64_t(Vec<T>::kWidth);

template <class T>
struct Tile {
  int64_t k, reduce;
  int64_t a_row, a_col, a_step;
  int64_t b_row, b_step;
  int64_t ldc;
  int64_t tail;    // valid columns of the last vector
  bool load_c;     // start from C, not from 0
  const T* bias;   // may be null
  T floor;         // 0 for relu, -infinity for nothing
  const T* next = nullptr;  // C of the tile that comes next, or null
};

// How A lies: one of its strides is 1, known to the compiler.
enum class Layout { kRowMajor, kColumnMajor };

// B is read in whole vectors: its rows must be padded to them.
template <class T, int kRows, int kVectors, Layout kLayout>
void run_tile(const Tile<T>& t, const T* a0, const T* b0, T* c) {
  using V = Vec<T>;
  constexpr int kW = V::kWidth;
  V acc[kRows * kVectors];
  if (t.load_c) {
    // The next tile's lines arrive while this one is computed.
    if (t.next && t.k >= 64) {
      unroll<kRows>([&](auto i) TF_ALWAYS_INLINE {
        __builtin_prefetch(t.next + i * t.ldc, 1);
        __builtin_prefetch(t.next + i * t.ldc + kVectors * kW - 1, 1);
      });
    }
    unroll<kRows>([&](auto i) TF_ALWAYS_INLINE {
      unroll<kVectors>([&](auto j) TF_ALWAYS_INLINE {
        const T* p = c + i * t.ldc + j * kW;
        acc[i * kVectors + j] = j == kVectors - 1 && t.tail < kW ? load_n(p, t.tail) : load(p);
      });
    });
  } else {
    unroll<kRows * kVectors>([&](auto i) TF_ALWAYS_INLINE { acc[i] = V(T(0)); });
    // C is written in one burst at the end: let its lines arrive meanwhile.
    if (t.k >= 64) {
      unroll<kRows>([&](auto i) TF_ALWAYS_INLINE {
        __builtin_prefetch(c + i * t.ldc, 1);
        __builtin_prefetch(c + i * t.ldc + kVectors * kW - 1, 1);
      });
    }
  }
  const int64_t a_row = kLayout == Layout::kColumnMajor ? 1 : t.a_row;
  const int64_t a_col = kLayout == Layout::kRowMajor ? 1 : t.a_col;
  const auto step = [&](const T* a, const T* b) TF_ALWAYS_INLINE {
    V row[kVectors];
    unroll<kVectors>([&](auto j) TF_ALWAYS_INLINE { row[j] = load(b + j * kW); });
    unroll<kRows>([&](auto i) TF_ALWAYS_INLINE {
      const V x(a[i * a_row]);
      unroll<kVectors>([&](auto j) TF_ALWAYS_INLINE {
        acc[i * kVectors + j] = fma(x, row[j], acc[i * kVectors + j]);
      });
    });
  };
  for (int64_t r = 0; r < t.reduce; ++r) {
    const T* a = a0 + r * t.a_step;
    const T* b = b0 + r * t.b_step;
    int64_t p = t.k;
    // Two steps at a time: addresses of rows are computed half as often.
    for (; p >= 2; p -= 2, a += 2 * a_col, b += 2 * t.b_row) {
      step(a, b);
      step(a + a_col, b + t.b_row);
    }
    if (p > 0) step(a, b);
  }
  // Bias and relu cost nothing worth a branch: without them 0 is added and -infinity is the
  // floor. max() hands a NaN in its second operand on.
  V bias[kVectors];
  unroll<kVectors>([&](auto j) TF_ALWAYS_INLINE {
    bias[j] = !t.bias ? V(T(0))
              : j == kVectors - 1 && t.tail < kW ? load_n(t.bias + j * kW, t.tail)
                                                 : load(t.bias + j * kW);
  });
  const V floor(t.floor);
  unroll<kRows>([&](auto i) TF_ALWAYS_INLINE {
    unroll<kVectors>([&](auto j) TF_ALWAYS_INLINE {
      T* p = c + i * t.ldc + j * kW;
      const V v = max(floor, acc[i * kVectors + j] + bias[j]);
      if (j == kVectors - 1 && t.tail < kW) {
        store_n(p, v, t.tail);
      } else {
        store(p, v);
      }
    });
  });
}

template <class T>
using TileFn = void (*)(const Tile<T>&, const T* a, const T* b, T* c);

template <class T, int kVectors, Layout kLayout>
struct TileTable {
  TileFn<T> of_rows[kMaxRows<kVectors>];
  template <size_t... I>
  static constexpr TileTable make(std::index_sequence<I...>) {
    return {{run_tile<T, int(I) + 1, kVectors, kLayout>...}};
  }
};
template <class T, int kVectors, Layout kLayout>
constexpr auto kTiles = TileTable<T, kVectors, kLayout>::make(
    std::make_index_sequence<size_t(kMaxRows<kVectors>)>{});

// The micro-kernels for panels of `vectors` (1 or kPanel): entry rows - 1 is the tile of `rows`.
template <class T>
inline const TileFn<T>* tiles_for(int vectors, Layout layout) {
  if (vectors == 1) {
    return layout == Layout::kRowMajor ? kTiles<T, 1, Layout::kRowMajor>.of_rows
                                       : kTiles<T, 1, Layout::kColumnMajor>.of_rows;
  }
  return layout == Layout::kRowMajor ? kTiles<T, kPanel, Layout::kRowMajor>.of_rows
                                     : kTiles<T, kPanel, Layout::kColumnMajor>.of_rows;
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
