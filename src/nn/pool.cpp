// Pooling over windows of images.
// SPDX-License-Identifier: MIT
#include "nn/module.h"
#include "ops/ops.h"

namespace tf {
namespace {

struct Pool2d : tf_module {
  explicit Pool2d(const Pool2dOptions& o)
      : windows(o),
        kernel_size{o.kernel_size[0], o.kernel_size[1]},
        stride{o.stride[0], o.stride[1]},
        padding{o.padding[0], o.padding[1]} {
    for (int k = 0; k < 2; ++k) {
      TF_CHECK(kernel_size[k] > 0 && stride[k] > 0, TINYFIN_ERROR_ARGUMENT,
               "received kernel_size ", kernel_size[k], " and stride ", stride[k],
               "; expected both above 0");
      TF_CHECK(padding[k] >= 0 && padding[k] <= kernel_size[k] / 2, TINYFIN_ERROR_ARGUMENT,
               "received padding ", padding[k], " for a window of ", kernel_size[k],
               "; expected 0 to half the window");
    }
    const auto values = [](const Pair& p) {
      return std::vector<double>{double(p[0]), double(p[1])};
    };
    options = {{"kernel_size", values(kernel_size)},
               {"stride", values(stride)},
               {"padding", values(padding)}};
  }
  const Pool2dOptions windows;
  const Pair kernel_size, stride, padding;
};

struct MaxPool2d final : Pool2d {
  using Pool2d::Pool2d;
  const char* kind() const noexcept override { return "MaxPool2d"; }
  const Pool2dOptions* as_max_pool() const noexcept override { return &windows; }
  Tensor forward(const Tensor& x) override {
    return max_pool2d(x, kernel_size, IntList(stride), padding);
  }
};

struct AvgPool2d final : Pool2d {
  using Pool2d::Pool2d;
  const char* kind() const noexcept override { return "AvgPool2d"; }
  Tensor forward(const Tensor& x) override {
    return avg_pool2d(x, kernel_size, IntList(stride), padding);
  }
};

}  // namespace

ModuleRef make_max_pool2d(const Pool2dOptions& o) { return ModuleRef::adopt(new MaxPool2d(o)); }
ModuleRef make_avg_pool2d(const Pool2dOptions& o) { return ModuleRef::adopt(new AvgPool2d(o)); }

}  // namespace tf
