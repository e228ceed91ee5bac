// Transposes of blocks, in registers: square tiles whose rows are loaded, interleaved and stored
// as columns.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/stream.h"

namespace tf::cpu::TF_ISA {
namespace {

// A register of elements that are moved only: uint8_t (16 bytes on every processor), uint16_t (32
// at most, so that a tile's rows fit the registers), uint32_t or uint64_t.
template <class T>
struct Moved {
  static constexpr int kMost = sizeof(T) == 1 ? 16 : sizeof(T) == 2 ? 32 : 64;
  static constexpr int kBytes = kVectorBytes < kMost ? kVectorBytes : kMost;
  static constexpr int kWidth = kBytes / int(sizeof(T));
  typedef T Raw __attribute__((vector_size(kBytes)));
};

// a0 b0 a1 b1 … of the lanes from kFirst on.
template <int kFirst, class Raw, size_t... I>
TF_INLINE Raw interleave(Raw a, Raw b, std::index_sequence<I...>) {
  return __builtin_shufflevector(a, b, int(kFirst + I / 2 + I % 2 * sizeof...(I))...);
}

// log2(n) rounds, each interleaving row i with row i + n/2, transpose n rows of n.
template <int kRounds, class Raw, int n>
TF_INLINE void interleave_rows(Raw (&rows)[n]) {
  if constexpr (kRounds > 1) {
    constexpr auto lanes = std::make_index_sequence<size_t(n)>{};
    Raw next[n];
    unroll<n / 2>([&](auto i) TF_ALWAYS_INLINE {
      next[2 * i] = interleave<0>(rows[i], rows[i + n / 2], lanes);
      next[2 * i + 1] = interleave<n / 2>(rows[i], rows[i + n / 2], lanes);
    });
    interleave_rows<kRounds / 2>(next);
    unroll<n>([&](auto i) TF_ALWAYS_INLINE { rows[i] = next[i]; });
  }
}

template <bool kStream, class T>
TF_INLINE void transpose_tile(const T* in, int64_t in_stride, T* out, int64_t out_stride) {
  using Raw = typename Moved<T>::Raw;
  constexpr int n = Moved<T>::kWidth;
  Raw rows[n];
  unroll<n>([&](auto i) TF_ALWAYS_INLINE { memcpy(&rows[i], in + i * in_stride, sizeof(Raw)); });
  interleave_rows<n>(rows);
  unroll<n>([&](auto i) TF_ALWAYS_INLINE {
    if constexpr (kStream) {
      using Int = IntOf<T>;
      stream(reinterpret_cast<Int*>(out + i * out_stride), Vec<Int>((typename Vec<Int>::Raw)rows[i]));
    } else {
      memcpy(out + i * out_stride, &rows[i], sizeof(Raw));
    }
  });
}

// out[j * out_stride + i] = in[i * in_stride + j] for i < rows, j < columns. kStream: every row of
// `out` is aligned for it.
template <bool kStream = false, class T>
static inline void transpose_block(const T* in, int64_t in_stride, T* out, int64_t out_stride,
                                   int64_t rows, int64_t columns) {
  constexpr int64_t n = Moved<T>::kWidth;
  const int64_t full_rows = rows / n * n, full_columns = columns / n * n;
  for (int64_t j = 0; j < full_columns; j += n)
    for (int64_t i = 0; i < full_rows; i += n)
      transpose_tile<kStream>(in + i * in_stride + j, in_stride, out + j * out_stride + i,
                              out_stride);
  // What no tile covers, along the longer side.
  for (int64_t j = full_columns; j < columns; ++j)
    for (int64_t i = 0; i < full_rows; ++i) out[j * out_stride + i] = in[i * in_stride + j];
  for (int64_t i = full_rows; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) out[j * out_stride + i] = in[i * in_stride + j];
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
