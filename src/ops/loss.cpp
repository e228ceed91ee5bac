// Losses: how far predictions are from targets.
// SPDX-License-Identifier: MIT
#include <cmath>
#include <vector>

#include "ops/op.h"
#include "ops/ops.h"

namespace tf {
namespace {

// A class index that counts for nothing, as in PyTorch.
constexpr int64_t kIgnored = -100;

Tensor reduced(const Tensor& losses, tf_reduction reduction) {
  switch (reduction) {
    case TINYFIN_REDUCTION_NONE: return losses;
    case TINYFIN_REDUCTION_MEAN: return mean(losses);
    case TINYFIN_REDUCTION_SUM: return sum(losses);
    default:
      fail(TINYFIN_ERROR_ARGUMENT, "received reduction ", reduction,
           "; expected none, mean or sum");
  }
}

// Dimension of the classes: (C) or (N, C, …).
int class_dim(const Tensor& x) { return x.ndim() > 1 ? 1 : 0; }

Dims without_classes(const Tensor& x) {
  Dims shape = x.shape();
  shape.erase(class_dim(x));
  return shape;
}

// Class indices as int64, in range. They are read here, so that no kernel need check them.
Tensor class_indices(const Tensor& target, const Tensor& x) {
  const int64_t classes = x.size(class_dim(x));
  TF_CHECK(target.shape() == without_classes(x), TINYFIN_ERROR_SHAPE,
           "received class indices of shape ", to_string(target.shape()), " for scores of shape ",
           to_string(x.shape()), "; expected ", to_string(without_classes(x)),
           ", the shape without the classes");
  TF_CHECK(!is_bool(target.dtype()), TINYFIN_ERROR_DTYPE, "received ", describe(target),
           "; expected class indices: integers, or floats with whole values");
  const int64_t n = target.numel();
  const Tensor plain = contiguous(detach(target));
  if (is_float(target.dtype())) {
    const Tensor wide = cast_to(plain, DType::f64);
    std::vector<double> values(static_cast<size_t>(n));
    copy_to_host(wide, values.data(), n * int64_t(sizeof(double)));
    for (double v : values)
      TF_CHECK(std::trunc(v) == v, TINYFIN_ERROR_ARGUMENT, "received class index ", v,
               "; expected whole numbers, or probabilities of the scores' shape ",
               to_string(x.shape()));
  }
  const Tensor indices = cast_to(plain, DType::i64);
  std::vector<int64_t> copy;  // of indices in another device's memory
  const int64_t* values = static_cast<const int64_t*>(indices.data());
  if (&indices.device() != &cpu_device()) {
    copy.resize(size_t(n));
    copy_to_host(indices, copy.data(), n * int64_t(sizeof(int64_t)));
    values = copy.data();
  }
  for (const int64_t v : std::span(values, size_t(n)))
    TF_CHECK((v >= 0 && v < classes) || v == kIgnored, TINYFIN_ERROR_INDEX,
             "received class index ", v, "; expected 0 to ", classes - 1, " for scores of shape ",
             to_string(x.shape()));
  return indices;
}

// Weights of the classes in the scores' dtype; no gradient reaches them.
Tensor class_weights(const Tensor& weight, const Tensor& x) {
  if (!weight.defined()) return Tensor();
  const int64_t classes = x.size(class_dim(x));
  TF_CHECK(weight.ndim() == 1 && weight.size(0) == classes, TINYFIN_ERROR_SHAPE,
           "received weights of shape ", to_string(weight.shape()), "; expected (", classes,
           ",), one for each class");
  return cast_to(detach(weight), x.dtype());
}

// A vector over classes, seen in the scores' dimensions.
Tensor over_classes(const Tensor& vector, const Tensor& x) {
  Dims shape = Dims::filled(x.ndim(), 1);
  shape[class_dim(x)] = vector.size(0);
  return reshape(vector, as_list(shape));
}

Tensor sum_classes(const Tensor& x, bool keepdim) {
  const int64_t dim = class_dim(x);
  return sum(x, IntList(&dim, 1), keepdim);
}

// The weight of the target's class at that class, 0 at the others: what the loss multiplies
// log-probabilities with. An ignored target has no class.
Tensor selection(const Tensor& x, const Tensor& target, const Tensor& weight) {
  const int64_t classes = x.size(class_dim(x));
  const Tensor ones_list = ones(IntList(&classes, 1), DType::i64, &x.device());
  const Tensor numbers = sub(cumsum(ones_list, 0), weak_scalar(int64_t{1}));
  Dims shape = target.shape();
  shape.insert(class_dim(x), 1);
  const Tensor hit = eq(reshape(target, as_list(shape)), over_classes(numbers, x));
  const Tensor factors =
      weight.defined() ? over_classes(weight, x) : full_scalar({}, 1.0, x.dtype(), x.device());
  return where(hit, factors, weak_scalar(0.0));
}

// -sum(selection * log_p) per sample; an impossible class that is not meant costs nothing.
Tensor picked(const Tensor& log_p, const Tensor& chosen) {
  const Tensor zero = weak_scalar(0.0);
  return neg(sum_classes(where(ne(chosen, zero), mul(log_p, chosen), zero), false));
}

// The mean over samples counts each with its class's weight.
Tensor weighted(const Tensor& losses, const Tensor& chosen, tf_reduction reduction) {
  return reduction == TINYFIN_REDUCTION_MEAN ? div(sum(losses), sum(chosen))
                                             : reduced(losses, reduction);
}

// Something per sample, seen in the scores' dimensions.
Tensor beside_classes(const Tensor& per_sample, const Tensor& x) {
  Dims shape = per_sample.shape();
  shape.insert(class_dim(x), 1);
  return reshape(per_sample, as_list(shape));
}

// The loss's derivative by the logits, as smaller ops.
Tensor slope_of(const Tensor& x, const Tensor& chosen, int64_t reduction) {
  const Tensor slope = sub(mul(softmax(x, class_dim(x)), sum_classes(chosen, true)), chosen);
  return reduction == TINYFIN_REDUCTION_MEAN ? div(slope, sum(chosen)) : slope;
}

void cross_entropy_formula(const Call& call, Tensor* out) {
  const Tensor& x = call.in[0];
  const Tensor chosen = selection(x, call.in[1], call.in[2]);
  out[0] = weighted(picked(log_softmax(x, class_dim(x)), chosen), chosen,
                    tf_reduction(call.attrs.i(0)));
  NoGrad no_grad;
  if (call.attrs.i(1)) out[1] = slope_of(x, chosen, call.attrs.i(0));
}

void cross_entropy_backward_formula(const Call& call, Tensor* out) {
  const Tensor &grad = call.in[0], &slope = call.in[1];
  out[0] = mul(slope, grad.ndim() ? beside_classes(grad, slope) : grad);
}
// grad: of the loss, one number or one per sample. The result may be written over slope.
const Primitive cross_entropy_backward_p{{.name = "cross_entropy_backward",
                                          .signature = "grad slope",
                                          .decompose = cross_entropy_backward_formula}};

void cross_entropy_vjp(Vjp& v) {
  if (!v.needs(0)) return;
  const Tensor grad = v.grad();
  Tensor slope = v.take_out(1);
  if (may_overwrite(slope))
    run_inplace("cross_entropy_backward", cross_entropy_backward_p, slope, {&grad, &slope}, Attrs());
  else
    slope = run(cross_entropy_backward_p, {&grad, &slope}, Attrs(), meta_like(slope));
  v.set(0, std::move(slope));
}
// Outputs: the loss; with `sloped` its derivative by the logits, of their shape, else nothing. It is
// the gradient that backward starts from, one pass over the exponentials earlier than needed, so that
// they are computed once.
const Primitive cross_entropy_p{{.name = "cross_entropy",
                                 .signature = "logits target weight?; int reduction, bool sloped",
                                 .vjp = cross_entropy_vjp, .save_out = bits({1}),
                                 .flags = kFusedVjp, .n_out = 2, .diff_out = 1,
                                 .decompose = cross_entropy_formula}};

void check_scores(const Tensor& x, const Tensor& target) {
  TF_CHECK(x.ndim() > 0 && x.size(class_dim(x)) > 0, TINYFIN_ERROR_SHAPE, "received scores ",
           describe(x), "; expected (C) or (N, C, …) with at least one class");
  TF_CHECK(target.ndim() == x.ndim() || target.ndim() == x.ndim() - 1, TINYFIN_ERROR_SHAPE,
           "received a target of shape ", to_string(target.shape()), " for scores of shape ",
           to_string(x.shape()), "; expected class indices with one dimension fewer, or ",
           "probabilities of the same shape");
}

// Losses of single elements ---------------------------------------------------------------

// Their numbers are an attribute of the primitives.
enum PointwiseLoss : int64_t { kSquared, kAbsolute, kHuber, kLogistic };

// The loss of each element as smaller ops.
Tensor each_loss(const Tensor& x, const Tensor& t, int64_t kind, double delta) {
  const Tensor d = sub(x, t);
  switch (kind) {
    case kSquared: return square(d);
    case kAbsolute: return abs(d);
    case kHuber: {
      const Tensor size = abs(d);
      const Tensor near = mul(square(d), weak_scalar(0.5));
      const Tensor far = mul(sub(size, weak_scalar(delta / 2)), weak_scalar(delta));
      return where(le(size, weak_scalar(delta)), near, far);
    }
    default: return sub(softplus(x), mul(x, t));
  }
}

// Its derivative by x.
Tensor each_slope(const Tensor& x, const Tensor& t, int64_t kind, double delta) {
  const Tensor d = sub(x, t);
  switch (kind) {
    case kSquared: return mul(d, weak_scalar(2.0));
    case kAbsolute: return sign(d);
    case kHuber: return clamp(d, -delta, delta);
    default: return sub(sigmoid(x), t);
  }
}

// Elementwise weights of a loss.
Tensor rescaled(const Tensor& losses, const Tensor& weight) {
  return weight.defined() ? mul(losses, weight) : losses;
}

void pointwise_loss_formula(const Call& call, Tensor* out) {
  const Tensor losses = each_loss(call.in[0], call.in[1], call.attrs.i(0), call.attrs.f(2));
  out[0] = reduced(rescaled(losses, call.in[2]), tf_reduction(call.attrs.i(1)));
}

void pointwise_loss_grad_formula(const Call& call, Tensor* out) {
  const Tensor &x = call.in[1], &t = call.in[2];
  Tensor grad = call.in[0];
  if (call.attrs.i(1) == TINYFIN_REDUCTION_MEAN)
    grad = div(grad, weak_scalar(double(x.numel())));
  const Tensor slope = each_slope(x, t, call.attrs.i(0), call.attrs.f(2));
  out[0] = rescaled(mul(slope, grad), call.in[3]);
}
// grad of the loss below to that of pred.
const Primitive pointwise_loss_grad_p{
    {.name = "pointwise_loss_grad",
     .signature = "grad pred target weight?; int kind, int reduction, float delta",
     .decompose = pointwise_loss_grad_formula}};

void pointwise_loss_vjp(Vjp& v) {
  const Tensor x = v.in(0), t = v.in(1), weight = v.i(3) ? v.in(2) : Tensor();
  const Tensor grad = contiguous(v.grad());
  const Attrs attrs(v.i(0), v.i(1), v.f(2));
  Tensor by_pred;
  if (v.needs(0) || (v.needs(1) && v.i(0) != kLogistic)) {
    by_pred = run(pointwise_loss_grad_p, {&grad, &x, &t, &weight}, attrs, meta_like(x));
    if (v.needs(0)) v.set(0, by_pred);
  }
  if (!v.needs(1) && !v.needs(2)) return;
  // All but the logistic loss are functions of pred - target.
  Tensor share = grad;
  if (v.i(1) == TINYFIN_REDUCTION_MEAN) share = div(grad, weak_scalar(double(x.numel())));
  if (v.needs(1))
    v.set(1, v.i(0) == kLogistic ? neg(rescaled(mul(x, share), weight)) : neg(by_pred));
  if (v.needs(2)) v.set(2, mul(each_loss(x, t, v.i(0), v.f(2)), share));
}
// pred, target, weight of one shape, row-major; the loss, reduced or not. kind: 0 squared, 1
// absolute, 2 Huber's with its delta, 3 logistic, softplus(pred) - pred target.
const Primitive pointwise_loss_p{
    {.name = "pointwise_loss",
     .signature = "pred target weight?; int kind, int reduction, float delta, bool weighted",
     .vjp = pointwise_loss_vjp, .save_in = bits({0, 1, 2}), .flags = kFusedVjp,
     .decompose = pointwise_loss_formula}};

Tensor pointwise(const Tensor& pred, const Tensor& target, const Tensor& weight,
                 PointwiseLoss kind, double delta, tf_reduction reduction) {
  TF_CHECK(reduction == TINYFIN_REDUCTION_NONE || reduction == TINYFIN_REDUCTION_MEAN ||
               reduction == TINYFIN_REDUCTION_SUM,
           TINYFIN_ERROR_ARGUMENT, "received reduction ", reduction,
           "; expected none, mean or sum");
  auto [x, t] = promote(as_float(pred), as_float(target));
  Tensor w = weight;
  if (w.defined()) std::tie(x, w) = promote(x, as_float(weight));
  t = cast_to(t, x.dtype());
  Dims shape = broadcast_shapes(x.shape(), t.shape());
  if (w.defined()) shape = broadcast_shapes(shape, w.shape());
  const auto whole = [&](const Tensor& tensor) {
    return contiguous(tensor.shape() == shape ? tensor : expand(tensor, as_list(shape)));
  };
  x = whole(x), t = whole(t);
  if (w.defined()) w = whole(w);
  const Meta meta = meta_of_shape(reduction == TINYFIN_REDUCTION_NONE ? shape : Dims(), x.dtype(),
                                  x.device());
  return run(pointwise_loss_p, {&x, &t, &w}, Attrs(int64_t(kind), reduction, delta, w.defined()),
             meta);
}

}  // namespace

//@op cross_entropy(Tensor logits, Tensor target, Tensor? weight=None,
//@   reduction reduction=mean) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function
//@ doc: Cross-entropy of softmax(logits) and a target.
//@   logits: (C) or (N, C, …). target: class indices with one dimension fewer (integers, or floats
//@   with whole values; -100 counts for nothing), or probabilities of the same shape. weight: (C),
//@   one factor per class; no gradient reaches it. The mean is over the weights used, with
//@   probabilities over samples, as in PyTorch.
//@   Errors: index for a class out of range, naming it; shape.
Tensor cross_entropy(const Tensor& logits, const Tensor& target, const Tensor& weight,
                     tf_reduction reduction) {
  const Tensor x = as_float(logits);
  check_scores(x, target);
  const Tensor factors = class_weights(weight, x);
  const int64_t dim = class_dim(x);
  if (target.ndim() == x.ndim()) {
    TF_CHECK(target.shape() == x.shape(), TINYFIN_ERROR_SHAPE, "received probabilities of shape ",
             to_string(target.shape()), " for scores of shape ", to_string(x.shape()),
             "; expected equal shapes");
    const Tensor p = cast_to(target, x.dtype());
    const Tensor chosen = factors.defined() ? mul(p, over_classes(factors, x)) : p;
    return reduced(picked(log_softmax(x, dim), chosen), reduction);
  }
  const Tensor indices = class_indices(target, x);
  const Dims samples = without_classes(x);
  const bool each = reduction == TINYFIN_REDUCTION_NONE;
  TF_CHECK(each || reduction == TINYFIN_REDUCTION_MEAN || reduction == TINYFIN_REDUCTION_SUM,
           TINYFIN_ERROR_ARGUMENT, "received reduction ", reduction,
           "; expected none, mean or sum");
  const Tensor* const list[] = {&x, &indices, &factors};
  const Inputs in(list, 3);
  const bool sloped = wants_grad(cross_entropy_p, in);
  const Meta metas[] = {meta_of_shape(each ? samples : Dims(), x.dtype(), x.device()),
                        sloped ? meta_like(x) : meta_of_shape({0}, x.dtype(), x.device())};
  Tensor out[2];
  run_multi(cross_entropy_p, in, Attrs(reduction, sloped), metas, out);
  return out[0];
}

//@op nll_loss(Tensor log_probs, Tensor target, Tensor? weight=None,
//@   reduction reduction=mean) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function
//@ doc: Negative log-probability of the target's classes: cross_entropy of log_softmax's result.
//@   log_probs: (C) or (N, C, …). target, weight and the mean: as in cross_entropy with class indices.
Tensor nll_loss(const Tensor& log_probs, const Tensor& target, const Tensor& weight,
                tf_reduction reduction) {
  const Tensor x = as_float(log_probs);
  check_scores(x, target);
  const Tensor chosen = selection(x, class_indices(target, x), class_weights(weight, x));
  return weighted(picked(x, chosen), chosen, reduction);
}

//@op mse_loss(Tensor pred, Tensor target, reduction reduction=mean) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function
//@ doc: Squared difference (pred - target)^2; shapes broadcast.
Tensor mse_loss(const Tensor& pred, const Tensor& target, tf_reduction reduction) {
  return pointwise(pred, target, Tensor(), kSquared, 0, reduction);
}

//@op l1_loss(Tensor pred, Tensor target, reduction reduction=mean) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function
//@ doc: Absolute difference |pred - target|; shapes broadcast.
Tensor l1_loss(const Tensor& pred, const Tensor& target, tf_reduction reduction) {
  return pointwise(pred, target, Tensor(), kAbsolute, 0, reduction);
}

//@op huber_loss(Tensor pred, Tensor target, float delta=1, reduction reduction=mean) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function
//@ doc: Half the squared difference d where |d| <= delta, delta * (|d| - delta / 2) beyond (Huber
//@   1964); shapes broadcast. delta: positive.
Tensor huber_loss(const Tensor& pred, const Tensor& target, double delta,
                  tf_reduction reduction) {
  TF_CHECK(delta > 0 && std::isfinite(delta), TINYFIN_ERROR_ARGUMENT, "received delta = ", delta,
           "; expected a positive number");
  return pointwise(pred, target, Tensor(), kHuber, delta, reduction);
}

//@op binary_cross_entropy(Tensor pred, Tensor target, Tensor? weight=None,
//@   reduction reduction=mean) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function
//@ doc: -(target * log(pred) + (1 - target) * log(1 - pred)) of probabilities, which are clamped
//@   to [1e-7, 1 - 1e-7]. weight: factors of the elements. The mean is over elements.
Tensor binary_cross_entropy(const Tensor& pred, const Tensor& target, const Tensor& weight,
                            tf_reduction reduction) {
  const Tensor given = as_float(pred), t = as_float(target);
  const DType dtype = promote_types(given.dtype(), t.dtype());
  // In bfloat16 the upper bound would be 1.
  const Tensor p = clamp(cast_to(given, kept_type(given.dtype())), 1e-7, 1 - 1e-7);
  const Tensor one = weak_scalar(1.0);
  const Tensor yes = mul(t, log(p)), no = mul(sub(one, t), log1p(neg(p)));
  return cast_to(reduced(rescaled(neg(add(yes, no)), weight), reduction), dtype);
}

//@op binary_cross_entropy_with_logits(Tensor logits, Tensor target, Tensor? weight=None,
//@   reduction reduction=mean) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function
//@ doc: binary_cross_entropy of sigmoid(logits), without overflow or loss of digits. weight:
//@   factors of the elements. The mean is over elements.
Tensor binary_cross_entropy_with_logits(const Tensor& logits, const Tensor& target,
                                        const Tensor& weight, tf_reduction reduction) {
  return pointwise(logits, target, weight, kLogistic, 0, reduction);
}

}  // namespace tf
