// The primitives of optimiser steps: parameter, gradient and state in one pass, in place.
// SPDX-License-Identifier: MIT
#include "optim/update.h"

namespace tf {

const Primitive sgd_step_p{{.name = "sgd_step",
                            .signature = "param grad; float lr, float weight_decay, float scale"}};

const Primitive sgd_momentum_step_p{
    {.name = "sgd_momentum_step",
     .signature = "param grad buffer; float lr, float weight_decay, float scale, float momentum, "
                  "bool nesterov, bool first",
     .n_out = 2,
     .diff_out = 0}};

const Primitive adam_step_p{
    {.name = "adam_step",
     .signature = "param grad mean square; float lr, float weight_decay, float scale, float beta1, "
                  "float beta2, float eps, bool decoupled, float step_size, float correction",
     .n_out = 3,
     .diff_out = 0}};

const Primitive rmsprop_step_p{
    {.name = "rmsprop_step",
     .signature = "param grad square; float lr, float weight_decay, float scale, float alpha, "
                  "float eps",
     .n_out = 2,
     .diff_out = 0}};

const Primitive rmsprop_momentum_step_p{
    {.name = "rmsprop_momentum_step",
     .signature = "param grad square buffer; float lr, float weight_decay, float scale, "
                  "float alpha, float eps, float momentum",
     .n_out = 3,
     .diff_out = 0}};

}  // namespace tf
