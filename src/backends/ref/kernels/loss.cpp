// Cross-entropy of logits (N, C, …), or (C,), with class indices (N, …). A negative index counts
// for nothing.
// SPDX-License-Identifier: MIT
#include <cmath>
#include <limits>

#include "call.h"

namespace ref {
namespace {

int class_dim(const Array& logits) { return logits.ndim > 1 ? 1 : 0; }

// Position of class k of the sample at `i`.
Index with_class(const Array& logits, const Index& i, int64_t k) {
  const int dim = class_dim(logits);
  Index at;
  for (int d = 0; d < logits.ndim; ++d) at[d] = d == dim ? k : i[d < dim ? d : d - 1];
  return at;
}

double weight_of(const Array& weight, int64_t target) {
  return target < 0 ? 0 : weight.present() ? weight.get({{target}}) : 1;
}

// logits target weight?; reduction, sloped → loss; (softmax - one-hot) * weight where asked for
const Define cross_entropy("cross_entropy", [](const Call& c) {
  const Array &x = c.in[0], &target = c.in[1], &weight = c.in[2];
  const int64_t classes = x.size(class_dim(x));
  double loss = 0, total = 0;
  for_each(target, [&](const Index& i) { total += weight_of(weight, target.get_int(i)); });
  for_each(target, [&](const Index& i) {
    double top = -std::numeric_limits<double>::infinity(), sum = 0;
    for (int64_t k = 0; k < classes; ++k) top = std::fmax(top, x.get(with_class(x, i, k)));
    for (int64_t k = 0; k < classes; ++k) sum += std::exp(x.get(with_class(x, i, k)) - top);
    const double lse = top + std::log(sum);
    const int64_t t = target.get_int(i);
    const double w = weight_of(weight, t);
    const double here = t < 0 ? 0 : w * (lse - x.get(with_class(x, i, t)));
    loss += here;
    if (c.i(0) == TINYFIN_REDUCTION_NONE) c.out[0].set(i, here);
    if (!c.i(1)) return;
    const double factor = c.i(0) == TINYFIN_REDUCTION_MEAN ? w / total : w;
    for (int64_t k = 0; k < classes; ++k) {
      const Index at = with_class(x, i, k);
      c.out[1].set(at, factor * (std::exp(x.get(at) - lse) - double(k == t)));
    }
  });
  if (c.i(0) != TINYFIN_REDUCTION_NONE)
    c.out[0].set({}, c.i(0) == TINYFIN_REDUCTION_MEAN ? loss / total : loss);
}, TINYFIN_DTYPES_FLOAT);

// grad slope: their product; grad is one number or one per sample
const Define cross_entropy_backward("cross_entropy_backward", [](const Call& c) {
  const Array &grad = c.in[0], &slope = c.in[1];
  const int dim = class_dim(slope);
  for_each(slope, [&](const Index& i) {
    Index sample{};
    for (int d = 0; d < grad.ndim; ++d) sample[d] = i[d < dim ? d : d + 1];
    c.out[0].set(i, slope.get(i) * grad.get(sample));
  });
}, TINYFIN_DTYPES_FLOAT);

// Of a prediction and a target: the loss of each element, and its derivative by the prediction.
double each_loss(double x, double t, int64_t kind, double delta) {
  const double d = std::fabs(x - t);
  switch (kind) {
    case 0: return d * d;
    case 1: return d;
    case 2: return d <= delta ? d * d / 2 : delta * (d - delta / 2);
    default: {
      const double missing = x < 0 ? t : 1 - t;
      return (missing == 0 ? 0 : std::fabs(x) * missing) + std::log1p(std::exp(-std::fabs(x)));
    }
  }
}
double each_slope(double x, double t, int64_t kind, double delta) {
  const double d = x - t;
  switch (kind) {
    case 0: return 2 * d;
    case 1: return d > 0 ? 1 : d < 0 ? -1 : d;
    case 2: return d < -delta ? -delta : d > delta ? delta : d;
    default: return 1 / (1 + std::exp(-x)) - t;
  }
}

// pred target weight?; kind, reduction, delta, …
const Define pointwise_loss("pointwise_loss", [](const Call& c) {
  const Array &x = c.in[0], &t = c.in[1], &weight = c.in[2];
  double total = 0;
  for_each(x, [&](const Index& i) {
    const double here = each_loss(x.get(i), t.get(i), c.i(0), c.f(2)) *
                        (weight.present() ? weight.get(i) : 1);
    total += here;
    if (c.i(1) == TINYFIN_REDUCTION_NONE) c.out[0].set(i, here);
  });
  if (c.i(1) != TINYFIN_REDUCTION_NONE)
    c.out[0].set({}, c.i(1) == TINYFIN_REDUCTION_MEAN ? total / double(x.numel()) : total);
}, TINYFIN_DTYPES_FLOAT);

// grad pred target weight?; kind, reduction, delta
const Define pointwise_loss_grad("pointwise_loss_grad", [](const Call& c) {
  const Array &grad = c.in[0], &x = c.in[1], &t = c.in[2], &weight = c.in[3];
  for_each(x, [&](const Index& i) {
    double g = grad.get(c.i(1) == TINYFIN_REDUCTION_NONE ? i : Index{});
    if (c.i(1) == TINYFIN_REDUCTION_MEAN) g /= double(x.numel());
    c.out[0].set(i, g * each_slope(x.get(i), t.get(i), c.i(0), c.f(2)) *
                        (weight.present() ? weight.get(i) : 1));
  });
}, TINYFIN_DTYPES_FLOAT);

}  // namespace
}  // namespace ref
