// Vector math in float64: exp, log and what is made of them, within 2 ulp for every argument. Where
// a register holds a table (AVX-512), exp and log are in vmath_tables.h.
//
// Polynomials are minimax fits of the remainder that the comment beside each names.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/vmath_basic.h"

#if defined(TF_SIMD_AVX512)
#include "backends/cpu/vmath_tables.h"
#endif

namespace tf::cpu::TF_ISA {
namespace {

// exp(x) = 2^n (1 + r + t), |r| <= log(2)/2. r + t is exp(r) - 1 with what rounding took from r, so
// that 2^n (r + t) + (2^n - 1) is exact to the last place where it is small.
struct ExpParts {
  F64 n, r, t;
};
TF_INLINE ExpParts exp_parts(F64 x) {
  // (exp(r) - 1 - r) / r²
  constexpr double c[] = {0.5000000000000013,    0.166666666666667,     0.04166666666651309,
                          0.008333333333306894,  0.0013888888947682766, 0.00019841269918065242,
                          2.4801489199761817e-05, 2.7557215679620695e-06, 2.76315617325323e-07,
                          2.5118062115947465e-08};
  const F64 n = nearest(x * F64(1.4426950408889634));
  const F64 high = fma(n, F64(-0.6931471803691238), x);  // exact: 32 bits times 11
  const F64 low = n * F64(1.9082149292705877e-10);
  const F64 r = high - low;
  return {n, r, fma(polynomial(r, c), r * r, (high - r) - low)};
}

#if !defined(TF_SIMD_AVX512)

// p 2^n, denormal or infinite where it has to be.
TF_INLINE F64 times_power(F64 p, F64 n) {
  const F64 half = nearest(n * F64(0.5));
  return p * power_of_two(half) * power_of_two(n - half);
}

TF_INLINE F64 exp(F64 x) {
  const ExpParts e = exp_parts(max(F64(-746.0), min(F64(710.0), x)));  // NaN stays
  return times_power(F64(1.0) + (e.r + e.t), e.n);
}
TF_INLINE F64 exp_fine(F64 x) { return exp(x); }

// k log(2) + log(1 + f) with x = 2^k (1 + f), sqrt(1/2) <= 1 + f < sqrt(2), plus `more`.
// s = f / (2 + f); (log(1 + f) - 2 s) / s³ is the polynomial in s². x positive and normal.
TF_INLINE F64 log_of_normal(F64 x, F64 k, F64 more) {
  constexpr double c[] = {0.6666666666666735,  0.3999999999941117,  0.2857142874324411,
                          0.22222198478031382, 0.18183569627196017, 0.15313906272464872,
                          0.1479747614335345};
  const SplitFloat parts = split(x);
  const F64 e = parts.exponent + k, f = parts.mantissa - F64(1.0);
  const F64 s = f / (F64(2.0) + f), z = s * s, half_square = F64(0.5) * f * f;
  const F64 rest = s * fma(z, polynomial(z, c), half_square);
  const F64 low = fma(e, F64(1.9082149292705877e-10), rest) + more;
  return fma(e, F64(0.6931471803691238), f - (half_square - low));
}

TF_INLINE F64 log(F64 x) {
  const auto denormal = x < F64(kLeastNormal);
  const F64 scaled = select(denormal, x * F64(18014398509481984.0), x);  // 2^54
  const F64 shift = select(denormal, F64(-54.0), F64(0.0));
  return with_limits_of_log(log_of_normal(scaled, shift, F64(0.0)), x);
}

// What u loses of 1 + x is added back, to first order.
TF_INLINE F64 log1p(F64 x) {
  const F64 u = F64(1.0) + x;
  const F64 lost = select(x < F64(1.0), x - (u - F64(1.0)), F64(1.0) - (u - x));
  const F64 y = with_limits_of_log(log_of_normal(u, F64(0.0), lost / u), u);
  return select(x == F64(0.0), x, y);  // -0
}

#endif

TF_INLINE F64 expm1(F64 x) {
  const ExpParts e = exp_parts(max(F64(-40.0), min(F64(710.0), x)));  // NaN stays
  // Half of everything, so that 2^1024 is not needed.
  const F64 half = power_of_two(e.n - F64(1.0));
  const F64 y = fma(half, e.t, fma(half, e.r, half - F64(0.5)));
  return select(x == F64(0.0), x, y + y);  // -0
}

// e / (e + 2) with e = exp(2 |x|) - 1 as a sum of two, corrected by what the quotient leaves.
TF_INLINE F64 tanh(F64 x) {
  const F64 t = min(F64(20.0), abs(x));  // 1 from 19.1 on; NaN stays
  const ExpParts p = exp_parts(t + t);
  const F64 scale = power_of_two(p.n), above = scale - F64(1.0), linear = scale * p.r;
  const Sum<double> a = fast_two_sum(above, linear);
  const Sum<double> e = fast_two_sum(a.hi, fma(scale, p.t, a.lo));
  const Sum<double> d = two_sum(e.hi, F64(2.0));
  const F64 inverse = F64(1.0) / d.hi, q = rounded(e.hi * inverse);
  const F64 left = minus_product(e.hi, q, d.hi) + (e.lo - q * (d.lo + e.lo));
  return with_sign_of(fma(left, inverse, q), x);
}

TF_INLINE F64 sigmoid(F64 x) {
  const F64 e = exp_fine(-abs(x));  // at most 1: nothing overflows
  const F64 s = F64(1.0) + e, lost = e - (s - F64(1.0)), inverse = F64(1.0) / s;
  const F64 part = select(x < F64(0.0), e, F64(1.0)), q = rounded(part * inverse);
  return fma(minus_product(part, q, s) - q * lost, inverse, q);
}

// 1 - erf(t) for t >= 1 by -log(1 - erf(t)) / t, to 2^-56; 0 from 5.95 on, where erf is 1.
TF_INLINE F64 erf_tail(F64 t) {
  constexpr double c[] = {1.1283792011385976,     0.6366193639833583,     0.10277490362460888,
                          -0.019136540423807493,  -0.0001892389024191582, 0.0016595464276743673,
                          -0.0005380748298480916, -3.2552825855882754e-05, 0.00011703827706550478,
                          -6.775438019343664e-05, 2.5435947551486584e-05, -7.142644535230228e-06,
                          1.5582694703387884e-06, -2.653095195122137e-07, 3.474775535046906e-08,
                          -3.388921111839575e-09, 2.3201559735414955e-10, -9.950199253858583e-12,
                          2.0106766463275847e-13};
  const F64 u = min(F64(5.95), t);  // NaN stays
  return select(t > F64(5.95), F64(0.0), exp(-u * polynomial(u, c)));
}
// erf(t) for |t| < 1: (erf(t) - t) / t in t².
TF_INLINE F64 erf_near_zero(F64 t) {
  constexpr double c[] = {0.1283791670955126,     -0.3761263890318375,    0.11283791670954857,
                          -0.026866170645072837,  0.005223977624780296,   -0.0008548326978708096,
                          0.00012055331035608104, -1.4925593474743357e-05, 1.6460972284125407e-06,
                          -1.6350019398262258e-07, 1.4657839545502993e-08, -1.1365506085983123e-09,
                          5.944984706436778e-11};
  return fma(polynomial(t * t, c), t, t);
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
