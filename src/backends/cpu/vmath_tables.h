// exp, log and log1p where a register holds a table of powers or inverses, looked up by
// permutation. AVX-512 only; vmath.h and vmath_double.h have what the other instruction sets do,
// vmath_pieces.h what is looked up piece by piece.
//
// Polynomials are minimax fits of the remainder that the comment beside each names.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/vmath_basic.h"

namespace tf::cpu::TF_ISA {
namespace {

// table[i], i in the low four bits of each lane's pattern.
TF_INLINE F32 lookup(F32 i, const float (&table)[16]) {
  return F32((F32::Raw)_mm512_maskz_permutexvar_ps(-1, (__m512i)i.v, (__m512)load(table).v));
}
TF_INLINE F64 lookup(F64 i, const double (&table)[16]) {
  return F64((F64::Raw)_mm512_maskz_permutex2var_pd(-1, load(table).v, (__m512i)i.v,
                                                    load(table + 8).v));
}

// The same of a table of 32, i in the low five bits.
TF_INLINE F32 lookup(F32 i, const float (&table)[32]) {
  return F32((F32::Raw)_mm512_maskz_permutex2var_ps(-1, (__m512)load(table).v, (__m512i)i.v,
                                                    (__m512)load(table + 16).v));
}

// p * 2^floor(n), denormal or infinite where it has to be.
TF_INLINE F32 times_power(F32 p, F32 n) {
  return F32((F32::Raw)_mm512_maskz_scalef_ps(-1, (__m512)p.v, (__m512)n.v));
}
TF_INLINE F64 times_power(F64 p, F64 n) {
  return F64((F64::Raw)_mm512_maskz_scalef_pd(-1, p.v, n.v));
}

// x = 2^exponent mantissa, 1 <= mantissa < 2, of a positive number. Of 0, infinity, NaN and what is
// below 0 the instructions give what makes log answer as it should.
TF_INLINE F32 exponent_of(F32 x) {
  return F32((F32::Raw)_mm512_maskz_getexp_ps(-1, (__m512)x.v));
}
TF_INLINE F64 exponent_of(F64 x) { return F64((F64::Raw)_mm512_maskz_getexp_pd(-1, x.v)); }
TF_INLINE F32 mantissa_of(F32 x) {
  return F32((F32::Raw)_mm512_maskz_getmant_ps(-1, (__m512)x.v, _MM_MANT_NORM_1_2,
                                               _MM_MANT_SIGN_nan));
}
TF_INLINE F64 mantissa_of(F64 x) {
  return F64((F64::Raw)_mm512_maskz_getmant_pd(-1, x.v, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_nan));
}

// exp: arguments from kLeast to kGreatest; adding kSixteenths leaves 1/16 as the last bit; 2^(j/16)
// and what rounding took from it; (exp(r) - 1 - r) / r² in c.
// log: log(2) and the logarithms of the inverses with few bits (16 or 42), so that nothing is lost
// where they cancel, and the rests; (log(1 + r) - r) / r² in c.
template <class T>
struct ExpTable;
template <class T>
struct LogTable;

template <>
struct ExpTable<float> {
  static constexpr float kLeast = -104.f, kGreatest = 89.f, kSixteenths = 786432.f;
  static constexpr float kPerLog2 = 1.44269504f, kLog2 = 0.693359375f, kLog2Rest = -2.12194440e-4f;
  static constexpr float c[] = {0.50001619f, 0.16667031f};
  alignas(64) static constexpr float kPowers[16] = {1.0f, 1.0442737f, 1.0905077f, 1.1387886f,
      1.1892071f, 1.2418578f, 1.2968396f, 1.3542556f, 1.4142135f, 1.4768262f, 1.5422108f,
      1.6104903f, 1.6817929f, 1.7562522f, 1.8340081f, 1.9152066f};
  alignas(64) static constexpr float kRests[16] = {0.0f, 4.8334702e-08f, -1.307754e-08f,
      5.3862223e-08f, 3.7976353e-08f, 4.4968381e-08f, -4.0189995e-08f, -1.0123349e-08f,
      2.4203235e-08f, -4.5008989e-08f, 8.0709048e-09f, 9.8362172e-09f, -2.4755327e-08f,
      -9.2357704e-09f, -1.1239278e-08f, 9.8453281e-09f};
};
template <>
struct ExpTable<double> {
  static constexpr double kLeast = -746.0, kGreatest = 710.0, kSixteenths = kShift / 16;
  static constexpr double kPerLog2 = 1.4426950408889634, kLog2 = 0.6931471803691238,
                          kLog2Rest = 1.9082149292705877e-10;
  static constexpr double c[] = {0.5000000000000006, 0.1666666666439996, 0.04166666665965776,
                                 0.008333472474004348, 0.001388912916940045};
  alignas(64) static constexpr double kPowers[16] = {1.0, 1.0442737824274138, 1.0905077326652577,
      1.1387886347566916, 1.189207115002721, 1.241857812073484, 1.2968395546510096,
      1.3542555469368927, 1.4142135623730951, 1.4768261459394993, 1.5422108254079407,
      1.6104903319492543, 1.681792830507429, 1.7562521603732995, 1.8340080864093424,
      1.9152065613971474};
  alignas(64) static constexpr double kRests[16] = {0.0, 8.551889705537965e-17,
      -3.046782079812471e-17, 8.912812676025408e-17, 3.982015231465646e-17, 4.658027591836937e-17,
      2.5382502794888315e-17, 7.70094837980299e-17, -9.667293313452913e-17, -3.483994556892796e-17,
      7.949834809697621e-17, 2.4707192569797888e-17, 8.199010020581497e-17, 2.960140695448873e-17,
      3.283107224245627e-17, -1.0619946056195963e-16};
};

template <>
struct LogTable<float> {
  static constexpr float kLog2 = 0.6931457519f, kLog2Rest = 1.4286068e-6f;
  static constexpr float c[] = {-0.5f, 0.33334448f, -0.25007845f, 0.1886981f};
  alignas(64) static constexpr float kLogs[16] = {0.0f, 0.08985901f, 0.14476013f, 0.19807434f,
      0.24685669f, 0.29553223f, 0.34117126f, 0.383255f, 0.42718506f, 0.46688843f, 0.5049896f,
      0.54122925f, 0.57884216f, 0.6107025f, 0.6436157f, 0.69314575f};
  alignas(64) static constexpr float kRests[16] = {0.0f, -2.6796672e-06f, -5.2768414e-06f,
      -4.4270582e-06f, 3.3884785e-06f, -6.9766497e-06f, -5.0724566e-07f, -2.3020457e-06f,
      -1.426531e-06f, -4.9258247e-06f, -6.275882e-06f, 1.8904873e-06f, 2.4619396e-07f,
      9.967005e-07f, -2.4772187e-06f, 1.4286068e-06f};
};
template <>
struct LogTable<double> {
  static constexpr double kLog2 = 0.6931471805598903, kLog2Rest = 5.497923018708371e-14;
  static constexpr double c[] = {-0.5, 0.33333333333346993, -0.24999999999969533,
                                 0.19999999929654264, -0.1666666600201916, 0.14285816581050806,
                                 -0.1250193851687961, 0.11073646387628124, -0.08759931234509302};
  alignas(64) static constexpr double kLogs[16] = {0.0, 0.08985632912185793, 0.14475485499428942,
      0.19806991376208316, 0.2468600779316148, 0.29552524991277096, 0.3411707574027787,
      0.383252702837126, 0.4271836320629063, 0.4668835019094786, 0.5049833481416499,
      0.5412311385341582, 0.5788424092797868, 0.6107035113489019, 0.6436132454375638,
      0.6931471805598903};
  alignas(64) static constexpr double kRests[16] = {0.0, 3.1218748807418837e-15,
      8.272973285564614e-14, 1.0634128304268335e-14, -8.899851356560444e-14, 3.586053092023274e-14,
      -1.156568624616423e-14, -4.5358739633308435e-14, -9.895853155747038e-14,
      1.3337962884211445e-14, 1.1241001411909127e-13, -5.4828310811468674e-14,
      9.986876370947071e-14, -3.1165899173794433e-14, 1.0485953929506514e-13,
      5.497923018708371e-14};
};

// exp(x) = 2^floor(n) 2^(j/16) exp(r) with x log2(e) rounded to n, a whole number of sixteenths;
// |r| <= log(2)/32. kFine: what rounding took from the powers is added back, 0.75 ulp instead of 1.
// kAnySign: x may be above 0.
template <bool kFine, bool kAnySign, class T>
TF_INLINE Vec<T> exp_by_table(Vec<T> x) {
  using V = Vec<T>;
  using Table = ExpTable<T>;
  if constexpr (kAnySign) x = min(V(Table::kGreatest), x);
  x = max(V(Table::kLeast), x);  // NaN stays
  const V shifted = fma(x, V(Table::kPerLog2), V(Table::kSixteenths));
  const V n = shifted - V(Table::kSixteenths);
  V r = fma(n, V(-Table::kLog2), x);
  r = fma(n, V(-Table::kLog2Rest), r);
  const V p = fma(polynomial(r, Table::c), r * r, r), power = lookup(shifted, Table::kPowers);
  if constexpr (kFine)
    return times_power(power + fma(power, p, lookup(shifted, Table::kRests)), n);
  return times_power(fma(power, p, power), n);
}
template <class T>
TF_INLINE Vec<T> exp(Vec<T> x) { return exp_by_table<false, true>(x); }
// For x <= 0, by an instruction less. (Up to 88 what is above as well.)
template <class T>
TF_INLINE Vec<T> exp_nonpositive(Vec<T> x) { return exp_by_table<false, false>(x); }
template <class T>
TF_INLINE Vec<T> exp_fine(Vec<T> x) { return exp_by_table<true, true>(x); }

// log(x + more 2^e / inverse), x = 2^e m, 1 <= m < 2: m times about its inverse, one of sixteen, is
// 1 + r, -1/32 <= r < 1/16.
template <class T>
struct LogParts {
  Vec<T> e, m, inverse, j;
};
template <class T>
TF_INLINE LogParts<T> log_parts(Vec<T> x) {
  alignas(64) static constexpr T kInverse[16] = {
      1.0, 0.9140625, 0.865234375, 0.8203125, 0.78125, 0.744140625, 0.7109375, 0.681640625,
      0.65234375, 0.626953125, 0.603515625, 0.58203125, 0.560546875, 0.54296875, 0.525390625, 0.5};
  const Vec<T> m = mantissa_of(x);
  const Vec<T> j = bit_cast<T>(bit_cast<IntOf<T>>(m) >> (sizeof(T) == 4 ? 19 : 48));
  return {exponent_of(x), m, lookup(j, kInverse), j};
}
template <bool kMore = false, class T>
TF_INLINE Vec<T> log_of(const LogParts<T>& x, Vec<T> more = {}) {
  using V = Vec<T>;
  using Table = LogTable<T>;
  const V r = fma(x.m, x.inverse, V(T(-1)));
  const V high = fma(x.e, V(Table::kLog2), lookup(x.j, Table::kLogs));
  V low = fma(x.e, V(Table::kLog2Rest), lookup(x.j, Table::kRests));
  if constexpr (kMore) low += fma(-more, r, more);  // times 1 / (1 + r)
  return (high + r) + fma(polynomial(r, Table::c), r * r, low);
}
template <class T>
TF_INLINE Vec<T> log(Vec<T> x) { return log_of(log_parts(x)); }

// What 1 + x loses is added back, to first order.
template <class T>
TF_INLINE Vec<T> log1p(Vec<T> x) {
  const Vec<T> one(T(1)), zero(T(0)), u = one + x;
  const Vec<T> lost = select(x < one, x - (u - one), one - (u - x));
  const LogParts<T> parts = log_parts(u);
  const Vec<T> more = times_power(lost, -parts.e) * parts.inverse;
  const Vec<T> y =
      log_of<true>(parts, select(abs(parts.e) < Vec<T>(T(kInfinity)), more, zero));
  return select(x == zero, x, y);  // -0
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
