// Losses of single elements, and their gradients: one pass over predictions and targets each.
//
// Attributes: the kind, the reduction, a parameter (Huber's delta). All tensors row-major, of one
// shape, where they are not reduced to one number.
// SPDX-License-Identifier: MIT
#include "backends/cpu/rows.h"
#include "backends/cpu/elementwise.h"
#include "backends/cpu/vmath.h"

namespace tf::cpu::TF_ISA {
namespace {

// Of a prediction x and a target t: the loss, and its derivative by x.
template <class T>
struct Squared {
  explicit Squared(double) {}
  TF_INLINE Vec<T> loss(Vec<T> x, Vec<T> t) const { return (x - t) * (x - t); }
  TF_INLINE Vec<T> slope(Vec<T> x, Vec<T> t) const { return (x - t) + (x - t); }
};
// NaN where the distance is, 0 where that is 0.
template <class T>
struct Absolute {
  explicit Absolute(double) {}
  TF_INLINE Vec<T> loss(Vec<T> x, Vec<T> t) const { return abs(x - t); }
  TF_INLINE Vec<T> slope(Vec<T> x, Vec<T> t) const {
    const Vec<T> d = x - t, zero(T(0));
    return select(d > zero, Vec<T>(T(1)), select(d < zero, Vec<T>(T(-1)), d));
  }
};
template <class T>
struct Huber {
  Vec<T> delta;
  explicit Huber(double d) : delta(T(d)) {}
  // With c, the distance cut at delta: c (|d| - c / 2) is d^2 / 2 within and the line beyond.
  TF_INLINE Vec<T> loss(Vec<T> x, Vec<T> t) const {
    const Vec<T> d = abs(x - t), cut = min(delta, d);
    return cut * (d - Vec<T>(T(0.5)) * cut);
  }
  TF_INLINE Vec<T> slope(Vec<T> x, Vec<T> t) const { return max(-delta, min(delta, x - t)); }
};
// log(1 + e) for 0 <= e <= 1, with what rounding takes from 1 + e.
TF_INLINE F32 log_one_and(F32 e) {
  const F32 s = F32(1.f) + e;
  return log(s) + (e - (s - F32(1.f))) / s;
}
TF_INLINE F64 log_one_and(F64 e) { return log1p(e); }

template <class T>
struct Logistic {
  explicit Logistic(double) {}
  // max(x, 0) - x t + log(1 + exp(-|x|)): |x| times what the target leaves to the other side, which
  // costs nothing where that is nothing, however certain the prediction.
  TF_INLINE Vec<T> loss(Vec<T> x, Vec<T> t) const {
    const Vec<T> zero(T(0)), size = abs(x), missing = select(x < zero, t, Vec<T>(T(1)) - t);
    return select(missing == zero, zero, size * missing) + log_one_and(exp(-size));
  }
  TF_INLINE Vec<T> slope(Vec<T> x, Vec<T> t) const { return sigmoid(x) - t; }
};

// body(Loss(parameter)) for the kind of a call; the numbers are those of ops/loss.cpp.
template <class T, class Body>
static inline tf_status with_loss(const tf_attr* attr, const Body& body) {
  switch (attr[0].i) {
    case 0: return body(Squared<T>(attr[2].f));
    case 1: return body(Absolute<T>(attr[2].f));
    case 2: return body(Huber<T>(attr[2].f));
    case 3: return body(Logistic<T>(attr[2].f));
    default: return TINYFIN_ERROR_UNSUPPORTED;
  }
}

constexpr int64_t kBlock = 8192;  // elements of one partial sum

// "pred target weight?; …"
template <class T>
static tf_status pointwise_loss(const tf_kernel_call* c) {
  using V = Vec<T>;
  const T* x = static_cast<const T*>(c->in[0].data);
  const T* t = static_cast<const T*>(c->in[1].data);
  const T* w = absent(c->in[2]) ? nullptr : static_cast<const T*>(c->in[2].data);
  T* out = static_cast<T*>(c->out[0].data);
  const int64_t n = numel(c->in[0]), reduction = c->attr[1].i;
  return with_loss<T>(c->attr, [&](const auto& loss) {
    const auto at = [&](int64_t i, int64_t m) TF_ALWAYS_INLINE {
      const V value = loss.loss(load_lanes(x + i, m), load_lanes(t + i, m));
      return w ? value * load_lanes(w + i, m) : value;
    };
    if (reduction == TINYFIN_REDUCTION_NONE)
      return parallel_range(n, grain_of(n), [&](int64_t begin, int64_t end) {
        fill_row(out + begin, end - begin, [&](int64_t i, int64_t m)
                                               TF_ALWAYS_INLINE { return at(begin + i, m); });
      });
    const int64_t blocks = (n + kBlock - 1) / kBlock;
    const size_t bytes = size_t(blocks) * sizeof(T);
    T* const partial = blocks ? static_cast<T*>(host->host_alloc(bytes)) : nullptr;
    if (blocks && !partial)
      return error(TINYFIN_ERROR_MEMORY, "out of host memory for partial sums");
    const tf_status status =
        parallel_range(blocks, grain_of(n) / kBlock, [&](int64_t begin, int64_t end) {
          for (int64_t b = begin; b < end; ++b) {
            const int64_t first = b * kBlock, m = n - first < kBlock ? n - first : kBlock;
            partial[b] = row_sum<T>(m, [&](int64_t i, int64_t lanes)
                                           TF_ALWAYS_INLINE { return at(first + i, lanes); });
          }
        });
    double total = 0;
    for (int64_t b = 0; b < blocks; ++b) total += double(partial[b]);
    *out = T(reduction == TINYFIN_REDUCTION_MEAN ? total / double(n) : total);
    if (partial) host->host_free(partial, bytes);
    return status;
  });
}

// "grad pred target weight?; …" to the gradient of pred.
template <class T>
static tf_status pointwise_loss_grad(const tf_kernel_call* c) {
  using V = Vec<T>;
  const T* g = static_cast<const T*>(c->in[0].data);
  const T* x = static_cast<const T*>(c->in[1].data);
  const T* t = static_cast<const T*>(c->in[2].data);
  const T* w = absent(c->in[3]) ? nullptr : static_cast<const T*>(c->in[3].data);
  T* out = static_cast<T*>(c->out[0].data);
  const int64_t n = numel(c->in[1]), reduction = c->attr[1].i;
  if (n == 0) return TINYFIN_OK;
  const bool each = reduction == TINYFIN_REDUCTION_NONE;
  const V factor(each ? T(1) : reduction == TINYFIN_REDUCTION_MEAN ? T(*g / T(n)) : *g);
  return with_loss<T>(c->attr, [&](const auto& loss) {
    return parallel_range(n, grain_of(n), [&](int64_t begin, int64_t end) {
      const auto fill = [&](const auto& grad) TF_ALWAYS_INLINE {
        fill_row(out + begin, end - begin, [&](int64_t i, int64_t m) TF_ALWAYS_INLINE {
          const V slope = loss.slope(load_lanes(x + begin + i, m), load_lanes(t + begin + i, m));
          const V value = slope * grad(begin + i, m);
          return w ? value * load_lanes(w + begin + i, m) : value;
        });
      };
      if (each)
        fill([&](int64_t i, int64_t m) TF_ALWAYS_INLINE { return load_lanes(g + i, m); });
      else
        fill([&](int64_t, int64_t) TF_ALWAYS_INLINE { return factor; });
    });
  });
}

static tf_status pointwise_loss_kernel(const tf_kernel_call* c, void*) {
  return c->in[0].dtype == TINYFIN_FLOAT32 ? pointwise_loss<float>(c) : pointwise_loss<double>(c);
}
TF_KERNEL(pointwise_loss, TINYFIN_DTYPES_FLOAT, pointwise_loss_kernel);

static tf_status pointwise_loss_grad_kernel(const tf_kernel_call* c, void*) {
  return c->in[0].dtype == TINYFIN_FLOAT32 ? pointwise_loss_grad<float>(c)
                                           : pointwise_loss_grad<double>(c);
}
TF_KERNEL(pointwise_loss_grad, TINYFIN_DTYPES_FLOAT, pointwise_loss_grad_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
