// The primitives that optimisers run. Outputs are the parameter and its state, which are inputs
// too; the contracts stand with the definitions in ops/optim.cpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "autograd/primitive.h"

namespace tf {

extern const Primitive sgd_step_p, sgd_momentum_step_p, adam_step_p, rmsprop_step_p,
    rmsprop_momentum_step_p;

}  // namespace tf
