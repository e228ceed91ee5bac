// What vector math is put together from: polynomials, signs, sums and products whose rounding is not
// lost, lanes at twice the width.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/simd.h"

namespace tf::cpu::TF_ISA {
namespace {

// Whether fma rounds once (simd.h).
#if defined(TF_SIMD_AVX512) || defined(TF_SIMD_AVX2) || \
    (defined(__FP_FAST_FMA) && defined(__FP_FAST_FMAF))
constexpr bool kFused = true;
#else
constexpr bool kFused = false;
#endif

// c[0] + c[1] x + … by Horner's rule.
template <class T, int N>
TF_INLINE Vec<T> polynomial(Vec<T> x, const T (&c)[N]) {
  Vec<T> r(c[N - 1]);
  unroll<N - 1>([&](auto i) TF_ALWAYS_INLINE { r = fma(r, x, Vec<T>(c[N - 2 - i])); });
  return r;
}

template <class T>
TF_INLINE Vec<IntOf<T>> sign_bit(Vec<T> x) {
  return bit_cast<IntOf<T>>(x) & Vec<IntOf<T>>(sizeof(T) == 4 ? IntOf<T>(INT32_MIN)
                                                              : IntOf<T>(INT64_MIN));
}
// |magnitude| with the sign bit of x.
template <class T>
TF_INLINE Vec<T> with_sign_of(Vec<T> magnitude, Vec<T> x) {
  return bit_cast<T>(bit_cast<IntOf<T>>(abs(magnitude)) | sign_bit(x));
}

// The number hi + lo, lo below the last place of hi.
template <class T>
struct Sum {
  Vec<T> hi, lo;
};

// a, rounded before anything is added to it: the compiler may fuse other products with their sums.
template <class T>
TF_INLINE Vec<T> rounded(Vec<T> a) {
#if defined(TF_SIMD_AVX512)
  asm("" : "+v"(a.v));
#elif defined(TF_SIMD_AVX2)
  asm("" : "+x"(a.v));
#elif defined(__aarch64__)
  asm("" : "+w"(a.v));
#endif
  return a;
}

// a + b without loss; the short form wants |a| >= |b| or a = 0.
template <class T>
TF_INLINE Sum<T> two_sum(Vec<T> a, Vec<T> b) {
  const Vec<T> s = a + b, of_b = s - a;
  return {s, (a - (s - of_b)) + (b - of_b)};
}
template <class T>
TF_INLINE Sum<T> fast_two_sum(Vec<T> a, Vec<T> b) {
  const Vec<T> s = a + b;
  return {s, (a - s) + b};
}

// a b without loss. Where nothing fuses, by halves (Veltkamp's), which may not overflow.
TF_INLINE Sum<double> two_product(F64 a, F64 b) {
  const F64 p = rounded(a * b);
  if constexpr (kFused) return {p, fma(a, b, -p)};
  const F64 half(134217729.0);  // 2^27 + 1
  const F64 a_top = a * half - (a * half - a), b_top = b * half - (b * half - b);
  const F64 a_low = a - a_top, b_low = b - b_top;
  return {p, ((a_top * b_top - p) + a_top * b_low + a_low * b_top) + a_low * b_low};
}

// c - a b, rounded once: for a b so close to c that nothing is left of it when it is rounded first.
TF_INLINE F64 minus_product(F64 c, F64 a, F64 b) {
  if constexpr (kFused) return fma(-a, b, c);
  const Sum<double> p = two_product(a, b);
  return (c - p.hi) - p.lo;
}

#if defined(TF_SIMD_AVX512) || defined(TF_SIMD_AVX2)

template <int kMode, class T>
TF_INLINE Vec<T> round_by(Vec<T> x) {
  using Raw = typename Vec<T>::Raw;
#if defined(TF_SIMD_AVX512)
  if constexpr (sizeof(T) == 4) return Vec<T>((Raw)_mm512_maskz_roundscale_ps(-1, x.v, kMode));
  if constexpr (sizeof(T) == 8) return Vec<T>((Raw)_mm512_maskz_roundscale_pd(-1, x.v, kMode));
#else
  if constexpr (sizeof(T) == 4) return Vec<T>((Raw)_mm256_round_ps(x.v, kMode));
  if constexpr (sizeof(T) == 8) return Vec<T>((Raw)_mm256_round_pd(x.v, kMode));
#endif
}
// The nearest integer, ties to even.
template <class T>
TF_INLINE Vec<T> round(Vec<T> x) {
  return round_by<_MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC>(x);
}
template <class T>
TF_INLINE Vec<T> floor(Vec<T> x) {
  return round_by<_MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC>(x);
}
template <class T>
TF_INLINE Vec<T> ceil(Vec<T> x) {
  return round_by<_MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC>(x);
}

#else

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

#endif

// Two registers of doubles hold one of floats.
struct Wide {
  F64 lo, hi;
};
template <size_t... I>
TF_INLINE Wide widen(F32 x, std::index_sequence<I...>) {
  constexpr int n = int(sizeof...(I));
  return {F64(__builtin_convertvector(__builtin_shufflevector(x.v, x.v, int(I)...), F64::Raw)),
          F64(__builtin_convertvector(__builtin_shufflevector(x.v, x.v, int(I) + n...), F64::Raw))};
}
#if defined(TF_SIMD_NEON)
// GCC 12 converts lane by lane, unless it is told.
TF_INLINE Wide widen(F32 x) {
  return {F64(F64::Raw(vcvt_f64_f32(vget_low_f32(x.v)))), F64(F64::Raw(vcvt_high_f64_f32(x.v)))};
}
TF_INLINE F32 narrow(Wide w) {
  return F32(F32::Raw(vcvt_high_f32_f64(vcvt_f32_f64(w.lo.v), w.hi.v)));
}
#else
TF_INLINE Wide widen(F32 x) { return widen(x, std::make_index_sequence<size_t(F64::kWidth)>{}); }
template <size_t... I>
TF_INLINE F32 narrow(Wide w, std::index_sequence<I...>) {
  typedef float Half __attribute__((vector_size(kVectorBytes / 2)));
  const Half lo = __builtin_convertvector(w.lo.v, Half), hi = __builtin_convertvector(w.hi.v, Half);
  return F32(__builtin_shufflevector(lo, hi, int(I)...));
}
TF_INLINE F32 narrow(Wide w) { return narrow(w, std::make_index_sequence<size_t(F32::kWidth)>{}); }
#endif
template <class F>
TF_INLINE F32 in_double(F32 x, F f) {
  const Wide w = widen(x);
  return narrow({f(w.lo), f(w.hi)});
}
template <class F>
TF_INLINE F32 in_double(F32 x, F32 y, F f) {
  const Wide a = widen(x), b = widen(y);
  return narrow({f(a.lo, b.lo), f(a.hi, b.hi)});
}

constexpr float kInfinityF = __builtin_inff();
constexpr double kInfinity = __builtin_inf();
constexpr double kLeastNormal = 2.2250738585072014e-308;

// 1.5 * 2^52: the low bits of x + kShift are the integer nearest to x.
constexpr double kShift = 6755399441055744.0;
constexpr int64_t kShiftBits = 0x4338000000000000;

// 2^n for a whole n from -1022 to 1023.
TF_INLINE F64 power_of_two(F64 n) {
  return bit_cast<double>((bit_cast<int64_t>(n + F64(kShift)) + I64(1023)) << 52);
}

// x = mantissa * 2^exponent, sqrt(1/2) <= mantissa < sqrt(2); x positive and normal.
struct SplitFloat {
  F64 mantissa, exponent;
};
TF_INLINE SplitFloat split(F64 x) {
  constexpr int64_t kSqrtHalf = 0x3fe6a09e667f3bcd;
  const I64 b = bit_cast<int64_t>(x), k = (b - I64(kSqrtHalf)) >> 52;
  return {bit_cast<double>(b - (k << 52)), bit_cast<double>(k + I64(kShiftBits)) - F64(kShift)};
}

// The logarithm r of a positive number, with those of 0, infinity, NaN and what is below 0.
template <class T>
TF_INLINE Vec<T> with_limits_of_log(Vec<T> r, Vec<T> x) {
  constexpr T infinity = T(kInfinity);
  r = select(x < Vec<T>(infinity), r, x);
  r = select(x < Vec<T>(T(0)), Vec<T>(T(__builtin_nan(""))), r);
  return select(x == Vec<T>(T(0)), Vec<T>(-infinity), r);
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
