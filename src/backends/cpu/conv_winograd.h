// Convolutions of 3 × 3 taps and step 1 by Winograd's F(4×4, 3×3): 4 × 4 pixels of the result from
// 36 products instead of 144, per pair of channels. float32. See docs/notebook/winograd.md.
//
// Results that are not finite are computed again by the definition: NaN and infinities stand where
// the direct kernels have them, with the same bits.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/isa.h"
#include "backends/cpu/kernel.h"

namespace tf::cpu {

// Images whose channels lie side by side; elements from one image, row and pixel to the next.
struct WinogradImages {
  const float* data;
  int64_t count, height, width, image, row, pixel;
};

// Maxima of windows of height × width side by side, and where each lies, instead of the result.
struct WinogradPool {
  int64_t height = 0, width = 0;  // of a window; 0: no pooling
  int64_t out_h = 0, out_w = 0;
  int32_t* index = nullptr;
};

// y = activation(x ∗ weight + bias).
struct Winograd {
  WinogradImages x;
  int64_t top, left, out_h, out_w;  // padding, which may be negative, and the result's size
  int64_t groups, in, out;          // channels of one group
  const float* packed;  // weights (group, panel of out channels, tap, in channel, lane)
  const float* bias;    // of all out channels, or null
  bool relu;
  float* y;  // (count, out_h, out_w, groups * out) without gaps, or what the pooling leaves of it
  WinogradPool pool;
};

// dw (groups * out, in, 3, 3) = the gradient with respect to the weight.
struct WinogradGradient {
  WinogradImages x, grad;
  int64_t top, left;
  int64_t groups, in, out;
  float* dw;
};

// What of a convolution decides, by shape alone, whether it is worth it.
struct WinogradShape {
  int64_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
  int64_t count, out_h, out_w, in, out;
};

namespace TF_ISA {

bool worth_winograd(const WinogradShape& s);
tf_status winograd(const Winograd& c);
// finite: whether dw is. Where not, the definition may give other values.
tf_status winograd_grad_weight(const WinogradGradient& c, bool* finite);

}  // namespace TF_ISA
}  // namespace tf::cpu
