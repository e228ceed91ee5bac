// Loops over strided arrays: how every elementwise kernel walks its operands.
//
// A kernel describes one row: pointers, element strides of the inner dimension, a length. The
// loop sorts dimensions by the output's strides, merges those that are contiguous among each
// other in all operands, and cuts the work into tiles by shape only.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/kernel.h"
#include "backends/cpu/simd.h"

namespace tf::cpu::TF_ISA {
namespace {

// N operands of one shape; operand 0 is the output.
template <int N>
struct Loop {
  int ndim;                  // 1 or more after merging; the last is the innermost
  int64_t total;             // elements
  int64_t shape[8];
  int64_t stride[N][8];
  char* data[N];
  int size[N];               // bytes per element
};

static inline int bytes_of(tf_dtype t) {
  switch (t) {
    case TINYFIN_BOOL: return 1;
    case TINYFIN_BFLOAT16: return 2;
    case TINYFIN_FLOAT64:
    case TINYFIN_INT64: return 8;
    default: return 4;
  }
}

template <int N>
static inline Loop<N> make_loop(const tf_view* const (&views)[N]) {
  Loop<N> loop;
  const tf_view& out = *views[0];
  for (int k = 0; k < N; ++k) {
    loop.data[k] = static_cast<char*>(views[k]->data);
    loop.size[k] = bytes_of(views[k]->dtype);
  }
  // Dimensions of size 1 go; the others by decreasing output stride (insertion sort, stable).
  int order[8], n = 0;
  loop.total = 1;
  for (int d = 0; d < out.ndim; ++d) {
    loop.total *= out.shape[d];
    if (out.shape[d] == 1) continue;
    int at = n++;
    for (; at > 0 && out.strides[order[at - 1]] < out.strides[d]; --at) order[at] = order[at - 1];
    order[at] = d;
  }
  int m = 0;
  for (int i = 0; i < n; ++i) {
    const int d = order[i];
    bool merges = m > 0;
    for (int k = 0; k < N && merges; ++k)
      merges = loop.stride[k][m - 1] == views[k]->strides[d] * out.shape[d];
    if (merges) --m;
    loop.shape[m] = merges ? loop.shape[m] * out.shape[d] : out.shape[d];
    for (int k = 0; k < N; ++k) loop.stride[k][m] = views[k]->strides[d];
    ++m;
  }
  if (m == 0) {
    loop.shape[0] = loop.total;  // 1, or 0 where some size is 0
    for (int k = 0; k < N; ++k) loop.stride[k][0] = 1;
    m = 1;
  }
  loop.ndim = m;
  return loop;
}

// Elements per tile: below it a call runs on the caller's thread alone.
constexpr int64_t kGrain = 32768;
// Of a large array: memory is read fastest in few long pieces.
static inline int64_t grain_of(int64_t total) {
  const int64_t piece = (total / 32 + 63) / 64 * 64;
  return piece > kGrain ? piece : kGrain;
}

// row(char* const ptr[N], const int64_t stride[N], int64_t n), over all elements.
template <int N, class Row>
static inline tf_status for_rows(const Loop<N>& loop, const Row& row, int64_t grain = 0) {
  if (grain == 0) grain = grain_of(loop.total);
  if (loop.total == 0) return TINYFIN_OK;
  const int inner = loop.ndim - 1;
  int64_t step[N];
  for (int k = 0; k < N; ++k) step[k] = loop.stride[k][inner];
  if (inner == 0 && loop.total <= grain) {
    row(loop.data, step, loop.total);
    return TINYFIN_OK;
  }
  return parallel_range(loop.total, grain, [&](int64_t begin, int64_t end) {
    // The row that holds element `begin`: indices, and where it starts in every operand.
    int64_t index[8], rest = begin / loop.shape[inner];
    const int64_t first = begin % loop.shape[inner];
    char* start[N];
    for (int k = 0; k < N; ++k) start[k] = loop.data[k];
    for (int d = inner - 1; d >= 0; --d) {
      index[d] = rest % loop.shape[d];
      rest /= loop.shape[d];
      for (int k = 0; k < N; ++k) start[k] += index[d] * loop.stride[k][d] * loop.size[k];
    }
    for (int64_t skip = first; begin < end; skip = 0) {
      const int64_t left = loop.shape[inner] - skip;
      const int64_t n = left < end - begin ? left : end - begin;
      char* ptr[N];
      for (int k = 0; k < N; ++k) ptr[k] = start[k] + skip * step[k] * loop.size[k];
      row(ptr, step, n);
      begin += n;
      for (int d = inner - 1; d >= 0; --d) {
        const bool wraps = ++index[d] == loop.shape[d];
        const int64_t steps = wraps ? 1 - loop.shape[d] : 1;
        for (int k = 0; k < N; ++k) start[k] += steps * loop.stride[k][d] * loop.size[k];
        if (!wraps) break;
        index[d] = 0;
      }
    }
  });
}

// Rows of vector code ---------------------------------------------------------------------

// Elements of strided operands go through buffers of this length, so that they meet the same
// vector code, and give the same bits, as contiguous ones.
constexpr int kBuffer = 256;

template <class T>
static inline void gather(const T* from, int64_t stride, T* to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] = from[i * stride];
}
template <class T>
static inline void scatter(const T* from, T* to, int64_t stride, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i * stride] = from[i];
}

