// Copies between strided arrays of one element size: shared by the kernels that move elements.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/elementwise.h"
#include "backends/cpu/transpose.h"

namespace tf::cpu::TF_ISA {
namespace {

// Elements along each side of the blocks that a transposed copy is cut into: in a block both
// sides stay in the nearest cache, and streamed rows of the output are written in order.
template <class T>
constexpr int64_t kBlock = sizeof(T) == 8 ? 32 : 64;

// The output is contiguous along its last dimension, the input along dimension `across`.
template <class T>
static inline tf_status transposed_copy(const Loop<2>& loop, int across) {
  constexpr int64_t side = kBlock<T>;
  const int last = loop.ndim - 1;
  const int64_t rows = loop.shape[last], columns = loop.shape[across];
  const int64_t in_stride = loop.stride[1][last], out_stride = loop.stride[0][across];
  const int64_t bands = (rows + side - 1) / side, blocks = (columns + side - 1) / side;
  bool streams = sizeof(T) > 1 && loop.total * int64_t(sizeof(T)) >= kStreamBytes &&
                 aligned_for_stream(loop.data[0]);
  for (int d = 0; d < last; ++d)
    streams = streams && loop.stride[0][d] % Moved<T>::kWidth == 0;
  const int64_t outer = loop.total / (rows * columns);
  return parallel_range(outer * bands * blocks, kGrain / (side * side), [&](int64_t begin,
                                                                           int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const int64_t column = t % blocks * side, row = t / blocks % bands * side;
      T* out = reinterpret_cast<T*>(loop.data[0]) + column * out_stride + row;
      const T* in = reinterpret_cast<const T*>(loop.data[1]) + row * in_stride + column;
      int64_t rest = t / blocks / bands;
      for (int d = last - 1; d >= 0; --d) {
        if (d == across) continue;
        const int64_t i = rest % loop.shape[d];
        rest /= loop.shape[d];
        out += i * loop.stride[0][d];
        in += i * loop.stride[1][d];
      }
      const int64_t m = rows - row < side ? rows - row : side;
      const int64_t n = columns - column < side ? columns - column : side;
      if constexpr (sizeof(T) > 1) {
        if (streams) {
          transpose_block<true>(in, in_stride, out, out_stride, m, n);
          continue;
        }
      }
      transpose_block(in, in_stride, out, out_stride, m, n);
    }
    if (streams) end_of_stream();
  });
}

template <class T>
static inline tf_status copy_same(const Loop<2>& loop) {
  const int last = loop.ndim - 1;
  if (loop.stride[0][last] == 1 && loop.stride[1][last] != 1 && loop.total > 0)
    for (int d = 0; d < last; ++d)
      if (loop.stride[1][d] == 1) return transposed_copy<T>(loop, d);
  return for_rows(loop, [](char* const* ptr, const int64_t* stride, int64_t n) {
    T* out = reinterpret_cast<T*>(ptr[0]);
    const T* in = reinterpret_cast<const T*>(ptr[1]);
    if (stride[0] == 1 && stride[1] == 1) {
      memmove(out, in, size_t(n) * sizeof(T));
    } else if (stride[0] == 1 && stride[1] == 0) {
      const T value = *in;
      for (int64_t i = 0; i < n; ++i) out[i] = value;
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
