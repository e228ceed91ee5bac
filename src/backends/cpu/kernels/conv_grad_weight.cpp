// The gradient of a convolution with respect to its weight: per kernel row, patches transposed
// times the output's gradient, summed over pixels. Images are dealt out to partial sums by shape
// alone, and these are added up in order.
// SPDX-License-Identifier: MIT
#include "backends/cpu/conv.h"

namespace tf::cpu::TF_ISA {
namespace {

// grad of a band as (pixels, width): in place where it lies so, else copied.
template <class T>
struct GradBand {
  const T* data;
  int64_t pixel, row;
};

template <class T>
static GradBand<T> load_grad(const tf_view& g, int64_t n, int64_t c0, int64_t columns,
                             int64_t width, int64_t oh, int64_t rows, T* scratch) {
  const int64_t ow = g.shape[3];
  const T* from =
      static_cast<const T*>(g.data) + n * g.strides[0] + c0 * g.strides[1] + oh * g.strides[2];
  if (columns == width && g.strides[1] == 1) return {from, g.strides[3], g.strides[2]};
  for (int64_t r = 0; r < rows; ++r) {
    const T* row = from + r * g.strides[2];
    T* to = scratch + r * ow * width;
    if (g.strides[1] == 1) {
      for (int64_t i = 0; i < ow; ++i)
        for (int64_t j = 0; j < columns; ++j) to[i * width + j] = row[i * g.strides[3] + j];
    } else {
      for (int64_t j = 0; j < columns; ++j)
        for (int64_t i = 0; i < ow; ++i)
          to[i * width + j] = row[i * g.strides[3] + j * g.strides[1]];
    }
    for (int64_t i = 0; i < ow; ++i)
      for (int64_t j = columns; j < width; ++j) to[i * width + j] = T(0);
  }
  return {scratch, width, ow * width};
}

// sums (kh * kw * channels, width) += patches^T · grad over one band.
template <class T>
static void add_band(const Patches& p, const T* a, const GradBand<T>& grad, int64_t rows,
                     int vectors, bool first, T* sums) {
  constexpr int64_t kW = Vec<T>::kWidth;
  const int64_t width = vectors * kW;
  const bool merged = p.row == p.w.out_w * p.pixel && grad.row == p.w.out_w * grad.pixel;
  Tile<T> t;
  t.k = merged ? rows * p.w.out_w : p.w.out_w;
  t.reduce = merged ? 1 : rows;
  t.a_row = 1;
  t.a_col = p.pixel;
  t.a_step = p.row;
  t.b_row = grad.pixel;
  t.b_step = grad.row;
  t.ldc = width;
  t.tail = kW;
  t.load_c = !first;
  t.bias = nullptr;
  t.floor = -T(INFINITY);
  const int64_t height = vectors == 1 ? kMaxRows<1> : kMaxRows<kPanel>;
  const int64_t pieces = ceil_div(p.k, height);
  const TileFn<T>* tile = tiles_for<T>(vectors, Layout::kColumnMajor);
  for (int64_t h = 0; h < p.reduce; ++h) {
    for (int64_t i = 0, m = 0, done = 0; i < pieces; ++i, done += m) {
      m = (p.k - done) / (pieces - i);
      tile[m - 1](t, a + h * p.step + done, grad.data, sums + (h * p.k + done) * width);
    }
  }
}

// Partial sums do not take more than this many elements together, nor more pieces than this.
constexpr int64_t kPartialElements = 4 << 20;
constexpr int64_t kMaxPartials = 16;

template <class T>
static tf_status grad_weight_typed(const tf_kernel_call* c) {
  const tf_view &x = c->in[0], &grad = c->in[1], &dw = c->out[0];
  if (numel(dw) == 0) return TINYFIN_OK;
  constexpr int64_t kW = Vec<T>::kWidth, kWidth = kPanelWidth<T>;
  const int64_t groups = groups_of(c->attr), out = dw.shape[0] / groups, channels = dw.shape[1];
  const int64_t kh = dw.shape[2], kw = dw.shape[3], steps = kh * kw * channels;
  const Window w = window_of(c->attr, kh, kw, grad.shape[2], grad.shape[3]);
  Patches p = plan(image_of(x), w, channels, int64_t(sizeof(T)), steps * dw.shape[0]);
  const int64_t panels = ceil_div(out, kWidth), count = numel(grad) > 0 ? units(p) : 0;
  const int64_t work = p.band * w.out_w * steps * out / panels * groups;
  int64_t partials = smaller(kMaxPartials, kPartialElements / (steps * groups * panels * kWidth));
  partials = smaller(partials, smaller(count, 1 + count * work / kTileWork));
  if (partials < 1) partials = 1;
  const int64_t part = groups * panels * steps * kWidth;  // elements of one partial sum
  const size_t bytes = size_t(partials * part) * sizeof(T);
  T* sums = static_cast<T*>(host->host_alloc(bytes));
  if (!sums) return error(TINYFIN_ERROR_MEMORY, "out of host memory for partial sums");
  bool starved = false;
  tf_status status = parallel_for(partials * groups * panels, [&](int64_t job) {
    const int64_t panel = job % panels, g = job / panels % groups, partial = job / panels / groups;
    T* sum = sums + partial * part + (g * panels + panel) * steps * kWidth;
    const int64_t columns = smaller(kWidth, out - panel * kWidth);
    const int vectors = columns > kW ? kPanel : 1;
    if (count == 0) {
      for (int64_t i = 0; i < steps * vectors * kW; ++i) sum[i] = T(0);
      return;
    }
    const int64_t grad_elements = p.band * w.out_w * vectors * kW;
    const size_t scratch_bytes =
        size_t(p.scratch_bytes + 63) / 64 * 64 + size_t(grad_elements) * sizeof(T);
    T* scratch = static_cast<T*>(host->host_alloc(scratch_bytes));
    if (!scratch) {
      __atomic_store_n(&starved, true, __ATOMIC_RELAXED);
      return;
    }
    T* grad_scratch = scratch + (p.scratch_bytes + 63) / 64 * 64 / int64_t(sizeof(T));
    const int64_t begin = count * partial / partials, end = count * (partial + 1) / partials;
    for (int64_t u = begin; u < end; ++u) {
      const int64_t n = u / p.bands, oh = u % p.bands * p.band;
      const int64_t rows = smaller(p.band, w.out_h - oh);
      const T* a = load_band(p, n, g * channels, oh, rows, scratch);
      const GradBand<T> band = load_grad<T>(grad, n, g * out + panel * kWidth, columns,
                                            vectors * kW, oh, rows, grad_scratch);
      add_band(p, a, band, rows, vectors, u == begin, sum);
    }
    host->host_free(scratch, scratch_bytes);
  });
  if (status == TINYFIN_OK && !starved) {
    // (kh, kw, channels, out) of all partial sums to (out, channels, kh, kw).
    T* to = static_cast<T*>(dw.data);
    status = parallel_range(dw.shape[0], 1 + 16384 / (steps * partials), [&](int64_t b, int64_t e) {
      for (int64_t o = b; o < e; ++o) {
        const int64_t g = o / out, j = o % out, panel = j / kWidth;
        const int64_t width = out - panel * kWidth > kW ? kWidth : kW;
        const T* from = sums + (g * panels + panel) * steps * kWidth + j % kWidth;
        for (int64_t ch = 0; ch < channels; ++ch)
          for (int64_t k = 0; k < kh * kw; ++k) {
            const T* at = from + (k * channels + ch) * width;
            T total = at[0];
            for (int64_t i = 1; i < partials; ++i) total += at[i * part];
            to[o * dw.strides[0] + ch * dw.strides[1] + k / kw * dw.strides[2] +
               k % kw * dw.strides[3]] = total;
          }
      }
    });
  }
  host->host_free(sums, bytes);
  if (starved) return error(TINYFIN_ERROR_MEMORY, "out of host memory for a band of the image");
  return status;
}

// x (N, C, H, W) and grad (N, O, OH, OW) of any strides; out (O, C / groups, kH, kW).
static tf_status conv2d_grad_weight_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT64 ? grad_weight_typed<double>(c)
                                            : grad_weight_typed<float>(c);
}
TF_KERNEL(conv2d_grad_weight, TINYFIN_DTYPES_FLOAT, conv2d_grad_weight_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
