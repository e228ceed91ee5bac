// Vector math: exp, log, tanh, … of a register, within 2 ulp of the true value for every argument,
// NaN, infinities and denormals included (tests/cpp/vmath_test.cpp). Here is float32; float64, the
// trigonometric functions and powers have headers of their own, and so has what needs a table in a
// register (AVX-512).
//
// Polynomials are minimax fits of the remainder that the comment beside each names.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/vmath_double.h"

#if defined(TF_SIMD_AVX512)  // known from simd.h
#include "backends/cpu/vmath_pieces.h"
#endif

namespace tf::cpu::TF_ISA {
namespace {

// float32 ------------------------------------------------------------------------------------

#if !defined(TF_SIMD_AVX512)

// exp(x) = 2^n exp(r), |r| <= log(2)/2; (exp(r) - 1 - r) / r² is the polynomial. 2^n is applied
// in two steps, so that the result may be denormal or overflow.
TF_INLINE F32 exp(F32 x) {
  x = max(F32(-104.f), min(F32(89.f), x));  // NaN stays
  const F32 n = nearest(x * F32(1.44269504f));
  F32 r = fma(n, F32(-0.693359375f), x);
  r = fma(n, F32(2.12194440e-4f), r);
  const F32 rr = r * r, low = fma(F32(0.16666518f), r, F32(0.5f)),
            high = fma(F32(0.008368888f), r, F32(0.041666206f));
  const F32 p = fma(fma(fma(F32(0.0013950584f), rr, high), rr, low), rr, r) + F32(1.f);
  const I32 i = convert<int32_t>(n), half = i >> 1;
  const F32 scale1 = bit_cast<float>((half + I32(127)) << 23);
  const F32 scale2 = bit_cast<float>((i - half + I32(127)) << 23);
  return p * scale1 * scale2;
}
TF_INLINE F32 exp_fine(F32 x) { return exp(x); }
template <class T>
TF_INLINE Vec<T> exp_nonpositive(Vec<T> x) { return exp(x); }  // nothing to be had from the sign

// (tanh(t) - t) / t³ in t² for t < 0.625, else 1 - 2 / (exp(2t) + 1).
TF_INLINE F32 tanh(F32 x) {
  constexpr float c[] = {-0.33333284f, 0.13331491f, -0.053743426f, 0.020650376f, -0.0057168347f};
  const F32 t = abs(x), z = t * t;
  const F32 small = fma(z * polynomial(z, c), t, t);
  const F32 large = F32(1.f) - F32(2.f) / (exp(t + t) + F32(1.f));
  return with_sign_of(select(t < F32(0.625f), small, large), x);
}

// x = 2^k (1 + f), sqrt(1/2) <= 1 + f < sqrt(2); (log(1 + f) - f + f²/2) / f³ is the polynomial.
TF_INLINE F32 log(F32 x) {
  constexpr float c[] = {0.3333331f,   -0.24999987f, 0.20002225f,   -0.1666927f, 0.14218709f,
                         -0.12383939f, 0.118720464f, -0.117921576f, 0.06920671f};
  constexpr int32_t kSqrtHalf = 0x3f3504f3;
  const auto denormal = x < F32(1.17549435e-38f);
  const F32 scaled = select(denormal, x * F32(8388608.f), x);  // 2^23
  const I32 b = bit_cast<int32_t>(scaled);
  const I32 k = (b - I32(kSqrtHalf)) >> 23;
  const F32 f = bit_cast<float>(b - (k << 23)) - F32(1.f);
  const F32 e = convert<float>(k) - select(denormal, F32(23.f), F32(0.f));
  const F32 ff = f * f;
  F32 y = ff * f * polynomial(f, c);
  y = fma(e, F32(-2.12194440e-4f), y);
  y = fma(F32(-0.5f), ff, y);
  return with_limits_of_log(fma(e, F32(0.693359375f), f + y), x);
}

#endif

// 2^n (exp(r) - 1) + 2^n - 1 with r in two parts: high, which is exact, and low, which counts only
// beside r²; (exp(r) - 1 - r) / r² is the polynomial.
TF_INLINE F32 expm1(F32 x) {
  constexpr float c[] = {0.5f, 0.1666652f, 0.041666384f, 0.008368849f, 0.0013942218f};
  constexpr float kWhole = 12582912.f;                      // 1.5 * 2^23: the last bit is 1
  const F32 t = max(F32(-18.f), min(F32(89.f), x));         // NaN stays
  const F32 shifted = fma(t, F32(1.44269504f), F32(kWhole)), n = shifted - F32(kWhole);
  const F32 high = fma(n, F32(-0.693359375f), t), low = n * F32(-2.12194440e-4f), r = high - low;
  // Half of everything, so that 2^128 is not needed.
  const F32 half = bit_cast<float>((bit_cast<int32_t>(shifted) + I32(126)) << 23);
  const F32 y = fma(half, fma(polynomial(r, c), r * r, -low), fma(half, high, half - F32(0.5f)));
  return select(abs(x) < F32(2.9802322e-8f), x, y + y);  // denormals and -0
}

TF_INLINE F32 sigmoid(F32 x) {
  const F32 e = exp_fine(-abs(x));  // at most 1: nothing overflows
  const F32 s = F32(1.f) + e, lost = e - (s - F32(1.f));
  const F32 q = select(x < F32(0.f), e, F32(1.f)) / s;
  return fma(-q, lost, q);  // with what rounding took from s
}

#if !defined(TF_SIMD_AVX512)

// 1 - erf(t) for t >= 0 by -log(1 - erf(t)) / t; 0 from 4 on, where erf is 1.
TF_INLINE F32 erf_tail(F32 t) {
  constexpr float c[] = {1.128597f,     0.6354218f,      0.10564714f,   -0.02306932f,
                         0.0031686823f, -0.00013407982f, -2.932323e-05f, 3.6276997e-06f};
  const F32 u = min(F32(4.f), t);  // NaN stays
  return select(t > F32(4.f), F32(0.f), exp(-u * polynomial(u, c)));
}
// erf(t) for |t| < 1: (erf(t) - t) / t in t².
TF_INLINE F32 erf_near_zero(F32 t) {
  constexpr float c[] = {0.12837917f,   -0.37612626f,    0.112836f,   -0.026854442f,
                         0.0051895324f, -0.00080208166f, 7.889038e-05f};
  return fma(polynomial(t * t, c), t, t);
}

template <class T>
TF_INLINE Vec<T> erf(Vec<T> x) {
  const Vec<T> t = abs(x), one(T(1));
  return with_sign_of(select(t < one, erf_near_zero(t), one - erf_tail(t)), x);
}

// 1 - Φ(t) of the normal distribution, t >= 0.
template <class T>
TF_INLINE Vec<T> normal_tail(Vec<T> t) {
  const Vec<T> u = t * Vec<T>(T(0.70710678118654752)), one(T(1));
  return Vec<T>(T(0.5)) * select(u < one, one - erf_near_zero(u), erf_tail(u));
}

// In float64, with polynomials for 1e-12 or so ---------------------------------------------------

struct RoughExp {
  F64 scale, p;  // exp(x) = scale * (1 + p)
};
TF_INLINE RoughExp rough_exp(F64 x) {
  constexpr double c[] = {0.4999999999960149,    0.1666666666658554,    0.041666666989652504,
                          0.008333333381843002,  0.0013888807547123715, 0.0001984117119918662,
                          2.48822764735496e-05, 2.7640600538149738e-06};
  x = max(F64(-700.0), min(F64(700.0), x));
  const F64 n = nearest(x * F64(1.4426950408889634));
  F64 r = fma(n, F64(-0.6931471803691238), x);
  r = fma(n, F64(-1.9082149292705877e-10), r);
  return {power_of_two(n), fma(polynomial(r, c), r * r, r)};
}

// Of a positive normal number or zero (-inf) or infinity.
TF_INLINE F64 rough_log(F64 x) {
  constexpr double c[] = {0.6666666666658667, 0.4000000005257552,  0.28571417076453326,
                          0.2222337570666629, 0.18123506797323471, 0.16821509408983873};
  const SplitFloat parts = split(x);
  const F64 f = parts.mantissa - F64(1.0), s = f / (F64(2.0) + f), z = s * s;
  const F64 y = fma(z * polynomial(z, c), s, s + s);
  const F64 r = fma(parts.exponent, F64(0.6931471805599453), y);
  return select(x == F64(0.0), F64(-kInfinity), select(x < F64(kInfinity), r, x));
}

TF_INLINE F32 log1p(F32 x) {
  const F32 r = in_double(x, [](F64 v) TF_ALWAYS_INLINE {
    // What u loses of 1 + v is added back, to first order.
    const F64 u = F64(1.0) + v;
    const F64 lost = (v - (u - F64(1.0))) / u;
    F64 y = rough_log(u);
    y = select(abs(y) < F64(kInfinity), y + lost, y);
    return select(u < F64(0.0), F64(__builtin_nan("")), y);
  });
  return select(x == F32(0.f), x, r);  // -0
}

#endif

}  // namespace
}  // namespace tf::cpu::TF_ISA
