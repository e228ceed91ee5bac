// Which instruction set the cpu kernels run with.
// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "backends/cpu/kernel_list.h"

namespace tf::cpu {

// "avx512", "avx2", "neon" or "generic"; final once the cpu backend has started.
const char* isa();

struct InstructionSet {
  const char* name;
  bool available;  // this processor and this system have every instruction of it
  KernelEntry* const* kernels;
};

// What kernels were compiled for, from the least, which is always available, to the best.
const std::vector<InstructionSet>& instruction_sets();

// The best available set, or the best up to `wanted` (a set's name; empty: no wish). A wish that
// cannot be fulfilled leaves a text in `complaint`.
const InstructionSet& choose(const std::vector<InstructionSet>& sets, const std::string& wanted,
                             std::string& complaint);

}  // namespace tf::cpu
