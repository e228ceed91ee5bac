// The gradient of a convolution with respect to its input. Steps of one pixel: a convolution of
// the output's gradient with the turned kernel. Longer steps: each pixel of the output's gradient
// times the weights of all taps at once, added to where those taps read. Few channels, of which a
// register would stay mostly empty: the same with the pixels in the lanes of registers.
// SPDX-License-Identifier: MIT
#include "backends/cpu/conv_planes.h"
#include "backends/cpu/conv_winograd_call.h"

namespace tf::cpu::TF_ISA {
namespace {

// By convolution -------------------------------------------------------------------------------

// The convolution that the gradient is.
static inline Window turned(const Window& forward, const Weights& w, const tf_view& dx) {
  Window window = forward;
  window.top = forward.dilation_h * (w.kernel_h - 1) - forward.top;
  window.left = forward.dilation_w * (w.kernel_w - 1) - forward.left;
  window.out_h = dx.shape[2];
  window.out_w = dx.shape[3];
  return window;
}

template <class T>
static tf_status by_convolution(const tf_view& grad, const Weights& w, const Window& forward,
                                int64_t groups, const tf_view& dx) {
  constexpr int64_t kWidth = kPanelWidth<T>;
  const Window window = turned(forward, w, dx);
  const Patches p = plan<T>(image_of(grad), window, w.out, w.in, groups);
  const int64_t taps = w.taps(), panels = ceil_div(w.in, kWidth), panel = taps * w.out * kWidth;
  const size_t bytes = size_t(groups * panels * panel) * sizeof(T);
  T* const packed = static_cast<T*>(host->host_alloc(bytes));
  if (!packed) return error(TINYFIN_ERROR_MEMORY, "out of host memory for packed weights");
  const int64_t pitch = panels * kWidth;
  tf_status status =
      for_out_channels<T>(w, groups, pitch, [&](int64_t g, int64_t o, const T* row) {
        for (int64_t j = 0; j < panels; ++j)
          for (int64_t tap = 0; tap < taps; ++tap)
            memcpy(packed + (g * panels + j) * panel + ((taps - 1 - tap) * w.out + o) * kWidth,
                   row + tap * pitch + j * kWidth, size_t(kWidth) * sizeof(T));
      });
  const Result result{dx.data, w.in, dx.shape[1], nullptr, TINYFIN_ACTIVATION_NONE};
  if (status == TINYFIN_OK)
    status = by_winograd<T>(p.x, window, w.out, w.in)
                 ? convolve_by_winograd<T>(p.x, window, w.out, groups, packed, result)
                 : convolve(p, packed, result, groups);
  host->host_free(packed, bytes);
  return status;
}

// By scattering --------------------------------------------------------------------------------

// Pixels of the gradient per product: some tiles, whose results stay in the second cache.
constexpr int64_t kScatterPixels = 56;

template <class T>
struct Scatter {
  Image grad;
  Window w;
  int64_t out, in, groups;  // channels of one group
  int64_t height, width;    // of dx
  int64_t steps, columns;   // of the product: (pixels, out) times (out, taps * in)
  int64_t pitch;            // columns in whole panels
  int64_t band, bands;      // rows of dx per unit, units per image
  int64_t pieces;           // rows of the gradient per product, at least 1

