// Comparisons, logic on bits, choice by a mask, clamping.
// SPDX-License-Identifier: MIT
#include "backends/cpu/elementwise.h"

namespace tf::cpu::TF_ISA {
namespace {

template <class Op>
static inline tf_status compare(const tf_kernel_call* c, const Op& op) {
  if (c->in[0].dtype == TINYFIN_BOOL) return scalar_binary<uint8_t, uint8_t>(c, op);
  return with_number(c->in[0].dtype,
                     [&](auto t) { return scalar_binary<uint8_t, decltype(t)>(c, op); });
}

static tf_status eq_kernel(const tf_kernel_call* c, void*) {
  return compare(c, [](auto a, auto b) { return uint8_t(a == b); });
}
TF_KERNEL(eq, TINYFIN_DTYPES_ALL, eq_kernel);

static tf_status ne_kernel(const tf_kernel_call* c, void*) {
  return compare(c, [](auto a, auto b) { return uint8_t(a != b); });
}
TF_KERNEL(ne, TINYFIN_DTYPES_ALL, ne_kernel);

static tf_status lt_kernel(const tf_kernel_call* c, void*) {
  return compare(c, [](auto a, auto b) { return uint8_t(a < b); });
}
TF_KERNEL(lt, TINYFIN_DTYPES_ALL, lt_kernel);

static tf_status le_kernel(const tf_kernel_call* c, void*) {
  return compare(c, [](auto a, auto b) { return uint8_t(a <= b); });
}
TF_KERNEL(le, TINYFIN_DTYPES_ALL, le_kernel);

// Bits ------------------------------------------------------------------------------------

constexpr uint32_t kBits = TINYFIN_DTYPES_INT | TINYFIN_DTYPE_BIT(TINYFIN_BOOL);

template <class Op>
static inline tf_status bitwise(const tf_kernel_call* c, const Op& op) {
  switch (bytes_of(c->out[0].dtype)) {
    case 1: return scalar_binary<uint8_t, uint8_t>(c, op);
    case 4: return scalar_binary<uint32_t, uint32_t>(c, op);
    default: return scalar_binary<uint64_t, uint64_t>(c, op);
  }
}

static tf_status and_kernel(const tf_kernel_call* c, void*) {
  return bitwise(c, [](auto a, auto b) { return decltype(a)(a & b); });
}
TF_KERNEL(bitwise_and, kBits, and_kernel);

static tf_status or_kernel(const tf_kernel_call* c, void*) {
  return bitwise(c, [](auto a, auto b) { return decltype(a)(a | b); });
}
TF_KERNEL(bitwise_or, kBits, or_kernel);

static tf_status xor_kernel(const tf_kernel_call* c, void*) {
  return bitwise(c, [](auto a, auto b) { return decltype(a)(a ^ b); });
}
TF_KERNEL(bitwise_xor, kBits, xor_kernel);

template <class T>
static inline tf_status flip_bits(const tf_kernel_call* c, T which) {
  const Loop<2> loop = make_loop<2>({&c->out[0], &c->in[0]});
  return for_rows(loop, [&](char* const* ptr, const int64_t* stride, int64_t n) {
    T* out = reinterpret_cast<T*>(ptr[0]);
    const T* a = reinterpret_cast<const T*>(ptr[1]);
    with_strides(stride[0], stride[1], [&](auto so, auto sa) {
      for (int64_t i = 0; i < n; ++i) out[i * so] = T(a[i * sa] ^ which);
    });
  });
}

static tf_status not_kernel(const tf_kernel_call* c, void*) {
  switch (bytes_of(c->out[0].dtype)) {
    case 1: return flip_bits<uint8_t>(c, 1);  // a bool stays 0 or 1
    case 4: return flip_bits<uint32_t>(c, UINT32_MAX);
    default: return flip_bits<uint64_t>(c, UINT64_MAX);
  }
}
TF_KERNEL(bitwise_not, kBits, not_kernel);

// Choice ----------------------------------------------------------------------------------

// Elements are moved, not computed with: one loop per size.
template <class T>
static inline tf_status choose(const tf_kernel_call* c) {
  const Loop<4> loop = make_loop<4>({&c->out[0], &c->in[0], &c->in[1], &c->in[2]});
  return for_rows(loop, [](char* const* ptr, const int64_t* stride, int64_t n) {
    T* out = reinterpret_cast<T*>(ptr[0]);
    const uint8_t* m = reinterpret_cast<const uint8_t*>(ptr[1]);
    const T* a = reinterpret_cast<const T*>(ptr[2]);
    const T* b = reinterpret_cast<const T*>(ptr[3]);
    if (stride[0] == 1 && stride[1] == 1) {
      with_strides(stride[2], stride[3], [&](auto sa, auto sb) {
        for (int64_t i = 0; i < n; ++i) {
          const T x = a[i * sa], y = b[i * sb];  // both read: no branch in the loop
          out[i] = m[i] ? x : y;
        }
      });
    } else {
      for (int64_t i = 0; i < n; ++i)
        out[i * stride[0]] = m[i * stride[1]] ? a[i * stride[2]] : b[i * stride[3]];
    }
  });
}

static tf_status where_kernel(const tf_kernel_call* c, void*) {
  switch (bytes_of(c->out[0].dtype)) {
    case 1: return choose<uint8_t>(c);
    case 2: return choose<uint16_t>(c);
    case 4: return choose<uint32_t>(c);
    default: return choose<uint64_t>(c);
  }
}
TF_KERNEL(where, TINYFIN_DTYPE_BIT(TINYFIN_BOOL) | TINYFIN_DTYPES_BFLOAT16, where_kernel);

// The bounds as numbers of type T, moved inwards to the next one that T has.
template <class T>
struct Bounds {
  T min, max;
  explicit Bounds(const tf_kernel_call* c) {
    if constexpr (std::is_integral_v<T>) {
      constexpr T least = sizeof(T) == 4 ? T(INT32_MIN) : T(INT64_MIN);
      constexpr T most = sizeof(T) == 4 ? T(INT32_MAX) : T(INT64_MAX);
      const double lo = ::ceil(c->attr[0].f), hi = ::floor(c->attr[1].f);
      min = lo <= double(least) ? least : lo >= -double(least) ? most : T(lo);
      max = hi <= double(least) ? least : hi >= -double(least) ? most : T(hi);
    } else {
      min = T(c->attr[0].f);
      max = T(c->attr[1].f);
    }
  }
};

static tf_status clamp_kernel(const tf_kernel_call* c, void*) {
  return with_number(c->out[0].dtype, [&](auto t) {
    using T = decltype(t);
    const Bounds<T> bounds(c);
    // NaN is the second operand of both and stays.
    return unary<T>(c, [=](Vec<T> x) TF_ALWAYS_INLINE {
      return min(Vec<T>(bounds.max), max(Vec<T>(bounds.min), x));
    });
  });
}
TF_KERNEL(clamp, TINYFIN_DTYPES_FLOAT | TINYFIN_DTYPES_INT, clamp_kernel);

template <class T>
static inline tf_status clamp_backward(const tf_kernel_call* c) {
  const Bounds<T> bounds(c);
  return binary<T>(c, [=](Vec<T> grad, Vec<T> x) TF_ALWAYS_INLINE {
    const auto inside = (x >= Vec<T>(bounds.min)) & (x <= Vec<T>(bounds.max));
    return select(inside, grad, Vec<T>(T(0)));
  });
}
static tf_status clamp_backward_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT32 ? clamp_backward<float>(c) : clamp_backward<double>(c);
}
TF_KERNEL(clamp_backward, TINYFIN_DTYPES_FLOAT, clamp_backward_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
