// What is settled about the cpu kernels when the backend starts.
// SPDX-License-Identifier: MIT
#pragma once

namespace tf::cpu {

// "avx512", "avx2" or "generic"; final once the cpu backend has started.
const char* isa();

// Whether 3 × 3 convolutions may go by Winograd's products: $TINYFIN_WINOGRAD, on by default.
extern bool winograd_enabled;

}  // namespace tf::cpu
