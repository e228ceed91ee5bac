// Registers of float32 from and to arrays of bfloat16, with the bits of core/bfloat16.h.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/simd.h"
#include "core/bfloat16.h"

namespace tf::cpu::TF_ISA {
namespace {

// Half a register: as many bfloat16 as a register has float32.
typedef uint16_t RawBf16 __attribute__((vector_size(kVectorBytes / 2)));
typedef uint32_t RawBits __attribute__((vector_size(kVectorBytes)));

TF_INLINE F32 widened(RawBf16 a) {
  return F32((F32::Raw)(__builtin_convertvector(a, RawBits) << 16));
}

TF_INLINE RawBf16 narrowed(F32 a) {
#if defined(__AVX512BF16__)
  // But that it takes denormals for 0: what this is compiled for has done so before.
  return (RawBf16)_mm512_cvtneps_pbh((__m512)a.v);
#else
  const I32 bits = bit_cast<int32_t>(a);
  const I32 last = (bits >> 16) & I32(1);
  const auto is_nan = (bits & I32(INT32_MAX)) > I32(0x7f800000);
  const I32 value = select(is_nan, bits | I32(0x400000), bits + I32(0x7fff) + last);
  return __builtin_convertvector((RawBits)value.v >> 16, RawBf16);
#endif
}

TF_INLINE F32 load_wide(const BFloat16* p) {
  RawBf16 raw;
  memcpy(&raw, p, sizeof raw);
  return widened(raw);
}
TF_INLINE void store_rounded(BFloat16* p, F32 a) {
  const RawBf16 raw = narrowed(a);
  memcpy(p, &raw, sizeof raw);
}

// Two registers side by side.
TF_INLINE void store_rounded(BFloat16* p, F32 a, F32 b) {
#if defined(__AVX512BF16__)
  const __m512bh raw = _mm512_cvtne2ps_pbh((__m512)b.v, (__m512)a.v);
  memcpy(p, &raw, sizeof raw);
#else
  store_rounded(p, a);
  store_rounded(p + F32::kWidth, b);
#endif
}

// The first n elements (0 <= n <= kWidth), zeros in the other lanes; memory past them is not
// touched.
TF_INLINE F32 load_wide_n(const BFloat16* p, int64_t n) {
#if defined(TF_SIMD_AVX512)
  return widened((RawBf16)_mm256_maskz_loadu_epi16(__mmask16((1u << n) - 1), p));
#else
  RawBf16 raw{};
  memcpy(&raw, p, size_t(n) * sizeof(BFloat16));
  return widened(raw);
#endif
}
TF_INLINE void store_rounded_n(BFloat16* p, F32 a, int64_t n) {
  const RawBf16 raw = narrowed(a);
#if defined(TF_SIMD_AVX512)
  _mm256_mask_storeu_epi16(p, __mmask16((1u << n) - 1), (__m256i)raw);
#else
  memcpy(p, &raw, size_t(n) * sizeof(BFloat16));
#endif
}

// Rows of n elements.
static inline void widen_row(float* out, const BFloat16* in, int64_t n) {
  constexpr int64_t w = F32::kWidth;
  int64_t i = 0;
  for (; i + w <= n; i += w) store(out + i, load_wide(in + i));
  if (i < n) store_n(out + i, load_wide_n(in + i, n - i), n - i);
}
static inline void round_row(BFloat16* out, const float* in, int64_t n) {
  constexpr int64_t w = F32::kWidth;
  int64_t i = 0;
  for (; i + 2 * w <= n; i += 2 * w) store_rounded(out + i, load(in + i), load(in + i + w));
  if (i + w <= n) {
    store_rounded(out + i, load(in + i));
    i += w;
  }
  if (i < n) store_rounded_n(out + i, load_n(in + i, n - i), n - i);
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
