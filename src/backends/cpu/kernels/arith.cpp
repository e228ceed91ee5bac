// Arithmetic of two operands.
// SPDX-License-Identifier: MIT
#include "backends/cpu/elementwise_bf16.h"
#include "backends/cpu/vmath_pow.h"

namespace tf::cpu::TF_ISA {
namespace {

constexpr uint32_t kNumbers = TINYFIN_DTYPES_FLOAT | TINYFIN_DTYPES_INT;

template <class Op>
static inline tf_status on_numbers(const tf_kernel_call* c, const Op& op) {
  if (c->out[0].dtype == TINYFIN_BFLOAT16) return elementwise_bf16<2>(c, op);
  return with_number(c->out[0].dtype, [&](auto t) { return binary<decltype(t)>(c, op); });
}

static tf_status add_kernel(const tf_kernel_call* c, void*) {
  if (c->out[0].dtype == TINYFIN_BOOL)
    return scalar_binary<uint8_t, uint8_t>(c, [](uint8_t a, uint8_t b) { return uint8_t(a | b); });
  return on_numbers(c, [](auto a, auto b) TF_ALWAYS_INLINE { return a + b; });
}
TF_KERNEL(add, TINYFIN_DTYPES_ALL | TINYFIN_DTYPES_BFLOAT16, add_kernel);

static tf_status sub_kernel(const tf_kernel_call* c, void*) {
  return on_numbers(c, [](auto a, auto b) TF_ALWAYS_INLINE { return a - b; });
}
TF_KERNEL(sub, kNumbers | TINYFIN_DTYPES_BFLOAT16, sub_kernel);

static tf_status mul_kernel(const tf_kernel_call* c, void*) {
  if (c->out[0].dtype == TINYFIN_BOOL)
    return scalar_binary<uint8_t, uint8_t>(c, [](uint8_t a, uint8_t b) { return uint8_t(a & b); });
  return on_numbers(c, [](auto a, auto b) TF_ALWAYS_INLINE { return a * b; });
}
TF_KERNEL(mul, TINYFIN_DTYPES_ALL | TINYFIN_DTYPES_BFLOAT16, mul_kernel);

static tf_status div_kernel(const tf_kernel_call* c, void*) {
  const auto quotient = [](auto a, auto b) TF_ALWAYS_INLINE { return a / b; };
  return c->out[0].dtype == TINYFIN_FLOAT32 ? binary<float>(c, quotient)
                                            : binary<double>(c, quotient);
}
TF_KERNEL(div, TINYFIN_DTYPES_FLOAT, div_kernel);

// Python's // and %: the quotient is rounded down, the remainder has the divisor's sign.
// Integers: a divisor of 0 gives 0 (the instruction would trap), and so must not the quotient of
// the least integer by -1, which wraps.
template <class T>
static inline T floor_divided(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    if (b == 0) return 0;
    if (b == -1) return T(std::make_unsigned_t<T>(0) - std::make_unsigned_t<T>(a));
    const T q = a / b;
    return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
  } else {
    if (b == 0) return a / b;
    // fmod is exact, so the division below has an integer for its true result.
    T mod = T(::fmod(double(a), double(b)));
    T q = (a - mod) / b;
    if (mod != 0 && (b < 0) != (mod < 0)) q -= 1;
    if (q == 0) return T(::copysign(0.0, double(a) / double(b)));
    const T whole = T(::floor(double(q)));
    return q - whole > T(0.5) ? whole + 1 : whole;
  }
}
template <class T>
static inline T remainder_of(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    if (b == 0 || b == -1) return 0;
    const T r = a % b;
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
  } else {
    const T r = T(::fmod(double(a), double(b)));
    if (r == 0) return T(::copysign(0.0, double(b)));
    return (r < 0) != (b < 0) ? r + b : r;  // NaN: false, NaN
  }
}

// fmod of |a| and |b|; `easy`: where it is exact. The quotient in float64 may be off by one, and its
// product with b must be exact: below 2^29 for floats, and for doubles by two_product.
template <class T>
struct Mod {
  Vec<T> value;
  Vec<IntOf<T>> easy;
};
TF_INLINE F64 mod_of_quotient(F64 a, F64 b, F64 quotient) {
  const F64 r = minus_product(a, floor(quotient), b);
  return select(r < F64(0.0), r + b, select(r >= b, r - b, r));
}
TF_INLINE Mod<double> positive_mod(F64 a, F64 b) {
  const F64 quotient = a / b;
  const auto easy = (quotient < F64(0x1p52)) & (b > F64(1e-270)) & (b < F64(1e270));
  return {mod_of_quotient(a, b, quotient), easy};
}
TF_INLINE Mod<float> positive_mod(F32 a, F32 b) {
  const F32 value = in_double(a, b, [](F64 x, F64 y) TF_ALWAYS_INLINE {
    return mod_of_quotient(x, y, x / y);
  });
  return {value, (a < b * F32(0x1p28f)) & (b > F32(0.f)) & (b < F32(kInfinityF))};
}

