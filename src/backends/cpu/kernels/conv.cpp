// conv2d and its gradient with respect to the input: which is a convolution of the output's
// gradient with the turned kernel.
// SPDX-License-Identifier: MIT
#include "backends/cpu/conv.h"
#include "backends/cpu/activation.h"

namespace tf::cpu::TF_ISA {
namespace {

// What B is made of: element (kh, kw, in channel, out channel) of a group.
struct Weights {
  const void* data;
  int64_t stride_h, stride_w, stride_in, stride_out;
  int64_t group;  // elements from one group's weights to the next
};

// The output, channels last, and what happens to it on the way to memory.
struct Result {
  void* data;
  int64_t out_channels;  // of one group
  int64_t pixel;         // elements from pixel to pixel: all channels
  const void* bias;      // contiguous, or null
  tf_activation activation;
};

// Panels of out channels, each (kh * kw * in channels, width) with zeros behind the last channel.
template <class T>
static tf_status pack_weights(const Patches& p, const Weights& w, int64_t groups, int64_t out,
                              int64_t panels, T* to) {
  const int64_t steps = p.w.kernel_h * p.w.kernel_w * p.channels, width = kPanelWidth<T>;
  const int64_t grain = 1 + 32768 / (steps * width + 1);
  return parallel_range(groups * panels, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t j0 = i % panels * width, n = smaller(width, out - j0);
      const T* from = static_cast<const T*>(w.data) + i / panels * w.group + j0 * w.stride_out;
      T* row = to + i * steps * width;
      for (int64_t h = 0; h < p.w.kernel_h; ++h)
        for (int64_t v = 0; v < p.w.kernel_w; ++v)
          for (int64_t c = 0; c < p.channels; ++c, row += width) {
            const T* source = from + h * w.stride_h + v * w.stride_w + c * w.stride_in;
            for (int64_t j = 0; j < n; ++j) row[j] = source[j * w.stride_out];
            for (int64_t j = n; j < width; ++j) row[j] = T(0);
          }
    }
  });
}

// One band of one group: `a` as load_band() answered.
template <class T>
static void multiply_band(const Patches& p, const Result& y, const T* a, const T* weights,
                          const T* bias, int64_t rows, T* out) {
  constexpr int64_t kW = Vec<T>::kWidth, kWidth = kPanelWidth<T>;
  const int64_t steps = p.reduce * p.k;
  // Rows of pixels at one distance from each other are one long row.
  const bool merged = rows == 1 || p.row == p.w.out_w * p.pixel;
  const int64_t run = merged ? rows * p.w.out_w : p.w.out_w, runs = merged ? 1 : rows;
  Tile<T> t;
  t.k = p.k;
  t.reduce = p.reduce;
  t.a_row = p.pixel;
  t.a_col = 1;
  t.a_step = p.step;
  t.b_row = kWidth;
  t.b_step = p.k * kWidth;
  t.ldc = y.pixel;
  t.load_c = false;
  t.floor = y.activation == TINYFIN_ACTIVATION_RELU ? T(0) : -T(INFINITY);
  const bool separate = y.activation != TINYFIN_ACTIVATION_RELU;
  for (int64_t j = 0; j < y.out_channels; j += kWidth) {
    const int64_t columns = smaller(kWidth, y.out_channels - j);
    const int vectors = columns > kW ? kPanel : 1;
    const int64_t height = vectors == 1 ? kMaxRows<1> : kMaxRows<kPanel>;
    const int64_t pieces = ceil_div(run, height);
    t.tail = columns - (vectors - 1) * kW;
    t.bias = bias ? bias + j : nullptr;
    const TileFn<T>* tile = tiles_for<T>(vectors, Layout::kRowMajor);
    for (int64_t r = 0; r < runs; ++r) {
      for (int64_t i = 0, m = 0, done = 0; i < pieces; ++i, done += m) {
        m = (run - done) / (pieces - i);
        T* c = out + (r * p.w.out_w + done) * y.pixel + j;
        tile[m - 1](t, a + r * p.row + done * p.pixel, weights, c);
        if (separate) activate(y.activation, c, y.pixel, m, columns);
      }
    }
    weights += steps * kWidth;
  }
}

