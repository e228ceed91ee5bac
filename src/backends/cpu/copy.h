// Copies between strided arrays of one element size: shared by the kernels that move elements.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/elementwise.h"
#include "backends/cpu/transpose.h"

namespace tf::cpu::TF_ISA {
namespace {

// n elements side by side. Short rows, of which there are many, in registers.
template <class T>
static inline void copy_row(T* out, const T* in, int64_t n) {
  constexpr int64_t w = Moved<T>::kWidth;
  using Raw = typename Moved<T>::Raw;
  const auto move = [&](int64_t i) TF_ALWAYS_INLINE {
    Raw r;
    memcpy(&r, in + i, sizeof r);
    memcpy(out + i, &r, sizeof r);
  };
  if (n > 32 * w) {
    memmove(out, in, size_t(n) * sizeof(T));
  } else if (n < w) {
    for (int64_t i = 0; i < n; ++i) out[i] = in[i];
  } else {
    for (int64_t i = 0; i + w <= n; i += w) move(i);
    move(n - w);
  }
}

// Elements along each side of the blocks that a transposed copy is cut into: in a block both
// sides stay in the nearest cache, and streamed rows of the output are written in order.
template <class T>
constexpr int64_t kBlock = sizeof(T) == 8 ? 32 : 64;

// transpose_block of at most kBlock × kBlock.
template <class T>
static inline void copy_block(const T* in, int64_t in_stride, T* out, int64_t out_stride,
                              int64_t rows, int64_t columns, bool streams) {
  constexpr int64_t side = kBlock<T>;
  if constexpr (sizeof(T) == 1) {
    // Tiles are a quarter of a cache line wide: the block is put together in one place.
    if (rows == side && columns == side) {
      alignas(64) T block[side * side];
      for (int64_t i = 0; i < side; i += Moved<T>::kWidth)
        transpose_block(in + i * in_stride, in_stride, block + i, side, Moved<T>::kWidth, side);
      for (int64_t j = 0; j < side; ++j) memcpy(out + j * out_stride, block + j * side, side);
      return;
    }
  } else if constexpr (sizeof(T) >= 4) {
    if (streams) return transpose_block<true>(in, in_stride, out, out_stride, rows, columns);
  }
  transpose_block(in, in_stride, out, out_stride, rows, columns);
}

// Pixels of three colours side by side to one plane per colour, and back. The constant lets the
// compiler vectorise both.
template <class T>
static inline void part_pixels(const T* in, T* out, int64_t out_stride, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    for (int k = 0; k < 3; ++k) out[k * out_stride + i] = in[i * 3 + k];
}
template <class T>
static inline void join_pixels(const T* in, int64_t in_stride, T* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    for (int k = 0; k < 3; ++k) out[i * 3 + k] = in[k * in_stride + i];
}

// The output is contiguous along its last dimension, the input along dimension `across`.
template <class T>
static inline tf_status transposed_copy(const Loop<2>& loop, int across) {
  const int last = loop.ndim - 1;
  const int64_t rows = loop.shape[last], columns = loop.shape[across];
  const int64_t in_stride = loop.stride[1][last], out_stride = loop.stride[0][across];
  // Colours of pixels: few rows or columns without gaps, which are walked along their length.
  const bool parts = columns == 3 && in_stride == 3, joins = rows == 3 && out_stride == 3;
  constexpr int64_t side = kBlock<T>;
  const int64_t tall = parts ? 2048 : side, wide = joins ? 2048 : side;
  const int64_t bands = (rows + tall - 1) / tall, blocks = (columns + wide - 1) / wide;
  bool streams = sizeof(T) >= 4 && loop.total * int64_t(sizeof(T)) >= kStreamBytes &&
                 aligned_for_stream(loop.data[0]);
  for (int d = 0; d < last; ++d)
    streams = streams && loop.stride[0][d] % Moved<T>::kWidth == 0;
  const int64_t outer = loop.total / (rows * columns);
  const int64_t block = (tall < rows ? tall : rows) * (wide < columns ? wide : columns);
  return parallel_range(outer * bands * blocks, kGrain / block + 1, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const int64_t column = t % blocks * wide, row = t / blocks % bands * tall;
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
      const int64_t m = rows - row < tall ? rows - row : tall;
      const int64_t n = columns - column < wide ? columns - column : wide;
      if (parts)
        part_pixels(in, out, out_stride, m);
      else if (joins)
        join_pixels(in, in_stride, out, n);
      else
        copy_block(in, in_stride, out, out_stride, m, n, streams);
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
      copy_row(out, in, n);
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
    case 2: return copy_same<uint16_t>(loop);
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
