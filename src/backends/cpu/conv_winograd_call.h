// How the kernels of convolution hand over to Winograd's.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/conv_depthwise.h"
#include "backends/cpu/conv_winograd.h"

namespace tf::cpu::TF_ISA {
namespace {

// in, out: channels of one group.
template <class T>
static inline bool by_winograd(const Image& x, const Window& w, int64_t in, int64_t out) {
  return std::is_same_v<T, float> &&
         worth_winograd({w.kernel_h, w.kernel_w, w.stride_h, w.stride_w, w.dilation_h, w.dilation_w,
                         x.count, w.out_h, w.out_w, in, out});
}

static inline WinogradImages winograd_images(const Image& x, const ChannelsLast<float>& from) {
  return {from.data, x.count, x.height, x.width, from.image, from.row, from.pixel};
}

// Weights packed as for the direct kernels. `pooled`: y.data gets the maxima of the windows that it
// names.
template <class T>
static inline tf_status convolve_by_winograd(const Image& x, const Window& w, int64_t in,
                                             int64_t groups, const T* packed, const Result& y,
                                             const WinogradPool& pool = {}) {
  if constexpr (std::is_same_v<T, float>) {
    ChannelsLast<float> from;
    const tf_status status = from.make(x);
    if (status != TINYFIN_OK) return status;
    return winograd({winograd_images(x, from), w.top, w.left, w.out_h, w.out_w, groups, in,
                     y.out_channels, packed, static_cast<const float*>(y.bias),
                     y.activation == TINYFIN_ACTIVATION_RELU, static_cast<float*>(y.data), pool});
  } else {
    return TINYFIN_ERROR_UNSUPPORTED;
  }
}

// finite: whether dw is; not, it is to be computed by the definition.
template <class T>
static inline tf_status grad_weight_by_winograd(const Image& x, const Image& grad, const Window& w,
                                                int64_t groups, T* dw, bool* finite) {
  if constexpr (std::is_same_v<T, float>) {
    ChannelsLast<float> from, g;
    tf_status status = from.make(x);
    if (status == TINYFIN_OK) status = g.make(grad);
    if (status != TINYFIN_OK) return status;
    return winograd_grad_weight({winograd_images(x, from), winograd_images(grad, g), w.top, w.left,
                                 groups, x.channels / groups, grad.channels / groups, dw},
                                finite);
  } else {
    return TINYFIN_ERROR_UNSUPPORTED;
  }
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
