// layer_norm and rms_norm over rows, and their gradients.
// SPDX-License-Identifier: MIT
#include "backends/cpu/elementwise.h"
#include "backends/cpu/rows.h"
#include "backends/cpu/stream.h"

namespace tf::cpu::TF_ISA {
namespace {

template <class T>
static inline const T* data_of(const tf_view& v) {
  return absent(v) ? nullptr : static_cast<const T*>(v.data);
}

// Rows of n elements become (x - mean) rstd weight + bias; rms_norm, which is not kCentred, takes
// the mean for 0. means: where they go, of kCentred only.
template <bool kCentred, class T>
static tf_status normalise_rows(const tf_view& x, int64_t rows, const T* weight, const T* bias,
                                T eps, T* to, T* means, T* rstds) {
  using V = Vec<T>;
  const int64_t n = rows ? numel(x) / rows : 0;
  const T* from = data_of<T>(x);
  return parallel_range(rows, 1 + kGrain / (4 * n + 1), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T* row = from + r * n;
      T mean = 0;
      if (kCentred)
        means[r] = mean = row_sum<T>(n, [&](int64_t i, int64_t m) TF_ALWAYS_INLINE {
                            return load_lanes(row + i, m);
                          }) / T(n);
      const T var = row_sum<T>(n, [&](int64_t i, int64_t m) TF_ALWAYS_INLINE {
                      const V d = load_lanes(row + i, m) - V(mean);
                      return d * d;
                    }) / T(n);
      const T rstd = T(1) / T(::sqrt(double(var + eps)));
      rstds[r] = rstd;
      fill_row(to + r * n, n, [&](int64_t i, int64_t m) TF_ALWAYS_INLINE {
        V y = (load_lanes(row + i, m) - V(mean)) * V(rstd);
        if (weight) y *= load_lanes(weight + i, m);
        if (bias) y += load_lanes(bias + i, m);
        return y;
      });
    }
  });
}

// The gradient -------------------------------------------------------------------------------

// out[i] = f(i-th elements), past the caches.
template <class T, class F>
TF_INLINE void stream_row(T* out, int64_t n, const F& f) {
  constexpr int64_t w = Vec<T>::kWidth;
  const int64_t past = int64_t(reinterpret_cast<uintptr_t>(out) % kVectorBytes / sizeof(T));
  int64_t i = past ? w - past : 0;
  if (i > n) i = n;
  if (i > 0) store_n(out, f(0, i), i);
  for (; i + w <= n; i += w) stream(out + i, f(i, w));
  if (i < n) store_n(out + i, f(i, n - i), n - i);
}

template <class T>
struct RowGradient {
  const T *grad, *x, *weight, *means, *rstds;  // means: null where they are 0
  const T* base;                               // what dx is added to, or null
  T* dx;
  int64_t n;
  bool streams;  // dx past the caches
};

