// Products of bfloat16 matrices for kernel files: sums in float32, each element of C rounded once.
// What gemm.h says of sums and bits holds here.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/gemm.h"
#include "backends/cpu/gemm_bf16_call.h"

namespace tf::cpu {

using Bf16Product = Gemm<BFloat16>;

namespace TF_ISA {

tf_status gemm_bf16(const Bf16Product& g, const GemmBatch& batch);

}  // namespace TF_ISA
}  // namespace tf::cpu
