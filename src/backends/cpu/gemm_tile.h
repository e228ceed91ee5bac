// The inner parts of the matrix product: register tiles and the packing of panels.
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

// Packing ----------------------------------------------------------------------------------

// Rows become columns: r[i][j] <-> r[j][i], by exchanging off-diagonal squares of 1, 2, 4, …; in
// each group of kSize lanes.
template <int kS, class T, size_t... L>
TF_INLINE void exchange(Vec<T>& a, Vec<T>& b, std::index_sequence<L...>) {
  constexpr int kW = Vec<T>::kWidth;
  const Vec<T> low(__builtin_shufflevector(a.v, b.v, (L & kS ? kW + int(L) - kS : int(L))...));
  const Vec<T> high(__builtin_shufflevector(a.v, b.v, (L & kS ? kW + int(L) : int(L) + kS)...));
  a = low;
  b = high;
}
template <class T, int kS = 1, int kSize = Vec<T>::kWidth>
TF_INLINE void transpose(Vec<T>* r) {
  if constexpr (kS < kSize) {
    unroll<kSize>([&](auto i) TF_ALWAYS_INLINE {
      if constexpr ((i & kS) == 0) {
        exchange<kS>(r[i], r[i + kS], std::make_index_sequence<size_t(Vec<T>::kWidth)>{});
      }
    });
    transpose<T, kS * 2, kSize>(r);
  }
}

// 16 bytes from each of kLanes rows, `gap` elements apart, side by side.
template <class T>
TF_INLINE Vec<T> load_pieces(const T* from, int64_t gap) {
#if defined(TF_SIMD_AVX512)
  const auto piece = [&](int64_t i) TF_ALWAYS_INLINE {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i * gap));
  };
  __m512i v = _mm512_castsi128_si512(piece(0));
  v = _mm512_maskz_inserti32x4(__mmask16(-1), v, piece(1), 1);
  v = _mm512_maskz_inserti32x4(__mmask16(-1), v, piece(2), 2);
  v = _mm512_maskz_inserti32x4(__mmask16(-1), v, piece(3), 3);
  return bit_cast<T>(I64((I64::Raw)v));
#elif defined(TF_SIMD_AVX2)
  const auto piece = [&](int64_t i) TF_ALWAYS_INLINE {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i * gap));
  };
  const __m256i v = _mm256_inserti128_si256(_mm256_castsi128_si256(piece(0)), piece(1), 1);
  return bit_cast<T>(I64((I64::Raw)v));
#else
  static_assert(kVectorBytes == 16);
  (void)gap;
  return load(from);
#endif
}

// A square of kW columns × kW steps of k, contiguous along k, into rows of `to`. Loading by
// pieces of 16 bytes puts elements into their lanes for free; exchanges within lanes remain.
template <class T>
inline void pack_square(T* to, int64_t ld, const T* from, int64_t col) {
  using V = Vec<T>;
  constexpr int kPiece = 16 / int(sizeof(T));
  unroll<V::kWidth / kPiece>([&](auto group) TF_ALWAYS_INLINE {
    V r[kPiece];
    unroll<kPiece>([&](auto i) TF_ALWAYS_INLINE {
      r[i] = load_pieces(from + i * col + group * kPiece, kPiece * col);
    });
    transpose<T, 1, kPiece>(r);
    unroll<kPiece>([&](auto i) TF_ALWAYS_INLINE {
      store(to + (group * kPiece + i) * ld, r[i]);
    });
  });
}

// The same for squares at the edges: `cols` and `steps` of it exist.
template <class T>
inline void pack_corner(T* to, int64_t ld, const T* from, int64_t col, int64_t cols,
                        int64_t steps) {
  using V = Vec<T>;
  V r[V::kWidth];
  unroll<V::kWidth>([&](auto i) TF_ALWAYS_INLINE {
    r[i] = i < cols ? load_n(from + i * col, steps) : V(T(0));
  });
  transpose(r);
  unroll<V::kWidth>([&](auto i) TF_ALWAYS_INLINE {
    if (i < steps) store(to + i * ld, r[i]);
  });
}

// to[p * ld + j] = from[p * step + j * col] for p < k, j < n; columns n … ld become 0. ld is a
// multiple of the vector width.
template <class T>
void pack(T* to, int64_t ld, const T* from, int64_t step, int64_t col, int64_t k, int64_t n) {
  using V = Vec<T>;
  constexpr int64_t kW = V::kWidth;
  for (int64_t j = 0; j < ld; j += kW) {
    const int64_t cols = n - j < kW ? n - j : kW;
    const T* source = from + j * col;
    T* out = to + j;
    if (cols <= 0) {
      for (int64_t p = 0; p < k; ++p) store(out + p * ld, V(T(0)));
    } else if (col == 1 && cols == kW) {
      for (int64_t p = 0; p < k; ++p) store(out + p * ld, load(source + p * step));
    } else if (col == 1) {
      for (int64_t p = 0; p < k; ++p) store(out + p * ld, load_n(source + p * step, cols));
    } else if (step == 1) {
      int64_t p = 0;
      for (; cols == kW && p + kW <= k; p += kW) {
        pack_square(out + p * ld, ld, source + p, col);
      }
      for (; p < k; p += kW) {
        pack_corner(out + p * ld, ld, source + p, col, cols, k - p < kW ? k - p : kW);
      }
    } else {
      T row[kW] = {};
      for (int64_t p = 0; p < k; ++p) {
        for (int64_t i = 0; i < cols; ++i) row[i] = source[p * step + i * col];
        store(out + p * ld, load(row));
      }
    }
  }
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