// Of kRows rows from number r on: dx, and what they add to the gradients of weight and bias, where
// dw and db are given. The rows stay in the cache from the sums to the result.
template <bool kCentred, bool kSums, int kRows, class T>
static inline void gradient_of_rows(const RowGradient<T>& a, int64_t r, T* dw, T* db) {
  using V = Vec<T>;
  const int64_t n = a.n;
  const T *x = a.x + r * n, *grad = a.grad + r * n;
  V mean[kRows], rstd[kRows], s[kRows], q[kRows];
  unroll<kRows>([&](auto k) TF_ALWAYS_INLINE {
    mean[k] = V(kCentred ? a.means[r + k] : T(0));
    rstd[k] = V(a.rstds[r + k]);
    s[k] = q[k] = V(T(0));
  });
  for_vectors<T>(n, [&](int64_t i, int64_t m) TF_ALWAYS_INLINE {
    V w(T(1)), of_weight(T(0)), of_bias(T(0));
    if (a.weight) w = load_lanes(a.weight + i, m);
    if (kSums) of_weight = load_lanes(dw + i, m);
    if (kSums && kCentred) of_bias = load_lanes(db + i, m);
    unroll<kRows>([&](auto k) TF_ALWAYS_INLINE {
      const V g = load_lanes(grad + k * n + i, m);
      const V unit = (load_lanes(x + k * n + i, m) - mean[k]) * rstd[k];
      const V gw = a.weight ? g * w : g;
      if (kCentred) s[k] += gw;
      q[k] = fma(gw, unit, q[k]);
      if (kSums) of_weight = fma(g, unit, of_weight);
      if (kSums && kCentred) of_bias += g;
    });
    if (kSums) store_lanes(dw + i, of_weight, m);
    if (kSums && kCentred) store_lanes(db + i, of_bias, m);
  });
  unroll<kRows>([&](auto k) TF_ALWAYS_INLINE {
    const V mean_g(kCentred ? T(sum(s[k]) / T(n)) : T(0)), mean_gu(sum(q[k]) / T(n));
    const T* const base = a.base ? a.base + (r + k) * n : nullptr;
    const auto result = [&](int64_t i, int64_t m) TF_ALWAYS_INLINE {
      V g = load_lanes(grad + k * n + i, m);
      const V unit = (load_lanes(x + k * n + i, m) - mean[k]) * rstd[k];
      if (a.weight) g *= load_lanes(a.weight + i, m);
      const V d = (g - mean_g - unit * mean_gu) * rstd[k];
      return base ? load_lanes(base + i, m) + d : d;
    };
    T* const dx = a.dx + (r + k) * n;
    if (a.streams) stream_row(dx, n, result);
    else fill_row(dx, n, result);
  });
}

// Rows are dealt out to this many partial sums of the weight's and the bias' gradient at most.
constexpr int64_t kMaxPartials = 32;
// Rows at a time, so that partial sums are read and written once for all of them.
constexpr int kRowsAtOnce = kRegisters >= 32 ? 4 : 2;

template <bool kCentred, bool kSums, class T>
static void gradient_of_range(const RowGradient<T>& a, int64_t begin, int64_t end, T* dw, T* db) {
  int64_t r = begin;
  for (; r + kRowsAtOnce <= end; r += kRowsAtOnce)
    gradient_of_rows<kCentred, kSums, kRowsAtOnce>(a, r, dw, db);
  for (; r < end; ++r) gradient_of_rows<kCentred, kSums, 1>(a, r, dw, db);
  if (a.streams) end_of_stream();
}

// dweight, dbias: no elements where they are not asked for; dbias is of kCentred only.
template <bool kCentred, class T>
static tf_status rows_gradient(const RowGradient<T>& a, int64_t rows, const tf_view& dweight,
                               const tf_view* dbias) {
  const int64_t width = numel(dweight), sums = width * (kCentred ? 2 : 1);
  const int64_t grain = 1 + kGrain / (8 * a.n + 1);
  int64_t partials = (rows + grain - 1) / grain;
  if (partials > kMaxPartials) partials = kMaxPartials;
  if (partials < 1) partials = 1;
  const size_t bytes = size_t(partials * sums) * sizeof(T);
  T* const partial = width ? static_cast<T*>(host->host_alloc(bytes)) : nullptr;
  if (width && !partial) return error(TINYFIN_ERROR_MEMORY, "out of host memory for partial sums");
  const tf_status status = parallel_range(partials, 1, [&](int64_t first, int64_t last) {
    for (int64_t part = first; part < last; ++part) {
      const int64_t begin = rows * part / partials, end = rows * (part + 1) / partials;
      T* dw = partial + part * sums;
      for (int64_t i = 0; i < sums; ++i) dw[i] = T(0);
      if (width)
        gradient_of_range<kCentred, true>(a, begin, end, dw, dw + width);
      else
        gradient_of_range<kCentred, false>(a, begin, end, dw, dw);
    }
  });
  if (!width) return status;
  for (int64_t part = 1; part < partials; ++part)
    for (int64_t i = 0; i < sums; ++i) partial[i] += partial[part * sums + i];
  memcpy(dweight.data, partial, size_t(width) * sizeof(T));
  if (kCentred) memcpy(dbias->data, partial + width, size_t(width) * sizeof(T));
  host->host_free(partial, bytes);
  return status;
}

