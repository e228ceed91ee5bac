// Copies of matrices in the order in which register tiles read them.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/gemm_panel.h"

namespace tf::cpu::TF_ISA {
namespace {

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

// Tiles [begin, end) of rows of A, whose first one is at `a`: tile by tile, each (k, kPackedRows).
// A column-major A is read along its columns, some steps of k at a time for all tiles, so that
// each page is visited once; a row-major one along its rows, which the hardware foresees.
template <class T>
void pack_rows(T* to, const Gemm<T>& g, const T* a, int64_t k, const Rows& rows, int64_t begin,
               int64_t end) {
  const int64_t chunk = g.a_col == 1 ? k : 32;
  for (int64_t p = 0; p < k; p += chunk) {
    for (int64_t i = begin, row = rows.start(begin); i < end; row += rows.size(i++)) {
      pack(to + (i * k + p) * kPackedRows<T>, kPackedRows<T>, a + row * g.a_row + p * g.a_col,
           g.a_col, g.a_row, smaller(chunk, k - p), rows.size(i));
    }
  }
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
