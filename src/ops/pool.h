// Pooling inside the engine.
// SPDX-License-Identifier: MIT
#pragma once

#include "ops/op.h"

namespace tf {

// One pooling's numbers, in the order of the attributes.
struct PoolWindows {
  int64_t kernel[2], stride[2], pad[2];

  explicit PoolWindows(const Attrs& a) {
    for (int k = 0; k < 2; ++k) {
      kernel[k] = a.i(k);
      stride[k] = a.i(2 + k);
      pad[k] = a.i(4 + k);
    }
  }
  PoolWindows(const Pair& k, const Pair& s, const Pair& p)
      : kernel{k[0], k[1]}, stride{s[0], s[1]}, pad{p[0], p[1]} {}

  template <class... More>
  Attrs attrs(More... more) const {
    return Attrs(kernel[0], kernel[1], stride[0], stride[1], pad[0], pad[1], more...);
  }
  int64_t out(int64_t size, int side) const {
    return (size + 2 * pad[side] - kernel[side]) / stride[side] + 1;
  }
};

// Maxima and int32 h * W + w of where each lies; both (N, C, OH, OW).
std::pair<Tensor, Tensor> max_of_windows(const Tensor& x, const PoolWindows& w);
// Its transpose: every grad added where its index points; (N, C, height, width). result: maxima
// of a relu; a grad counts where its maximum is above 0.
Tensor scatter_windows(const Tensor& grad, const Tensor& indices, const PoolWindows& w,
                       int64_t height, int64_t width, const Tensor& result = {});

}  // namespace tf