// Whether x, its gradient and the result's are more than stay in the caches.
template <class T>
static inline bool beyond_caches(int64_t elements) {
  return 3 * elements * int64_t(sizeof(T)) > kCachedBytes;
}

// All tensors row-major.

// "x weight? bias?; dims, eps, …" to the result, mean and 1 / sqrt(variance + eps).
template <class T>
static tf_status layer_norm(const tf_kernel_call* c) {
  return normalise_rows<true>(c->in[0], numel(c->out[1]), data_of<T>(c->in[1]),
                              data_of<T>(c->in[2]), T(c->attr[1].f),
                              static_cast<T*>(c->out[0].data), static_cast<T*>(c->out[1].data),
                              static_cast<T*>(c->out[2].data));
}
static tf_status layer_norm_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT64 ? layer_norm<double>(c) : layer_norm<float>(c);
}
TF_KERNEL(layer_norm, TINYFIN_DTYPES_FLOAT, layer_norm_kernel);

// "grad x weight? mean rstd base?; dims"
template <class T>
static tf_status layer_norm_grad(const tf_kernel_call* c) {
  const int64_t rows = numel(c->in[3]), n = rows ? numel(c->in[1]) / rows : 0;
  const RowGradient<T> a{data_of<T>(c->in[0]), data_of<T>(c->in[1]), data_of<T>(c->in[2]),
                         data_of<T>(c->in[3]), data_of<T>(c->in[4]), data_of<T>(c->in[5]),
                         static_cast<T*>(c->out[0].data), n, beyond_caches<T>(rows * n)};
  return rows_gradient<true>(a, rows, c->out[1], &c->out[2]);
}
static tf_status layer_norm_grad_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT64 ? layer_norm_grad<double>(c)
                                            : layer_norm_grad<float>(c);
}
TF_KERNEL(layer_norm_grad, TINYFIN_DTYPES_FLOAT, layer_norm_grad_kernel);

// "x weight?; dims, eps, …" to the result and 1 / sqrt(mean of squares + eps).
template <class T>
static tf_status rms_norm(const tf_kernel_call* c) {
  return normalise_rows<false, T>(c->in[0], numel(c->out[1]), data_of<T>(c->in[1]), nullptr,
                                  T(c->attr[1].f), static_cast<T*>(c->out[0].data), nullptr,
                                  static_cast<T*>(c->out[1].data));
}
static tf_status rms_norm_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT64 ? rms_norm<double>(c) : rms_norm<float>(c);
}
TF_KERNEL(rms_norm, TINYFIN_DTYPES_FLOAT, rms_norm_kernel);

// "grad x weight? rstd; dims"
template <class T>
static tf_status rms_norm_grad(const tf_kernel_call* c) {
  const int64_t rows = numel(c->in[3]), n = rows ? numel(c->in[1]) / rows : 0;
  const RowGradient<T> a{data_of<T>(c->in[0]), data_of<T>(c->in[1]), data_of<T>(c->in[2]), nullptr,
                         data_of<T>(c->in[3]), nullptr, static_cast<T*>(c->out[0].data), n,
                         beyond_caches<T>(rows * n)};
  return rows_gradient<false>(a, rows, c->out[1], nullptr);
}
static tf_status rms_norm_grad_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT64 ? rms_norm_grad<double>(c) : rms_norm_grad<float>(c);
}
TF_KERNEL(rms_norm_grad, TINYFIN_DTYPES_FLOAT, rms_norm_grad_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
