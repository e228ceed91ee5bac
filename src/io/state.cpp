// What a training run consists of, in and out of checkpoints: modules, optimisers, the position in
// the data, the random generator.
// SPDX-License-Identifier: MIT
#include <memory>
#include <set>

#include "autograd/engine.h"
#include "core/rng.h"
#include "data/batches.h"
#include "io/checkpoint.h"
#include "nn/module.h"
#include "ops/ops.h"
#include "optim/opt.h"

namespace tf {
namespace {

Tensor host_ints(const std::vector<int64_t>& values) {
  Tensor t = empty(Dims{int64_t(values.size())}, DType::i64, cpu_device());
  copy_from_host(t, values.data(), int64_t(values.size() * sizeof(int64_t)));
  return t;
}

std::vector<int64_t> ints(const tf_checkpoint& c, const std::string& name, size_t n) {
  const Tensor& t = c.tensor(name);
  TF_CHECK(t.dtype() == DType::i64 && t.shape() == Dims{int64_t(n)}, TINYFIN_ERROR_FORMAT,
           "received ", describe(t), " as \"", name, "\"; expected int64 (", n, ",)");
  std::vector<int64_t> values(n);
  copy_to_host(t, values.data(), int64_t(n * sizeof(int64_t)));
  return values;
}

Tensor host_number(double value) {
  Tensor t = empty(Dims{}, DType::f64, cpu_device());
  copy_from_host(t, &value, sizeof value);
  return t;
}

// What copy_ will write into `target`, checked and brought to its dtype and device.
Tensor fitting(const Tensor& saved, const Tensor& target, const std::string& name) {
  TF_CHECK(saved.shape() == target.shape(), TINYFIN_ERROR_FORMAT, "received \"", name,
           "\" as ", describe(saved), "; expected shape ", to_string(target.shape()),
           "; the checkpoint is of another model");
  TF_CHECK(is_float(saved.dtype()) == is_float(target.dtype()), TINYFIN_ERROR_FORMAT,
           "received \"", name, "\" as ", describe(saved), "; expected ",
           name_of(target.dtype()));
  return to_device(cast_to(detach(saved), target.dtype()), &target.device());
}

// The name of a slot of parameter i, counted over all groups.
std::string slot_name(const std::string& prefix, size_t i, const char* slot) {
  return concat_text(prefix, "state.", i, ".", slot);
}

}  // namespace

void add_module(tf_checkpoint& c, const std::string& prefix, const tf_module& module) {
  for (const bool buffers : {false, true})
    for (const NamedSlot& s : named_slots(module, buffers))
      c.add(prefix + s.path, detach(s.slot->tensor));
}

Apply prepare_module(const tf_checkpoint& c, const std::string& prefix, tf_module& module,
                     bool strict) {
  const NoGrad no_grad;
  struct Copy {
    Tensor to, from;
  };
  auto copies = std::make_shared<std::vector<Copy>>();
  std::set<std::string> known;
  for (const bool buffers : {false, true})
    for (const NamedSlot& s : named_slots(module, buffers)) {
      const std::string name = prefix + s.path;
      known.insert(name);
      const CheckpointEntry* saved = c.find(name);
      if (!saved && !strict) continue;
      const Tensor& target = s.slot->tensor;
      TF_CHECK(target.storage().writable(), TINYFIN_ERROR_STATE, "received a module whose \"",
               s.path, "\" is read-only; expected one that can be changed");
      copies->push_back({target, fitting(c.tensor(name), target, name)});
    }
  if (strict)
    for (const CheckpointEntry& e : c.entries)
      TF_CHECK(!e.tensor.defined() || e.name.compare(0, prefix.size(), prefix) != 0 ||
                   known.count(e.name),
               TINYFIN_ERROR_FORMAT, "received a checkpoint with \"", e.name,
               "\", which the module does not have; expected one of the same model; strict = 0 "
               "leaves it out");
  return [copies] {
    const NoGrad no_grad_here;
    for (Copy& copy : *copies) copy_(copy.to, copy.from);
  };
}

void add_opt(tf_checkpoint& c, const std::string& prefix, const tf_opt& opt) {
  c.add_text(prefix + "kind", opt.rule.kind);
  const auto add_options = [&](const std::string& group, const OptOptions& options) {
    for (const OptOptionSpec& o : opt.rule.options)
      c.add(concat_text(prefix, group, ".", opt_option_name(o.id)), host_number(options[o.id]));
  };
  add_options("defaults", opt.defaults);
  std::vector<int64_t> counts, steps;
  size_t i = 0;
  for (size_t g = 0; g < opt.groups.size(); ++g) {
    add_options(std::to_string(g), opt.groups[g].options);
    counts.push_back(int64_t(opt.groups[g].params.size()));
    for (const OptParam& p : opt.groups[g].params) {
      steps.push_back(p.steps);
      for (int k = 0; k < kOptSlots; ++k)
        if (p.slot[k].defined()) c.add(slot_name(prefix, i, opt.rule.slot_name[k]), p.slot[k]);
      ++i;
    }
  }
  c.add(prefix + "group_sizes", host_ints(counts));
  c.add(prefix + "steps", host_ints(steps));
}

Apply prepare_opt(const tf_checkpoint& c, const std::string& prefix, tf_opt& opt) {
  const NoGrad no_grad;
  const std::string& kind = c.text(prefix + "kind");
  TF_CHECK(kind == opt.rule.kind, TINYFIN_ERROR_FORMAT, "received the state of ", kind,
           "; expected that of ", opt.rule.kind);
  const auto options_of = [&](const std::string& group) {
    OptOptions options;
    for (const OptOptionSpec& o : opt.rule.options) {
      const std::string name = concat_text(prefix, group, ".", opt_option_name(o.id));
      const Tensor& t = c.tensor(name);
      TF_CHECK(t.numel() == 1, TINYFIN_ERROR_FORMAT, "received ", describe(t), " as \"", name,
               "\"; expected one number");
      options.value[o.id] = item_f64(t);
      check_option(opt.rule, o.id, options.value[o.id]);
    }
    return options;
  };
  const std::vector<int64_t> counts = ints(c, prefix + "group_sizes", opt.groups.size());
  auto defaults = options_of("defaults");
  auto groups = std::make_shared<std::vector<OptGroup>>();
  size_t n = 0;
  for (size_t g = 0; g < opt.groups.size(); ++g) {
    const OptGroup& now = opt.groups[g];
    TF_CHECK(counts[g] == int64_t(now.params.size()), TINYFIN_ERROR_FORMAT,
             "received the state of ", counts[g], " parameters in group ", g, "; expected ",
             now.params.size());
    OptGroup group{options_of(std::to_string(g)), {}};
    for (const OptParam& p : now.params) {
      OptParam next{p.param, {}, 0};
      for (int k = 0; k < kOptSlots; ++k) {
        if (!opt.rule.slot_name[k]) continue;
        const std::string name = slot_name(prefix, n, opt.rule.slot_name[k]);
        // A copy with the parameter's layout: the checkpoint keeps its own memory.
        if (!c.find(name)) continue;
        next.slot[k] = zeros_like(p.param);
        copy_(next.slot[k], fitting(c.tensor(name), p.param, name));
      }
      group.params.push_back(std::move(next));
      ++n;
    }
    groups->push_back(std::move(group));
  }
  const std::vector<int64_t> steps = ints(c, prefix + "steps", n);
  n = 0;
  for (OptGroup& g : *groups)
    for (OptParam& p : g.params) {
      TF_CHECK(steps[n] >= 0, TINYFIN_ERROR_FORMAT, "received ", steps[n], " steps of parameter ",
               n, "; expected 0 or more");
      p.steps = steps[n++];
    }
  return [groups, defaults, &opt] {
    opt.groups.swap(*groups);
    opt.defaults = defaults;
  };
}

void add_data(tf_checkpoint& c, const std::string& prefix, const tf_data& data) {
  c.add(prefix + "layout",
        host_ints({data.rows, data.batch_size, data.shuffle, data.drop_last}));
  c.add(prefix + "position", host_ints({int64_t(data.seed), data.epoch, data.position}));
}

Apply prepare_data(const tf_checkpoint& c, const std::string& prefix, tf_data& data) {
  const auto saved = ints(c, prefix + "layout", 4);
  TF_CHECK(saved == std::vector<int64_t>({data.rows, data.batch_size, data.shuffle,
                                          data.drop_last}),
           TINYFIN_ERROR_FORMAT, "received a position in ", saved[0], " rows in batches of ",
           saved[1], " (shuffle ", saved[2], ", drop_last ", saved[3], "); expected ", data.rows,
           " in batches of ", data.batch_size, " (shuffle ", int(data.shuffle), ", drop_last ",
           int(data.drop_last), ")");
  const auto at = ints(c, prefix + "position", 3);
  TF_CHECK(at[1] >= 0 && at[2] >= 0 && at[2] <= data.batches(), TINYFIN_ERROR_FORMAT,
           "received batch ", at[2], " of epoch ", at[1], "; expected 0 to ", data.batches(),
           " of an epoch from 0");
  return [at, &data] { data.restart(uint64_t(at[0]), at[1], at[2]); };
}

void add_rng(tf_checkpoint& c, const std::string& name) {
  const RngState state = rng_state();
  c.add(name, host_ints({int64_t(state.seed), int64_t(state.offset)}));
}

Apply prepare_rng(const tf_checkpoint& c, const std::string& name) {
  const auto state = ints(c, name, 2);
  return [state] { set_rng_state({uint64_t(state[0]), uint64_t(state[1])}); };
}

}  // namespace tf
