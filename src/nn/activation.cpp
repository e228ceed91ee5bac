// Activations, as layers and as what Linear and Conv2d apply to their output.
// SPDX-License-Identifier: MIT
#include "nn/module.h"
#include "ops/ops.h"

namespace tf {
namespace {

struct Activation final : tf_module {
  explicit Activation(tf_activation kind) : act(kind) {
    check_activation(act);
    options = {{"kind", {double(act)}}};
  }
  const char* kind() const noexcept override {
    switch (act) {
      case TINYFIN_ACTIVATION_RELU: return "ReLU";
      case TINYFIN_ACTIVATION_GELU:
      case TINYFIN_ACTIVATION_GELU_TANH: return "GELU";
      case TINYFIN_ACTIVATION_SIGMOID: return "Sigmoid";
      case TINYFIN_ACTIVATION_TANH: return "Tanh";
      case TINYFIN_ACTIVATION_SILU: return "SiLU";
      default: return "Identity";
    }
  }
  Tensor forward(const Tensor& x) override { return activate(x, act); }
  tf_activation as_activation() const noexcept override { return act; }
  const tf_activation act;
};

}  // namespace

void check_activation(tf_activation kind) {
  TF_CHECK(kind >= TINYFIN_ACTIVATION_NONE && kind <= TINYFIN_ACTIVATION_SILU,
           TINYFIN_ERROR_ARGUMENT, "received activation ", kind,
           "; expected one of TINYFIN_ACTIVATION_NONE … TINYFIN_ACTIVATION_SILU (1 to 7)");
}

ModuleRef make_activation(tf_activation kind) { return ModuleRef::adopt(new Activation(kind)); }

}  // namespace tf
