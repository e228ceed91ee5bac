// The vector layer of kernel files: one register of T with arithmetic, partial loads and stores,
// comparisons and the bit tricks vector math needs. Width and instructions follow the flags the
// file is compiled with (AVX-512, AVX2, NEON, or 16 bytes anywhere).
//
// Lanes never influence each other except in sum/max/min, so a tail done with load_n and store_n
// has the bits of the same elements in a full register.
// SPDX-License-Identifier: MIT
#pragma once

#include <stdint.h>
#include <string.h>

#include <type_traits>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#ifndef TF_ISA
#error "kernel files are compiled with -DTF_ISA=generic|avx2|avx512|neon (src/backends/cpu)"
#endif

// Vector code must not turn into calls: a register does not survive one.
#define TF_ALWAYS_INLINE __attribute__((always_inline))
#define TF_INLINE inline TF_ALWAYS_INLINE

#if defined(__AVX512F__) && defined(__AVX512VL__) && defined(__AVX512DQ__) && defined(__AVX512BW__)
#define TF_SIMD_AVX512 1
#elif defined(__AVX2__) && defined(__FMA__)
#define TF_SIMD_AVX2 1
#elif defined(__SSE2__)
#define TF_SIMD_SSE2 1
#elif defined(__aarch64__)
#define TF_SIMD_NEON 1
#endif

namespace tf::cpu::TF_ISA {
namespace {

#if defined(TF_SIMD_AVX512)
constexpr int kVectorBytes = 64;
constexpr int kRegisters = 32;
#elif defined(TF_SIMD_AVX2)
constexpr int kVectorBytes = 32;
constexpr int kRegisters = 16;
#elif defined(TF_SIMD_NEON)
constexpr int kVectorBytes = 16;
constexpr int kRegisters = 32;
#else
constexpr int kVectorBytes = 16;
constexpr int kRegisters = 16;
#endif

// A multiply-add takes one lane of a register for all lanes as it takes any operand.
#if defined(TF_SIMD_NEON)
constexpr bool kMultipliesByLane = true;
#else
constexpr bool kMultipliesByLane = false;
#endif

// The signed integer of T's size: lanes of masks and of bit patterns.
template <class T>
using IntOf = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;

// The compiler's own vector of T.
template <class T>
struct RawOf;
template <>
struct RawOf<float> {
  typedef float type __attribute__((vector_size(kVectorBytes)));
};
template <>
struct RawOf<double> {
  typedef double type __attribute__((vector_size(kVectorBytes)));
};
template <>
struct RawOf<int32_t> {
  typedef int32_t type __attribute__((vector_size(kVectorBytes)));
};
template <>
struct RawOf<int64_t> {
  typedef int64_t type __attribute__((vector_size(kVectorBytes)));
};

// Masked intrinsics with mask -1 stand for the plain ones, in which GCC 12 warns of a value
// used uninitialised; the code is the same.

// T: float, double, int32_t, int64_t. A scalar becomes a register of it by itself.
template <class T>
struct Vec {
  using Raw = typename RawOf<T>::type;
  using Mask = Vec<IntOf<T>>;  // all bits of a lane set (true) or none
  static constexpr int kWidth = kVectorBytes / int(sizeof(T));

  Raw v;

  Vec() = default;
  TF_INLINE Vec(Raw raw) : v(raw) {}
  TF_INLINE Vec(T scalar) : v(scalar - Raw{}) {}

  TF_INLINE T operator[](int lane) const { return v[lane]; }

  friend TF_INLINE Vec operator+(Vec a, Vec b) { return Vec(a.v + b.v); }
  friend TF_INLINE Vec operator-(Vec a, Vec b) { return Vec(a.v - b.v); }
  friend TF_INLINE Vec operator*(Vec a, Vec b) { return Vec(a.v * b.v); }
  friend TF_INLINE Vec operator/(Vec a, Vec b) { return Vec(a.v / b.v); }
  friend TF_INLINE Vec operator-(Vec a) { return Vec(-a.v); }
  TF_INLINE Vec& operator+=(Vec b) { return *this = *this + b; }
  TF_INLINE Vec& operator-=(Vec b) { return *this = *this - b; }
  TF_INLINE Vec& operator*=(Vec b) { return *this = *this * b; }

  // Integers (and masks) only. >> keeps the sign.
  friend TF_INLINE Vec operator&(Vec a, Vec b) { return Vec(a.v & b.v); }
  friend TF_INLINE Vec operator|(Vec a, Vec b) { return Vec(a.v | b.v); }
  friend TF_INLINE Vec operator^(Vec a, Vec b) { return Vec(a.v ^ b.v); }
  friend TF_INLINE Vec operator~(Vec a) { return Vec(~a.v); }
  friend TF_INLINE Vec operator<<(Vec a, int n) { return Vec(a.v << n); }
  friend TF_INLINE Vec operator>>(Vec a, int n) { return Vec(a.v >> n); }

