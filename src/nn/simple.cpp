// Layers without parameters: dropout, softmax, flatten, identity.
// SPDX-License-Identifier: MIT
#include "nn/module.h"
#include "ops/ops.h"

namespace tf {
namespace {

struct Flatten final : tf_module {
  explicit Flatten(int64_t start) : start_dim(start) {
    options = {{"start_dim", {double(start_dim)}}};
  }
  const char* kind() const noexcept override { return "Flatten"; }
  Tensor forward(const Tensor& x) override { return flatten(x, start_dim); }
  const int64_t start_dim;
};

struct Identity final : tf_module {
  const char* kind() const noexcept override { return "Identity"; }
  Tensor forward(const Tensor& x) override { return x; }
};

}  // namespace

ModuleRef make_flatten(int64_t start_dim) { return ModuleRef::adopt(new Flatten(start_dim)); }
ModuleRef make_identity() { return ModuleRef::adopt(new Identity); }

}  // namespace tf
