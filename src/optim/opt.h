// An optimiser: parameters in groups, a rule that updates one parameter, options with bounds.
// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string>
#include <vector>

#include "autograd/primitive.h"
#include "core/tensor.h"
#include "tinyfin/optim.h"

namespace tf {

inline constexpr int kOptOptions = 9;  // numbers run from 1
inline constexpr int kOptSlots = 2;

// The value of every option, by number.
struct OptOptions {
  double value[kOptOptions] = {};
  double operator[](tf_opt_option o) const { return value[o]; }
};

// What an optimiser keeps about one parameter.
struct OptParam {
  Tensor param;
  Tensor slot[kOptSlots];  // undefined until the first step that uses it
  int64_t steps = 0;
};

struct OptGroup {
  OptOptions options;
  std::vector<OptParam> params;
};

// One parameter's share of a step, as the kernel gets it: `written` (the parameter, then state) is
// read and overwritten.
struct Update {
  const Primitive* prim;
  int n_written;
  Tensor* written[1 + kOptSlots];
  const Tensor* grad;
  Attrs attrs;
};

// An option that a kind of optimiser has.
struct OptOptionSpec {
  tf_opt_option id;
  double start;
};

// One kind of optimiser: its file defines one of these.
struct OptRule {
  const char* kind;
  std::span<const OptOptionSpec> options;
  const char* slot_name[kOptSlots];
  // Bits of the slots that a step with these options uses.
  uint32_t (*slots)(const OptOptions& options);
  // p.param -= …; the slots in use are defined. Gradients count scale-fold. first: bits of the
  // slots that this step is the first to use.
  Update (*update)(OptParam& p, const Tensor& grad, const OptOptions& options, double scale,
                   uint32_t first);
};

extern const OptRule sgd_rule, adam_rule, adamw_rule, rmsprop_rule;

// optim/step.cpp: runs the updates of a step, those in plain memory of the cpu all at once.
class StepRunner {
 public:
  void clear() noexcept;
  void add(Update update);
  void run();

 private:
  struct Plain {  // an update that may be cut into pieces
    const Update* update;
    const tf_kernel* kernel;
    int64_t size;
  };
  struct Piece {  // some of its elements
    const Plain* of;
    int64_t first, count;
  };
  void list_slice(const Plain& p, int64_t slice, int64_t slices);
  void list_pieces(int64_t elements);

  std::vector<Update> updates_;
  std::vector<Plain> plain_;
  std::vector<Piece> pieces_;
};

// A parameter that has a gradient in this step.
struct OptJob {
  OptGroup* group;
  OptParam* p;
  Tensor grad;
  uint32_t first;  // slots that this step is the first to use
};

}  // namespace tf

// The object behind the public handle.
struct tf_opt {
  tf_opt(const tf::OptRule& rule, double lr);

  int64_t add_group(const std::vector<tf::Tensor>& params);
  void set(int64_t group, tf_opt_option option, double value);
  double get(int64_t group, tf_opt_option option) const;
  void step(double clip_norm);
  void zero_grad(bool set_to_none);
  // Parameters of all groups, in order.
  std::vector<tf::OptParam*> params();

  void retain() const noexcept { refs.retain(); }
  void release() const noexcept {
    if (refs.release()) delete this;
  }

  tf::RefCount refs;
  const tf::OptRule& rule;
  tf::OptOptions defaults;
  std::vector<tf::OptGroup> groups;

 private:
  // Of the step under way; kept for their memory.
  std::vector<tf::OptJob> jobs_;
  tf::StepRunner runner_;
};

namespace tf {

const char* opt_option_name(tf_opt_option option) noexcept;
struct OptBounds {
  double low, high;
};
// Fails with NAME where the kind has no such option.
OptBounds opt_bounds(const OptRule& rule, tf_opt_option option);
// Fails, naming option, value and bounds.
void check_option(const OptRule& rule, tf_opt_option option, double value);

}  // namespace tf
