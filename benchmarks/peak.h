// The multiply-add peak of one processor: independent chains in registers.
// SPDX-License-Identifier: MIT
#pragma once

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

#include "core/bfloat16.h"

namespace peak {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif
// Enough independent chains to hide the latency of two multiply-add units.
constexpr int kChains = 12;
constexpr int kRounds = 4096;

// FLOPs done by one call; 0 where the processor has no such instruction.
template <class T>
double multiply_add() {
  typedef T Vector __attribute__((vector_size(kVectorBytes)));
  Vector sum[kChains];
  for (int c = 0; c < kChains; ++c) sum[c] = Vector{} + T(c);
  Vector scale = Vector{} + T(0.999), shift = Vector{} + T(0.001);
  // The compiler must take both for unknown, or it would compute the limit.
  asm volatile("" : "+m"(scale), "+m"(shift));
  for (int r = 0; r < kRounds; ++r) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sum[c] = sum[c] * scale + shift;
  }
  for (int c = 0; c < kChains; ++c) asm volatile("" : : "m"(sum[c]));
  return 2.0 * (kVectorBytes / int(sizeof(T))) * kChains * kRounds;
}

// Dot products of pairs, summed in float32.
template <>
inline double multiply_add<tf::BFloat16>() {
#if defined(__AVX512BF16__)
  __m512 sum[kChains];
  for (int c = 0; c < kChains; ++c) sum[c] = _mm512_set1_ps(float(c));
  __m512bh a = __m512bh(_mm512_set1_epi16(0x3c00)), b = a;
  asm volatile("" : "+v"(a), "+v"(b));
  for (int r = 0; r < kRounds; ++r) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sum[c] = _mm512_dpbf16_ps(sum[c], a, b);
  }
  for (int c = 0; c < kChains; ++c) asm volatile("" : : "m"(sum[c]));
  return 2.0 * (kVectorBytes / 2) * kChains * kRounds;
#else
  return 0;
#endif
}

}  // namespace peak
