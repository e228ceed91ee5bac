// Vector math: exp, log, tanh, … of a register. float32 is within 2 ulp of the true value for every
// argument, NaN, infinities and denormals included (tests/cpp/vmath_test.cpp); float64 is libm.
//
// The functions that activations live on (exp, log, tanh, sigmoid, erf) are computed in float32;
// the others in float64 at twice the width, whose results round to the nearest float almost always.
// Polynomials are minimax fits of the remainder that the comment beside each names.
// SPDX-License-Identifier: MIT
#pragma once

#include <math.h>

#include "backends/cpu/vmath_basic.h"

#if defined(TF_SIMD_AVX512)  // known from simd.h
#include "backends/cpu/vmath_tables.h"
#endif

namespace tf::cpu::TF_ISA {
namespace {

// Rounding -------------------------------------------------------------------------------------------

// The nearest integer, ties to even. From 2^23 (2^52) on every number is whole; below, adding that
// leaves no bits for a fraction.
template <class T>
TF_INLINE Vec<T> round(Vec<T> x) {
  const Vec<T> t = abs(x), limit(sizeof(T) == 4 ? T(8388608.0) : T(4503599627370496.0));
  return with_sign_of(select(t < limit, (t + limit) - limit, t), x);
}
template <class T>
TF_INLINE Vec<T> floor(Vec<T> x) {
  const Vec<T> n = round(x);
  return with_sign_of(select(n > x, n - Vec<T>(T(1)), n), x);
}
template <class T>
TF_INLINE Vec<T> ceil(Vec<T> x) {
  return -floor(-x);
}

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

// (tanh(t) - t) / t³ in t² for t < 0.625, else 1 - 2 / (exp(2t) + 1).
TF_INLINE F32 tanh(F32 x) {
  constexpr float c[] = {-0.33333284f, 0.13331491f, -0.053743426f, 0.020650376f, -0.0057168347f};
  const F32 t = abs(x), z = t * t;
  const F32 small = fma(z * polynomial(z, c), t, t);
  const F32 large = F32(1.f) - F32(2.f) / (exp(t + t) + F32(1.f));
  return with_sign_of(select(t < F32(0.625f), small, large), x);
}

#endif

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
  F32 r = fma(e, F32(0.693359375f), f + y);
  r = select(x < F32(kInfinityF), r, x);  // infinity and NaN are their own logarithms
  r = select(x < F32(0.f), F32(__builtin_nanf("")), r);
  return select(x == F32(0.f), F32(-kInfinityF), r);
}

TF_INLINE F32 sigmoid(F32 x) {
  const F32 e = exp_fine(-abs(x));  // at most 1: nothing overflows
  const F32 s = F32(1.f) + e, lost = e - (s - F32(1.f));
  const F32 q = select(x < F32(0.f), e, F32(1.f)) / s;
  return fma(-q, lost, q);  // with what rounding took from s
}

// (erf(t) - t) / t in t² for t < 1; -log(1 - erf(t)) / t from there to 4, where erf is 1.
TF_INLINE F32 erf(F32 x) {
  constexpr float c[] = {0.12837917f,   -0.37612626f,    0.112836f,   -0.026854442f,
                         0.0051895324f, -0.00080208166f, 7.889038e-05f};
  constexpr float d[] = {1.128597f,     0.6354218f,      0.10564714f,   -0.02306932f,
                         0.0031686823f, -0.00013407982f, -2.932323e-05f, 3.6276997e-06f};
  const F32 t = abs(x), z = t * t, u = min(F32(4.f), t);  // NaN stays
  const F32 small = fma(polynomial(z, c), t, t);
  const F32 large = F32(1.f) - exp(-u * polynomial(u, d));
  return with_sign_of(select(t < F32(1.f), small, large), x);
}

// float64, to 1e-12 or so: cores of float32 functions -------------------------------------------

// 1.5 * 2^52: the low bits of x + kShift are the integer nearest to x.
constexpr double kShift = 6755399441055744.0;

struct ExpParts {
  F64 scale, p;  // exp(x) = scale * (1 + p)
};
TF_INLINE ExpParts exp_parts(F64 x) {
  constexpr double c[] = {0.4999999999960149,    0.1666666666658554,    0.041666666989652504,
                          0.008333333381843002,  0.0013888807547123715, 0.0001984117119918662,
                          2.48822764735496e-05,  2.7640600538149738e-06};
  x = max(F64(-700.0), min(F64(700.0), x));
  const F64 shifted = x * F64(1.4426950408889634) + F64(kShift);
  const F64 n = shifted - F64(kShift);
  F64 r = fma(n, F64(-0.6931471803691238), x);
  r = fma(n, F64(-1.9082149292705877e-10), r);
  const F64 scale = bit_cast<double>((bit_cast<int64_t>(shifted) + I64(1023)) << 52);
  return {scale, fma(polynomial(r, c), r * r, r)};
}

// Of a positive normal number or zero (-inf) or infinity.
TF_INLINE F64 log_core(F64 x) {
  constexpr double c[] = {0.6666666666658667, 0.4000000005257552,  0.28571417076453326,
                          0.2222337570666629, 0.18123506797323471, 0.16821509408983873};
  constexpr int64_t kSqrtHalf = 0x3fe6a09e667f3bcd, kShiftBits = 0x4338000000000000;
  const I64 b = bit_cast<int64_t>(x);
  const I64 k = (b - I64(kSqrtHalf)) >> 52;
  const F64 f = bit_cast<double>(b - (k << 52)) - F64(1.0);
  const F64 s = f / (F64(2.0) + f), z = s * s;
  const F64 e = bit_cast<double>(k + I64(kShiftBits)) - F64(kShift);
  const F64 y = fma(z * polynomial(z, c), s, s + s);
  F64 r = fma(e, F64(0.6931471805599453), y);
  r = select(x < F64(kInfinity), r, x);
  return select(x == F64(0.0), F64(-kInfinity), r);
}

// sin(x + quadrant * pi/2) for |x| <= 2^25. pi/2 in three parts: the first two times n are exact.
TF_INLINE F64 sin_core(F64 x, int64_t quadrant) {
  constexpr double cs[] = {-0.16666666666631433, 0.008333333325243152, -0.0001984126380711697,
                           2.755535432965704e-06, -2.4761399769417145e-08};
  constexpr double cc[] = {0.041666666666601924, -0.0013888888878230575, 2.4801580952129755e-05,
                           -2.755556352988187e-07, 2.064750324965951e-09};
  const F64 shifted = x * F64(0.6366197723675814) + F64(kShift);
  const F64 n = shifted - F64(kShift);
  F64 r = fma(n, F64(-1.570796325802803), x);
  r = fma(n, F64(-9.920935739593517e-10), r);
  r = fma(n, F64(-5.721188726109832e-18), r);
  const I64 q = bit_cast<int64_t>(shifted) + I64(quadrant);
  const F64 z = r * r;
  const F64 s = fma(z * polynomial(z, cs), r, r);
  const F64 c = fma(z * z, polynomial(z, cc), fma(z, F64(-0.5), F64(1.0)));
  const F64 chosen = select((q & I64(1)) == I64(0), s, c);
  return bit_cast<double>(bit_cast<int64_t>(chosen) ^ ((q & I64(2)) << 62));
}

TF_INLINE F32 expm1(F32 x) {
  const F32 r = in_double(x, [](F64 v) TF_ALWAYS_INLINE {
    const ExpParts e = exp_parts(v);
    return fma(e.scale, e.p, e.scale - F64(1.0));
  });
  return select(x == F32(0.f), x, r);  // -0
}

TF_INLINE F32 log1p(F32 x) {
  const F32 r = in_double(x, [](F64 v) TF_ALWAYS_INLINE {
    // What u loses of 1 + v is added back, to first order.
    const F64 u = F64(1.0) + v;
    const F64 lost = (v - (u - F64(1.0))) / u;
    F64 y = log_core(u);
    y = select(abs(y) < F64(kInfinity), y + lost, y);
    return select(u < F64(0.0), F64(__builtin_nan("")), y);
  });
  return select(x == F32(0.f), x, r);  // -0
}

// Beyond 2^25, where the reduction above ends, lane by lane in libm.
constexpr float kMaxReduced = 33554432.f;

TF_INLINE F32 sin(F32 x) {
  F32 r = in_double(x, [](F64 v) TF_ALWAYS_INLINE { return sin_core(v, 0); });
  if (any(abs(x) > F32(kMaxReduced))) [[unlikely]]
    r = select(abs(x) > F32(kMaxReduced),
               per_lane(x, [](float v) { return float(::sin(double(v))); }), r);
  return select(x == F32(0.f), x, r);  // -0
}
TF_INLINE F32 cos(F32 x) {
  F32 r = in_double(x, [](F64 v) TF_ALWAYS_INLINE { return sin_core(v, 1); });
  if (any(abs(x) > F32(kMaxReduced))) [[unlikely]]
    r = select(abs(x) > F32(kMaxReduced),
               per_lane(x, [](float v) { return float(::cos(double(v))); }), r);
  return r;
}

// IEEE 754 pow: x^0 = 1^y = 1, even of NaN; NaN for negative x and y that is not whole.
TF_INLINE F32 pow(F32 x, F32 y) {
  const F32 r = in_double(x, y, [](F64 a, F64 b) TF_ALWAYS_INLINE {
    const ExpParts e = exp_parts(max(F64(-200.0), min(F64(200.0), b * log_core(abs(a)))));
    return fma(e.scale, e.p, e.scale);
  });
  const F32 t = abs(y), h = t * F32(0.5f);
  // Floats of 2^24 and more are even integers.
  const auto whole = round(t) == t;
  const auto odd = whole & (t < F32(16777216.f)) & (round(h) != h);
  F32 signed_r = bit_cast<float>(bit_cast<int32_t>(r) ^ (sign_bit(x) & odd));
  signed_r = select((x < F32(0.f)) & (x > F32(-kInfinityF)) & ~whole & (y == y),
                    F32(__builtin_nanf("")), signed_r);
  const auto one = (y == F32(0.f)) | (x == F32(1.f)) |
                   ((x == F32(-1.f)) & (t == F32(kInfinityF)));
  return select(one, F32(1.f), signed_r);
}

// float64 ----------------------------------------------------------------------------------------

TF_INLINE F64 exp(F64 x) { return per_lane(x, [](double v) { return ::exp(v); }); }
TF_INLINE F64 log(F64 x) { return per_lane(x, [](double v) { return ::log(v); }); }
TF_INLINE F64 tanh(F64 x) { return per_lane(x, [](double v) { return ::tanh(v); }); }
TF_INLINE F64 erf(F64 x) { return per_lane(x, [](double v) { return ::erf(v); }); }
TF_INLINE F64 sin(F64 x) { return per_lane(x, [](double v) { return ::sin(v); }); }
TF_INLINE F64 cos(F64 x) { return per_lane(x, [](double v) { return ::cos(v); }); }
TF_INLINE F64 expm1(F64 x) { return per_lane(x, [](double v) { return ::expm1(v); }); }
TF_INLINE F64 log1p(F64 x) { return per_lane(x, [](double v) { return ::log1p(v); }); }
TF_INLINE F64 sigmoid(F64 x) {
  const F64 e = exp(-abs(x));
  return select(x < F64(0.0), e, F64(1.0)) / (F64(1.0) + e);
}
TF_INLINE F64 pow(F64 x, F64 y) {
  F64 r;
  for (int i = 0; i < F64::kWidth; ++i) r.v[i] = ::pow(x.v[i], y.v[i]);
  return r;
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
