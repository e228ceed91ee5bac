// Which instruction set the cpu kernels run with.
// SPDX-License-Identifier: MIT
#pragma once

namespace tf::cpu {

// "avx512_bf16", "avx512", "avx2" or "generic"; final once the cpu backend has started.
const char* isa();

}  // namespace tf::cpu