  friend TF_INLINE Mask operator<(Vec a, Vec b) { return mask(a.v < b.v); }
  friend TF_INLINE Mask operator<=(Vec a, Vec b) { return mask(a.v <= b.v); }
  friend TF_INLINE Mask operator>(Vec a, Vec b) { return mask(a.v > b.v); }
  friend TF_INLINE Mask operator>=(Vec a, Vec b) { return mask(a.v >= b.v); }
  friend TF_INLINE Mask operator==(Vec a, Vec b) { return mask(a.v == b.v); }
  friend TF_INLINE Mask operator!=(Vec a, Vec b) { return mask(a.v != b.v); }

  // Lane by lane: a where m is true, b elsewhere.
  friend TF_INLINE Vec select(Mask m, Vec a, Vec b) { return Vec(m.v ? a.v : b.v); }

  // a * b + c: rounded once where the processor fuses it, twice elsewhere (16-byte x86).
  friend TF_INLINE Vec fma(Vec a, Vec b, Vec c) {
#if defined(TF_SIMD_AVX512)
    if constexpr (std::is_same_v<T, float>) return Vec(Raw(_mm512_fmadd_ps(a.v, b.v, c.v)));
    if constexpr (std::is_same_v<T, double>) return Vec(Raw(_mm512_fmadd_pd(a.v, b.v, c.v)));
#elif defined(TF_SIMD_AVX2)
    if constexpr (std::is_same_v<T, float>) return Vec(Raw(_mm256_fmadd_ps(a.v, b.v, c.v)));
    if constexpr (std::is_same_v<T, double>) return Vec(Raw(_mm256_fmadd_pd(a.v, b.v, c.v)));
#elif defined(TF_SIMD_NEON)
    if constexpr (std::is_same_v<T, float>) return Vec(Raw(vfmaq_f32(c.v, a.v, b.v)));
    if constexpr (std::is_same_v<T, double>) return Vec(Raw(vfmaq_f64(c.v, a.v, b.v)));
#endif
    return Vec(a.v * b.v + c.v);
  }

  // As the x86 instructions: the second operand where either is NaN, or both are zeros. NEON's own
  // minimum is NaN then, and -0 below 0: there it takes a comparison and a selection.
  friend TF_INLINE Vec min(Vec a, Vec b) {
#if defined(TF_SIMD_AVX512)
    if constexpr (std::is_same_v<T, float>) return Vec(Raw(_mm512_maskz_min_ps(-1, a.v, b.v)));
    if constexpr (std::is_same_v<T, double>) return Vec(Raw(_mm512_maskz_min_pd(-1, a.v, b.v)));
#elif defined(TF_SIMD_AVX2)
    if constexpr (std::is_same_v<T, float>) return Vec(Raw(_mm256_min_ps(a.v, b.v)));
    if constexpr (std::is_same_v<T, double>) return Vec(Raw(_mm256_min_pd(a.v, b.v)));
#endif
    return select(a < b, a, b);
  }
  friend TF_INLINE Vec max(Vec a, Vec b) {
#if defined(TF_SIMD_AVX512)
    if constexpr (std::is_same_v<T, float>) return Vec(Raw(_mm512_maskz_max_ps(-1, a.v, b.v)));
    if constexpr (std::is_same_v<T, double>) return Vec(Raw(_mm512_maskz_max_pd(-1, a.v, b.v)));
#elif defined(TF_SIMD_AVX2)
    if constexpr (std::is_same_v<T, float>) return Vec(Raw(_mm256_max_ps(a.v, b.v)));
    if constexpr (std::is_same_v<T, double>) return Vec(Raw(_mm256_max_pd(a.v, b.v)));
#endif
    return select(a > b, a, b);
  }

