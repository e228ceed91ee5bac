// What all optimisers share: groups, options, steps, clipping.
// SPDX-License-Identifier: MIT
#include "optim/opt.h"

#include <cfloat>
#include <cmath>
#include <unordered_set>

#include "autograd/engine.h"
#include "ops/ops.h"

namespace tf {
namespace {

struct OptionInfo {
  const char* name;
  OptBounds bounds;
  const char* expected;
};

// The greatest number below 1: decay rates of 1 would never see a gradient.
const double kBelowOne = std::nextafter(1.0, 0.0);

const OptionInfo& info(tf_opt_option option) {
  static const OptionInfo table[kOptOptions] = {
      {nullptr, {0, 0}, ""},
      {"lr", {0, DBL_MAX}, "a finite number, 0 or more"},
      {"momentum", {0, DBL_MAX}, "a finite number, 0 or more"},
      {"weight_decay", {0, DBL_MAX}, "a finite number, 0 or more"},
      {"nesterov", {0, 1}, "0 or 1"},
      {"beta1", {0, kBelowOne}, "0 <= beta1 < 1"},
      {"beta2", {0, kBelowOne}, "0 <= beta2 < 1"},
      {"eps", {0, DBL_MAX}, "a finite number, 0 or more"},
      {"alpha", {0, 1}, "0 <= alpha <= 1"},
  };
  TF_CHECK(option > 0 && option < kOptOptions, TINYFIN_ERROR_NAME, "received option number ",
           option, "; expected one of TINYFIN_OPT_LR … (1 to ", kOptOptions - 1, ")");
  return table[option];
}

std::string names_of(const OptRule& rule) {
  std::string names;
  for (const OptOptionSpec& o : rule.options)
    names += concat_text(names.empty() ? "" : ", ", info(o.id).name);
  return names;
}

Tensor matching(const Tensor& state, const Tensor& param) {
  return to_device(cast_to(state, kept_type(param.dtype())), &param.device());
}

}  // namespace

const char* opt_option_name(tf_opt_option option) noexcept {
  return option > 0 && option < kOptOptions ? info(option).name : nullptr;
}

OptBounds opt_bounds(const OptRule& rule, tf_opt_option option) {
  const OptionInfo& i = info(option);
  for (const OptOptionSpec& o : rule.options)
    if (o.id == option) return i.bounds;
  fail(TINYFIN_ERROR_NAME, "received option \"", i.name, "\", which ", rule.kind,
       " does not have; expected one of: ", names_of(rule));
}

void check_option(const OptRule& rule, tf_opt_option option, double value) {
  const OptBounds b = opt_bounds(rule, option);
  const bool whole = option != TINYFIN_OPT_NESTEROV || value == 0 || value == 1;
  // Written so that NaN fails.
  TF_CHECK(value >= b.low && value <= b.high && whole, TINYFIN_ERROR_ARGUMENT, "received ",
           info(option).name, " = ", value, "; expected ", info(option).expected);
}

}  // namespace tf

using tf::OptGroup;
using tf::OptParam;
using tf::Tensor;

tf_opt::tf_opt(const tf::OptRule& r, double lr) : rule(r) {
  for (const tf::OptOptionSpec& o : rule.options) defaults.value[o.id] = o.start;
  tf::check_option(rule, TINYFIN_OPT_LR, lr);
  defaults.value[TINYFIN_OPT_LR] = lr;
}

int64_t tf_opt::add_group(const std::vector<Tensor>& params) {
  std::unordered_set<const tf_tensor*> seen;
  for (const OptGroup& g : groups)
    for (const OptParam& p : g.params) seen.insert(p.param.get());
  OptGroup group{defaults, {}};
  for (size_t i = 0; i < params.size(); ++i) {
    const Tensor& p = params[i];
    TF_CHECK(is_float(p.dtype()) && p.is_leaf() && !p.is_weak(), TINYFIN_ERROR_ARGUMENT,
             "received ", describe(p), p.is_leaf() ? "" : ", which an op made,", " as parameter ",
             i, "; expected a float leaf");
    TF_CHECK(p.storage().writable(), TINYFIN_ERROR_ARGUMENT,
             "received a read-only tensor as parameter ", i, "; expected one that can be updated");
    TF_CHECK(seen.insert(p.get()).second, TINYFIN_ERROR_ARGUMENT, "received parameter ", i, " (",
             describe(p), ") a second time; expected each in one place");
    group.params.push_back({p, {}, 0});
  }
  groups.push_back(std::move(group));
  return int64_t(groups.size()) - 1;
}

