// What every cpu kernel file includes. Each file in kernels/ is compiled once per instruction
// set (TF_ISA = generic, avx2, avx512, neon); the best one the processor has is chosen at start.
//
// Rules of these files, checked on the objects by tests/cpp/isa_symbols_test: everything lives
// in namespace tf::cpu::TF_ISA inside an anonymous namespace or as a static function, so that
// no inline function compiled for AVX-512 can be picked by the linker for the rest of the
// program. Hence: no standard headers with inline functions (only <math.h>, <stdint.h>,
// <string.h>, <type_traits>, <utility>), no exceptions, no C++ allocation.
// SPDX-License-Identifier: MIT
#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "backends/cpu/kernel_list.h"

#ifndef TF_ISA
#error "kernel files are compiled with -DTF_ISA=generic|avx2|avx512|neon (src/backends/cpu)"
#endif

namespace tf::cpu {

namespace TF_ISA {

extern KernelEntry* kernel_list;  // defined in kernels/register.cpp

namespace {

struct Register {
  KernelEntry entry;
  Register(const char* op, uint32_t dtypes, tf_kernel_fn fn)
      : entry{{op, 1, dtypes, fn, nullptr}, kernel_list} {
    kernel_list = &entry;
  }
};

// TF_KERNEL(relu, TINYFIN_DTYPES_ALL, relu_kernel);
#define TF_KERNEL(op, dtypes, fn) static Register register_##op(#op, (dtypes), (fn))

// Runs body(tile) for 0 … tiles-1 on the pool. Body: void(int64_t).
template <class Body>
static inline tf_status parallel_for(int64_t tiles, const Body& body) {
  return host->parallel_for(
      tiles, [](int64_t tile, void* user) { (*static_cast<const Body*>(user))(tile); },
      const_cast<void*>(static_cast<const void*>(&body)));
}

// Cuts [0, n) into pieces of `grain` (the last may be shorter): body(begin, end). The cut
// depends on n and grain alone.
template <class Body>
static inline tf_status parallel_range(int64_t n, int64_t grain, const Body& body) {
  const int64_t tiles = (n + grain - 1) / grain;
  if (tiles <= 1) {
    if (n > 0) body(int64_t(0), n);
    return TINYFIN_OK;
  }
  return parallel_for(tiles, [&](int64_t t) {
    const int64_t begin = t * grain;
    body(begin, begin + grain < n ? begin + grain : n);
  });
}

static inline int64_t numel(const tf_view& v) {
  int64_t n = 1;
  for (int d = 0; d < v.ndim; ++d) n *= v.shape[d];
  return n;
}

// Row-major and without gaps.
static inline bool contiguous(const tf_view& v) {
  int64_t expect = 1;
  for (int d = v.ndim - 1; d >= 0; --d) {
    if (v.shape[d] != 1 && v.strides[d] != expect) return false;
    expect *= v.shape[d];
  }
  return true;
}

static inline bool absent(const tf_view& v) { return v.ndim < 0; }

static inline tf_status error(tf_status status, const char* message) {
  host->set_error(message);
  return status;
}

}  // namespace
}  // namespace TF_ISA
}  // namespace tf::cpu