 private:
  template <class R>
  static TF_INLINE Mask mask(R r) {
    return Mask((typename Mask::Raw)r);
  }
};

using F32 = Vec<float>;
using F64 = Vec<double>;
using I32 = Vec<int32_t>;
using I64 = Vec<int64_t>;

// A number known to the compiler, as std::integral_constant but local to the file.
template <int kValue>
struct Index {
  TF_ALWAYS_INLINE constexpr operator int() const { return kValue; }
};

// Calls f(0), f(1), … f(N - 1) with compile-time indices. Arrays of registers indexed by them
// stay in registers; in a loop, even one the compiler unrolls, they are spilled.
template <size_t... I, class F>
TF_INLINE void unroll_indices(std::index_sequence<I...>, F&& f) {
  (f(Index<int(I)>{}), ...);
}
template <int N, class F>
TF_INLINE void unroll(F&& f) {
  unroll_indices(std::make_index_sequence<size_t(N)>{}, f);
}

// Memory -----------------------------------------------------------------------------------

template <class T>
TF_INLINE Vec<T> load(const T* p) {
#if defined(TF_SIMD_NEON)
  // GCC takes a copy of 16 bytes through general registers where single lanes are used.
  typedef T Unaligned __attribute__((vector_size(kVectorBytes), aligned(alignof(T)), may_alias));
  return Vec<T>((typename Vec<T>::Raw) * reinterpret_cast<const Unaligned*>(p));
#else
  Vec<T> r;
  memcpy(&r.v, p, sizeof r.v);
  return r;
#endif
}
template <class T>
TF_INLINE void store(T* p, Vec<T> a) {
  memcpy(p, &a.v, sizeof a.v);
}

// 0, 1, 2, …
template <class T>
TF_INLINE Vec<T> iota() {
  Vec<T> r;
  for (int i = 0; i < Vec<T>::kWidth; ++i) r.v[i] = T(i);
  return r;
}

// The first n elements (0 <= n <= kWidth), zeros in the other lanes; memory past them is not
// touched.
template <class T>
TF_INLINE Vec<T> load_n(const T* p, int64_t n) {
  using Raw = typename Vec<T>::Raw;
#if defined(TF_SIMD_AVX512)
  if constexpr (sizeof(T) == 4) {
    return Vec<T>((Raw)_mm512_maskz_loadu_epi32(__mmask16((1u << n) - 1), p));
  } else {
    return Vec<T>((Raw)_mm512_maskz_loadu_epi64(__mmask8((1u << n) - 1), p));
  }
#elif defined(TF_SIMD_AVX2)
  const auto m = iota<IntOf<T>>() < Vec<IntOf<T>>(IntOf<T>(n));
  if constexpr (sizeof(T) == 4) {
    return Vec<T>((Raw)_mm256_maskload_epi32((const int*)p, (__m256i)m.v));
  } else {
    return Vec<T>((Raw)_mm256_maskload_epi64((const long long*)p, (__m256i)m.v));
  }
#else
  static_assert(kVectorBytes == 16);
  if (n >= Vec<T>::kWidth) return load(p);
  Raw r{};
  if constexpr (sizeof(T) == 4) {
    if (n >= 2) memcpy(&r, p, 8);
    if (n == 1) r[0] = p[0];
    if (n == 3) r[2] = p[2];
  } else {
    if (n == 1) r[0] = p[0];
  }
  return Vec<T>(r);
#endif
}
template <class T>
TF_INLINE void store_n(T* p, Vec<T> a, int64_t n) {
#if defined(TF_SIMD_AVX512)
  if constexpr (sizeof(T) == 4) {
    _mm512_mask_storeu_epi32(p, __mmask16((1u << n) - 1), (__m512i)a.v);
  } else {
    _mm512_mask_storeu_epi64(p, __mmask8((1u << n) - 1), (__m512i)a.v);
  }
#elif defined(TF_SIMD_AVX2)
  const auto m = iota<IntOf<T>>() < Vec<IntOf<T>>(IntOf<T>(n));
  if constexpr (sizeof(T) == 4) {
    _mm256_maskstore_epi32((int*)p, (__m256i)m.v, (__m256i)a.v);
  } else {
    _mm256_maskstore_epi64((long long*)p, (__m256i)m.v, (__m256i)a.v);
  }
#else
  if (n >= Vec<T>::kWidth) return store(p, a);
  if constexpr (sizeof(T) == 4) {
    if (n >= 2) memcpy(p, &a.v, 8);
    if (n == 1) p[0] = a.v[0];
    if (n == 3) p[2] = a.v[2];
  } else {
    if (n == 1) p[0] = a.v[0];
  }
#endif
}

// Bits and conversions ---------------------------------------------------------------------

// The same bits as lanes of another type.
template <class To, class From>
TF_INLINE Vec<To> bit_cast(Vec<From> a) {
  return Vec<To>((typename Vec<To>::Raw)a.v);
}

// Lane by lane as a C cast (towards zero); both types of one size.
template <class To, class From>
TF_INLINE Vec<To> convert(Vec<From> a) {
  static_assert(sizeof(To) == sizeof(From));
  return Vec<To>(__builtin_convertvector(a.v, typename Vec<To>::Raw));
}

template <class T>
TF_INLINE Vec<T> abs(Vec<T> a) {
  if constexpr (std::is_floating_point_v<T>) {
    constexpr auto kAllButSign = IntOf<T>(sizeof(T) == 4 ? INT32_MAX : INT64_MAX);
    return bit_cast<T>(bit_cast<IntOf<T>>(a) & Vec<IntOf<T>>(kAllButSign));
  } else {
    return select(a < Vec<T>(T(0)), -a, a);
  }
}

// The nearest integer, ties to even, for |a| < 2^22 (float) or 2^51 (double).
template <class T>
TF_INLINE Vec<T> nearest(Vec<T> a) {
  using Raw = typename Vec<T>::Raw;
#if defined(TF_SIMD_AVX512)
  if constexpr (sizeof(T) == 4) return Vec<T>((Raw)_mm512_maskz_roundscale_ps(-1, a.v, 8));
  if constexpr (sizeof(T) == 8) return Vec<T>((Raw)_mm512_maskz_roundscale_pd(-1, a.v, 8));
#elif defined(TF_SIMD_AVX2)
  if constexpr (sizeof(T) == 4) return Vec<T>((Raw)_mm256_round_ps(a.v, 8));
  if constexpr (sizeof(T) == 8) return Vec<T>((Raw)_mm256_round_pd(a.v, 8));
#elif defined(TF_SIMD_NEON)
  if constexpr (sizeof(T) == 4) return Vec<T>((Raw)vrndnq_f32(a.v));
  if constexpr (sizeof(T) == 8) return Vec<T>((Raw)vrndnq_f64(a.v));
#endif
  // Adding 1.5 * 2^23 (2^52) leaves no bits for a fraction.
  constexpr T kShift = sizeof(T) == 4 ? T(12582912.0) : T(6755399441055744.0);
  Raw shifted = a.v + Vec<T>(kShift).v;
  return Vec<T>(Raw(shifted - Vec<T>(kShift).v));
}

template <class T>
TF_INLINE Vec<T> sqrt(Vec<T> a) {
  using Raw = typename Vec<T>::Raw;
#if defined(TF_SIMD_AVX512)
  if constexpr (sizeof(T) == 4) return Vec<T>((Raw)_mm512_maskz_sqrt_ps(-1, a.v));
  if constexpr (sizeof(T) == 8) return Vec<T>((Raw)_mm512_maskz_sqrt_pd(-1, a.v));
#elif defined(TF_SIMD_AVX2)
  if constexpr (sizeof(T) == 4) return Vec<T>((Raw)_mm256_sqrt_ps(a.v));
  if constexpr (sizeof(T) == 8) return Vec<T>((Raw)_mm256_sqrt_pd(a.v));
#elif defined(TF_SIMD_SSE2)
  if constexpr (sizeof(T) == 4) return Vec<T>((Raw)_mm_sqrt_ps(a.v));
  if constexpr (sizeof(T) == 8) return Vec<T>((Raw)_mm_sqrt_pd(a.v));
#elif defined(TF_SIMD_NEON)
  if constexpr (sizeof(T) == 4) return Vec<T>((Raw)vsqrtq_f32(a.v));
  if constexpr (sizeof(T) == 8) return Vec<T>((Raw)vsqrtq_f64(a.v));
#endif
  Raw r;
  for (int i = 0; i < Vec<T>::kWidth; ++i) r[i] = T(__builtin_sqrt(a.v[i]));
  return Vec<T>(r);
}

// Over lanes -------------------------------------------------------------------------------

// Lane i takes lane (i + kShift) mod width.
template <int kShift, class T, size_t... I>
TF_INLINE Vec<T> rotate_lanes(Vec<T> a, std::index_sequence<I...>) {
  return Vec<T>(__builtin_shufflevector(a.v, a.v, int((I + kShift) % sizeof...(I))...));
}

// op over all lanes, halves upon halves: lane i with lane i + width/2, then width/4, … One order
// per width, so one result. fold(a, [](auto x, auto y) { return max(x, y); })
template <int kHalf = 0, class T, class Op>
TF_INLINE T fold(Vec<T> a, Op op) {
  constexpr int kShift = kHalf ? kHalf : Vec<T>::kWidth / 2;
  a = op(a, rotate_lanes<kShift>(a, std::make_index_sequence<size_t(Vec<T>::kWidth)>{}));
  if constexpr (kShift > 1) {
    return fold<kShift / 2>(a, op);
  } else {
    return a[0];
  }
}
template <class T>
TF_INLINE T sum(Vec<T> a) {
  return fold(a, [](Vec<T> x, Vec<T> y) TF_ALWAYS_INLINE { return x + y; });
}

// Whether any / every lane of a mask is true.
template <class I>
TF_INLINE bool any(Vec<I> m) {
#if defined(TF_SIMD_AVX512)
  return _mm512_test_epi64_mask((__m512i)m.v, (__m512i)m.v) != 0;
#elif defined(TF_SIMD_AVX2)
  return !_mm256_testz_si256((__m256i)m.v, (__m256i)m.v);
#elif defined(TF_SIMD_NEON)
  return vmaxvq_u32((uint32x4_t)m.v) != 0;
#else
  return fold(m, [](Vec<I> x, Vec<I> y) TF_ALWAYS_INLINE { return x | y; }) != 0;
#endif
}
template <class I>
TF_INLINE bool all(Vec<I> m) {
  return !any(~m);
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
