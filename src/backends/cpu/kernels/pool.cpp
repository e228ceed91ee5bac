// Maxima and means of windows, and the ways back. Where channels lie side by side in memory a
// register holds many of them; other layouts go element by element.
// SPDX-License-Identifier: MIT
#include "backends/cpu/elementwise.h"

namespace tf::cpu::TF_ISA {
namespace {

// Attributes of all primitives of this file begin: kernel, stride, padding.
struct Windows {
  int64_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
};

static inline Windows windows_of(const tf_attr* a) {
  return {a[0].i, a[1].i, a[2].i, a[3].i, a[4].i, a[5].i};
}

// Elements first … last - 1 of a side that window number i covers.
struct Cover {
  int64_t first, last;
};
static inline Cover covered(int64_t i, int64_t kernel, int64_t stride, int64_t pad, int64_t size) {
  const int64_t first = i * stride - pad, last = first + kernel;
  return {first < 0 ? 0 : first, last > size ? size : last};
}
// Windows first … last - 1 of a side that cover element i.
static inline Cover covering(int64_t i, int64_t kernel, int64_t stride, int64_t pad,
                             int64_t windows) {
  const int64_t from = i + pad - kernel + 1, last = (i + pad) / stride + 1;
  return {from <= 0 ? 0 : (from + stride - 1) / stride, last > windows ? windows : last};
}

template <class T>
static inline T* at(const tf_view& v, int64_t n, int64_t h) {
  return static_cast<T*>(v.data) + n * v.strides[0] + h * v.strides[2];
}

static inline bool channels_inside(const tf_view& v) { return v.strides[1] == 1; }

// Rows of v per tile; `cost` element operations per element.
static inline int64_t rows_per_tile(const tf_view& v, int64_t cost) {
  return 1 + kGrain / (v.shape[1] * v.shape[3] * cost + 1);
}

// body(n, h) for every image and row of v.
template <class Body>
static tf_status for_image_rows(const tf_view& v, int64_t cost, const Body& body) {
  if (numel(v) == 0) return TINYFIN_OK;
  return parallel_range(v.shape[0] * v.shape[2], rows_per_tile(v, cost),
                        [&](int64_t begin, int64_t end) {
                          for (int64_t i = begin; i < end; ++i)
                            body(i / v.shape[2], i % v.shape[2]);
                        });
}

static inline void store_index(int32_t* to, Vec<int32_t> index, int64_t n) {
  store_n(to, index, n);
}
static inline void store_index(int32_t* to, Vec<int64_t> index, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] = int32_t(index[int(i)]);
}

static inline Vec<int32_t> load_index(const int32_t* from, int64_t n, int32_t) {
  return load_n(from, n);
}
static inline Vec<int64_t> load_index(const int32_t* from, int64_t n, int64_t) {
  int64_t wide[Vec<int64_t>::kWidth] = {};
  for (int64_t i = 0; i < n; ++i) wide[i] = from[i];
  return load(wide);
}

template <class T>
static tf_status max_pool2d_typed(const tf_kernel_call* c) {
  using V = Vec<T>;
  using I = IntOf<T>;
  constexpr int64_t kW = V::kWidth;
  const tf_view &x = c->in[0], &y = c->out[0], &index = c->out[1];
  const Windows w = windows_of(c->attr);
  const int64_t channels = x.shape[1], width = x.shape[3];
  const bool vectors = channels_inside(x) && channels_inside(y) && channels_inside(index);
  return for_image_rows(y, w.kernel_h * w.kernel_w, [&](int64_t n, int64_t oh) {
    const Cover rows = covered(oh, w.kernel_h, w.stride_h, w.pad_h, x.shape[2]);
    for (int64_t ow = 0; ow < y.shape[3]; ++ow) {
      const Cover columns = covered(ow, w.kernel_w, w.stride_w, w.pad_w, width);
      T* out = at<T>(y, n, oh) + ow * y.strides[3];
      int32_t* out_index = at<int32_t>(index, n, oh) + ow * index.strides[3];
      const int64_t first = rows.first * width + columns.first;
      if (vectors) {
        for (int64_t ch = 0; ch < channels; ch += kW) {
          const int64_t m = channels - ch < kW ? channels - ch : kW;
          V best(-T(INFINITY));
          Vec<I> where{I(first)};
          for (int64_t h = rows.first; h < rows.last; ++h) {
            const T* p = at<const T>(x, n, h) + ch;
            for (int64_t v = columns.first; v < columns.last; ++v) {
              const T* q = p + v * x.strides[3];
              const V value = m == kW ? load(q) : load_n(q, m);
              const Vec<I> wins = (value > best) | (value != value);
              best = select(wins, value, best);
              where = select(wins, Vec<I>(I(h * width + v)), where);
            }
          }
          store_n(out + ch, best, m);
          store_index(out_index + ch, where, m);
        }
        continue;
      }
      for (int64_t ch = 0; ch < channels; ++ch) {
        T best = -T(INFINITY);
        int64_t where = first;
        for (int64_t h = rows.first; h < rows.last; ++h) {
          const T* p = at<const T>(x, n, h) + ch * x.strides[1];
          for (int64_t v = columns.first; v < columns.last; ++v) {
            const T value = p[v * x.strides[3]];
            if (value > best || value != value) {
              best = value;
              where = h * width + v;
            }
          }
        }
        out[ch * y.strides[1]] = best;
        out_index[ch * index.strides[1]] = int32_t(where);
      }
    }
  });
}

template <class T>
static void clear_row(const tf_view& v, T* row) {
  for (int64_t i = 0; i < v.shape[3]; ++i)
    for (int64_t ch = 0; ch < v.shape[1]; ++ch) row[i * v.strides[3] + ch * v.strides[1]] = T(0);
}

// m channels of a pixel as a register, whatever the distance between them.
template <class T>
TF_INLINE Vec<T> load_channels(const T* from, int64_t stride, int64_t m) {
  if (stride == 1) return load_n(from, m);
  T row[Vec<T>::kWidth] = {};
  for (int64_t i = 0; i < m; ++i) row[i] = from[i * stride];
  return load(row);
}

// Each row of the image collects from the windows that cover it, in their order.
template <class T>
static tf_status scatter_typed(const tf_kernel_call* c) {
  using V = Vec<T>;
  using I = IntOf<T>;
  constexpr int64_t kW = V::kWidth;
  const tf_view &grad = c->in[0], &index = c->in[1], &dx = c->out[0];
  const Windows w = windows_of(c->attr);
  const int64_t channels = dx.shape[1], width = dx.shape[3];
  const bool vectors = channels_inside(index) && channels_inside(dx);
  return for_image_rows(dx, w.kernel_w, [&](int64_t n, int64_t h) {
    T* row = at<T>(dx, n, h);
    clear_row(dx, row);
    const Cover windows = covering(h, w.kernel_h, w.stride_h, w.pad_h, grad.shape[2]);
    for (int64_t oh = windows.first; oh < windows.last; ++oh) {
      for (int64_t ow = 0; ow < grad.shape[3]; ++ow) {
        const T* g = at<const T>(grad, n, oh) + ow * grad.strides[3];
        const int32_t* p = at<const int32_t>(index, n, oh) + ow * index.strides[3];
        if (!vectors) {
          for (int64_t ch = 0; ch < channels; ++ch) {
            const int64_t v = p[ch * index.strides[1]] - h * width;
            if (v >= 0 && v < width)
              row[v * dx.strides[3] + ch * dx.strides[1]] += g[ch * grad.strides[1]];
          }
          continue;
        }
        const Cover columns = covered(ow, w.kernel_w, w.stride_w, w.pad_w, width);
        for (int64_t ch = 0; ch < channels; ch += kW) {
          const int64_t m = channels - ch < kW ? channels - ch : kW;
          const V value = load_channels(g + ch * grad.strides[1], grad.strides[1], m);
          const Vec<I> where = load_index(p + ch, m, I());
          for (int64_t v = columns.first; v < columns.last; ++v) {
            T* to = row + v * dx.strides[3] + ch;
            const V here = select(where == Vec<I>(I(h * width + v)), value, V(T(0)));
            store_n(to, load_n(to, m) + here, m);
          }
        }
      }
    }
  });
}

template <class T>
static tf_status gather_typed(const tf_kernel_call* c) {
  const tf_view &x = c->in[0], &index = c->in[1], &y = c->out[0];
  const int64_t width = x.shape[3];
  return for_image_rows(y, 4, [&](int64_t n, int64_t oh) {
    for (int64_t ow = 0; ow < y.shape[3]; ++ow) {
      T* out = at<T>(y, n, oh) + ow * y.strides[3];
      const int32_t* p = at<const int32_t>(index, n, oh) + ow * index.strides[3];
      for (int64_t ch = 0; ch < y.shape[1]; ++ch) {
        const int64_t i = p[ch * index.strides[1]];
        out[ch * y.strides[1]] =
            at<const T>(x, n, i / width)[i % width * x.strides[3] + ch * x.strides[1]];
      }
    }
  });
}

// 1 / the number of elements of window (oh, ow), given what it covers of the image.
template <class T>
static inline T share(const Windows& w, bool count_pad, const Cover& rows, const Cover& columns) {
  return T(1) / T(count_pad ? w.kernel_h * w.kernel_w
                            : (rows.last - rows.first) * (columns.last - columns.first));
}

template <class T>
static tf_status avg_pool2d_typed(const tf_kernel_call* c) {
  using V = Vec<T>;
  constexpr int64_t kW = V::kWidth;
  const tf_view &x = c->in[0], &y = c->out[0];
  const Windows w = windows_of(c->attr);
  const bool count_pad = c->attr[6].i != 0;
  const int64_t channels = x.shape[1];
  const bool vectors = channels_inside(y);
  return for_image_rows(y, w.kernel_h * w.kernel_w, [&](int64_t n, int64_t oh) {
    const Cover rows = covered(oh, w.kernel_h, w.stride_h, w.pad_h, x.shape[2]);
    for (int64_t ow = 0; ow < y.shape[3]; ++ow) {
      const Cover columns = covered(ow, w.kernel_w, w.stride_w, w.pad_w, x.shape[3]);
      const T factor = share<T>(w, count_pad, rows, columns);
      T* out = at<T>(y, n, oh) + ow * y.strides[3];
      for (int64_t ch = 0; ch < channels; ch += vectors ? kW : 1) {
        const int64_t m = !vectors ? 1 : channels - ch < kW ? channels - ch : kW;
        V total(T(0));
        for (int64_t h = rows.first; h < rows.last; ++h) {
          const T* p = at<const T>(x, n, h) + ch * x.strides[1];
          for (int64_t v = columns.first; v < columns.last; ++v)
            total += load_channels(p + v * x.strides[3], x.strides[1], m);
        }
        store_n(out + ch * y.strides[1], total * V(factor), m);
      }
    }
  });
}

template <class T>
static tf_status avg_grad_typed(const tf_kernel_call* c) {
  using V = Vec<T>;
  constexpr int64_t kW = V::kWidth;
  const tf_view &grad = c->in[0], &dx = c->out[0];
  const Windows w = windows_of(c->attr);
  const bool count_pad = c->attr[6].i != 0;
  const int64_t channels = dx.shape[1];
  const bool vectors = channels_inside(dx);
  return for_image_rows(dx, w.kernel_w, [&](int64_t n, int64_t h) {
    T* row = at<T>(dx, n, h);
    clear_row(dx, row);
    const Cover windows = covering(h, w.kernel_h, w.stride_h, w.pad_h, grad.shape[2]);
    for (int64_t oh = windows.first; oh < windows.last; ++oh) {
      const Cover rows = covered(oh, w.kernel_h, w.stride_h, w.pad_h, dx.shape[2]);
      for (int64_t ow = 0; ow < grad.shape[3]; ++ow) {
        const Cover columns = covered(ow, w.kernel_w, w.stride_w, w.pad_w, dx.shape[3]);
        const V factor(share<T>(w, count_pad, rows, columns));
        const T* g = at<const T>(grad, n, oh) + ow * grad.strides[3];
        for (int64_t ch = 0; ch < channels; ch += vectors ? kW : 1) {
          const int64_t m = !vectors ? 1 : channels - ch < kW ? channels - ch : kW;
          const V value = load_channels(g + ch * grad.strides[1], grad.strides[1], m) * factor;
          for (int64_t v = columns.first; v < columns.last; ++v) {
            T* to = row + v * dx.strides[3] + ch * dx.strides[1];
            store_n(to, load_n(to, m) + value, m);
          }
        }
      }
    }
  });
}

// In every kernel all views may have any strides, except that those of outputs do not overlap.
#define POOL_KERNEL(op, typed)                                                      \
  static tf_status op##_kernel(const tf_kernel_call* c, void*) {                    \
    return c->out[0].dtype == TINYFIN_FLOAT64 ? typed<double>(c) : typed<float>(c); \
  }                                                                                 \
  TF_KERNEL(op, TINYFIN_DTYPES_FLOAT, op##_kernel)

POOL_KERNEL(max_pool2d, max_pool2d_typed);
POOL_KERNEL(max_pool2d_scatter, scatter_typed);
POOL_KERNEL(max_pool2d_gather, gather_typed);
POOL_KERNEL(avg_pool2d, avg_pool2d_typed);
POOL_KERNEL(avg_pool2d_grad, avg_grad_typed);

}  // namespace
}  // namespace tf::cpu::TF_ISA
