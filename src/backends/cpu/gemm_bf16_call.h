// The product of bfloat16 matrices that kernels call: that of the instruction set which was chosen,
// which may be one that differs from the kernels' in nothing else (isa.cpp).
// SPDX-License-Identifier: MIT
#pragma once

#include "core/bfloat16.h"
#include "tinyfin/base.h"

namespace tf::cpu {

template <class T>
struct Gemm;
struct GemmBatch;

// On the pool; small products stay on the calling thread.
using Bf16Gemm = tf_status (*)(const Gemm<BFloat16>& g, const GemmBatch& batch);
extern Bf16Gemm bf16_gemm;

}  // namespace tf::cpu
