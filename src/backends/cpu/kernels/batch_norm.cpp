// Batch normalisation: every channel brought to mean 0 and variance 1 over images and pixels.
// Group normalisation: the same for groups of neighbouring channels of each image. And their
// gradients.
//
// Both read their input twice, for the moments and for the result; the gradient reads twice what it
// needs, for the sums and for the result. All of it goes by channels: what belongs to a group is
// put together from its channels' numbers, and what comes of a group is given to each of them.
// SPDX-License-Identifier: MIT
#include "backends/cpu/channels.h"

namespace tf::cpu::TF_ISA {
namespace {

template <class T>
static inline T element(const tf_view& v, int64_t i, T otherwise) {
  return absent(v) ? otherwise : static_cast<const T*>(v.data)[i * v.strides[0]];
}

// Arrays of numbers per channel, in one block of the host's.
template <class T>
struct Numbers {
  size_t bytes;
  T* data;
  explicit Numbers(int64_t count)
      : bytes(size_t(count) * sizeof(T)), data(static_cast<T*>(host->host_alloc(bytes))) {}
  Numbers(const Numbers&) = delete;
  ~Numbers() {
    if (data) host->host_free(data, bytes);
  }
};
static inline tf_status no_numbers() {
  return error(TINYFIN_ERROR_MEMORY, "out of host memory for statistics");
}

// What belongs to a channel, as registers of the map: the mean, the factor of (x - mean), what is
// added; for the gradient also the factor of (x - mean) and what is added there.
enum { kMean, kScale, kShift, kSlope, kOffset };

template <class V>
TF_INLINE V normalised(V x, const V* p) {
  return fma(x - p[kMean], p[kScale], p[kShift]);
}
// The gradient of a result that relu has been applied to, before relu.
template <bool kRelu, class V>
TF_INLINE V before_relu(V grad, V x, const V* p) {
  if constexpr (!kRelu) return grad;
  return select(normalised(x, p) > V(0), grad, V(0));
}

// y = (x - mean) scale + shift, by part and channel.
template <class T, bool kRelu>
static tf_status write_normalised(const tf_view& x, const tf_view& y, int64_t parts,
                                  const Params<T>& params) {
  using V = Vec<T>;
  const Images im = images_of<2>({&x, &y});
  return map_channels<2>(im, cut_of(im, parts), params, [](V v, V, const V* p) TF_ALWAYS_INLINE {
    const V result = normalised(v, p);
    return kRelu ? select(result < V(T(0)), V(T(0)), result) : result;
  });
}

// Per part and channel the sums of grad and of grad (x - mean), pieces joined.
template <class T, bool kRelu>
static tf_status sum_gradients(const Images& im, const Cut& cut, const Params<T>& params, T* sums) {
  using V = Vec<T>;
  const tf_status status =
      piece_sums(im, cut, params, sums, [](V v, V g, const V* p, V* value) TF_ALWAYS_INLINE {
        value[0] = before_relu<kRelu>(g, v, p);
        value[1] = value[0] * (v - p[kMean]);
      });
  add_pieces(cut, im.channels, sums);
  return status;
}

// dx = grad scale + (x - mean) slope + offset.
template <class T, bool kRelu>
static tf_status write_gradient(const tf_view& x, const tf_view& grad, const tf_view& dx,
                                int64_t parts, const Params<T>& params) {
  using V = Vec<T>;
  const Images im = images_of<3>({&x, &grad, &dx});
  return map_channels<3>(im, cut_of(im, parts), params, [](V v, V g, const V* p) TF_ALWAYS_INLINE {
    return fma(before_relu<kRelu>(g, v, p), p[kScale],
               fma(v - p[kMean], p[kSlope], p[kOffset]));
  });
}

// Batch normalisation --------------------------------------------------------------------

// scale and shift of each channel.
template <class T>
static void affine(const tf_view& weight, const tf_view& bias, const T* var, T eps,
                   int64_t channels, T* scale, T* shift) {
  for (int64_t i = 0; i < channels; ++i) {
    scale[i] = element(weight, i, T(1)) / T(::sqrt(double(var[i] + eps)));
    shift[i] = element(bias, i, T(0));
  }
}

// "x weight? bias?; eps, …" to y, mean and variance (divided by the number of elements).
template <class T, bool kRelu>
static tf_status batch_norm(const tf_kernel_call* c) {
  const tf_view &x = c->in[0], &y = c->out[0];
  const int64_t channels = x.shape[1];
  if (numel(x) == 0) return TINYFIN_OK;
  T* mean = static_cast<T*>(c->out[1].data);
  T* var = static_cast<T*>(c->out[2].data);
  const Images im = images_of<1>({&x});
  const Cut cut = cut_of(im, 1);
  const Numbers<T> work((cut.pieces() + 1) * 2 * channels);
  if (!work.data) return no_numbers();
  T *scale = work.data, *shift = scale + channels, *moments = shift + channels;
  const tf_status status = piece_moments<T>(im, cut, moments);
  if (status != TINYFIN_OK) return status;
  join_pieces(cut, channels, moments);
  for (int64_t i = 0; i < channels; ++i) {
    mean[i] = moments[i];
    var[i] = moments[channels + i] / T(im.pixels());
  }
  affine(c->in[1], c->in[2], var, T(c->attr[0].f), channels, scale, shift);
  return write_normalised<T, kRelu>(x, y, 1, {{mean, scale, shift}});
}

// "grad x weight? bias? mean var; eps, relu" to the gradients of x, weight and bias.
template <class T, bool kRelu>
static tf_status batch_norm_grad(const tf_kernel_call* c) {
  const tf_view &grad = c->in[0], &x = c->in[1], &dx = c->out[0];
  const int64_t channels = x.shape[1];
  const T eps = T(c->attr[0].f);
  const T* mean = static_cast<const T*>(c->in[4].data);
  const T* var = static_cast<const T*>(c->in[5].data);
  T* dweight = static_cast<T*>(c->out[1].data);
  T* dbias = static_cast<T*>(c->out[2].data);
  if (numel(x) == 0) return TINYFIN_OK;
  const Images im = images_of<2>({&x, &grad});
  const Cut cut = cut_of(im, 1);
  const Numbers<T> work((cut.pieces() * 2 + 4) * channels);
  if (!work.data) return no_numbers();
  T *scale = work.data, *shift = scale + channels, *slope = shift + channels;
  T *offset = slope + channels, *sums = offset + channels;
  affine(c->in[2], c->in[3], var, eps, channels, scale, shift);
  const tf_status status = sum_gradients<T, kRelu>(im, cut, {{mean, scale, shift}}, sums);
  if (status != TINYFIN_OK) return status;
  // dx = scale (g - mean(g) - unit mean(g unit)), where unit = (x - mean) rstd.
  const T n = T(im.pixels());
  for (int64_t i = 0; i < channels; ++i) {
    const T rstd = T(1) / T(::sqrt(double(var[i] + eps)));
    dbias[i] = sums[i];
    dweight[i] = sums[channels + i] * rstd;
    slope[i] = -scale[i] * rstd * dweight[i] / n;
    offset[i] = -scale[i] * dbias[i] / n;
  }
  return write_gradient<T, kRelu>(x, grad, dx, 1, {{mean, scale, shift, slope, offset}});
}

// "x mean var weight? bias?; eps, relu", mean and variance being known, to y.
template <class T, bool kRelu>
static tf_status batch_norm_eval(const tf_kernel_call* c) {
  const tf_view& x = c->in[0];
  const int64_t channels = x.shape[1];
  if (numel(x) == 0) return TINYFIN_OK;
  const T* var = static_cast<const T*>(c->in[2].data);
  const Numbers<T> work(2 * channels);
  if (!work.data) return no_numbers();
  T *scale = work.data, *shift = scale + channels;
  affine(c->in[3], c->in[4], var, T(c->attr[0].f), channels, scale, shift);
  const T* mean = static_cast<const T*>(c->in[1].data);
  return write_normalised<T, kRelu>(x, c->out[0], 1, {{mean, scale, shift}});
}

// Group normalisation --------------------------------------------------------------------

// "x weight? bias?; groups, eps, …" to y, and of each image's groups mean and 1 / sqrt(variance +
// eps).
template <class T>
static tf_status group_norm(const tf_kernel_call* c) {
  const tf_view &x = c->in[0], &y = c->out[0], &weight = c->in[1], &bias = c->in[2];
  const int64_t count = x.shape[0], channels = x.shape[1], groups = c->attr[0].i;
  if (numel(x) == 0) return TINYFIN_OK;
  const T eps = T(c->attr[1].f);
  T* means = static_cast<T*>(c->out[1].data);
  T* rstds = static_cast<T*>(c->out[2].data);
  const Images im = images_of<1>({&x});
  const Cut cut = cut_of(im, count);
  const int64_t all = count * channels, size = channels / groups;
  const Numbers<T> work(3 * all + cut.pieces() * 2 * channels);
  if (!work.data) return no_numbers();
  T *mean = work.data, *scale = mean + all, *shift = scale + all, *moments = shift + all;
  tf_status status = piece_moments<T>(im, cut, moments);
  if (status != TINYFIN_OK) return status;
  join_pieces(cut, channels, moments);
  const T pixels = T(cut.length);
  status = parallel_range(count, kGrain / (8 * channels) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t g = begin * groups; g < end * groups; ++g) {
      const int64_t part = g / groups, first = g % groups * size;
      const T* of_channels = moments + part * cut.bands * 2 * channels + first;
      T centre = 0, square = 0;
      for (int64_t i = 0; i < size; ++i)
        join_moments(centre, square, pixels * T(i), of_channels[i], of_channels[channels + i],
                     pixels);
      means[g] = centre;
      rstds[g] = T(1) / T(::sqrt(double(square / (pixels * T(size)) + eps)));
      for (int64_t i = first; i < first + size; ++i) {
        const int64_t at = part * channels + i;
        mean[at] = centre;
        scale[at] = element(weight, i, T(1)) * rstds[g];
        shift[at] = element(bias, i, T(0));
      }
    }
  });
  if (status != TINYFIN_OK) return status;
  return write_normalised<T, false>(x, y, count, {{mean, scale, shift}});
}

