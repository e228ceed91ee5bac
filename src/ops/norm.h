// What the files of normalisations share.
// SPDX-License-Identifier: MIT
#pragma once

#include "ops/op.h"

namespace tf {

// x weight + bias, where these are there.
Tensor scaled(const Tensor& x, const Tensor& weight, const Tensor& bias);

// (x - mean) / sqrt(variance + eps) over `dims`; mean and variance keep those with size 1.
struct Normalised {
  Tensor value, mean, var, rstd;
};
Normalised normalise(const Tensor& x, IntList dims, double eps);

// Weight or bias in x's dtype, after a check of its shape.
Tensor affine_for(const Tensor& x, const Tensor& value, const Dims& shape, const char* name);

void check_eps(double eps);

}  // namespace tf
