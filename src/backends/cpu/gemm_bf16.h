// Products of bfloat16 matrices for kernel files: sums in float32, each element of C rounded once.
// What gemm.h says of sums and bits holds here.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/gemm.h"
#include "core/bfloat16.h"

namespace tf::cpu {

using Bf16Product = Gemm<BFloat16>;
using Bf16Gemm = tf_status (*)(const Bf16Product& g, const GemmBatch& batch);

// What kernels call: gemm_bf16 of the instruction set that was chosen (backend.cpp), which may be
// one that differs in nothing else.
extern Bf16Gemm bf16_gemm;

namespace TF_ISA {

// On the pool; small products stay on the calling thread.
tf_status gemm_bf16(const Bf16Product& g, const GemmBatch& batch);

}  // namespace TF_ISA
}  // namespace tf::cpu