// "grad x weight? mean rstd; groups" to the gradients of x, weight and bias.
template <class T>
static tf_status group_norm_grad(const tf_kernel_call* c) {
  const tf_view &grad = c->in[0], &x = c->in[1], &weight = c->in[2], &dx = c->out[0];
  const int64_t count = x.shape[0], channels = x.shape[1], groups = c->attr[0].i;
  const T* means = static_cast<const T*>(c->in[3].data);
  const T* rstds = static_cast<const T*>(c->in[4].data);
  T* dweight = static_cast<T*>(c->out[1].data);
  T* dbias = static_cast<T*>(c->out[2].data);
  for (int64_t i = 0; i < channels; ++i) dweight[i] = dbias[i] = T(0);
  if (numel(x) == 0) return TINYFIN_OK;
  const Images im = images_of<2>({&x, &grad});
  const Cut cut = cut_of(im, count);
  const int64_t all = count * channels, size = channels / groups;
  const Numbers<T> work(4 * all + cut.pieces() * 2 * channels);
  if (!work.data) return no_numbers();
  T *mean = work.data, *scale = mean + all, *slope = scale + all, *offset = slope + all;
  T* sums = offset + all;
  for (int64_t i = 0; i < all; ++i) mean[i] = means[i / size];
  tf_status status = sum_gradients<T, false>(im, cut, {{mean}}, sums);
  if (status != TINYFIN_OK) return status;
  const T n = T(cut.length * size);
  status = parallel_range(count, kGrain / (8 * channels) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t g = begin * groups; g < end * groups; ++g) {
      const int64_t part = g / groups, first = g % groups * size;
      const T* sum_g = sums + part * cut.bands * 2 * channels;
      const T *sum_gx = sum_g + channels, rstd = rstds[g];
      T total = 0, dot = 0;
      for (int64_t i = first; i < first + size; ++i) {
        total += element(weight, i, T(1)) * sum_g[i];
        dot += element(weight, i, T(1)) * sum_gx[i];
      }
      for (int64_t i = first; i < first + size; ++i) {
        const int64_t at = part * channels + i;
        scale[at] = element(weight, i, T(1)) * rstd;
        slope[at] = -rstd * rstd * rstd * dot / n;
        offset[at] = -rstd * total / n;
      }
    }
  });
  if (status != TINYFIN_OK) return status;
  for (int64_t part = 0; part < count; ++part) {
    const T* sum_g = sums + part * cut.bands * 2 * channels;
    for (int64_t i = 0; i < channels; ++i) {
      dweight[i] += sum_g[channels + i] * rstds[part * groups + i / size];
      dbias[i] += sum_g[i];
    }
  }
  return write_gradient<T, false>(x, grad, dx, count, {{mean, scale, nullptr, slope, offset}});
}