void tf_opt::set(int64_t group, tf_opt_option option, double value) {
  tf::check_option(rule, option, value);
  TF_CHECK(group >= TINYFIN_OPT_ALL && group < int64_t(groups.size()), TINYFIN_ERROR_INDEX,
           "received group ", group, "; expected 0 to ", int64_t(groups.size()) - 1,
           " or TINYFIN_OPT_ALL");
  if (group >= 0) {
    groups[size_t(group)].options.value[option] = value;
    return;
  }
  defaults.value[option] = value;
  for (OptGroup& g : groups) g.options.value[option] = value;
}

double tf_opt::get(int64_t group, tf_opt_option option) const {
  tf::opt_bounds(rule, option);
  TF_CHECK(group >= TINYFIN_OPT_ALL && group < int64_t(groups.size()), TINYFIN_ERROR_INDEX,
           "received group ", group, "; expected 0 to ", int64_t(groups.size()) - 1,
           " or TINYFIN_OPT_ALL");
  return group >= 0 ? groups[size_t(group)].options[option] : defaults[option];
}

std::vector<OptParam*> tf_opt::params() {
  std::vector<OptParam*> list;
  for (OptGroup& g : groups)
    for (OptParam& p : g.params) list.push_back(&p);
  return list;
}

void tf_opt::step(double clip_norm) {
  TF_CHECK(clip_norm >= 0 && std::isfinite(clip_norm), TINYFIN_ERROR_ARGUMENT,
           "received clip_norm = ", clip_norm, "; expected a finite number, 0 for no clipping");
  const tf::NoGrad no_grad;
  struct Clear {  // after a failure as well: no gradient stays here
    tf_opt& opt;
    ~Clear() {
      opt.runner_.clear();
      opt.jobs_.clear();
    }
  } const clear{*this};
  // All that can fail for want of memory comes before the first parameter changes.
  double squares = 0;
  for (OptGroup& g : groups) {
    const uint32_t used = rule.slots(g.options);
    for (OptParam& p : g.params) {
      tf::OptJob job{&g, &p, tf::grad_of(p.param), 0};
      if (!job.grad.defined()) continue;
      for (int k = 0; k < tf::kOptSlots; ++k) {
        Tensor& slot = p.slot[k];
        const tf::DType dtype = tf::kept_type(p.param.dtype());
        if (!(used & (1u << k))) continue;
        if (!slot.defined()) {
          slot = tf::zeros_like(tf::cast_to(p.param, dtype));
          job.first |= 1u << k;
        } else if (slot.dtype() != dtype || &slot.device() != &p.param.device()) {
          slot = tf::matching(slot, p.param);
        }
      }
      if (clip_norm > 0) {
        const Tensor grad = tf::cast_to(job.grad, tf::kept_type(job.grad.dtype()));
        squares += tf::item_f64(tf::sum(tf::mul(grad, grad)));
      }
      jobs_.push_back(std::move(job));
    }
  }
  // PyTorch's clip_grad_norm_, its 1e-6 included.
  const double scale = clip_norm > 0 ? clip_norm / (std::sqrt(squares) + 1e-6) : 1;
  for (tf::OptJob& job : jobs_) {
    job.p->steps += 1;
    runner_.add(rule.update(*job.p, job.grad, job.group->options, scale >= 1 ? 1 : scale,
                            job.first));
  }
  runner_.run();
}

void tf_opt::zero_grad(bool set_to_none) {
  const tf::NoGrad no_grad;
  for (OptGroup& g : groups)
    for (OptParam& p : g.params) {
      const Tensor grad = tf::grad_of(p.param);
      if (grad.defined())
        tf::set_grad(p.param, set_to_none ? Tensor() : tf::zeros_like(grad));
    }
}
