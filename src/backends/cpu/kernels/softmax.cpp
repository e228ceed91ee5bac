// softmax and log_softmax along one dimension, their gradients, running sums.
// SPDX-License-Identifier: MIT
#include "backends/cpu/lines.h"
#include "backends/cpu/vmath.h"

namespace tf::cpu::TF_ISA {
namespace {

// A NaN in the row makes the sum NaN, and with it the row.
template <class T>
static void softmax_row(T* out, const T* x, int64_t n) {
  const Vec<T> shift(row_max(x, n));
  const T total = row_sum<T>(n, [&](int64_t i, int64_t lanes) TF_ALWAYS_INLINE {
    const Vec<T> y = exp(load_lanes(x + i, lanes) - shift);
    store_lanes(out + i, y, lanes);
    return y;
  });
  const Vec<T> scale(T(1) / total);
  fill_row(out, n, [&](int64_t i, int64_t lanes)
                       TF_ALWAYS_INLINE { return load_lanes(out + i, lanes) * scale; });
}

template <class T>
static void log_softmax_row(T* out, const T* x, int64_t n) {
  const Vec<T> shift(row_max(x, n));
  const T total = row_sum<T>(n, [&](int64_t i, int64_t lanes) TF_ALWAYS_INLINE {
    return exp(load_lanes(x + i, lanes) - shift);
  });
  const Vec<T> log_total = Vec<T>(static_cast<T>(::log(double(total))));
  fill_row(out, n, [&](int64_t i, int64_t lanes) TF_ALWAYS_INLINE {
    return (load_lanes(x + i, lanes) - shift) - log_total;
  });
}

// out * (grad - sum(grad * out))
template <class T>
static void softmax_backward_row(T* result, const T* grad, const T* out, int64_t n) {
  const Vec<T> total(row_sum<T>(n, [&](int64_t i, int64_t lanes) TF_ALWAYS_INLINE {
    return load_lanes(grad + i, lanes) * load_lanes(out + i, lanes);
  }));
  fill_row(result, n, [&](int64_t i, int64_t lanes) TF_ALWAYS_INLINE {
    return load_lanes(out + i, lanes) * (load_lanes(grad + i, lanes) - total);
  });
}

// grad - exp(out) * sum(grad)
template <class T>
static void log_softmax_backward_row(T* result, const T* grad, const T* out, int64_t n) {
  const Vec<T> total(row_sum<T>(
      n, [&](int64_t i, int64_t lanes) TF_ALWAYS_INLINE { return load_lanes(grad + i, lanes); }));
  fill_row(result, n, [&](int64_t i, int64_t lanes) TF_ALWAYS_INLINE {
    return load_lanes(grad + i, lanes) - exp(load_lanes(out + i, lanes)) * total;
  });
}

template <class T, class Row>
static tf_status forward(const tf_kernel_call* c, const Row& row) {
  const Lines<2> lines = make_lines<2>({&c->out[0], &c->in[0]}, int(c->attr[0].i));
  T* const base[2] = {static_cast<T*>(c->out[0].data), static_cast<T*>(c->in[0].data)};
  return for_lines(lines, base, [&](T* const* p, int64_t) { row(p[0], p[1], lines.length); });
}
template <class T, class Row>
static tf_status backward(const tf_kernel_call* c, const Row& row) {
  const Lines<3> lines =
      make_lines<3>({&c->out[0], &c->in[0], &c->in[1]}, int(c->attr[0].i));
  T* const base[3] = {static_cast<T*>(c->out[0].data), static_cast<T*>(c->in[0].data),
                      static_cast<T*>(c->in[1].data)};
  return for_lines(lines, base,
                   [&](T* const* p, int64_t) { row(p[0], p[1], p[2], lines.length); });
}

static tf_status softmax_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT32 ? forward<float>(c, softmax_row<float>)
                                            : forward<double>(c, softmax_row<double>);
}
TF_KERNEL(softmax, TINYFIN_DTYPES_FLOAT, softmax_kernel);

static tf_status log_softmax_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT32 ? forward<float>(c, log_softmax_row<float>)
                                            : forward<double>(c, log_softmax_row<double>);
}
TF_KERNEL(log_softmax, TINYFIN_DTYPES_FLOAT, log_softmax_kernel);

static tf_status softmax_backward_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT32 ? backward<float>(c, softmax_backward_row<float>)
                                            : backward<double>(c, softmax_backward_row<double>);
}
TF_KERNEL(softmax_backward, TINYFIN_DTYPES_FLOAT, softmax_backward_kernel);

static tf_status log_softmax_backward_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT32
             ? backward<float>(c, log_softmax_backward_row<float>)
             : backward<double>(c, log_softmax_backward_row<double>);
}
TF_KERNEL(log_softmax_backward, TINYFIN_DTYPES_FLOAT, log_softmax_backward_kernel);

// Attributes: dim, reverse (sums from the end).
static tf_status cumsum_kernel(const tf_kernel_call* c, void*) {
  return with_number(c->out[0].dtype, [&](auto t) {
    using T = decltype(t);
    const bool reverse = c->attr[1].i != 0;
    return forward<T>(c, [=](T* out, const T* x, int64_t n) {
      T s = 0;
      if (reverse)
        for (int64_t i = n - 1; i >= 0; --i) out[i] = s += x[i];
      else
        for (int64_t i = 0; i < n; ++i) out[i] = s += x[i];
    });
  });
}
TF_KERNEL(cumsum, TINYFIN_DTYPES_FLOAT | TINYFIN_DTYPES_INT, cumsum_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