  int64_t channels() const { return in * groups; }
};

// Adds the products of pixels ow0 … ow0 + count - 1 of row oh to rows h0 … h1 - 1 of dx.
template <class T>
static void scatter_row(const Scatter<T>& s, const T* products, int64_t oh, int64_t ow0,
                        int64_t count, int64_t h0, int64_t h1, T* dx) {
  const Window& w = s.w;
  const int64_t channels = s.channels();
  const bool joined = s.groups == 1 && w.dilation_w == 1;
  for (int64_t i = 0; i < w.kernel_h; ++i) {
    const int64_t h = oh * w.stride_h - w.top + i * w.dilation_h;
    if (h < h0 || h >= h1) continue;
    T* const row = dx + h * s.width * channels;
    for (int64_t k = 0; k < count; ++k) {
      const int64_t left = (ow0 + k) * w.stride_w - w.left;
      const T* from = products + k * s.pitch + i * w.kernel_w * s.in;
      if (joined) {
        const int64_t begin = larger(0, -left), end = smaller(w.kernel_w, s.width - left);
        if (begin < end)
          add_to(row + (left + begin) * channels, from + begin * s.in, (end - begin) * s.in);
        continue;
      }
      for (int64_t j = 0; j < w.kernel_w; ++j) {
        const int64_t v = left + j * w.dilation_w;
        if (v >= 0 && v < s.width) add_to(row + v * channels, from + j * s.in, s.in);
      }
    }
  }
}

// count pixels (rows `a_row` apart) times the packed weights of one group.
template <class T>
static void multiply_pixels(const Scatter<T>& s, const T* a, int64_t a_row, int64_t count,
                            const T* weights, T* products) {
  constexpr int64_t kW = Vec<T>::kWidth, kWidth = kPanelWidth<T>;
  Tile<T> t;
  t.k = s.steps;
  t.reduce = 1;
  t.a_row = a_row;
  t.a_col = 1;
  t.a_step = t.b_step = 0;
  t.b_row = kWidth;
  t.ldc = s.pitch;
  t.load_c = false;
  t.tail = kW;
  t.bias = nullptr;
  t.floor = -T(INFINITY);
  for (int64_t j = 0; j < s.columns; j += kWidth, weights += s.steps * kWidth) {
    const int vectors = s.columns - j > kW ? kPanel : 1;
    const int64_t pieces = ceil_div(count, vectors == 1 ? kMaxRows<1> : kMaxRows<kPanel>);
    const TileFn<T>* tile = tiles_for<T>(vectors, Layout::kRowMajor);
    for (int64_t i = 0, m = 0, done = 0; i < pieces; ++i, done += m) {
      m = (count - done) / (pieces - i);
      tile[m - 1](t, a + done * a_row, weights, products + done * s.pitch + j);
    }
  }
}

// Rows h0 … h1 - 1 of image n of dx. scratch: kScatterPixels or a row's rest of products, then as
// many pixels of the gradient for layouts other than channels last.
template <class T>
static void scatter_band(const Scatter<T>& s, const T* weights, int64_t n, int64_t h0, int64_t h1,
                         T* image, T* scratch) {
  const Window& w = s.w;
  memset(image + h0 * s.width * s.channels(), 0,
         size_t((h1 - h0) * s.width * s.channels()) * sizeof(T));
  const auto [first, last] = rows_reaching(w, h0, h1);
  const Image& x = s.grad;
  const bool inside = s.out == 1 || x.stride_c == 1;
  const int64_t pitch = ceil_div(s.out, Vec<T>::kWidth) * Vec<T>::kWidth;
  T* const copy = scratch + kScatterPixels * s.pitch;
  const bool merges = inside && x.stride_h == w.out_w * x.stride_w;
  for (int64_t g = 0; g < s.groups; ++g) {
    const T* grad = static_cast<const T*>(x.data) + n * x.stride_n + g * s.out * x.stride_c;
    for (int64_t oh = first; oh < last; oh += s.pieces) {
      const int64_t rows = smaller(s.pieces, last - oh);
      for (int64_t ow = 0; ow < w.out_w; ow += kScatterPixels) {
        const int64_t count = smaller(kScatterPixels, w.out_w - ow);
        const T* from = grad + oh * x.stride_h + ow * x.stride_w;
        if (merges) {
          multiply_pixels(s, from, x.stride_w, rows * count, weights, scratch);
        } else {
          for (int64_t r = 0; r < rows; ++r) {
            T* const products = scratch + r * count * s.pitch;
            const T* row = from + r * x.stride_h;
            if (!inside) pack(copy, pitch, row, x.stride_w, x.stride_c, count, s.out);
            multiply_pixels(s, inside ? row : copy, inside ? x.stride_w : pitch, count, weights,
                            products);
          }
        }
        for (int64_t r = 0; r < rows; ++r)
          scatter_row(s, scratch + r * count * s.pitch, oh + r, ow, count, h0, h1,
                      image + g * s.in);
      }
    }
    weights += s.pitch * s.steps;
  }
}

template <class T>
static tf_status by_scattering(const tf_view& grad, const Weights& w, const Window& window,
                               int64_t groups, const tf_view& dx) {
  constexpr int64_t kW = Vec<T>::kWidth, kWidth = kPanelWidth<T>;
  Scatter<T> s;
  s.grad = image_of(grad);
  s.w = window;
  s.w.out_h = grad.shape[2];
  s.w.out_w = grad.shape[3];
  s.out = s.steps = w.out;
  s.in = w.in;
  s.groups = groups;
  s.height = dx.shape[2];
  s.width = dx.shape[3];
  s.columns = w.steps();
  s.pitch = ceil_div(s.columns, kWidth) * kWidth;
  s.pieces = larger(1, kScatterPixels / larger(1, s.w.out_w));
  s.bands = bands_of(s.grad.count, 8, s.height, (w.kernel_h - 1) * window.dilation_h, &s.band);

  const size_t bytes = size_t(groups * s.pitch * w.out) * sizeof(T);
  T* const packed = static_cast<T*>(host->host_alloc(bytes));
  if (!packed) return error(TINYFIN_ERROR_MEMORY, "out of host memory for packed weights");
  const int64_t pitch = ceil_div(w.in, kW) * kW;
  tf_status status = for_out_channels<T>(w, groups, pitch, [&](int64_t g, int64_t o, const T* row) {
    T* const to = packed + g * s.pitch * w.out + o * kWidth;
    for (int64_t tap = 0, j = 0; tap < w.taps(); ++tap)
      for (int64_t c = 0; c < w.in; ++c, ++j)
        to[j / kWidth * w.out * kWidth + j % kWidth] = row[tap * pitch + c];
    for (int64_t j = s.columns; j < s.pitch; ++j)
      to[j / kWidth * w.out * kWidth + j % kWidth] = T(0);
  });
  const int64_t work = s.w.out_h * s.w.out_w * w.out * s.columns * groups / s.bands;
  const size_t scratch_bytes =
      size_t(kScatterPixels * (s.pitch + ceil_div(w.out, kW) * kW)) * sizeof(T);
  if (status == TINYFIN_OK)
    status = parallel_with_memory(
        s.grad.count * s.bands, 1 + kTileWork / (work + 1), scratch_bytes,
        [&](int64_t begin, int64_t end, void* memory) {
          for (int64_t u = begin; u < end; ++u) {
            const int64_t n = u / s.bands, h0 = u % s.bands * s.band;
            T* image = static_cast<T*>(dx.data) + n * s.height * s.width * s.channels();
            scatter_band(s, packed, n, h0, smaller(s.height, h0 + s.band), image,
                         static_cast<T*>(memory));
          }
        });
  host->host_free(packed, bytes);
  return status;
}

template <class T>
static tf_status grad_input_typed(const tf_kernel_call* c) {
  const tf_view &grad = c->in[0], &dx = c->out[0];
  if (numel(dx) == 0) return TINYFIN_OK;
  if (numel(grad) == 0) {
    memset(dx.data, 0, size_t(numel(dx)) * sizeof(T));
    return TINYFIN_OK;
  }
  const int64_t groups = groups_of(c->attr);
  const Weights w = weights_of(c->in[1], groups);
  const Window window = window_of(c->attr, w.kernel_h, w.kernel_w, 0, 0);
  const bool strided = window.stride_h > 1 || window.stride_w > 1;
  if (is_depthwise(w, groups))
    return strided ? depthwise_strided_grad(image_of(grad), w, window, dx.shape[2], dx.shape[3],
                                            static_cast<T*>(dx.data))
                   : depthwise<T>(image_of(grad), w, turned(window, w, dx), true,
                                  {dx.data, 1, groups, nullptr, TINYFIN_ACTIVATION_NONE});
  const bool thin = w.in < Vec<T>::kWidth / 2 && w.taps() > 1;
  if (thin) return by_planes<T>(grad, w, window, groups, dx);
  if (strided) return by_scattering<T>(grad, w, window, groups, dx);
  return by_convolution<T>(grad, w, window, groups, dx);
}

// grad (N, O, OH, OW) and weight of any strides; out (N, C, H, W) channels last.
static tf_status conv2d_grad_input_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT64 ? grad_input_typed<double>(c)
                                            : grad_input_typed<float>(c);
}
TF_KERNEL(conv2d_grad_input, TINYFIN_DTYPES_FLOAT, conv2d_grad_input_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
