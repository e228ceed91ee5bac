// sin and cos within 2 ulp for every argument: x = n π + r with |r| <= π/2, then ± sin(r).
// cos takes halves for n.
//
// From far arguments on, π in as many parts as fit registers does not do: their remainders come
// from as many binary digits of 1/π as the exponent asks for (Payne and Hanek), in integers.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/vmath_basic.h"

namespace tf::cpu::TF_ISA {
namespace {

// x - n π = r + lo; odd: the lowest bit of n, or of n + 1/2, in the sign bit.
struct Remainder {
  F64 r, lo;
  I64 odd;
};

// Largest argument of the reductions in registers.
constexpr double kFarDouble = 1099511627776.0;  // 2^40
constexpr float kFarFloat = 131072.f;           // 2^17

// 1/π in units of 2^-64, 2^-128, …
constexpr uint64_t kInversePi[] = {
    0,                  0x517cc1b727220a94, 0xfe13abe8fa9a6ee0, 0x6db14acc9e21c820,
    0xff28b1d5ef5de2b0, 0xdb92371d2126e970, 0x0324977504e8c90e, 0x7f0ef58e5894d39f,
    0x74411afa975da242, 0x74ce38135a2fbf20, 0x9cc8eb1cc1a99cfa, 0x4e422fc5defc941d,
    0x8ffc4bffef02cc07, 0xf79788c5ad05368f, 0xb69b3f6793e584db, 0xa7a31fb34f2ff516,
    0xba93dd63f5f2f8bd, 0x9e839cfbc5294975, 0x35fdafd88fc6ae84, 0x2b0198237e3db5d5,
    0xf867de104d7a1b0e};

// The same of one finite x; cos, whose n are halves, is that of |x|.
template <bool kHalves>
static inline void far_remainder(double x, double* r, double* lo, int64_t* odd) {
  using Wide128 = unsigned __int128;
  constexpr uint64_t kQuarter = 0xc90fdaa22168c234, kQuarterLow = 0xc4c6628b80dc1cd1;  // π/4 in 2^-64
  int64_t bits;
  memcpy(&bits, &x, sizeof bits);
  const uint64_t m = (uint64_t(bits) & 0xfffffffffffff) | 0x10000000000000;
  // |x| / π mod 2 = m (2^e / π mod 2), e > -64: a window of 192 bits, the first of weight 1.
  const unsigned start = unsigned((bits >> 52) & 0x7ff) - 1075 + 63, shift = start % 64;
  const uint64_t* word = kInversePi + start / 64;
  const auto window = [&](int i) {
    return word[i] << shift | word[i + 1] >> 1 >> (63 - shift);
  };
  const Wide128 p0 = Wide128(m) * window(2), p1 = Wide128(m) * window(1) + uint64_t(p0 >> 64);
  Wide128 p = Wide128(m * window(0)) << 64;
  p += p1;
  if (kHalves) p -= Wide128(1) << 126;
  // The first bit is n's lowest before rounding, the others are a fraction: 1/2 and more round up.
  // It is never below 2^-65: of its 127 bits enough are left.
  const Wide128 twice = p << 1;
  // (Signs are as good as random: no branch may depend on them.)
  const uint64_t negative = uint64_t(twice >> 127);
  const uint64_t n = uint64_t(p >> 127) + negative;
  const Wide128 f = (twice ^ -Wide128(negative)) + negative;
  const uint64_t f_top = uint64_t(f >> 64), f_low = uint64_t(f);
  Wide128 y = Wide128(f_top) * kQuarter + (Wide128(f_top) * kQuarterLow >> 64) +
              (Wide128(f_low) * kQuarter >> 64);  // r/4 in 2^-128
  const uint64_t y_top = uint64_t(y >> 64);
  const int zeros = y_top ? __builtin_clzll(y_top) : 64 + __builtin_clzll(uint64_t(y) | 1);
  y <<= zeros;
  const uint64_t sign = negative ^ (kHalves ? 0 : uint64_t(bits) >> 63);
  const uint64_t power = sign << 63 | uint64_t(1023 - zeros) << 52;
  double scale;
  memcpy(&scale, &power, sizeof scale);
  const double top = double(int64_t(uint64_t(y >> 75))) * 0x1p-51;
  const double rest = double(int64_t(uint64_t(y >> 22) & 0x1fffffffffffff)) * 0x1p-104;
  const double sum = top + rest;
  *r = sum * scale;
  *lo = ((top - sum) + rest) * scale;
  *odd = int64_t((n + kHalves) << 63);
}

// Lanes of x beyond kFarDouble in `near`, which has NaN where x is not finite.
template <bool kHalves>
static __attribute__((noinline)) void far_remainders(const double* x, Remainder* near) {
  constexpr int w = F64::kWidth;
  double r[w], lo[w];
  int64_t odd[w];
  store(r, near->r);
  store(lo, near->lo);
  store(odd, near->odd);
  for (int i = 0; i < w; ++i)
    if (__builtin_fabs(x[i]) > kFarDouble && !__builtin_isinf(x[i]))
      far_remainder<kHalves>(x[i], r + i, lo + i, odd + i);
  *near = {load(r), load(lo), load(odd)};
}

// The integer nearest to x / π, or to x / π - 1/2, plus 1/2; odd as above.
struct Multiple {
  F64 n;
  I64 odd;
};
template <bool kHalves>
TF_INLINE Multiple multiple_of_pi(F64 x) {
  const F64 half(kHalves ? 0.5 : 0.0);
  const F64 shifted = fma(x, F64(0.3183098861837907), -half) + F64(kShift);
  return {(shifted - F64(kShift)) + half, (bit_cast<int64_t>(shifted) + I64(kHalves)) << 63};
}

template <bool kHalves>
TF_INLINE Remainder remainder_of_pi(F64 x) {
  const Multiple m = multiple_of_pi<kHalves>(x);
  const F64 t = minus_product(x, m.n, F64(3.141592653589793));  // exact
  const Sum<double> u = two_product(m.n, F64(1.2246467991473532e-16));
  const Sum<double> r = two_sum(t, -u.hi);
  Remainder result{r.hi, (r.lo - u.lo) - m.n * F64(-2.9947698097183397e-33), m.odd};
  if (!all(abs(x) <= F64(kFarDouble))) [[unlikely]] {
    double lanes[F64::kWidth];
    store(lanes, x);
    far_remainders<kHalves>(lanes, &result);
  }
  return result;
}

// cos(r) in front of lo, by a straight line in r².
template <class T>
TF_INLINE Vec<T> times_cos(Vec<T> lo, Vec<T> square) {
  return fma(lo * square, Vec<T>(T(-0.405)), lo);
}

// (sin(r) - r) / r³ in r². Half of r, which is exact,
// is added last: so what rounding takes from the other half and the cube is a fraction of a place.
TF_INLINE F64 sin_of_remainder(Remainder x) {
  constexpr double c[] = {-0.16666666666666666,   0.008333333333333174,   -0.00019841269841201417,
                          2.7557319209776356e-06, -2.505210674622526e-08, 1.6058933254115886e-10,
                          -7.642821499300142e-13, 2.7193652507133526e-15};
  const F64 z = x.r * x.r;
  F64 lo = times_cos(x.lo, z);
  // What the square has lost counts where products lose digits too.
  if constexpr (!kFused) lo = lo - F64(0.13) * x.r * two_product(x.r, x.r).lo;
  const F64 half(0.5), s = fma(half, x.r, fma(fma(polynomial(z, c), z, half), x.r, lo));
  return bit_cast<double>(bit_cast<int64_t>(s) ^ x.odd);
}

TF_INLINE F64 sin(F64 x) {
  const F64 s = sin_of_remainder(remainder_of_pi<false>(x));
  return select(x == F64(0.0), x, s);  // -0
}
TF_INLINE F64 cos(F64 x) { return sin_of_remainder(remainder_of_pi<true>(x)); }

// float32, |x| <= kFarFloat.
template <bool kHalves>
TF_INLINE F32 near_sin(F32 x) {
  constexpr float c[] = {-0.16666658f, 0.00833303f, -0.0001980685f, 2.5995196e-06f};
  constexpr float kShiftF = 12582912.f;  // 1.5 * 2^23
  const F32 half(0.5f), offset(kHalves ? 0.5f : 0.f);
  const F32 shifted = fma(x, F32(0.318309886f), -offset) + F32(kShiftF);
  const F32 n = (shifted - F32(kShiftF)) + offset;
  const F32 t = fma(-n, F32(3.1415927f), x);  // exact
  const F32 u = rounded(n * F32(8.742278e-8f)), u_lo = fma(n, F32(8.742278e-8f), -u);
  const Sum<float> r = fast_two_sum(t, u);
  const F32 z = r.hi * r.hi;
  const F32 lo = times_cos(r.lo + fma(n, F32(3.430249e-15f), u_lo), z);
  const F32 s = fma(half, r.hi, fma(fma(polynomial(z, c), z, half), r.hi, lo));
  const I32 odd = (bit_cast<int32_t>(shifted) + I32(kHalves)) << 31;
  return bit_cast<float>(bit_cast<int32_t>(s) ^ odd);
}

template <bool kHalves>
TF_INLINE F32 sin_in_double(F32 x) {
  return in_double(x, [](F64 v) TF_ALWAYS_INLINE {
    return sin_of_remainder(remainder_of_pi<kHalves>(v));
  });
}
// Lanes of x beyond kFarFloat, or NaN, in `result`.
template <bool kHalves>
static __attribute__((noinline)) void far_sin(const float* x, float* result) {
  const F32 v = load(x);
  store(result, select(abs(v) <= F32(kFarFloat), load(result), sin_in_double<kHalves>(v)));
}

template <bool kHalves>
TF_INLINE F32 sin_or_cos(F32 x) {
  if constexpr (!kFused) return sin_in_double<kHalves>(x);
  const F32 s = near_sin<kHalves>(x);
  if (all(abs(x) <= F32(kFarFloat))) [[likely]] return s;
  float lanes[F32::kWidth], result[F32::kWidth];
  store(lanes, x);
  store(result, s);
  far_sin<kHalves>(lanes, result);
  return load(result);
}
TF_INLINE F32 sin(F32 x) { return select(x == F32(0.f), x, sin_or_cos<false>(x)); }  // -0
TF_INLINE F32 cos(F32 x) { return sin_or_cos<true>(x); }

}  // namespace
}  // namespace tf::cpu::TF_ISA
