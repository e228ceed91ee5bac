// What is settled about the cpu kernels when the backend starts.
// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "backends/cpu/gemm_bf16_call.h"
#include "backends/cpu/kernel_list.h"

namespace tf::cpu {

// "avx512_bf16", "avx512", "avx2", "neon" or "generic"; final once the cpu backend has started.
const char* isa();

// Whether 3 × 3 convolutions may go by Winograd's products: $TINYFIN_WINOGRAD, on by default.
extern bool winograd_enabled;

struct InstructionSet {
  const char* name;
  bool available;  // this processor and this system have every instruction of it
  KernelEntry* const* kernels;
  Bf16Gemm bf16_gemm = nullptr;  // products of bfloat16, compiled for one set more than the kernels
};

// What kernels were compiled for, from the least, which is always available, to the best.
const std::vector<InstructionSet>& instruction_sets();

// The best available set, or the best up to `wanted` (a set's name; empty: no wish). A wish that
// cannot be fulfilled leaves a text in `complaint`.
const InstructionSet& choose(const std::vector<InstructionSet>& sets, const std::string& wanted,
                             std::string& complaint);

}  // namespace tf::cpu
