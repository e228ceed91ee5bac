// Batch normalisation: every channel brought to mean 0 and variance 1 over images and pixels; and
// its gradient. Channels that lie side by side in memory fill a register; else a register holds
// pixels of one channel.
// SPDX-License-Identifier: MIT
#include "backends/cpu/elementwise.h"

namespace tf::cpu::TF_ISA {
namespace {

// Up to two views of one shape, (N, C) or (N, C, H, W), as (N, C, rows, columns), rows merged
// into columns where memory allows.
struct Images {
  int64_t count, channels, rows, columns;
  int n;  // views
  char* data[3];
  int64_t stride_n[3], stride_c[3], stride_r[3], stride_w[3];
  bool vectors;  // channels side by side in all of them
};

static Images images_of(const tf_view* const* views, int n) {
  const tf_view& first = *views[0];
  const bool flat = first.ndim == 2;
  Images im;
  im.count = first.shape[0];
  im.channels = first.shape[1];
  im.rows = flat ? 1 : first.shape[2];
  im.columns = flat ? 1 : first.shape[3];
  im.n = n;
  im.vectors = true;
  bool merges = true;
  for (int k = 0; k < n; ++k) {
    const tf_view& v = *views[k];
    im.data[k] = static_cast<char*>(v.data);
    im.stride_n[k] = v.strides[0];
    im.stride_c[k] = v.strides[1];
    im.stride_r[k] = flat ? 0 : v.strides[2];
    im.stride_w[k] = flat ? 0 : v.strides[3];
    im.vectors = im.vectors && v.strides[1] == 1;
    merges = merges && (im.rows == 1 || im.stride_r[k] == im.columns * im.stride_w[k]);
  }
  if (merges) {
    im.columns *= im.rows;
    im.rows = 1;
  }
  return im;
}

template <class T>
static inline T* row_of(const Images& im, int k, int64_t row, int64_t channel) {
  return reinterpret_cast<T*>(im.data[k]) + row / im.rows * im.stride_n[k] +
         row % im.rows * im.stride_r[k] + channel * im.stride_c[k];
}

// `m` elements `stride` apart as a register.
template <class T>
TF_INLINE Vec<T> get(const T* p, int64_t stride, int64_t m) {
  if (stride == 1) return m == Vec<T>::kWidth ? load(p) : load_n(p, m);
  T lanes[Vec<T>::kWidth] = {};
  for (int64_t i = 0; i < m; ++i) lanes[i] = p[i * stride];
  return load(lanes);
}
template <class T>
TF_INLINE void put(T* p, int64_t stride, Vec<T> v, int64_t m) {
  if (stride == 1) return store_n(p, v, m);
  T lanes[Vec<T>::kWidth];
  store(lanes, v);
  for (int64_t i = 0; i < m; ++i) p[i * stride] = lanes[i];
}

// Numbers per channel, as a register of channels or of one channel's copies.
constexpr int kParams = 4;
template <class T>
struct Params {
  const T* of[kParams];
  template <bool kChannels>
  TF_INLINE void load_at(int64_t channel, int64_t m, Vec<T>* out) const {
    for (int k = 0; k < kParams; ++k)
      out[k] = !of[k]      ? Vec<T>(T(0))
               : kChannels ? load_n(of[k] + channel, m)
                           : Vec<T>(of[k][channel]);
  }
};

constexpr int64_t kMaxBlocks = 32;  // of rows, each with partial sums of its own

// sums[k * channels + c] = sum over images and pixels of f's value k, k < 2, in a fixed order.
// f(x, g, params, value): g is the second view's element, or x again.
template <class T, class F>
static tf_status channel_sums(const Images& im, const Params<T>& params, T* sums, const F& f) {
  using V = Vec<T>;
  constexpr int64_t kW = V::kWidth;
  const int64_t channels = im.channels, rows = im.count * im.rows;
  const int second = im.n > 1 ? 1 : 0;
  if (!im.vectors) {
    const int64_t grain = 1 + kGrain / (rows * im.columns + 1);
    return parallel_range(channels, grain, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) {
        V p[kParams], total[2] = {V(T(0)), V(T(0))};
        params.template load_at<false>(c, kW, p);
        for (int64_t r = 0; r < rows; ++r) {
          const T *x = row_of<const T>(im, 0, r, c), *g = row_of<const T>(im, second, r, c);
          const int64_t sx = im.stride_w[0], sg = im.stride_w[second];
          for (int64_t i = 0; i < im.columns; i += kW) {
            const int64_t m = im.columns - i < kW ? im.columns - i : kW;
            V value[2];
            f(get(x + i * sx, sx, m), get(g + i * sg, sg, m), p, value);
            const auto valid = iota<IntOf<T>>() < Vec<IntOf<T>>(IntOf<T>(m));
            for (int k = 0; k < 2; ++k) total[k] += select(valid, value[k], V(T(0)));
          }
        }
        for (int k = 0; k < 2; ++k) sums[k * channels + c] = sum(total[k]);
      }
    });
  }
  // Images of one row (flat ones, and all that merged) are cut by rows; a few by nothing.
  int64_t blocks = rows * im.columns * channels / kGrain;
  blocks = blocks < 1 ? 1 : blocks > kMaxBlocks ? kMaxBlocks : blocks;
  if (blocks > rows) blocks = rows < 1 ? 1 : rows;
  const size_t bytes = size_t(blocks * 2 * channels) * sizeof(T);
  T* partial = static_cast<T*>(host->host_alloc(bytes));
  if (!partial) return error(TINYFIN_ERROR_MEMORY, "out of host memory for partial sums");
  const tf_status status = parallel_range(blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      T* to = partial + b * 2 * channels;
      const int64_t first = rows * b / blocks, last = rows * (b + 1) / blocks;
      for (int64_t c = 0; c < channels; c += kW) {
        const int64_t m = channels - c < kW ? channels - c : kW;
        V p[kParams], total[2] = {V(T(0)), V(T(0))};
        params.template load_at<true>(c, m, p);
        for (int64_t r = first; r < last; ++r) {
          const T *x = row_of<const T>(im, 0, r, c), *g = row_of<const T>(im, second, r, c);
          for (int64_t i = 0; i < im.columns; ++i) {
            V value[2];
            f(load_n(x + i * im.stride_w[0], m), load_n(g + i * im.stride_w[second], m), p, value);
            total[0] += value[0];
            total[1] += value[1];
          }
        }
        store_n(to + c, total[0], m);
        store_n(to + channels + c, total[1], m);
      }
    }
  });
  for (int64_t i = 0; i < 2 * channels && status == TINYFIN_OK; ++i) {
    T total = partial[i];
    for (int64_t b = 1; b < blocks; ++b) total += partial[b * 2 * channels + i];
    sums[i] = total;
  }
  host->host_free(partial, bytes);
  return status;
}

