// Maxima and means of windows, and the ways back. A register holds channels of one pixel, which
// lie side by side in what convolutions hand on; of other layouts it is filled lane by lane.
// SPDX-License-Identifier: MIT
#include "backends/cpu/pool.h"

namespace tf::cpu::TF_ISA {
namespace {

// Windows first … last - 1 of a side that cover element i.
static inline Cover covering(int64_t i, int64_t kernel, int64_t stride, int64_t pad,
                             int64_t windows) {
  const int64_t from = i + pad - kernel + 1, last = (i + pad) / stride + 1;
  return {from <= 0 ? 0 : (from + stride - 1) / stride, last > windows ? windows : last};
}

// Row h of image n.
template <class T>
static inline PixelRow<T> row_of(const tf_view& v, int64_t n, int64_t h) {
  return {static_cast<T*>(v.data) + n * v.strides[0] + h * v.strides[2], v.strides[3],
          v.strides[1]};
}

// body(dense, n, h) for every image and row of v, `cost` element operations per element; dense:
// whether the channels of all views lie side by side, as a type.
template <class Body>
static tf_status for_image_rows(const tf_view& v, int64_t cost, bool dense, const Body& body) {
  if (numel(v) == 0) return TINYFIN_OK;
  const int64_t grain = 1 + kGrain / (v.shape[1] * v.shape[3] * cost + 1);
  return parallel_range(v.shape[0] * v.shape[2], grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      if (dense) {
        body(std::true_type(), i / v.shape[2], i % v.shape[2]);
      } else {
        body(std::false_type(), i / v.shape[2], i % v.shape[2]);
      }
    }
  });
}

static inline bool dense(const tf_view& v) { return v.strides[1] == 1 || v.shape[1] == 1; }

// body(ch, m) for every register of channels.
template <class T, class Body>
TF_INLINE void for_channels(int64_t channels, const Body& body) {
  constexpr int64_t kW = Vec<T>::kWidth;
  for (int64_t ch = 0; ch < channels; ch += kW) body(ch, channels - ch < kW ? channels - ch : kW);
}

template <bool kDense, class T>
static void clear_pixels(const PixelRow<T>& row, int64_t begin, int64_t end, int64_t channels) {
  for (int64_t i = begin; i < end; ++i)
    for_channels<T>(channels, [&](int64_t ch, int64_t m) TF_ALWAYS_INLINE {
      store_channels<kDense>(row.data + i * row.pixel + ch * row.channel, row.channel,
                             Vec<T>(T(0)), m);
    });
}

// Maxima ---------------------------------------------------------------------------------------

template <class T>
static tf_status max_pool2d_typed(const tf_kernel_call* c) {
  const tf_view &x = c->in[0], &y = c->out[0], &index = c->out[1];
  const Windows w = windows_of(c->attr);
  return for_image_rows(
      y, w.kernel_h * w.kernel_w, dense(x) && dense(y) && dense(index),
      [&](auto is_dense, int64_t n, int64_t oh) {
        const Cover rows = covered(oh, w.kernel_h, w.stride_h, w.pad_h, x.shape[2]);
        max_of_windows<is_dense.value, T>(w, rows, x.shape[3], x.shape[1],
                                          row_of<const T>(x, n, rows.first), x.strides[2],
                                          y.shape[3], row_of<T>(y, n, oh),
                                          row_of<int32_t>(index, n, oh));
      });
}

// A row of gradients of maxima, with where they lie. result: null, or the maxima of a relu.
template <class T>
struct Maxima {
  PixelRow<const T> grad, result;
  PixelRow<const int32_t> index;
};

// Channels ch … ch + m - 1 of a pixel, which may lie in another order than the image's (a flatten
// behind the pooling hands on such a gradient).
template <class T>
TF_INLINE Vec<T> load_any(const PixelRow<const T>& row, int64_t pixel, int64_t ch, int64_t m) {
  const T* from = row.data + pixel * row.pixel + ch * row.channel;
  return row.channel == 1 ? load_channels<true>(from, 1, m)
                          : load_channels<false>(from, row.channel, m);
}

template <class T>
TF_INLINE Vec<T> load_grad(const Maxima<T>& x, int64_t ow, int64_t ch, int64_t m) {
  const Vec<T> grad = load_any(x.grad, ow, ch, m), zero(T(0));
  return x.result.data ? select(load_any(x.result, ow, ch, m) > zero, grad, zero) : grad;
}

