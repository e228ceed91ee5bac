// Lines along one dimension: softmax, running sums, cross-entropy.
//
// Kernels see one line of contiguous elements per operand. Lines that are not contiguous are
// copied into a buffer, as many neighbours at once as fill a cache line, so that memory is read
// and written in order whatever the dimension.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/elementwise.h"
#include "backends/cpu/rows.h"
#include "backends/cpu/transpose.h"

namespace tf::cpu::TF_ISA {
namespace {

// Lines of N operands along `dim`; the other dimensions by decreasing stride of operand 0.
template <int N>
struct Lines {
  int64_t count, length;
  int64_t stride[N];  // along the line
  int ndim;
  int64_t shape[8], step[N][8];
};

template <int N>
static inline Lines<N> make_lines(const tf_view* const (&views)[N], int dim) {
  Lines<N> lines;
  const tf_view& first = *views[0];
  lines.length = first.shape[dim];
  lines.count = 1;
  for (int k = 0; k < N; ++k) lines.stride[k] = views[k]->strides[dim];
  int order[8], n = 0;
  for (int d = 0; d < first.ndim; ++d) {
    if (d == dim) continue;
    lines.count *= first.shape[d];
    if (first.shape[d] == 1) continue;
    int at = n++;
    for (; at > 0 && first.strides[order[at - 1]] < first.strides[d]; --at)
      order[at] = order[at - 1];
    order[at] = d;
  }
  lines.ndim = n;
  for (int i = 0; i < n; ++i) {
    lines.shape[i] = first.shape[order[i]];
    for (int k = 0; k < N; ++k) lines.step[k][i] = views[k]->strides[order[i]];
  }
  return lines;
}

// Offset of line i in operand k, in elements.
template <int N>
static inline int64_t line_offset(const Lines<N>& lines, int k, int64_t i) {
  if (lines.ndim == 0) return 0;
  int64_t offset = 0;
  for (int d = lines.ndim - 1; d > 0; --d) {
    offset += i % lines.shape[d] * lines.step[k][d];
    i /= lines.shape[d];
  }
  return offset + i * lines.step[k][0];
}

// A group of lines of n elements into a buffer (kIn), one after another, or back. Neighbours in
// memory are transposed.
template <bool kIn, class T>
static inline void move_lines(T* base, const int64_t* offset, int64_t group, int64_t stride,
                              T* buffer, int64_t pitch, int64_t n) {
  using Bits = std::make_unsigned_t<IntOf<T>>;
  bool neighbours = true;
  for (int64_t g = 1; g < group; ++g) neighbours = neighbours && offset[g] == offset[0] + g;
  if (neighbours) {
    Bits* const outside = reinterpret_cast<Bits*>(base + offset[0]);
    Bits* const inside = reinterpret_cast<Bits*>(buffer);
    return kIn ? transpose_block(outside, stride, inside, pitch, n, group)
               : transpose_block(inside, pitch, outside, stride, group, n);
  }
  for (int64_t j = 0; j < n; ++j)
    for (int64_t g = 0; g < group; ++g) {
      T &outside = base[offset[g] + j * stride], &inside = buffer[g * pitch + j];
      kIn ? inside = outside : outside = inside;
    }
}

// row(T* const line[M], int64_t i) over all lines i, each of lines.length contiguous elements.
// base: where each of the first M operands starts; the others are the caller's to look up by
// line_offset. Operand 0 is the output where `writes`.
template <class T, int N, int M, class Row>
static tf_status for_lines(const Lines<N>& lines, T* const (&base)[M], const Row& row,
                           bool writes = true) {
  if (lines.count == 0 || lines.length == 0) return TINYFIN_OK;
  const int64_t n = lines.length;
  const int64_t grain = kGrain / 4 / n + 1;
  bool contiguous = true;
  for (int k = 0; k < M; ++k) contiguous = contiguous && (lines.stride[k] == 1 || n == 1);
  if (contiguous)
    return parallel_range(lines.count, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        T* line[M];
        for (int k = 0; k < M; ++k) line[k] = base[k] + line_offset(lines, k, i);
        row(line, i);
      }
    });
  // A multiple of the group, so that groups do not cross tiles.
  constexpr int64_t kGroup = 64 / sizeof(T);
  const int64_t tile = (grain + kGroup - 1) / kGroup * kGroup;
  // Buffered lines start in different sets of the cache, also where n is a power of two.
  const int64_t pitch = n + kGroup;
  bool failed = false;
  const tf_status status = parallel_range(lines.count, tile, [&](int64_t begin, int64_t end) {
    const size_t bytes = size_t(M * kGroup * pitch) * sizeof(T);
    T* buffer = static_cast<T*>(host->host_alloc(bytes));
    if (!buffer) {
      __atomic_store_n(&failed, true, __ATOMIC_RELAXED);
      return;
    }
    for (int64_t i0 = begin; i0 < end; i0 += kGroup) {
      const int64_t group = end - i0 < kGroup ? end - i0 : kGroup;
      int64_t offset[M][kGroup];
      for (int k = 0; k < M; ++k)
        for (int64_t g = 0; g < group; ++g) offset[k][g] = line_offset(lines, k, i0 + g);
      for (int k = writes; k < M; ++k)
        move_lines<true>(base[k], offset[k], group, lines.stride[k], buffer + k * kGroup * pitch,
                         pitch, n);
      for (int64_t g = 0; g < group; ++g) {
        T* line[M];
        for (int k = 0; k < M; ++k) line[k] = buffer + (k * kGroup + g) * pitch;
        row(line, i0 + g);
      }
      if (writes) move_lines<false>(base[0], offset[0], group, lines.stride[0], buffer, pitch, n);
    }
    host->host_free(buffer, bytes);
  });
  return failed ? error(TINYFIN_ERROR_MEMORY, "out of host memory for a buffer of lines") : status;
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
