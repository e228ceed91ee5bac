// Adam (Kingma & Ba, ICLR 2015) and AdamW, whose weight decay bypasses the moments (Loshchilov &
// Hutter, ICLR 2019).
// SPDX-License-Identifier: MIT
#include <cmath>

#include "optim/opt.h"
#include "optim/update.h"

namespace tf {
namespace {

constexpr OptOptionSpec kAdam[] = {{TINYFIN_OPT_LR, 1e-3},
                                   {TINYFIN_OPT_BETA1, 0.9},
                                   {TINYFIN_OPT_BETA2, 0.999},
                                   {TINYFIN_OPT_EPS, 1e-8},
                                   {TINYFIN_OPT_WEIGHT_DECAY, 0}};
constexpr OptOptionSpec kAdamW[] = {{TINYFIN_OPT_LR, 1e-3},
                                    {TINYFIN_OPT_BETA1, 0.9},
                                    {TINYFIN_OPT_BETA2, 0.999},
                                    {TINYFIN_OPT_EPS, 1e-8},
                                    {TINYFIN_OPT_WEIGHT_DECAY, 1e-2}};

uint32_t slots(const OptOptions&) { return 3; }

template <bool kDecoupled>
Update update(OptParam& p, const Tensor& grad, const OptOptions& o, double scale, uint32_t) {
  const double lr = o[TINYFIN_OPT_LR], beta1 = o[TINYFIN_OPT_BETA1], beta2 = o[TINYFIN_OPT_BETA2];
  const double step_size = lr / (1 - std::pow(beta1, double(p.steps)));
  const double correction = std::sqrt(1 - std::pow(beta2, double(p.steps)));
  return {&adam_step_p, 3, {&p.param, &p.slot[0], &p.slot[1]}, &grad,
          Attrs(lr, o[TINYFIN_OPT_WEIGHT_DECAY], scale, beta1, beta2, o[TINYFIN_OPT_EPS],
                kDecoupled, step_size, correction)};
}

}  // namespace

const OptRule adam_rule{"Adam", kAdam, {"exp_avg", "exp_avg_sq"}, slots, update<false>};
const OptRule adamw_rule{"AdamW", kAdamW, {"exp_avg", "exp_avg_sq"}, slots, update<true>};

}  // namespace tf