// Row h of the image from the only windows that may cover it: all of it is written once.
template <bool kDense, bool kTwos, class T>
static void spread_disjoint(const Windows& w, const Maxima<T>& x, int64_t windows, int64_t h,
                            int64_t width, int64_t channels, const PixelRow<T>& dx) {
  using I = IntOf<T>;
  int64_t done = 0;
  for (int64_t ow = 0; ow < windows; ++ow) {
    const Cover columns = kTwos ? Cover{ow * w.stride_w, ow * w.stride_w + 2}
                                : covered(ow, w.kernel_w, w.stride_w, w.pad_w, width);
    if (done < columns.first) clear_pixels<kDense>(dx, done, columns.first, channels);
    done = columns.last;
    for_channels<T>(channels, [&](int64_t ch, int64_t m) TF_ALWAYS_INLINE {
      const Vec<T> value = load_grad(x, ow, ch, m);
      const Vec<I> where = load_index<T, kDense>(
          x.index.data + ow * x.index.pixel + ch * x.index.channel, x.index.channel, m);
      const auto spread = [&](int64_t v) TF_ALWAYS_INLINE {
        store_channels<kDense>(
            dx.data + v * dx.pixel + ch * dx.channel, dx.channel,
            select(where == Vec<I>(I(h * width + v)), value, Vec<T>(T(0))), m);
      };
      if constexpr (kTwos) {
        spread(columns.first);
        spread(columns.first + 1);
      } else {
        for (int64_t v = columns.first; v < columns.last; ++v) spread(v);
      }
    });
  }
  clear_pixels<kDense>(dx, done, width, channels);
}

// Adds to row h of the image what one row of windows has for it.
template <bool kDense, class T>
static void spread_overlapping(const Windows& w, const Maxima<T>& x, int64_t windows, int64_t h,
                               int64_t width, int64_t channels, const PixelRow<T>& dx) {
  using I = IntOf<T>;
  for (int64_t ow = 0; ow < windows; ++ow) {
    const Cover columns = covered(ow, w.kernel_w, w.stride_w, w.pad_w, width);
    for_channels<T>(channels, [&](int64_t ch, int64_t m) TF_ALWAYS_INLINE {
      const Vec<T> value = load_grad(x, ow, ch, m);
      const Vec<I> where = load_index<T, kDense>(
          x.index.data + ow * x.index.pixel + ch * x.index.channel, x.index.channel, m);
      for (int64_t v = columns.first; v < columns.last; ++v) {
        T* to = dx.data + v * dx.pixel + ch * dx.channel;
        const Vec<T> here = select(where == Vec<I>(I(h * width + v)), value, Vec<T>(T(0)));
        store_channels<kDense>(to, dx.channel, load_channels<kDense>(to, dx.channel, m) + here, m);
      }
    });
  }
}

// Each row of the image collects from the windows that cover it, in their order.
template <class T>
static tf_status scatter_typed(const tf_kernel_call* c) {
  const tf_view &grad = c->in[0], &index = c->in[1], &result = c->in[2], &dx = c->out[0];
  const Windows w = windows_of(c->attr);
  const int64_t channels = dx.shape[1], width = dx.shape[3], windows = grad.shape[3];
  return for_image_rows(
      dx, w.kernel_w, dense(index) && dense(dx),
      [&](auto is_dense, int64_t n, int64_t h) {
        constexpr bool kDense = is_dense.value;
        const PixelRow<T> row = row_of<T>(dx, n, h);
        const auto maxima = [&](int64_t oh) {
          return Maxima<T>{
              row_of<const T>(grad, n, oh),
              absent(result) ? PixelRow<const T>{} : row_of<const T>(result, n, oh),
              row_of<const int32_t>(index, n, oh)};
        };
        const Cover rows = covering(h, w.kernel_h, w.stride_h, w.pad_h, grad.shape[2]);
        if (w.disjoint() && rows.first < rows.last) {
          const auto spread =
              twos(w) ? spread_disjoint<kDense, true, T> : spread_disjoint<kDense, false, T>;
          return spread(w, maxima(rows.first), windows, h, width, channels, row);
        }
        clear_pixels<kDense>(row, 0, width, channels);
        for (int64_t oh = rows.first; oh < rows.last; ++oh)
          spread_overlapping<kDense>(w, maxima(oh), windows, h, width, channels, row);
      });
}

