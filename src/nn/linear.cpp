// Fully connected layer.
// SPDX-License-Identifier: MIT
#include <cmath>

#include "nn/module.h"
#include "ops/ops.h"

namespace tf {
namespace {

struct Linear final : tf_module {
  Linear(int64_t in_features, int64_t out_features, bool with_bias, tf_activation act)
      : activation(act) {
    TF_CHECK(in_features > 0 && out_features > 0, TINYFIN_ERROR_ARGUMENT,
             "received in_features = ", in_features, ", out_features = ", out_features,
             "; expected both above 0");
    check_activation(activation);
    const double bound = 1 / std::sqrt(double(in_features));
    weight = add_parameter("weight", uniform_parameter({out_features, in_features}, bound));
    if (with_bias) bias = add_parameter("bias", uniform_parameter({out_features}, bound));
    options = {{"in_features", {double(in_features)}},
               {"out_features", {double(out_features)}},
               {"bias", {double(with_bias)}},
               {"activation", {double(activation)}}};
  }
  const char* kind() const noexcept override { return "Linear"; }
  Tensor forward(const Tensor& x) override {
    return linear(x, slot(weight), slot(bias), activation);
  }
  // Any activation.
  Tensor forward_with(const Tensor& x, std::span<const ModuleChild> behind,
                      size_t& taken) override {
    const tf_activation next =
        behind.empty() ? TINYFIN_ACTIVATION_NONE : behind[0].module->as_activation();
    if (activation != TINYFIN_ACTIVATION_NONE || next == TINYFIN_ACTIVATION_NONE)
      return forward(x);
    ++taken;
    return linear(x, slot(weight), slot(bias), next);
  }

  const tf_activation activation;
  int weight, bias = -1;
};

}  // namespace

ModuleRef make_linear(int64_t in_features, int64_t out_features, bool bias, tf_activation act) {
  return ModuleRef::adopt(new Linear(in_features, out_features, bias, act));
}

}  // namespace tf
