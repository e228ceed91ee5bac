// What vector math is put together from: polynomials, signs, lanes at twice the width.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/simd.h"

namespace tf::cpu::TF_ISA {
namespace {

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

// One call of a scalar function per lane.
template <class T, class F>
TF_INLINE Vec<T> per_lane(Vec<T> x, F f) {
  Vec<T> r;
  for (int i = 0; i < Vec<T>::kWidth; ++i) r.v[i] = f(x.v[i]);
  return r;
}

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

}  // namespace
}  // namespace tf::cpu::TF_ISA
