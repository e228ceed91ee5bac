// First values of parameters: the distributions PyTorch's layers draw from.
// SPDX-License-Identifier: MIT
#include "nn/module.h"
#include "ops/ops.h"

namespace tf {

Tensor uniform_parameter(const Dims& shape, double bound) {
  Tensor out = empty(shape, DType::f32, default_device());
  uniform_(out, -bound, bound);
  return out;
}

Tensor normal_parameter(const Dims& shape) {
  Tensor out = empty(shape, DType::f32, default_device());
  normal_(out, 0, 1);
  return out;
}

}  // namespace tf