template <class T>
TF_INLINE Vec<T> floor_divided_by_mod(Vec<T> a, Vec<T> b, Vec<T> mod) {
  const Vec<T> zero(T(0)), one(T(1));
  Vec<T> q = (a - mod) / b;
  q = select((mod != zero) & ((b < zero) ^ (mod < zero)), q - one, q);
  const Vec<T> whole = floor(q);
  return select(q == zero, with_sign_of(zero, a / b),
                select(q - whole > Vec<T>(T(0.5)), whole + one, whole));
}
template <class T>
TF_INLINE Vec<T> remainder_by_mod(Vec<T> b, Vec<T> mod) {
  const Vec<T> zero(T(0));
  const Vec<T> r = select((mod < zero) ^ (b < zero), mod + b, mod);
  return select(mod == zero, with_sign_of(zero, b), r);
}

// by_mod(a, b, fmod(a, b)) in registers, or one_by_one(a, b) where a lane is not easy.
template <class T, class ByMod, class OneByOne>
static inline tf_status by_mod(const tf_kernel_call* c, const ByMod& op, const OneByOne& one) {
  return binary<T>(c, [&](Vec<T> a, Vec<T> b) TF_ALWAYS_INLINE {
    const Mod<T> mod = positive_mod(abs(a), abs(b));
    if (all(mod.easy)) [[likely]] return op(a, b, with_sign_of(mod.value, a));
    Vec<T> r;
    for (int i = 0; i < Vec<T>::kWidth; ++i) r.v[i] = one(a.v[i], b.v[i]);
    return r;
  });
}

static tf_status floor_divide_kernel(const tf_kernel_call* c, void*) {
  return with_number(c->out[0].dtype, [&](auto t) {
    using T = decltype(t);
    if constexpr (std::is_integral_v<T>) {
      return scalar_binary<T, T>(c, floor_divided<T>);
    } else {
      const auto op = [](Vec<T> a, Vec<T> b, Vec<T> mod) TF_ALWAYS_INLINE {
        return floor_divided_by_mod(a, b, mod);
      };
      return by_mod<T>(c, op, floor_divided<T>);
    }
  });
}
TF_KERNEL(floor_divide, kNumbers, floor_divide_kernel);

static tf_status remainder_kernel(const tf_kernel_call* c, void*) {
  return with_number(c->out[0].dtype, [&](auto t) {
    using T = decltype(t);
    if constexpr (std::is_integral_v<T>) {
      return scalar_binary<T, T>(c, remainder_of<T>);
    } else {
      const auto op = [](Vec<T>, Vec<T> b, Vec<T> mod) TF_ALWAYS_INLINE {
        return remainder_by_mod(b, mod);
      };
      return by_mod<T>(c, op, remainder_of<T>);
    }
  });
}
TF_KERNEL(remainder, kNumbers, remainder_kernel);

// By repeated squaring, wrapping as multiplication does.
template <class T>
static inline T integer_power(T base, T exponent) {
  using U = std::make_unsigned_t<T>;
  if (exponent < 0) return base == 1 ? 1 : base == -1 ? (exponent & 1 ? -1 : 1) : 0;
  U result = 1, factor = U(base);
  for (U e = U(exponent); e; e >>= 1, factor *= factor)
    if (e & 1) result *= factor;
  return T(result);
}

static tf_status pow_kernel(const tf_kernel_call* c, void*) {
  switch (c->out[0].dtype) {
    case TINYFIN_FLOAT32:
      return binary<float>(c, [](F32 a, F32 b) TF_ALWAYS_INLINE { return pow(a, b); });
    case TINYFIN_FLOAT64:
      return binary<double>(c, [](F64 a, F64 b) TF_ALWAYS_INLINE { return pow(a, b); });
    case TINYFIN_INT32: return scalar_binary<int32_t, int32_t>(c, integer_power<int32_t>);
    case TINYFIN_INT64: return scalar_binary<int64_t, int64_t>(c, integer_power<int64_t>);
    default: return TINYFIN_ERROR_UNSUPPORTED;
  }
}
TF_KERNEL(pow, kNumbers, pow_kernel);

// NaN in either operand is the result.
static tf_status maximum_kernel(const tf_kernel_call* c, void*) {
  if (c->out[0].dtype == TINYFIN_BOOL)
    return scalar_binary<uint8_t, uint8_t>(c, [](uint8_t a, uint8_t b) { return uint8_t(a | b); });
  return with_number(c->out[0].dtype, [&](auto t) {
    return binary<decltype(t)>(
        c, [](auto a, auto b) TF_ALWAYS_INLINE { return select(a == a, max(a, b), a); });
  });
}
TF_KERNEL(maximum, TINYFIN_DTYPES_ALL, maximum_kernel);

static tf_status minimum_kernel(const tf_kernel_call* c, void*) {
  if (c->out[0].dtype == TINYFIN_BOOL)
    return scalar_binary<uint8_t, uint8_t>(c, [](uint8_t a, uint8_t b) { return uint8_t(a & b); });
  return with_number(c->out[0].dtype, [&](auto t) {
    return binary<decltype(t)>(
        c, [](auto a, auto b) TF_ALWAYS_INLINE { return select(a == a, min(a, b), a); });
  });
}
TF_KERNEL(minimum, TINYFIN_DTYPES_ALL, minimum_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
