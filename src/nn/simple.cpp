// Layers without parameters: dropout, softmax, flatten, identity.
// SPDX-License-Identifier: MIT
#include "nn/module.h"
#include "ops/ops.h"

namespace tf {
namespace {

struct Dropout final : tf_module {
  explicit Dropout(double probability) : p(probability) {
    TF_CHECK(p >= 0 && p <= 1, TINYFIN_ERROR_ARGUMENT, "received p = ", p,
             "; expected a probability from 0 to 1");
    options = {{"p", {p}}};
  }
  const char* kind() const noexcept override { return "Dropout"; }
  Tensor forward(const Tensor& x) override { return dropout(x, p, training); }
  const double p;
};

struct Softmax final : tf_module {
  explicit Softmax(int64_t d) : dim(d) { options = {{"dim", {double(dim)}}}; }
  const char* kind() const noexcept override { return "Softmax"; }
  Tensor forward(const Tensor& x) override { return softmax(x, dim); }
  const int64_t dim;
};

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

ModuleRef make_dropout(double p) { return ModuleRef::adopt(new Dropout(p)); }
ModuleRef make_softmax(int64_t dim) { return ModuleRef::adopt(new Softmax(dim)); }
ModuleRef make_flatten(int64_t start_dim) { return ModuleRef::adopt(new Flatten(start_dim)); }
ModuleRef make_identity() { return ModuleRef::adopt(new Identity); }

}  // namespace tf
