// RMSprop (Hinton, lecture 6e of "Neural Networks for Machine Learning", 2012), not centred.
// SPDX-License-Identifier: MIT
#include "optim/opt.h"
#include "optim/update.h"

namespace tf {
namespace {

constexpr OptOptionSpec kOptions[] = {{TINYFIN_OPT_LR, 1e-2},
                                      {TINYFIN_OPT_ALPHA, 0.99},
                                      {TINYFIN_OPT_EPS, 1e-8},
                                      {TINYFIN_OPT_WEIGHT_DECAY, 0},
                                      {TINYFIN_OPT_MOMENTUM, 0}};

uint32_t slots(const OptOptions& o) { return o[TINYFIN_OPT_MOMENTUM] > 0 ? 3 : 1; }

Update update(OptParam& p, const Tensor& grad, const OptOptions& o, double scale, uint32_t) {
  const double lr = o[TINYFIN_OPT_LR], decay = o[TINYFIN_OPT_WEIGHT_DECAY];
  const double alpha = o[TINYFIN_OPT_ALPHA], eps = o[TINYFIN_OPT_EPS];
  const double momentum = o[TINYFIN_OPT_MOMENTUM];
  if (momentum == 0)
    return {&rmsprop_step_p, 2, {&p.param, &p.slot[0]}, &grad,
            Attrs(lr, decay, scale, alpha, eps)};
  return {&rmsprop_momentum_step_p, 3, {&p.param, &p.slot[0], &p.slot[1]}, &grad,
          Attrs(lr, decay, scale, alpha, eps, momentum)};
}

}  // namespace

const OptRule rmsprop_rule{"RMSprop", kOptions, {"square_avg", "momentum_buffer"}, slots, update};

}  // namespace tf
