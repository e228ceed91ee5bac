// The head of this instruction set's list of kernels.
// SPDX-License-Identifier: MIT
#include "backends/cpu/kernel.h"

namespace tf::cpu::TF_ISA {

constinit KernelEntry* kernel_list = nullptr;

}  // namespace tf::cpu::TF_ISA
