// conv2d.
// SPDX-License-Identifier: MIT
#include "backends/cpu/conv_product.h"

namespace tf::cpu::TF_ISA {
namespace {

template <class T>
static tf_status conv2d_typed(const tf_kernel_call* c) {
  const tf_view &x = c->in[0], &weight = c->in[1], &bias = c->in[2], &y = c->out[0];
  if (numel(y) == 0) return TINYFIN_OK;
  const int64_t groups = groups_of(c->attr), channels = y.shape[1];
  const Weights w = weights_of(weight, groups);
  const Window window = window_of(c->attr, w.kernel_h, w.kernel_w, y.shape[2], y.shape[3]);
  const Patches p = plan<T>(image_of(x), window, w.in, w.out, groups);
  const int64_t packed = groups * ceil_div(w.out, kPanelWidth<T>) * w.steps() * kPanelWidth<T>;
  const size_t bytes = size_t(packed + channels) * sizeof(T);
  T* const memory = static_cast<T*>(host->host_alloc(bytes));
  if (!memory) return error(TINYFIN_ERROR_MEMORY, "out of host memory for packed weights");
  T* const values = absent(bias) ? nullptr : memory + packed;
  if (values)
    for (int64_t i = 0; i < channels; ++i)
      values[i] = static_cast<const T*>(bias.data)[i * bias.strides[0]];
  tf_status status = pack_forward(w, groups, memory);
  if (status == TINYFIN_OK)
    status = convolve(p, memory, {y.data, w.out, channels, values, tf_activation(c->attr[9].i)},
                      groups);
  host->host_free(memory, bytes);
  return status;
}

// x (N, C, H, W), weight (O, C / groups, kH, kW), bias (O) of any strides; out channels last.
static tf_status conv2d_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT64 ? conv2d_typed<double>(c) : conv2d_typed<float>(c);
}
TF_KERNEL(conv2d, TINYFIN_DTYPES_FLOAT, conv2d_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