// The last view becomes f(x, g, params), where g is the second of three, or x again.
template <class T, class F>
static tf_status channel_map(const Images& im, const Params<T>& params, const F& f) {
  using V = Vec<T>;
  constexpr int64_t kW = V::kWidth;
  const int64_t channels = im.channels, rows = im.count * im.rows;
  const int second = im.n > 2 ? 1 : 0, last = im.n - 1;
  const int64_t lines = im.vectors ? 1 : channels;  // one channel after another, or all at once
  const int64_t width = im.vectors ? channels : 1;
  return parallel_range(
      rows * lines, 1 + kGrain / (im.columns * width + 1), [&](int64_t begin, int64_t end) {
        for (int64_t line = begin; line < end; ++line) {
          const int64_t r = line / lines, c0 = line % lines;
          V p[kParams];
          if (!im.vectors) {
            params.template load_at<false>(c0, kW, p);
            const T *x = row_of<const T>(im, 0, r, c0), *g = row_of<const T>(im, second, r, c0);
            T* y = row_of<T>(im, last, r, c0);
            const int64_t sx = im.stride_w[0], sg = im.stride_w[second], sy = im.stride_w[last];
            for (int64_t i = 0; i < im.columns; i += kW) {
              const int64_t m = im.columns - i < kW ? im.columns - i : kW;
              put(y + i * sy, sy, f(get(x + i * sx, sx, m), get(g + i * sg, sg, m), p), m);
            }
            continue;
          }
          for (int64_t c = 0; c < channels; c += kW) {
            const int64_t m = channels - c < kW ? channels - c : kW;
            params.template load_at<true>(c, m, p);
            const T *x = row_of<const T>(im, 0, r, c), *g = row_of<const T>(im, second, r, c);
            T* y = row_of<T>(im, last, r, c);
            for (int64_t i = 0; i < im.columns; ++i)
              store_n(
                  y + i * im.stride_w[last],
                  f(load_n(x + i * im.stride_w[0], m), load_n(g + i * im.stride_w[second], m), p),
                  m);
          }
        }
      });
}

template <class T>
static inline T element(const tf_view& v, int64_t i, T otherwise) {
  return absent(v) ? otherwise : static_cast<const T*>(v.data)[i * v.strides[0]];
}

