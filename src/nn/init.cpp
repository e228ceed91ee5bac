// First values of parameters: the distributions PyTorch's layers draw from.
// SPDX-License-Identifier: MIT
#include <cmath>
#include <vector>

#include "core/parallel.h"
#include "core/philox.h"
#include "core/rng.h"
#include "nn/module.h"

namespace tf {
namespace {

constexpr int64_t kBlocksPerTile = 1 << 14;

// A tensor whose elements 4 b … 4 b + 3 are made by fill(block b, float[4]).
template <class Fill>
Tensor drawn(const Dims& shape, const Fill& fill) {
  const int64_t n = checked_numel(shape), blocks = (n + 3) / 4;
  Tensor out = empty(shape, DType::f32, default_device());
  const RngState state = reserve_random(uint64_t(blocks));
  std::vector<float> values(size_t(blocks) * 4);
  parallel_for((blocks + kBlocksPerTile - 1) / kBlocksPerTile, [&](int64_t tile) {
    const int64_t end = std::min(blocks, (tile + 1) * kBlocksPerTile);
    for (int64_t b = tile * kBlocksPerTile; b < end; ++b)
      fill(philox(state.seed, state.offset + uint64_t(b)), &values[size_t(b) * 4]);
  });
  if (n > 0) copy_from_host(out, values.data(), n * int64_t(sizeof(float)));
  return out;
}

}  // namespace

Tensor uniform_parameter(const Dims& shape, double bound) {
  return drawn(shape, [&](const PhiloxBlock& block, float* to) {
    for (int k = 0; k < 4; ++k)
      to[k] = float(bound * (2 * double(uniform_f32(block.word[k])) - 1));
  });
}

Tensor normal_parameter(const Dims& shape) {
  return drawn(shape, [&](const PhiloxBlock& block, float* to) {
    for (int k = 0; k < 4; k += 2) {  // Box & Muller (1958)
      const double radius = std::sqrt(-2 * std::log(1 - double(uniform_f32(block.word[k]))));
      const double angle = 2 * M_PI * double(uniform_f32(block.word[k + 1]));
      to[k] = float(radius * std::cos(angle));
      to[k + 1] = float(radius * std::sin(angle));
    }
  });
}

}  // namespace tf
