// Convolution of images.
// SPDX-License-Identifier: MIT
#include <cmath>

#include "nn/module.h"
#include "ops/ops.h"

namespace tf {
namespace {

struct Conv2d final : tf_module {
  explicit Conv2d(const Conv2dOptions& options)
      : o(options),
        stride{o.stride[0], o.stride[1]},
        padding{o.padding[0], o.padding[1]},
        dilation{o.dilation[0], o.dilation[1]} {
    const auto above = [](const char* name, int64_t value, int64_t least) {
      TF_CHECK(value >= least, TINYFIN_ERROR_ARGUMENT, "received ", name, " = ", value,
               "; expected ", least, " or more");
    };
    above("in_channels", o.in_channels, 1);
    above("out_channels", o.out_channels, 1);
    above("groups", o.groups, 1);
    for (int k = 0; k < 2; ++k) {
      above("kernel_size", o.kernel_size[k], 1);
      above("stride", o.stride[k], 1);
      above("padding", o.padding[k], 0);
      above("dilation", o.dilation[k], 1);
    }
    TF_CHECK(o.in_channels % o.groups == 0 && o.out_channels % o.groups == 0,
             TINYFIN_ERROR_ARGUMENT, "received groups = ", o.groups, " for ", o.in_channels,
             " and ", o.out_channels, " channels; expected a divisor of both");
    check_activation(o.activation);
    const Dims shape{o.out_channels, o.in_channels / o.groups, o.kernel_size[0],
                     o.kernel_size[1]};
    const double fan_in = double(checked_numel(shape) / o.out_channels);
    const double bound = 1 / std::sqrt(fan_in);
    weight = add_parameter("weight", uniform_parameter(shape, bound));
    if (o.bias) bias = add_parameter("bias", uniform_parameter({o.out_channels}, bound));
    const auto pair = [](const int64_t (&p)[2]) {
      return std::vector<double>{double(p[0]), double(p[1])};
    };
    this->options = {{"in_channels", {double(o.in_channels)}},
                     {"out_channels", {double(o.out_channels)}},
                     {"kernel_size", pair(o.kernel_size)},
                     {"stride", pair(o.stride)},
                     {"padding", pair(o.padding)},
                     {"dilation", pair(o.dilation)},
                     {"groups", {double(o.groups)}},
                     {"bias", {double(o.bias)}},
                     {"activation", {double(o.activation)}}};
  }
  const char* kind() const noexcept override { return "Conv2d"; }
  Tensor forward(const Tensor& x) override {
    return conv2d(x, slot(weight), slot(bias), stride, padding, dilation, o.groups, o.activation);
  }
  // A relu, and a max pooling by windows side by side.
  Tensor forward_with(const Tensor& x, std::span<const ModuleChild> behind,
                      size_t& taken) override {
    tf_activation act = o.activation;
    size_t n = 0;
    if (act == TINYFIN_ACTIVATION_NONE && n < behind.size() &&
        behind[n].module->as_activation() == TINYFIN_ACTIVATION_RELU) {
      act = TINYFIN_ACTIVATION_RELU;
      ++n;
    }
    const Pool2dOptions* pool = n < behind.size() ? behind[n].module->as_max_pool() : nullptr;
    taken += n;
    if (!pool || !side_by_side(*pool))
      return conv2d(x, slot(weight), slot(bias), stride, padding, dilation, o.groups, act);
    ++taken;
    return conv2d_max_pool(x, slot(weight), slot(bias), stride, padding, dilation, o.groups, act,
                           {pool->kernel_size[0], pool->kernel_size[1]});
  }
  static bool side_by_side(const Pool2dOptions& p) {
    return p.stride[0] == p.kernel_size[0] && p.stride[1] == p.kernel_size[1] &&
           p.padding[0] == 0 && p.padding[1] == 0;
  }

  const Conv2dOptions o;
  const Pair stride, padding, dilation;
  int weight, bias = -1;
};

}  // namespace

ModuleRef make_conv2d(const Conv2dOptions& options) {
  return ModuleRef::adopt(new Conv2d(options));
}

}  // namespace tf
