// Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3",
// SC11): a counter in, four random words out. Internal linkage: the kernels compile it once
// per instruction set.
// SPDX-License-Identifier: MIT
#pragma once

#include <stdint.h>

namespace tf {

struct PhiloxBlock {
  uint32_t word[4];
};

// Block number `counter` of the stream `seed`.
static inline PhiloxBlock philox(uint64_t seed, uint64_t counter) {
  uint32_t c0 = uint32_t(counter), c1 = uint32_t(counter >> 32), c2 = 0, c3 = 0;
  uint32_t k0 = uint32_t(seed), k1 = uint32_t(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t(0xD2511F53u) * c0;
    const uint64_t p1 = uint64_t(0xCD9E8D57u) * c2;
    const uint32_t n0 = uint32_t(p1 >> 32) ^ c1 ^ k0;
    const uint32_t n2 = uint32_t(p0 >> 32) ^ c3 ^ k1;
    c0 = n0, c1 = uint32_t(p1), c2 = n2, c3 = uint32_t(p0);
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// 24 random bits as a float in [0, 1).
static inline float uniform_f32(uint32_t word) { return float(word >> 8) * 0x1p-24f; }
// 53 random bits as a double in [0, 1).
static inline double uniform_f64(uint32_t high, uint32_t low) {
  return double(((uint64_t(high) << 32) | low) >> 11) * 0x1p-53;
}

}  // namespace tf
