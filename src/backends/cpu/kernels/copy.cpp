// copy: x → out, any strides, any pair of dtypes. fill: one number everywhere.
// SPDX-License-Identifier: MIT
#include "backends/cpu/elementwise.h"

namespace tf::cpu::TF_ISA {
namespace {

template <class To, class From>
static inline To converted(From v) {
  // A float outside the integer's range has no defined C conversion; NaN and negative
  // overflow give the least value, positive overflow the greatest.
  if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    constexpr To least = sizeof(To) == 4 ? To(INT32_MIN) : To(INT64_MIN);
    constexpr To most = sizeof(To) == 4 ? To(INT32_MAX) : To(INT64_MAX);
    if (!(v > From(least))) return least;
    if (v >= -From(least)) return most;
  }
  return To(v);
}

struct Bool {
  uint8_t value;
};
template <class To, class From>
static inline To convert_one(From v) {
  if constexpr (std::is_same_v<From, Bool> && std::is_same_v<To, Bool>) {
    return v;
  } else if constexpr (std::is_same_v<From, Bool>) {
    return To(v.value != 0);
  } else if constexpr (std::is_same_v<To, Bool>) {
    return Bool{uint8_t(v != From(0))};
  } else {
    return converted<To>(v);
  }
}

template <class Body>
static inline tf_status with_type(tf_dtype t, const Body& body) {
  return t == TINYFIN_BOOL ? body(Bool{}) : with_number(t, body);
}

// Row-major transposes are cut into blocks: both sides then touch few cache lines at a time.
constexpr int64_t kBlock = 16;

template <class T>
static tf_status transpose(const Loop<2>& loop) {
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
static tf_status copy_same(const Loop<2>& loop) {
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

static tf_status copy_kernel(const tf_kernel_call* c, void*) {
  const Loop<2> loop = make_loop<2>({&c->out[0], &c->in[0]});
  if (c->in[0].dtype == c->out[0].dtype) {
    switch (loop.size[0]) {
      case 1: return copy_same<uint8_t>(loop);
      case 4: return copy_same<uint32_t>(loop);
      default: return copy_same<uint64_t>(loop);
    }
  }
  return with_type(c->out[0].dtype, [&](auto to) {
    return with_type(c->in[0].dtype, [&](auto from) {
      using To = decltype(to);
      using From = decltype(from);
      return for_rows(loop, [](char* const* ptr, const int64_t* stride, int64_t n) {
        To* out = reinterpret_cast<To*>(ptr[0]);
        const From* in = reinterpret_cast<const From*>(ptr[1]);
        if (stride[0] == 1 && stride[1] == 1) {
          for (int64_t i = 0; i < n; ++i) out[i] = convert_one<To>(in[i]);
        } else {
          for (int64_t i = 0; i < n; ++i) out[i * stride[0]] = convert_one<To>(in[i * stride[1]]);
        }
      });
    });
  });
}
TF_KERNEL(copy, TINYFIN_DTYPES_ALL, copy_kernel);

template <class T>
static tf_status fill_with(const tf_kernel_call* c, T value) {
  const Loop<1> loop = make_loop<1>({&c->out[0]});
  return for_rows(loop, [&](char* const* ptr, const int64_t* stride, int64_t n) {
    T* out = reinterpret_cast<T*>(ptr[0]);
    if (stride[0] == 1) {
      for (int64_t i = 0; i < n; ++i) out[i] = value;
    } else {
      for (int64_t i = 0; i < n; ++i) out[i * stride[0]] = value;
    }
  });
}

// Attributes: the value as an integer (for integers and bool) and as a float.
static tf_status fill_kernel(const tf_kernel_call* c, void*) {
  switch (c->out[0].dtype) {
    case TINYFIN_FLOAT32: return fill_with(c, float(c->attr[1].f));
    case TINYFIN_FLOAT64: return fill_with(c, c->attr[1].f);
    case TINYFIN_INT32: return fill_with(c, int32_t(c->attr[0].i));
    case TINYFIN_INT64: return fill_with(c, c->attr[0].i);
    case TINYFIN_BOOL: return fill_with(c, uint8_t(c->attr[0].i != 0));
    default: return TINYFIN_ERROR_UNSUPPORTED;
  }
}
TF_KERNEL(fill, TINYFIN_DTYPES_ALL, fill_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
