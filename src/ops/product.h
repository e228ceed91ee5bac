// Products whose result is used up while it is computed.
// SPDX-License-Identifier: MIT
#pragma once

#include "core/tensor.h"

namespace tf {

// sum += a · b for a (…, k), b (k, n) and a row-major sum (…, n); not recorded.
void add_product_(Tensor& sum, const Tensor& a, const Tensor& b);

}  // namespace tf