// out[i] = op(a[i]) for contiguous arrays; op takes and gives a Vec<T>. kSide registers side by
// side: more than one pays where op is a long chain of dependent instructions.
template <int kSide = 1, class T, class Op>
static inline void map(T* out, const T* a, int64_t n, const Op& op) {
  constexpr int w = Vec<T>::kWidth;
  int64_t i = 0;
  if constexpr (kSide > 1) {
    for (; i + kSide * w <= n; i += kSide * w) {
      Vec<T> r[kSide];
      unroll<kSide>([&](auto k) TF_ALWAYS_INLINE { r[k] = op(load(a + i + k * w)); });
      unroll<kSide>([&](auto k) TF_ALWAYS_INLINE { store(out + i + k * w, r[k]); });
    }
  }
  for (; i + w <= n; i += w) store(out + i, op(load(a + i)));
  if (i < n) store_n(out + i, op(load_n(a + i, n - i)), n - i);
}

// out[i] = op(a[i], b[i]); an operand whose `fixed` is true is one number for all i.
template <class T, class Op>
static inline void map2(T* out, const T* a, bool fixed_a, const T* b, bool fixed_b, int64_t n,
                        const Op& op) {
  constexpr int w = Vec<T>::kWidth;
  int64_t i = 0;
  if (!fixed_a && !fixed_b) {
    for (; i + w <= n; i += w) store(out + i, op(load(a + i), load(b + i)));
    if (i < n) store_n(out + i, op(load_n(a + i, n - i), load_n(b + i, n - i)), n - i);
  } else if (fixed_b && !fixed_a) {
    const Vec<T> y(*b);
    for (; i + w <= n; i += w) store(out + i, op(load(a + i), y));
    if (i < n) store_n(out + i, op(load_n(a + i, n - i), y), n - i);
  } else {
    const Vec<T> x(*a);
    const T last = *b;
    for (; i + w <= n; i += w) store(out + i, op(x, fixed_b ? Vec<T>(last) : load(b + i)));
    if (i < n) store_n(out + i, op(x, fixed_b ? Vec<T>(last) : load_n(b + i, n - i)), n - i);
  }
}

// The whole of a unary kernel for one type.
template <class T, int kSide = 1, class Op>
static inline tf_status unary(const tf_kernel_call* c, const Op& op) {
  const Loop<2> loop = make_loop<2>({&c->out[0], &c->in[0]});
  return for_rows(loop, [&](char* const* ptr, const int64_t* stride, int64_t n) {
    T* out = reinterpret_cast<T*>(ptr[0]);
    const T* a = reinterpret_cast<const T*>(ptr[1]);
    if (stride[0] == 1 && stride[1] == 1) return map<kSide>(out, a, n, op);
    T buffer[kBuffer];
    for (int64_t i = 0; i < n; i += kBuffer) {
      const int64_t m = n - i < kBuffer ? n - i : kBuffer;
      gather(a + i * stride[1], stride[1], buffer, m);
      map<kSide>(buffer, buffer, m, op);
      scatter(buffer, out + i * stride[0], stride[0], m);
    }
  });
}

