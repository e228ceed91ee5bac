// The process-wide generator: Philox4x32-10 (Salmon et al., SC11), counted in blocks of four
// 32-bit words. An op that draws n numbers reserves its range of blocks and carries
// (seed, offset) as attributes, so that it can be re-run bit for bit.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace tf {

struct RngState {
  uint64_t seed;
  uint64_t offset;  // blocks drawn so far
};

RngState rng_state();
void set_rng_state(RngState state);
void manual_seed(uint64_t seed);

// Takes `blocks` blocks; the answer's offset is the first of them.
RngState reserve_random(uint64_t blocks);

}  // namespace tf
