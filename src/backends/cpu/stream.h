// Stores that go past the caches.
//
// A plain store reads the cache line before it changes it. A result that will not stay in the
// cache anyway is written with one transfer instead of two by streaming stores.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/simd.h"

namespace tf::cpu::TF_ISA {
namespace {

// Results of that many bytes are streamed: docs/notebook/copies.md has the measurement.
constexpr int64_t kStreamBytes = int64_t(4) << 20;

// Arrays that a kernel reads and writes in order, of that many bytes together, do not stay in the
// cache: docs/notebook/reductions.md.
constexpr int64_t kCachedBytes = int64_t(34) << 20;

// p is aligned to the register's size.
template <class T>
TF_INLINE void stream(T* p, Vec<T> a) {
#if defined(TF_SIMD_AVX512)
  _mm512_stream_si512((__m512i*)p, (__m512i)a.v);
#elif defined(TF_SIMD_AVX2)
  _mm256_stream_si256((__m256i*)p, (__m256i)a.v);
#elif defined(TF_SIMD_SSE2)
  _mm_stream_si128((__m128i*)p, (__m128i)a.v);
#else
  store(p, a);
#endif
}

// Before the thread tells others that its streamed results are there.
TF_INLINE void end_of_stream() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

static inline bool aligned_for_stream(const void* p) {
  return reinterpret_cast<uintptr_t>(p) % kVectorBytes == 0;
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
