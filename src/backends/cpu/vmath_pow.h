// x to the power of y: exp(y log|x|), the logarithm to twice the digits, and the sign and the special
// cases of IEEE 754.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/vmath.h"

namespace tf::cpu::TF_ISA {
namespace {

// log(x) to 2^-64 of itself; x positive and finite. With s = (m - 1) / (m + 1):
// log(m) = 2 s + s³ (2/3 + s² q), q the polynomial in s². Every term but q's has two parts.
TF_INLINE Sum<double> long_log(F64 x) {
  constexpr double c[] = {0.4000000000000227,  0.28571428570091856, 0.22222222521358714,
                          0.18181784236718415, 0.15386763544359913, 0.13256668572006033,
                          0.13197752412975272};
  const auto denormal = x < F64(kLeastNormal);
  const SplitFloat parts = split(select(denormal, x * F64(18014398509481984.0), x));  // 2^54
  const F64 m = parts.mantissa, k = parts.exponent - select(denormal, F64(54.0), F64(0.0));

  const F64 f = m - F64(1.0), d = m + F64(1.0), d_lo = m - (d - F64(1.0));
  const F64 inverse = F64(1.0) / d, s = rounded(f * inverse);
  const F64 s_lo = fma(-s, d_lo, minus_product(f, s, d)) * inverse;

  Sum<double> z = two_product(s, s);
  z.lo = fma(s + s, s_lo, z.lo);
  Sum<double> w = fast_two_sum(F64(0.6666666666666666), rounded(z.hi * polynomial(z.hi, c)));
  w.lo = w.lo + F64(3.700743415417188e-17);
  Sum<double> v = two_product(z.hi, w.hi);
  v.lo = fma(z.hi, w.lo, fma(z.lo, w.hi, v.lo));
  Sum<double> cube = two_product(s, v.hi);
  cube.lo = fma(s, v.lo, fma(s_lo, v.hi, cube.lo));

  const Sum<double> a = fast_two_sum(rounded(k * F64(0.6931471805598903)), s + s);  // 42 bits
  const Sum<double> b = fast_two_sum(a.hi, cube.hi);
  const F64 low = fma(k, F64(5.497923018708371e-14), (a.lo + b.lo) + (cube.lo + (s_lo + s_lo)));
  return fast_two_sum(b.hi, low);
}

// exp(a.hi + a.lo)
TF_INLINE F64 exp_of_sum(Sum<double> a) {
  const F64 x = max(F64(-746.0), min(F64(710.0), a.hi));  // NaN stays
  const ExpParts e = exp_parts(x);
  const F64 lo = select(x == a.hi, a.lo, F64(0.0)), p = e.r + e.t;
  return times_power(F64(1.0) + (e.r + fma(lo, F64(1.0) + p, e.t)), e.n);
}

// What IEEE 754 asks of pow, given r = |x|^y for finite x: x^0 = 1^y = 1, even of NaN; NaN for
// negative x and y that is not whole.
template <class T>
TF_INLINE Vec<T> with_rules_of_pow(Vec<T> r, Vec<T> x, Vec<T> y) {
  const Vec<T> zero(T(0)), one(T(1)), infinity((T(kInfinity))), t = abs(y), h = t * Vec<T>(T(0.5));
  const auto whole = round(t) == t;
  // Every number from 2^24 (2^53) on is even.
  const auto odd = whole & (t < Vec<T>(T(sizeof(T) == 4 ? 16777216.0 : 9007199254740992.0))) &
                   (round(h) != h);
  const auto endless = (x == zero) | (abs(x) == infinity);
  r = select(endless, select((x == zero) == (y < zero), infinity, zero), r);
  r = bit_cast<T>(bit_cast<IntOf<T>>(r) ^ (sign_bit(x) & odd));
  r = select((x < zero) & (x > -infinity) & ~whole, Vec<T>(T(__builtin_nan(""))), r);
  r = select((x == x) & (y == y), r, x + y);
  return select((y == zero) | (x == one) | ((x == -one) & (t == infinity)), one, r);
}

TF_INLINE F64 pow(F64 x, F64 y) {
  // Beyond ±2^65 the result of any x but 1 is 0 or infinite already.
  const F64 u = max(F64(-36893488147419103232.0), min(F64(36893488147419103232.0), y));
  const Sum<double> log = long_log(abs(x));
  Sum<double> p = two_product(u, log.hi);
  p.lo = fma(u, log.lo, p.lo);
  return with_rules_of_pow(exp_of_sum(p), x, y);
}

TF_INLINE F32 pow(F32 x, F32 y) {
  const F32 r = in_double(abs(x), y, [](F64 a, F64 b) TF_ALWAYS_INLINE {
#if defined(TF_SIMD_AVX512)
    return exp(b * log(a));
#else
    const RoughExp e = rough_exp(max(F64(-200.0), min(F64(200.0), b * rough_log(a))));
    return fma(e.scale, e.p, e.scale);
#endif
  });
  return with_rules_of_pow(r, x, y);
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
