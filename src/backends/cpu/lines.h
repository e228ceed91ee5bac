// Lines along one dimension: softmax, running sums, cross-entropy.
//
// Kernels see one line of contiguous elements per operand. Lines that are not contiguous are
// copied into a buffer, as many neighbours at once as fill a cache line, so that memory is read
// and written in order whatever the dimension.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/elementwise.h"

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
  int64_t offset = 0;
  for (int d = lines.ndim - 1; d >= 0; --d) {
    offset += i % lines.shape[d] * lines.step[k][d];
    i /= lines.shape[d];
  }
  return offset;
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
        for (int64_t j = 0; j < n; ++j)
          for (int64_t g = 0; g < group; ++g)
            buffer[(k * kGroup + g) * pitch + j] = base[k][offset[k][g] + j * lines.stride[k]];
      for (int64_t g = 0; g < group; ++g) {
        T* line[M];
        for (int k = 0; k < M; ++k) line[k] = buffer + (k * kGroup + g) * pitch;
        row(line, i0 + g);
      }
      for (int64_t j = 0; writes && j < n; ++j)
        for (int64_t g = 0; g < group; ++g)
          base[0][offset[0][g] + j * lines.stride[0]] = buffer[g * pitch + j];
    }
    host->host_free(buffer, bytes);
  });
  return failed ? error(TINYFIN_ERROR_MEMORY, "out of host memory for a buffer of lines") : status;
}

// Over a contiguous row -----------------------------------------------------------------------

template <class T>
static inline T row_max(const T* x, int64_t n) {
  constexpr int w = Vec<T>::kWidth;
  if (n < w) {
    T m = x[0];
    for (int64_t i = 1; i < n; ++i) m = x[i] > m || x[i] != x[i] ? x[i] : m;
    return m;
  }
  // The last register overlaps the one before: no element is missed, none counts for more.
  Vec<T> m = load(x);
  const auto join = [](Vec<T> a, Vec<T> b) TF_ALWAYS_INLINE { return select(a == a, max(a, b), a); };
  for (int64_t i = w; i + w <= n; i += w) m = join(m, load(x + i));
  return fold(join(m, load(x + n - w)), join);
}

// Sum of term(i-th elements), term taking an index and giving a register of which the lanes past
// n do not count.
template <class T, class Term>
TF_INLINE T row_sum(int64_t n, const Term& term) {
  constexpr int w = Vec<T>::kWidth;
  Vec<T> s(T(0));
  int64_t i = 0;
  for (; i + w <= n; i += w) s += term(i, int64_t(w));
  if (i < n) {
    const auto in_row = iota<IntOf<T>>() < Vec<IntOf<T>>(IntOf<T>(n - i));
    s += select(in_row, term(i, n - i), Vec<T>(T(0)));
  }
  return sum(s);
}

// out[i] = f(i-th elements); f takes an index and a number of lanes.
template <class T, class F>
TF_INLINE void fill_row(T* out, int64_t n, const F& f) {
  constexpr int w = Vec<T>::kWidth;
  int64_t i = 0;
  for (; i + w <= n; i += w) store(out + i, f(i, int64_t(w)));
  if (i < n) store_n(out + i, f(i, n - i), n - i);
}

template <class T>
TF_INLINE Vec<T> load_lanes(const T* p, int64_t lanes) {
  return lanes == Vec<T>::kWidth ? load(p) : load_n(p, lanes);
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
