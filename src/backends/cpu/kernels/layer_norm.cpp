// Layer normalisation: rows of `n` elements, each brought to mean 0 and variance 1, then scaled
// and shifted element by element; and its gradient, one pass over rows.
// SPDX-License-Identifier: MIT
#include "backends/cpu/elementwise.h"
#include "backends/cpu/rows.h"

namespace tf::cpu::TF_ISA {
namespace {

template <class T>
static tf_status layer_norm_typed(const tf_kernel_call* c) {
  using V = Vec<T>;
  const tf_view &x = c->in[0], &weight = c->in[1], &bias = c->in[2];
  const int64_t rows = numel(c->out[1]), total = numel(x), n = rows ? total / rows : 0;
  const T eps = T(c->attr[1].f);
  const T* from = static_cast<const T*>(x.data);
  const T* scale = absent(weight) ? nullptr : static_cast<const T*>(weight.data);
  const T* shift = absent(bias) ? nullptr : static_cast<const T*>(bias.data);
  T* to = static_cast<T*>(c->out[0].data);
  T* means = static_cast<T*>(c->out[1].data);
  T* rstds = static_cast<T*>(c->out[2].data);
  return parallel_range(rows, 1 + kGrain / (4 * n + 1), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T* row = from + r * n;
      const T mean = row_sum<T>(n, [&](int64_t i, int64_t m)
                                       TF_ALWAYS_INLINE { return load_lanes(row + i, m); }) / T(n);
      const T var = row_sum<T>(n, [&](int64_t i, int64_t m) TF_ALWAYS_INLINE {
                      const V d = load_lanes(row + i, m) - V(mean);
                      return d * d;
                    }) / T(n);
      const T rstd = T(1) / T(::sqrt(double(var + eps)));
      means[r] = mean;
      rstds[r] = rstd;
      fill_row(to + r * n, n, [&](int64_t i, int64_t m) TF_ALWAYS_INLINE {
        V y = (load_lanes(row + i, m) - V(mean)) * V(rstd);
        if (scale) y *= load_lanes(scale + i, m);
        if (shift) y += load_lanes(shift + i, m);
        return y;
      });
    }
  });
}

// Rows are dealt out to this many partial sums of the weight's and the bias' gradient at most.
constexpr int64_t kMaxPartials = 32;

template <class T>
static tf_status layer_norm_grad_typed(const tf_kernel_call* c) {
  using V = Vec<T>;
  const tf_view &x = c->in[1], &weight = c->in[2];
  const int64_t rows = numel(c->in[3]), total = numel(x), n = rows ? total / rows : 0;
  const T* grads = static_cast<const T*>(c->in[0].data);
  const T* from = static_cast<const T*>(x.data);
  const T* scale = absent(weight) ? nullptr : static_cast<const T*>(weight.data);
  const T* means = static_cast<const T*>(c->in[3].data);
  const T* rstds = static_cast<const T*>(c->in[4].data);
  T* dx = static_cast<T*>(c->out[0].data);
  const T* base = absent(c->in[5]) ? nullptr : static_cast<const T*>(c->in[5].data);
  const tf_view &dweight = c->out[1], &dbias = c->out[2];
  const int64_t width = numel(dweight);  // 0: not asked for
  const int64_t grain = 1 + kGrain / (8 * n + 1);
  int64_t partials = (rows + grain - 1) / grain;
  if (partials > kMaxPartials) partials = kMaxPartials;
  if (partials < 1) partials = 1;
  const size_t bytes = size_t(partials * 2 * width) * sizeof(T);
  T* sums = width ? static_cast<T*>(host->host_alloc(bytes)) : nullptr;
  if (width && !sums) return error(TINYFIN_ERROR_MEMORY, "out of host memory for partial sums");
  const tf_status status = parallel_range(partials, 1, [&](int64_t first, int64_t last) {
    for (int64_t part = first; part < last; ++part) {
      T* dw = sums + part * 2 * width;
      T* db = dw + width;
      for (int64_t i = 0; i < 2 * width; ++i) dw[i] = T(0);
      for (int64_t r = rows * part / partials; r < rows * (part + 1) / partials; ++r) {
        const T *row = from + r * n, *grad = grads + r * n;
        const V mean(means[r]), rstd(rstds[r]);
        V s(T(0)), q(T(0));
        for_vectors<T>(n, [&](int64_t i, int64_t m) TF_ALWAYS_INLINE {
          const V g0 = load_lanes(grad + i, m), unit = (load_lanes(row + i, m) - mean) * rstd;
          const V g = scale ? g0 * load_lanes(scale + i, m) : g0;
          s += g;
          q = fma(g, unit, q);
          if (width) {
            store_lanes(dw + i, fma(g0, unit, load_lanes(dw + i, m)), m);
            store_lanes(db + i, load_lanes(db + i, m) + g0, m);
          }
        });
        const V mean_g(sum(s) / T(n)), mean_gx(sum(q) / T(n));
        for_vectors<T>(n, [&](int64_t i, int64_t m) TF_ALWAYS_INLINE {
          const V g0 = load_lanes(grad + i, m), unit = (load_lanes(row + i, m) - mean) * rstd;
          const V g = scale ? g0 * load_lanes(scale + i, m) : g0;
          const V d = (g - mean_g - unit * mean_gx) * rstd;
          store_lanes(dx + r * n + i, base ? load_lanes(base + r * n + i, m) + d : d, m);
        });
      }
    }
  });
  if (!width) return status;
  if (status == TINYFIN_OK) {
    for (int64_t i = 0; i < width; ++i) {
      T w = sums[i], b = sums[width + i];
      for (int64_t part = 1; part < partials; ++part) {
        w += sums[part * 2 * width + i];
        b += sums[(part * 2 + 1) * width + i];
      }
      static_cast<T*>(dweight.data)[i] = w;
      static_cast<T*>(dbias.data)[i] = b;
    }
  }
  host->host_free(sums, bytes);
  return status;
}

// All tensors row-major.
static tf_status layer_norm_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT64 ? layer_norm_typed<double>(c)
                                            : layer_norm_typed<float>(c);
}
TF_KERNEL(layer_norm, TINYFIN_DTYPES_FLOAT, layer_norm_kernel);

static tf_status layer_norm_grad_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT64 ? layer_norm_grad_typed<double>(c)
                                            : layer_norm_grad_typed<float>(c);
}
TF_KERNEL(layer_norm_grad, TINYFIN_DTYPES_FLOAT, layer_norm_grad_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
