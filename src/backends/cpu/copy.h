// Copies between strided arrays of one element size: shared by the kernels that move elements.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/elementwise.h"

namespace tf::cpu::TF_ISA {
namespace {

// Row-major transposes are cut into blocks: both sides then touch few cache lines at a time.
constexpr int64_t kBlock = 16;

template <class T>
static inline tf_status transpose(const Loop<2>& loop) {
  const int r = loop.ndim - 2, c = loop.ndim - 1;
  const int64_t rows = loop.shape[r], cols = loop.shape[c];
  int64_t outer = 1;
  for (int d = 0; d < r; ++d) outer *= loop.shape[d];
  const int64_t bands = (rows + kBlock - 1) / kBlock;
  const int64_t per_tile = kGrain / (kBlock * cols) + 1;  // bands
  return parallel_range(outer * bands, per_tile, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      int64_t rest = t / bands;
      T* out = reinterpret_cast<T*>(loop.data[0]);
      const T* in = reinterpret_cast<const T*>(loop.data[1]);
      for (int d = r - 1; d >= 0; --d) {
        const int64_t i = rest % loop.shape[d];
        rest /= loop.shape[d];
        out += i * loop.stride[0][d];
        in += i * loop.stride[1][d];
      }
      const int64_t r0 = t % bands * kBlock, r1 = r0 + kBlock < rows ? r0 + kBlock : rows;
      for (int64_t c0 = 0; c0 < cols; c0 += kBlock) {
        const int64_t c1 = c0 + kBlock < cols ? c0 + kBlock : cols;
        for (int64_t i = r0; i < r1; ++i)
          for (int64_t j = c0; j < c1; ++j)
            out[i * loop.stride[0][r] + j * loop.stride[0][c]] =
                in[i * loop.stride[1][r] + j * loop.stride[1][c]];
      }
    }
  });
}

template <class T>
static inline tf_status copy_same(const Loop<2>& loop) {
  const int last = loop.ndim - 1;
  // The output is written along its rows, the input is contiguous along another dimension.
  if (loop.ndim >= 2 && loop.stride[0][last] == 1 && loop.stride[1][last] != 1 &&
      loop.stride[1][last - 1] == 1 && loop.total > 1024)
    return transpose<T>(loop);
  return for_rows(loop, [](char* const* ptr, const int64_t* stride, int64_t n) {
    T* out = reinterpret_cast<T*>(ptr[0]);
    const T* in = reinterpret_cast<const T*>(ptr[1]);
    if (stride[0] == 1 && stride[1] == 1) {
      memmove(out, in, size_t(n) * sizeof(T));
    } else {
      for (int64_t i = 0; i < n; ++i) out[i * stride[0]] = in[i * stride[1]];
    }
  });
}

// Operand 1 to operand 0, both of one dtype.
static inline tf_status copy_elements(const Loop<2>& loop) {
  switch (loop.size[0]) {
    case 1: return copy_same<uint8_t>(loop);
    case 4: return copy_same<uint32_t>(loop);
    default: return copy_same<uint64_t>(loop);
  }
}
static inline tf_status copy_view(const tf_view& to, const tf_view& from) {
  return copy_elements(make_loop<2>({&to, &from}));
}

// All bytes 0: zeros of every dtype.
static inline tf_status zero_view(const tf_view& to) {
  const Loop<1> loop = make_loop<1>({&to});
  return for_rows(loop, [&](char* const* ptr, const int64_t* stride, int64_t n) {
    const int size = loop.size[0];
    if (stride[0] == 1) {
      memset(ptr[0], 0, size_t(n * size));
    } else {
      for (int64_t i = 0; i < n; ++i) memset(ptr[0] + i * stride[0] * size, 0, size_t(size));
    }
  });
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
