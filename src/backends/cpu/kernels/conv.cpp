// conv2d, and conv2d that hands on the maxima of windows of its result.
// SPDX-License-Identifier: MIT
#include "backends/cpu/conv_winograd_call.h"
#include "backends/cpu/pool.h"

namespace tf::cpu::TF_ISA {
namespace {

// A band of the convolution's result that waits to be pooled stays in the first cache, where a
// single row of windows does.
constexpr int64_t kPooledBytes = 32 * 1024;

// Channels-last images of `channels`, one row after the other.
template <class T>
static inline PixelRow<T> dense_row(T* data, int64_t channels) {
  return {data, channels, 1};
}

// y and index (N, pooled_h, pooled_w, channels): the maxima of windows of the convolution's
// result, of which a few rows at a time exist.
template <class T>
static tf_status convolve_pooled(Patches p, const T* weights, const Result& y, int64_t groups,
                                 const Windows& windows, int64_t pooled_h, int64_t pooled_w,
                                 int32_t* index) {
  const int64_t width = p.w.out_w, row = width * y.pixel;
  const int64_t group = ceil_div(y.out_channels, kPanelWidth<T>) * p.reduce * p.k * kPanelWidth<T>;
  const int64_t fit = kPooledBytes / (windows.kernel_h * row * int64_t(sizeof(T)));
  const int64_t band = larger(1, smaller(fit, pooled_h)), bands = ceil_div(pooled_h, band);
  const int64_t rows = band * windows.kernel_h, scratch = (p.scratch_of(rows) + 15) / 16 * 16;
  const int64_t grain = 1 + kTileWork / (rows * width * p.reduce * p.k * y.pixel + 1);
  const auto work = [&](int64_t begin, int64_t end, void* memory) {
    T* const image = static_cast<T*>(memory);
    T* const result = image + scratch;
    for (int64_t u = begin; u < end; ++u) {
      const int64_t n = u / bands, first = u % bands * band;
      const int64_t count = smaller(band, pooled_h - first), oh = first * windows.kernel_h;
      for (int64_t g = 0; g < groups; ++g) {
        const T* bias = y.bias ? static_cast<const T*>(y.bias) + g * y.out_channels : nullptr;
        const T* a = load_band(p, n, g * p.channels, oh, count * windows.kernel_h, image);
        multiply(p, y, a, count * windows.kernel_h, width, p.row, weights + g * group, bias,
                 result + g * y.out_channels);
      }
      for (int64_t r = 0; r < count; ++r) {
        const Cover covers = covered(first + r, windows.kernel_h, windows.stride_h, 0, p.w.out_h);
        const int64_t out = (n * pooled_h + first + r) * pooled_w * y.pixel;
        max_of_windows<true, T>(
            windows, covers, width, y.pixel,
            dense_row<const T>(result + (covers.first - oh) * row, y.pixel), row, pooled_w,
            dense_row(static_cast<T*>(y.data) + out, y.pixel), dense_row(index + out, y.pixel));
      }
    }
  };
  return parallel_with_memory(p.x.count * bands, grain, size_t(scratch + rows * row) * sizeof(T),
                              work);
}

// `pooled`: out[0] and out[1] are the maxima of windows side by side and their indices.
template <class T>
static tf_status conv2d_typed(const tf_kernel_call* c, bool pooled) {
  const tf_view &weight = c->in[1], &bias = c->in[2], &y = c->out[0];
  if (numel(y) == 0) return TINYFIN_OK;
  const tf_attr* a = c->attr;
  const int64_t groups = groups_of(a), channels = y.shape[1];
  const Weights w = weights_of(weight, groups);
  const Image x = image_of(c->in[0]);
  Window window = window_of(a, w.kernel_h, w.kernel_w, 0, 0);
  window.out_h = (x.height + a[2].i + a[4].i - rows_read(window, 1)) / window.stride_h + 1;
  window.out_w =
      (x.width + a[3].i + a[5].i - (w.kernel_w - 1) * window.dilation_w - 1) / window.stride_w + 1;
  if (is_depthwise(w, groups) && pooled) return TINYFIN_ERROR_UNSUPPORTED;
  const Patches p = plan<T>(x, window, w.in, w.out, groups);
  const int64_t packed = groups * ceil_div(w.out, kPanelWidth<T>) * w.steps() * kPanelWidth<T>;
  const size_t bytes = size_t(packed + channels) * sizeof(T);
  T* const memory = static_cast<T*>(host->host_alloc(bytes));
  if (!memory) return error(TINYFIN_ERROR_MEMORY, "out of host memory for packed weights");
  T* const values = absent(bias) ? nullptr : memory + packed;
  if (values)
    for (int64_t i = 0; i < channels; ++i)
      values[i] = static_cast<const T*>(bias.data)[i * bias.strides[0]];
  const Result result{y.data, w.out, channels, values, tf_activation(a[9].i)};
  tf_status status = TINYFIN_OK;
  if (is_depthwise(w, groups)) {
    status = depthwise<T>(x, w, window, false, result);
  } else {
    status = pack_forward(w, groups, memory);
    if (status == TINYFIN_OK && by_winograd<T>(x, window, w.in, w.out)) {
      WinogradPool pool;
      if (pooled)
        pool = {a[10].i, a[11].i, y.shape[2], y.shape[3], static_cast<int32_t*>(c->out[1].data)};
      status = convolve_by_winograd<T>(x, window, w.in, groups, memory, result, pool);
    } else if (status == TINYFIN_OK && pooled) {
      const Windows windows{a[10].i, a[11].i, a[10].i, a[11].i, 0, 0};
      status = convolve_pooled(p, memory, result, groups, windows, y.shape[2], y.shape[3],
                               static_cast<int32_t*>(c->out[1].data));
    } else if (status == TINYFIN_OK) {
      status = convolve(p, memory, result, groups);
    }
  }
  host->host_free(memory, bytes);
  return status;
}

// x (N, C, H, W), weight (O, C / groups, kH, kW), bias (O) of any strides; out channels last.
static tf_status conv2d_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT64 ? conv2d_typed<double>(c, false)
                                            : conv2d_typed<float>(c, false);
}
TF_KERNEL(conv2d, TINYFIN_DTYPES_FLOAT, conv2d_kernel);

static tf_status conv2d_max_pool_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT64 ? conv2d_typed<double>(c, true)
                                            : conv2d_typed<float>(c, true);
}
TF_KERNEL(conv2d_max_pool, TINYFIN_DTYPES_FLOAT, conv2d_max_pool_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
