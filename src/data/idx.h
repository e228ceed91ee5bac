// The IDX format of MNIST (Yann LeCun): magic, sizes, then the elements in big-endian order.
// SPDX-License-Identifier: MIT
#pragma once

#include "core/tensor.h"

namespace tf {

// dtype none: int32 for integers, the file's own for floats. Every element is multiplied by scale.
Tensor read_idx(const char* path, DType dtype, double scale);

}  // namespace tf