// The whole of a binary kernel for one type.
template <class T, class Op>
static inline tf_status binary(const tf_kernel_call* c, const Op& op) {
  const Loop<3> loop = make_loop<3>({&c->out[0], &c->in[0], &c->in[1]});
  return for_rows(loop, [&](char* const* ptr, const int64_t* stride, int64_t n) {
    T* out = reinterpret_cast<T*>(ptr[0]);
    const T* a = reinterpret_cast<const T*>(ptr[1]);
    const T* b = reinterpret_cast<const T*>(ptr[2]);
    const bool fixed_a = stride[1] == 0, fixed_b = stride[2] == 0;
    if (stride[0] == 1 && (stride[1] == 1 || fixed_a) && (stride[2] == 1 || fixed_b))
      return map2(out, a, fixed_a, b, fixed_b, n, op);
    T x[kBuffer], y[kBuffer];
    for (int64_t i = 0; i < n; i += kBuffer) {
      const int64_t m = n - i < kBuffer ? n - i : kBuffer;
      gather(a + i * stride[1], stride[1], x, m);
      gather(b + i * stride[2], stride[2], y, m);
      map2(x, x, false, y, false, m, op);
      scatter(x, out + i * stride[0], stride[0], m);
    }
  });
}

// Scalar code: rows whose element i is out[i * s] = op(a[i * s1], b[i * s2]). Element strides of 0
// and 1, which nearly all rows have, are compile-time constants to the loop, so that the compiler
// can vectorise it.
template <int64_t kStride>
struct Fixed {
  constexpr operator int64_t() const { return kStride; }
};
template <class Body>
static inline void with_stride(int64_t stride, const Body& body) {
  if (stride == 1)
    body(Fixed<1>{});
  else if (stride == 0)
    body(Fixed<0>{});
  else
    body(stride);
}
// The same for two operands; both constant or neither, to bound the number of loops.
template <class Body>
static inline void with_strides(int64_t s1, int64_t s2, const Body& body) {
  if (s1 == 1 && s2 == 1)
    body(Fixed<1>{}, Fixed<1>{});
  else if (s1 == 1 && s2 == 0)
    body(Fixed<1>{}, Fixed<0>{});
  else if (s1 == 0 && s2 == 1)
    body(Fixed<0>{}, Fixed<1>{});
  else
    body(s1, s2);
}

// out and operands may have different types: comparisons, logic, integer division.
template <class Out, class In, class Op>
static inline tf_status scalar_binary(const tf_kernel_call* c, const Op& op) {
  const Loop<3> loop = make_loop<3>({&c->out[0], &c->in[0], &c->in[1]});
  return for_rows(loop, [&](char* const* ptr, const int64_t* stride, int64_t n) {
    Out* out = reinterpret_cast<Out*>(ptr[0]);
    const In* a = reinterpret_cast<const In*>(ptr[1]);
    const In* b = reinterpret_cast<const In*>(ptr[2]);
    if (stride[0] == 1) {
      with_strides(stride[1], stride[2], [&](auto sa, auto sb) {
        for (int64_t i = 0; i < n; ++i) out[i] = op(a[i * sa], b[i * sb]);
      });
    } else {
      for (int64_t i = 0; i < n; ++i) out[i * stride[0]] = op(a[i * stride[1]], b[i * stride[2]]);
    }
  });
}

// Calls body(T{}) for the C++ type of a dtype that has vector registers; bool is UNSUPPORTED.
template <class Body>
static inline tf_status with_number(tf_dtype t, const Body& body) {
  switch (t) {
    case TINYFIN_FLOAT32: return body(float{});
    case TINYFIN_FLOAT64: return body(double{});
    case TINYFIN_INT32: return body(int32_t{});
    case TINYFIN_INT64: return body(int64_t{});
    default: return TINYFIN_ERROR_UNSUPPORTED;
  }
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
