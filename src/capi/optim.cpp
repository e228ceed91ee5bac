// Optimisers through the C ABI.
// SPDX-License-Identifier: MIT
#include "tinyfin/optim.h"

#include "capi/guard.h"
#include "nn/module.h"
#include "optim/opt.h"

using tf::guard;
using tf::out_slot;

namespace {

void make(const tf::OptRule& rule, const tf_module* module, double lr, tf_opt** out) {
  out_slot(out);
  auto opt = tf::Ref<tf_opt>::adopt(new tf_opt(rule, lr));
  if (module) opt->add_group(tf::parameters_of(*module));
  *out = opt.detach_ref();
}

template <class Opt>
Opt& checked(Opt* opt) {
  TF_CHECK(opt, TINYFIN_ERROR_ARGUMENT, "received NULL for `opt`; expected an optimiser handle");
  return *opt;
}

}  // namespace

extern "C" {

tf_status tf_opt_sgd(const tf_module* module, double lr, tf_opt** out) {
  return guard("opt_sgd", [&] { make(tf::sgd_rule, module, lr, out); });
}

tf_status tf_opt_adam(const tf_module* module, double lr, tf_opt** out) {
  return guard("opt_adam", [&] { make(tf::adam_rule, module, lr, out); });
}

tf_status tf_opt_adamw(const tf_module* module, double lr, tf_opt** out) {
  return guard("opt_adamw", [&] { make(tf::adamw_rule, module, lr, out); });
}

tf_status tf_opt_rmsprop(const tf_module* module, double lr, tf_opt** out) {
  return guard("opt_rmsprop", [&] { make(tf::rmsprop_rule, module, lr, out); });
}

tf_opt* tf_opt_retain(tf_opt* opt) {
  if (opt) opt->retain();
  return opt;
}

void tf_opt_release(tf_opt* opt) {
  if (opt) opt->release();
}

tf_status tf_opt_add_group(tf_opt* opt, tf_tensor* const* params, int64_t n_params,
                           int64_t* out_group) {
  return guard("opt_add_group", [&] {
    tf::value_slot(out_group, "out_group");
    *out_group = checked(opt).add_group(tf::borrow_list(params, n_params, "params"));
  });
}

tf_status tf_opt_set_f64(tf_opt* opt, int64_t group, tf_opt_option option, double value) {
  return guard("opt_set_f64", [&] { checked(opt).set(group, option, value); });
}

tf_status tf_opt_get_f64(const tf_opt* opt, int64_t group, tf_opt_option option, double* out) {
  return guard("opt_get_f64", [&] {
    tf::value_slot(out);
    *out = checked(opt).get(group, option);
  });
}

tf_status tf_opt_bounds(const tf_opt* opt, tf_opt_option option, double* out_low,
                        double* out_high) {
  return guard("opt_bounds", [&] {
    tf::value_slot(out_low, "out_low");
    tf::value_slot(out_high, "out_high");
    const tf::OptBounds b = tf::opt_bounds(checked(opt).rule, option);
    *out_low = b.low;
    *out_high = b.high;
  });
}

const char* tf_opt_option_name(tf_opt_option option) {
  return tf::opt_option_name(option);
}

tf_status tf_opt_step(tf_opt* opt, double clip_norm) {
  return guard("opt_step", [&] { checked(opt).step(clip_norm); });
}

tf_status tf_opt_zero_grad(tf_opt* opt, int32_t set_to_none) {
  return guard("opt_zero_grad", [&] { checked(opt).zero_grad(set_to_none != 0); });
}

const char* tf_opt_kind(const tf_opt* opt) { return opt ? opt->rule.kind : ""; }

int64_t tf_opt_group_count(const tf_opt* opt) {
  return opt ? int64_t(opt->groups.size()) : 0;
}

int64_t tf_opt_param_count(const tf_opt* opt, int64_t group) {
  if (!opt || group < 0 || group >= int64_t(opt->groups.size())) return 0;
  return int64_t(opt->groups[size_t(group)].params.size());
}

tf_tensor* tf_opt_param_at(const tf_opt* opt, int64_t group, int64_t i) {
  if (i < 0 || i >= tf_opt_param_count(opt, group)) return nullptr;
  return opt->groups[size_t(group)].params[size_t(i)].param.get();
}

}
