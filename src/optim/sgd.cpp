// Stochastic gradient descent with momentum (Sutskever et al., ICML 2013), as PyTorch writes it.
// SPDX-License-Identifier: MIT
#include "optim/opt.h"
#include "optim/update.h"

namespace tf {
namespace {

constexpr OptOptionSpec kOptions[] = {{TINYFIN_OPT_LR, 1e-2},
                                      {TINYFIN_OPT_MOMENTUM, 0},
                                      {TINYFIN_OPT_WEIGHT_DECAY, 0},
                                      {TINYFIN_OPT_NESTEROV, 0}};

uint32_t slots(const OptOptions& o) { return o[TINYFIN_OPT_MOMENTUM] > 0 ? 1 : 0; }

Update update(OptParam& p, const Tensor& grad, const OptOptions& o, double scale,
              uint32_t first) {
  const double lr = o[TINYFIN_OPT_LR], decay = o[TINYFIN_OPT_WEIGHT_DECAY];
  const double momentum = o[TINYFIN_OPT_MOMENTUM];
  if (momentum == 0) return {&sgd_step_p, 1, {&p.param}, &grad, Attrs(lr, decay, scale)};
  return {&sgd_momentum_step_p, 2, {&p.param, &p.slot[0]}, &grad,
          Attrs(lr, decay, scale, momentum, o[TINYFIN_OPT_NESTEROV] != 0, first != 0)};
}

}  // namespace

const OptRule sgd_rule{"SGD", kOptions, {"momentum_buffer", nullptr}, slots, update};

}  // namespace tf