template <class T>
static tf_status convolve(const Patches& p, const Weights& w, const Result& y, int64_t groups) {
  const int64_t width = kPanelWidth<T>, panels = ceil_div(y.out_channels, width);
  const int64_t steps = p.w.kernel_h * p.w.kernel_w * p.channels;
  const size_t packed_bytes = size_t(groups * panels * steps * width) * sizeof(T);
  T* packed = static_cast<T*>(host->host_alloc(packed_bytes + 64));
  if (!packed) return error(TINYFIN_ERROR_MEMORY, "out of host memory for packed weights");
  tf_status status = pack_weights(p, w, groups, y.out_channels, panels, packed);
  const int64_t grain = units_per_tile(p, steps * y.pixel);
  bool starved = false;
  if (status == TINYFIN_OK) {
    status = parallel_range(units(p), grain, [&](int64_t begin, int64_t end) {
      T* scratch = nullptr;
      if (p.scratch_bytes) {
        scratch = static_cast<T*>(host->host_alloc(size_t(p.scratch_bytes)));
        if (!scratch) {
          __atomic_store_n(&starved, true, __ATOMIC_RELAXED);
          return;
        }
      }
      for (int64_t u = begin; u < end; ++u) {
        const int64_t n = u / p.bands, oh = u % p.bands * p.band;
        const int64_t rows = smaller(p.band, p.w.out_h - oh);
        T* out = static_cast<T*>(y.data) + (n * p.w.out_h + oh) * p.w.out_w * y.pixel;
        for (int64_t g = 0; g < groups; ++g) {
          const T* a = load_band(p, n, g * p.channels, oh, rows, scratch);
          const T* bias = static_cast<const T*>(y.bias);
          multiply_band(p, y, a, packed + g * panels * steps * width,
                        bias ? bias + g * y.out_channels : nullptr, rows, out + g * y.out_channels);
        }
      }
      if (scratch) host->host_free(scratch, size_t(p.scratch_bytes));
    });
  }
  host->host_free(packed, packed_bytes + 64);
  if (starved) return error(TINYFIN_ERROR_MEMORY, "out of host memory for a band of the image");
  return status;
}

template <class T>
static tf_status conv2d_typed(const tf_kernel_call* c) {
  const tf_view &x = c->in[0], &weight = c->in[1], &bias = c->in[2], &y = c->out[0];
  const int64_t groups = groups_of(c->attr), out = y.shape[1] / groups;
  if (numel(y) == 0) return TINYFIN_OK;
  const Window w = window_of(c->attr, weight.shape[2], weight.shape[3], y.shape[2], y.shape[3]);
  const int64_t work = weight.shape[1] * weight.shape[2] * weight.shape[3] * y.shape[1];
  const Patches p = plan(image_of(x), w, weight.shape[1], int64_t(sizeof(T)), work);
  const size_t bias_bytes = size_t(y.shape[1]) * sizeof(T);
  T* values = nullptr;
  if (!absent(bias)) {
    values = static_cast<T*>(host->host_alloc(bias_bytes));
    if (!values) return error(TINYFIN_ERROR_MEMORY, "out of host memory for the bias");
    for (int64_t i = 0; i < y.shape[1]; ++i)
      values[i] = static_cast<const T*>(bias.data)[i * bias.strides[0]];
  }
  const tf_status status =
      convolve<T>(p,
                  {weight.data, weight.strides[2], weight.strides[3], weight.strides[1],
                   weight.strides[0], out * weight.strides[0]},
                  {y.data, out, y.shape[1], values, tf_activation(c->attr[9].i)}, groups);
  if (values) host->host_free(values, bias_bytes);
  return status;
}

template <class T>
static tf_status grad_input_typed(const tf_kernel_call* c) {
  const tf_view &grad = c->in[0], &weight = c->in[1], &dx = c->out[0];
  const int64_t groups = groups_of(c->attr);
  const int64_t in = weight.shape[0] / groups, out = weight.shape[1];
  const int64_t kh = weight.shape[2], kw = weight.shape[3];
  if (numel(dx) == 0) return TINYFIN_OK;
  Image image = image_of(grad);
  const Window forward = window_of(c->attr, kh, kw, 0, 0);
  image.up_h = forward.stride_h;
  image.up_w = forward.stride_w;
  Window w = forward;
  w.stride_h = w.stride_w = 1;
  w.top = forward.dilation_h * (kh - 1) - forward.top;
  w.left = forward.dilation_w * (kw - 1) - forward.left;
  w.out_h = dx.shape[2];
  w.out_w = dx.shape[3];
  const Patches p = plan(image, w, in, int64_t(sizeof(T)), in * kh * kw * dx.shape[1]);
  const T* last = static_cast<const T*>(weight.data) + (kh - 1) * weight.strides[2] +
                  (kw - 1) * weight.strides[3];
  return convolve<T>(p,
                     {last, -weight.strides[2], -weight.strides[3], weight.strides[0],
                      weight.strides[1], in * weight.strides[0]},
                     {dx.data, out, dx.shape[1], nullptr, TINYFIN_ACTIVATION_NONE}, groups);
}

// x (N, C, H, W), weight (O, C / groups, kH, kW), bias (O) of any strides; out channels last.
static tf_status conv2d_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT64 ? conv2d_typed<double>(c) : conv2d_typed<float>(c);
}
TF_KERNEL(conv2d, TINYFIN_DTYPES_FLOAT, conv2d_kernel);

// grad (N, O, OH, OW) and weight of any strides; out (N, C, H, W) channels last.
static tf_status conv2d_grad_input_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT64 ? grad_input_typed<double>(c)
                                            : grad_input_typed<float>(c);
}
TF_KERNEL(conv2d_grad_input, TINYFIN_DTYPES_FLOAT, conv2d_grad_input_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
