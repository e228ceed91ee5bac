// copy: x → out, any strides, any pair of dtypes. fill: one number everywhere. arange: a ramp.
// SPDX-License-Identifier: MIT
#include "backends/cpu/bf16.h"
#include "backends/cpu/copy.h"

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
  } else if constexpr (std::is_same_v<From, BFloat16>) {
    return convert_one<To>(widened(v));
  } else if constexpr (std::is_same_v<From, Bool> && std::is_same_v<To, BFloat16>) {
    return bfloat16(float(v.value != 0));
  } else if constexpr (std::is_same_v<To, BFloat16>) {
    return bfloat16(v);
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
  return t == TINYFIN_BOOL       ? body(Bool{})
         : t == TINYFIN_BFLOAT16 ? body(BFloat16{})
                                 : with_number(t, body);
}

// n contiguous elements.
template <class To, class From>
static inline void convert_row(To* out, const From* in, int64_t n) {
  if constexpr (std::is_same_v<To, float> && std::is_same_v<From, BFloat16>) {
    widen_row(out, in, n);
  } else if constexpr (std::is_same_v<To, BFloat16> && std::is_same_v<From, float>) {
    round_row(out, in, n);
  } else {
    for (int64_t i = 0; i < n; ++i) out[i] = convert_one<To>(in[i]);
  }
}

static tf_status copy_kernel(const tf_kernel_call* c, void*) {
  const Loop<2> loop = make_loop<2>({&c->out[0], &c->in[0]});
  if (c->in[0].dtype == c->out[0].dtype) return copy_elements(loop);
  return with_type(c->out[0].dtype, [&](auto to) {
    return with_type(c->in[0].dtype, [&](auto from) {
      using To = decltype(to);
      using From = decltype(from);
      return for_rows(loop, [](char* const* ptr, const int64_t* stride, int64_t n) {
        To* out = reinterpret_cast<To*>(ptr[0]);
        const From* in = reinterpret_cast<const From*>(ptr[1]);
        if (stride[0] == 1 && stride[1] == 1) {
          convert_row(out, in, n);
        } else {
          for (int64_t i = 0; i < n; ++i) out[i * stride[0]] = convert_one<To>(in[i * stride[1]]);
        }
      });
    });
  });
}
TF_KERNEL(copy, TINYFIN_DTYPES_ALL | TINYFIN_DTYPES_BFLOAT16, copy_kernel);

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
    case TINYFIN_BFLOAT16: return fill_with(c, bfloat16(c->attr[1].f));
    case TINYFIN_BOOL: return fill_with(c, uint8_t(c->attr[0].i != 0));
    default: return TINYFIN_ERROR_UNSUPPORTED;
  }
}
TF_KERNEL(fill, TINYFIN_DTYPES_ALL | TINYFIN_DTYPES_BFLOAT16, fill_kernel);

// Attributes: start and step as integers, then as floats. A float is computed as a double from
// its number, so that no error adds up.
static tf_status arange_kernel(const tf_kernel_call* c, void*) {
  const tf_view& out = c->out[0];
  return with_number(out.dtype, [&](auto t) {
    using T = decltype(t);
    T* to = static_cast<T*>(out.data);
    const int64_t stride = out.strides[0];
    const uint64_t first = uint64_t(c->attr[0].i), each = uint64_t(c->attr[1].i);
    const double start = c->attr[2].f, step = c->attr[3].f;
    return parallel_range(out.shape[0], kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        if constexpr (std::is_floating_point_v<T>) to[i * stride] = T(start + double(i) * step);
        else to[i * stride] = T(first + uint64_t(i) * each);
      }
    });
  });
}
TF_KERNEL(arange, TINYFIN_DTYPES_FLOAT | TINYFIN_DTYPES_INT, arange_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
