// Multi-head attention of a sequence to itself (Vaswani et al. 2017).
// SPDX-License-Identifier: MIT
#include <cmath>

#include "nn/module.h"
#include "ops/ops.h"

namespace tf {
namespace {

struct MultiheadAttention final : tf_module {
  MultiheadAttention(int64_t embed_dim, int64_t num_heads, bool is_causal)
      : width(embed_dim), heads(num_heads), causal(is_causal) {
    TF_CHECK(width > 0 && heads > 0 && width % heads == 0, TINYFIN_ERROR_ARGUMENT,
             "received embed_dim = ", width, ", num_heads = ", heads,
             "; expected both above 0 and the first divisible by the second");
    const double bound = std::sqrt(6.0 / double(2 * width));  // Glorot & Bengio (2010)
    const char* const names[] = {"q_weight", "k_weight", "v_weight", "o_weight"};
    for (int i = 0; i < 4; ++i)
      weight[i] = add_parameter(names[i], uniform_parameter({width, width}, bound));
    options = {{"embed_dim", {double(width)}},
               {"num_heads", {double(heads)}},
               {"causal", {double(causal)}}};
  }
  const char* kind() const noexcept override { return "MultiheadAttention"; }
  Tensor forward(const Tensor& x) override {
    TF_CHECK(x.ndim() == 3 && x.size(2) == width, TINYFIN_ERROR_SHAPE, "received x of shape ",
             to_string(x.shape()), "; expected (batch, time, ", width, ")");
    const int64_t apart[] = {x.size(0), x.size(1), heads, width / heads};
    const int64_t together[] = {x.size(0), x.size(1), width};
    Tensor parts[3];
    for (int i = 0; i < 3; ++i)
      parts[i] = swapaxes(reshape(linear(x, slot(weight[i])), apart), 1, 2);
    const Tensor y =
        scaled_dot_product_attention(parts[0], parts[1], parts[2], Tensor(), 0, causal);
    return linear(reshape(swapaxes(y, 1, 2), together), slot(weight[3]));
  }

  const int64_t width, heads;
  const bool causal;
  int weight[4];
};

}  // namespace

ModuleRef make_multihead_attention(int64_t embed_dim, int64_t num_heads, bool causal) {
  return ModuleRef::adopt(new MultiheadAttention(embed_dim, num_heads, causal));
}

}  // namespace tf
