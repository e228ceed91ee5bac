// Normalisation over the batch (Ioffe & Szegedy, ICML 2015) and over a layer's features (Ba,
// Kiros & Hinton, 2016).
// SPDX-License-Identifier: MIT
#include <cmath>

#include "nn/module.h"
#include "ops/ops.h"

namespace tf {
namespace {

void check_eps(double eps) {
  TF_CHECK(eps >= 0 && std::isfinite(eps), TINYFIN_ERROR_ARGUMENT, "received eps = ", eps,
           "; expected a finite number, 0 or more");
}

struct BatchNorm final : tf_module {
  BatchNorm(int64_t num_features, double e, double m, bool affine, bool track)
      : eps(e), momentum(m) {
    TF_CHECK(num_features > 0, TINYFIN_ERROR_ARGUMENT, "received num_features = ", num_features,
             "; expected 1 or more");
    check_eps(eps);
    TF_CHECK(momentum >= 0 && momentum <= 1, TINYFIN_ERROR_ARGUMENT, "received momentum = ",
             momentum, "; expected a weight from 0 to 1");
    const IntList size(&num_features, 1);
    if (affine) {
      weight = add_parameter("weight", ones(size));
      bias = add_parameter("bias", zeros(size));
    }
    if (track) {
      mean = add_buffer("running_mean", zeros(size));
      var = add_buffer("running_var", ones(size));
    }
    options = {{"num_features", {double(num_features)}},
               {"eps", {eps}},
               {"momentum", {momentum}},
               {"affine", {double(affine)}},
               {"track_running_stats", {double(track)}}};
  }
  const char* kind() const noexcept override { return "BatchNorm"; }
  Tensor forward(const Tensor& x) override {
    return batch_norm(x, slot(mean), slot(var), slot(weight), slot(bias), training || mean < 0,
                      momentum, eps);
  }
  // A relu.
  Tensor forward_with(const Tensor& x, std::span<const ModuleChild> behind,
                      size_t& taken) override {
    if (behind.empty() || behind[0].module->as_activation() != TINYFIN_ACTIVATION_RELU)
      return forward(x);
    ++taken;
    return batch_norm_relu(x, slot(mean), slot(var), slot(weight), slot(bias),
                           training || mean < 0, momentum, eps);
  }

  const double eps, momentum;
  int weight = -1, bias = -1, mean = -1, var = -1;
};

struct LayerNorm final : tf_module {
  LayerNorm(const Dims& normalized_shape, double e, bool affine)
      : shape(normalized_shape), eps(e) {
    TF_CHECK(shape.size() > 0 && checked_numel(shape) > 0, TINYFIN_ERROR_SHAPE,
             "received normalized_shape ", to_string(shape),
             "; expected one dimension or more, none of size 0");
    check_eps(eps);
    if (affine) {
      weight = add_parameter("weight", ones(as_list(shape)));
      bias = add_parameter("bias", zeros(as_list(shape)));
    }
    options = {{"normalized_shape", std::vector<double>(shape.begin(), shape.end())},
               {"eps", {eps}},
               {"affine", {double(affine)}}};
  }
  const char* kind() const noexcept override { return "LayerNorm"; }
  Tensor forward(const Tensor& x) override {
    return layer_norm(x, as_list(shape), slot(weight), slot(bias), eps);
  }

  const Dims shape;
  const double eps;
  int weight = -1, bias = -1;
};

}  // namespace

ModuleRef make_batch_norm(int64_t num_features, double eps, double momentum, bool affine,
                          bool track_running_stats) {
  return ModuleRef::adopt(
      new BatchNorm(num_features, eps, momentum, affine, track_running_stats));
}

ModuleRef make_layer_norm(const Dims& normalized_shape, double eps, bool affine) {
  return ModuleRef::adopt(new LayerNorm(normalized_shape, eps, affine));
}

}  // namespace tf