// x, grad and the results of their shape of any strides; statistics contiguous.
static tf_status batch_norm_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT64 ? batch_norm<double, false>(c)
                                            : batch_norm<float, false>(c);
}
TF_KERNEL(batch_norm, TINYFIN_DTYPES_FLOAT, batch_norm_kernel);

static tf_status batch_norm_relu_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT64 ? batch_norm<double, true>(c)
                                            : batch_norm<float, true>(c);
}
TF_KERNEL(batch_norm_relu, TINYFIN_DTYPES_FLOAT, batch_norm_relu_kernel);

template <class T>
static tf_status batch_norm_grad_of(const tf_kernel_call* c) {
  return c->attr[1].i ? batch_norm_grad<T, true>(c) : batch_norm_grad<T, false>(c);
}
static tf_status batch_norm_grad_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT64 ? batch_norm_grad_of<double>(c)
                                            : batch_norm_grad_of<float>(c);
}
TF_KERNEL(batch_norm_grad, TINYFIN_DTYPES_FLOAT, batch_norm_grad_kernel);

template <class T>
static tf_status batch_norm_eval_of(const tf_kernel_call* c) {
  return c->attr[1].i ? batch_norm_eval<T, true>(c) : batch_norm_eval<T, false>(c);
}
static tf_status batch_norm_eval_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT64 ? batch_norm_eval_of<double>(c)
                                            : batch_norm_eval_of<float>(c);
}
TF_KERNEL(batch_norm_eval, TINYFIN_DTYPES_FLOAT, batch_norm_eval_kernel);

static tf_status group_norm_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT64 ? group_norm<double>(c) : group_norm<float>(c);
}
TF_KERNEL(group_norm, TINYFIN_DTYPES_FLOAT, group_norm_kernel);

static tf_status group_norm_grad_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT64 ? group_norm_grad<double>(c)
                                            : group_norm_grad<float>(c);
}
TF_KERNEL(group_norm_grad, TINYFIN_DTYPES_FLOAT, group_norm_grad_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