template <class T>
static tf_status gather_typed(const tf_kernel_call* c) {
  const tf_view &x = c->in[0], &index = c->in[1], &y = c->out[0];
  const int64_t width = x.shape[3];
  return for_image_rows(y, 4, false, [&](auto, int64_t n, int64_t oh) {
    const PixelRow<T> out = row_of<T>(y, n, oh);
    const PixelRow<const int32_t> where = row_of<const int32_t>(index, n, oh);
    for (int64_t ow = 0; ow < y.shape[3]; ++ow)
      for (int64_t ch = 0; ch < y.shape[1]; ++ch) {
        const int64_t i = where.data[ow * where.pixel + ch * where.channel];
        const PixelRow<const T> row = row_of<const T>(x, n, i / width);
        out.data[ow * out.pixel + ch * out.channel] =
            row.data[i % width * row.pixel + ch * row.channel];
      }
  });
}

// Means ----------------------------------------------------------------------------------------

// 1 / the number of elements of a window, given what it covers of the image.
template <class T>
static inline T share(const Windows& w, bool count_pad, const Cover& rows, const Cover& columns) {
  return T(1) / T(count_pad ? w.kernel_h * w.kernel_w
                            : (rows.last - rows.first) * (columns.last - columns.first));
}

template <class T>
static tf_status avg_pool2d_typed(const tf_kernel_call* c) {
  const tf_view &x = c->in[0], &y = c->out[0];
  const Windows w = windows_of(c->attr);
  const bool count_pad = c->attr[6].i != 0;
  return for_image_rows(
      y, w.kernel_h * w.kernel_w, dense(x) && dense(y), [&](auto is_dense, int64_t n, int64_t oh) {
        constexpr bool kDense = is_dense.value;
        const Cover rows = covered(oh, w.kernel_h, w.stride_h, w.pad_h, x.shape[2]);
        const PixelRow<const T> from = row_of<const T>(x, n, rows.first);
        const PixelRow<T> out = row_of<T>(y, n, oh);
        for (int64_t ow = 0; ow < y.shape[3]; ++ow) {
          const Cover columns = covered(ow, w.kernel_w, w.stride_w, w.pad_w, x.shape[3]);
          const Vec<T> factor(share<T>(w, count_pad, rows, columns));
          for_channels<T>(x.shape[1], [&](int64_t ch, int64_t m) TF_ALWAYS_INLINE {
            Vec<T> total(T(0));
            for (int64_t h = 0; h < rows.last - rows.first; ++h)
              for (int64_t v = columns.first; v < columns.last; ++v)
                total += load_channels<kDense>(
                    from.data + h * x.strides[2] + v * from.pixel + ch * from.channel,
                    from.channel, m);
            store_channels<kDense>(out.data + ow * out.pixel + ch * out.channel, out.channel,
                                   total * factor, m);
          });
        }
      });
}

template <class T>
static tf_status avg_grad_typed(const tf_kernel_call* c) {
  const tf_view &grad = c->in[0], &dx = c->out[0];
  const Windows w = windows_of(c->attr);
  const bool count_pad = c->attr[6].i != 0;
  const int64_t channels = dx.shape[1], height = dx.shape[2], width = dx.shape[3];
  return for_image_rows(
      dx, w.kernel_w, dense(dx), [&](auto is_dense, int64_t n, int64_t h) {
        constexpr bool kDense = is_dense.value;
        const PixelRow<T> row = row_of<T>(dx, n, h);
        clear_pixels<kDense>(row, 0, width, channels);
        const Cover windows = covering(h, w.kernel_h, w.stride_h, w.pad_h, grad.shape[2]);
        for (int64_t oh = windows.first; oh < windows.last; ++oh) {
          const Cover rows = covered(oh, w.kernel_h, w.stride_h, w.pad_h, height);
          const PixelRow<const T> from = row_of<const T>(grad, n, oh);
          for (int64_t ow = 0; ow < grad.shape[3]; ++ow) {
            const Cover columns = covered(ow, w.kernel_w, w.stride_w, w.pad_w, width);
            const Vec<T> factor(share<T>(w, count_pad, rows, columns));
            for_channels<T>(channels, [&](int64_t ch, int64_t m) TF_ALWAYS_INLINE {
              const Vec<T> value =
                  factor * load_any(from, ow, ch, m);
              for (int64_t v = columns.first; v < columns.last; ++v) {
                T* to = row.data + v * row.pixel + ch * row.channel;
                store_channels<kDense>(
                    to, row.channel, load_channels<kDense>(to, row.channel, m) + value, m);
              }
            });
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
