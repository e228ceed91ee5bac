// State of the process-wide generator.
// SPDX-License-Identifier: MIT
#include "core/rng.h"

#include <mutex>
#include <random>

#include "tinyfin/base.h"

namespace tf {
namespace {

std::mutex mutex;
bool seeded = false;
RngState state{0, 0};

// An unseeded program gets a seed of its own each run.
void ensure_seeded() {
  if (seeded) return;
  std::random_device device;
  state = {(uint64_t(device()) << 32) | device(), 0};
  seeded = true;
}

}  // namespace

RngState rng_state() {
  std::lock_guard lock(mutex);
  ensure_seeded();
  return state;
}

void set_rng_state(RngState s) {
  std::lock_guard lock(mutex);
  state = s;
  seeded = true;
}

void manual_seed(uint64_t seed) { set_rng_state({seed, 0}); }

RngState reserve_random(uint64_t blocks) {
  std::lock_guard lock(mutex);
  ensure_seeded();
  const RngState now = state;
  state.offset += blocks;
  return now;
}

}  // namespace tf