// "x weight? bias?; eps" to y, mean and variance (divided by the number of elements).
template <class T>
static tf_status batch_norm_typed(const tf_kernel_call* c) {
  const tf_view &x = c->in[0], &y = c->out[0];
  const int64_t channels = x.shape[1], n = channels ? numel(x) / channels : 0;
  const T eps = T(c->attr[0].f);
  T* mean = static_cast<T*>(c->out[1].data);
  T* var = static_cast<T*>(c->out[2].data);
  const size_t bytes = size_t(channels) * 4 * sizeof(T);
  T* work = static_cast<T*>(host->host_alloc(bytes));
  if (!work) return error(TINYFIN_ERROR_MEMORY, "out of host memory for statistics");
  T *sums = work, *scale = work + 2 * channels, *shift = work + 3 * channels;
  const tf_view* in[] = {&x};
  const Images images = images_of(in, 1);
  tf_status status = channel_sums<T>(images, Params<T>{}, sums,
                                     [](auto v, auto, const auto*, auto* value) TF_ALWAYS_INLINE {
                                       value[0] = v;
                                       value[1] = v;
                                     });
  for (int64_t i = 0; i < channels; ++i) mean[i] = sums[i] / T(n);
  if (status == TINYFIN_OK)
    status = channel_sums<T>(images, Params<T>{{mean, nullptr, nullptr, nullptr}}, sums,
                             [](auto v, auto, const auto* p, auto* value) TF_ALWAYS_INLINE {
                               value[0] = (v - p[0]) * (v - p[0]);
                               value[1] = value[0];
                             });
  for (int64_t i = 0; i < channels; ++i) {
    var[i] = sums[i] / T(n);
    scale[i] = element(c->in[1], i, T(1)) / T(::sqrt(double(var[i] + eps)));
    shift[i] = element(c->in[2], i, T(0));
  }
  const tf_view* both[] = {&x, &y};
  if (status == TINYFIN_OK)
    status = channel_map<T>(images_of(both, 2), Params<T>{{mean, scale, shift, nullptr}},
                            [](auto v, auto, const auto* p)
                                TF_ALWAYS_INLINE { return fma(v - p[0], p[1], p[2]); });
  host->host_free(work, bytes);
  return status;
}

// "grad x weight? mean var; eps" to the gradients of x, weight and bias.
template <class T>
static tf_status batch_norm_grad_typed(const tf_kernel_call* c) {
  const tf_view &grad = c->in[0], &x = c->in[1], &dx = c->out[0];
  const int64_t channels = x.shape[1], n = channels ? numel(x) / channels : 0;
  const T eps = T(c->attr[0].f);
  const T* mean = static_cast<const T*>(c->in[3].data);
  const T* var = static_cast<const T*>(c->in[4].data);
  T* dweight = static_cast<T*>(c->out[1].data);
  T* dbias = static_cast<T*>(c->out[2].data);
  const size_t bytes = size_t(channels) * 5 * sizeof(T);
  T* work = static_cast<T*>(host->host_alloc(bytes));
  if (!work) return error(TINYFIN_ERROR_MEMORY, "out of host memory for statistics");
  T *sums = work, *a = work + 2 * channels, *b = work + 3 * channels, *d = work + 4 * channels;
  const tf_view* in[] = {&x, &grad};
  tf_status status =
      channel_sums<T>(images_of(in, 2), Params<T>{{mean, nullptr, nullptr, nullptr}}, sums,
                      [](auto v, auto g, const auto* p, auto* value) TF_ALWAYS_INLINE {
                        value[0] = g;
                        value[1] = g * (v - p[0]);
                      });
  // dx = scale (g - mean(g) - unit mean(g unit)), where unit = (x - mean) rstd.
  for (int64_t i = 0; i < channels; ++i) {
    const T rstd = T(1) / T(::sqrt(double(var[i] + eps)));
    const T scale = element(c->in[2], i, T(1)) * rstd, dot = sums[channels + i] * rstd;
    dweight[i] = dot;
    dbias[i] = sums[i];
    a[i] = scale;
    b[i] = -scale * rstd * dot / T(n);
    d[i] = -scale * sums[i] / T(n);
  }
  const tf_view* all[] = {&x, &grad, &dx};
  if (status == TINYFIN_OK)
    status = channel_map<T>(images_of(all, 3), Params<T>{{mean, a, b, d}},
                            [](auto v, auto g, const auto* p) TF_ALWAYS_INLINE {
                              return fma(g, p[1], fma(v - p[0], p[2], p[3]));
                            });
  host->host_free(work, bytes);
  return status;
}

// x, grad, outputs of any strides; mean and var contiguous.
static tf_status batch_norm_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT64 ? batch_norm_typed<double>(c)
                                            : batch_norm_typed<float>(c);
}
TF_KERNEL(batch_norm, TINYFIN_DTYPES_FLOAT, batch_norm_kernel);

static tf_status batch_norm_grad_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT64 ? batch_norm_grad_typed<double>(c)
                                            : batch_norm_grad_typed<float>(c);
}
TF_KERNEL(batch_norm_grad, TINYFIN_DTYPES_FLOAT, batch_norm_grad_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
