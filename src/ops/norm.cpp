// Normalisation: over the last dimensions, over the batch, over groups of channels.
//
// Layer and batch normalisation are fused both ways; gradients of their gradients go through the
// decomposition into smaller ops.
// SPDX-License-Identifier: MIT
#include "ops/op.h"
#include "ops/ops.h"

namespace tf {
namespace {

Tensor scaled(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  const Tensor y = weight.defined() ? mul(x, weight) : x;
  return bias.defined() ? add(y, bias) : y;
}

// (x - mean) / sqrt(variance + eps) over `dims`; mean and variance keep those with size 1.
struct Normalised {
  Tensor value, mean, var, rstd;
};
Normalised normalise(const Tensor& x, IntList dims, double eps) {
  int64_t count = 1;
  for (int64_t d : dims) count *= x.size(int(d));
  const Tensor share = weak_scalar(1.0 / double(count));
  const Tensor mean = mul(sum(x, dims, true), share);
  const Tensor centred = sub(x, mean);
  const Tensor var = mul(sum(mul(centred, centred), dims, true), share);
  const Tensor rstd = rsqrt(add(var, weak_scalar(eps)));
  return {mul(centred, rstd), mean, var, rstd};
}

Dims last_dims(int ndim, int64_t count) {
  Dims dims;
  for (int64_t d = ndim - count; d < ndim; ++d) dims.push_back(d);
  return dims;
}

// Layer normalisation --------------------------------------------------------------------

// grad, x (…, n), weight (n), mean and rstd (…), base (…, n), n being one dimension or more, all
// row-major; out: the gradients of x, weight and bias, the last two with no elements where not asked
// for. base is added to the first and may be its memory.
const Primitive layer_norm_grad_p{{.name = "layer_norm_grad",
                                   .signature = "grad x weight? mean rstd base?; int dims",
                                   .n_out = 3,
                                   .diff_out = 0}};

void layer_norm_vjp(Vjp& v) {
  const Tensor grad = contiguous(v.grad()), x = v.in(0);
  const Tensor weight = v.i(2) ? v.in(1) : Tensor(), mean = v.out(1), rstd = v.out(2);
  const int64_t dims = v.i(0);
  Dims affine{0};
  if (v.needs(1) || v.needs(2)) affine = Dims(x.shape().data() + x.ndim() - dims, dims);
  // Beside a residual connection its gradient is there already.
  const Tensor base = v.needs(0) ? v.take_sum(0) : Tensor();
  const Meta of_affine = meta_of_shape(affine, x.dtype(), x.device());
  Tensor out[] = {base.defined() ? base : empty(meta_like(x)), empty(of_affine), empty(of_affine)};
  dispatch({layer_norm_grad_p, {&grad, &x, &weight, &mean, &rstd, &base}, Attrs(dims)}, out);
  for (int i = 0; i < 3; ++i)
    if (v.needs(i)) v.set(i, std::move(out[i]));
}

void layer_norm_decompose(const Call& call, Tensor* out) {
  const Tensor& x = call.in[0];
  const Dims dims = last_dims(x.ndim(), call.attrs.i(0));
  const Normalised n = normalise(x, as_list(dims), call.attrs.f(1));
  const Dims leading(x.shape().data(), x.ndim() - dims.size());
  out[0] = scaled(n.value, call.in[1], call.in[2]);
  out[1] = reshape(n.mean, as_list(leading));
  out[2] = reshape(n.rstd, as_list(leading));
}

// x (…, n), weight and bias (n), all row-major; out: the result, and mean and 1 / sqrt(variance +
// eps) of each row. has_weight: whether weight is there, for the gradient.
const Primitive layer_norm_p{{.name = "layer_norm",
                              .signature = "x weight? bias?; int dims, float eps, int has_weight",
                              .vjp = layer_norm_vjp,
                              .save_in = bits({0, 1}),
                              .save_out = bits({1, 2}),
                              .flags = kFusedVjp,
                              .n_out = 3,
                              .decompose = layer_norm_decompose}};

// Weight or bias in x's dtype, after a check of its shape.
Tensor affine_for(const Tensor& x, const Tensor& value, const Dims& shape, const char* name) {
  if (!value.defined()) return value;
  TF_CHECK(value.shape() == shape, TINYFIN_ERROR_SHAPE, "received ", name, " of shape ",
           to_string(value.shape()), "; expected ", to_string(shape));
  return contiguous(cast_to(value, x.dtype()));
}

void check_ending(const Tensor& x, const Dims& shape) {
  bool fits = shape.size() >= 1 && shape.size() <= x.ndim();
  for (int d = 1; fits && d <= shape.size(); ++d) fits = shape.at(-d) == x.size(-d);
  TF_CHECK(fits, TINYFIN_ERROR_SHAPE, "received input of shape ", to_string(x.shape()),
           " and normalized_shape ", to_string(shape),
           "; expected the input's last dimensions to be those");
}

void check_eps(double eps) {
  TF_CHECK(eps >= 0 && eps < 1e30, TINYFIN_ERROR_ARGUMENT, "received eps = ", eps,
           "; expected a small positive number, as 1e-5");
}

// Batch normalisation --------------------------------------------------------------------

// A vector of channels as it broadcasts to x (N, C) or (N, C, H, W).
Tensor channels_of(const Tensor& value, const Tensor& x) {
  if (!value.defined() || x.ndim() == 2) return value;
  Dims shape{value.size(0)};
  for (int d = 2; d < x.ndim(); ++d) shape.push_back(1);
  return reshape(value, as_list(shape));
}

Dims all_but_channels(const Tensor& x) {
  Dims dims{0};
  for (int d = 2; d < x.ndim(); ++d) dims.push_back(d);
  return dims;
}

Meta meta_of_channels(const Tensor& x) { return meta_of_shape({x.size(1)}, x.dtype(), x.device()); }

// grad and x like x below, weight, mean, var (C); out: the gradients of x, weight and bias.
const Primitive batch_norm_grad_p{{.name = "batch_norm_grad",
                                   .signature = "grad x weight? mean var; float eps",
                                   .n_out = 3,
                                   .diff_out = 0}};

void batch_norm_vjp(Vjp& v) {
  const Tensor grad = v.grad(), x = v.in(0), weight = v.i(1) ? v.in(1) : Tensor();
  const Tensor mean = v.out(1), var = v.out(2);
  const Meta metas[] = {meta_like(x), meta_of_channels(x), meta_of_channels(x)};
  Tensor out[3];
  run_multi(batch_norm_grad_p, {&grad, &x, &weight, &mean, &var}, Attrs(v.f(0)), metas, out);
  for (int i = 0; i < 3; ++i)
    if (v.needs(i)) v.set(i, out[i]);
}

void batch_norm_decompose(const Call& call, Tensor* out) {
  const Tensor& x = call.in[0];
  const Dims dims = all_but_channels(x);
  const Normalised n = normalise(x, as_list(dims), call.attrs.f(0));
  const int64_t channels[] = {x.size(1)};
  out[0] = scaled(n.value, channels_of(call.in[1], x), channels_of(call.in[2], x));
  out[1] = reshape(n.mean, channels);
  out[2] = reshape(n.var, channels);
}

// x (N, C) or (N, C, H, W), weight and bias (C), of any strides; out: the result in the order of
// x's strides, and each channel's mean and variance (divided by the number of elements).
const Primitive batch_norm_p{{.name = "batch_norm",
                              .signature = "x weight? bias?; float eps, int has_weight",
                              .vjp = batch_norm_vjp,
                              .save_in = bits({0, 1}),
                              .save_out = bits({1, 2}),
                              .flags = kFusedVjp,
                              .n_out = 3,
                              .decompose = batch_norm_decompose}};

// running += momentum (now - running), outside of any graph.
void follow(const Tensor& running, const Tensor& now, double momentum) {
  if (!running.defined()) return;
  NoGrad no_grad;
  Tensor target = running;
  mul_(target, weak_scalar(1.0 - momentum));
  add_(target, mul(now, weak_scalar(momentum)));
}

void check_running(const Tensor& x, const Tensor& running, const char* name) {
  TF_CHECK(!running.defined() || (running.shape() == Dims{x.size(1)} && is_float(running.dtype())),
           TINYFIN_ERROR_SHAPE, "received ", name, " ", running.defined() ? describe(running) : "",
           "; expected floats of shape (", x.size(1), ",): one per channel");
}

}  // namespace

//@op layer_norm(Tensor x, int[] normalized_shape, Tensor? weight=None, Tensor? bias=None, float
//@     eps=1e-05) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: (x - mean) / sqrt(variance + eps) * weight + bias, over the last dimensions.
//@   x: (…, *normalized_shape); weight, bias: normalized_shape. The variance is divided by the
//@   number of elements. Ba, Kiros, Hinton 2016.
//@   Errors: shape where these do not fit.
Tensor layer_norm(const Tensor& input, IntList normalized_shape, const Tensor& weight,
                  const Tensor& bias, double eps) {
  const Dims shape = as_dims(normalized_shape);
  const Tensor x = contiguous(as_float(input));
  check_ending(x, shape);
  check_eps(eps);
  const Tensor w = affine_for(x, weight, shape, "weight"), b = affine_for(x, bias, shape, "bias");
  const Meta of_rows =
      meta_of_shape(Dims(x.shape().data(), x.ndim() - shape.size()), x.dtype(), x.device());
  const Meta metas[] = {meta_of_shape(x.shape(), x.dtype(), x.device()), of_rows, of_rows};
  Tensor out[3];
  run_multi(layer_norm_p, {&x, &w, &b}, Attrs(int64_t(shape.size()), eps, w.defined()), metas, out);
  return out[0];
}

//@op batch_norm(Tensor x, Tensor? running_mean=None, Tensor? running_var=None, Tensor? weight=None,
//@     Tensor? bias=None, bool training=False, float momentum=0.1, float eps=1e-05) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function
//@ doc: (x - mean) / sqrt(variance + eps) * weight + bias, per channel.
//@   x: (N, C) or (N, C, H, W); the others: (C,). training: mean and variance are those of x over
//@   N, H, W, and running_mean and running_var, where given, move towards them in place by
//@   momentum (the variance there divided by count - 1); else they are the running ones. The
//@   result keeps the order of x's strides. Ioffe, Szegedy 2015.
//@   Errors: shape where these do not fit; argument when not training without running values, or
//@   training on fewer than two values per channel.
Tensor batch_norm(const Tensor& input, const Tensor& running_mean, const Tensor& running_var,
                  const Tensor& weight, const Tensor& bias, bool training, double momentum,
                  double eps) {
  const Tensor x = as_float(input);
  TF_CHECK(x.ndim() == 2 || x.ndim() == 4, TINYFIN_ERROR_SHAPE, "received input of shape ",
           to_string(x.shape()), "; expected (N, C) or (N, C, H, W)");
  check_eps(eps);
  TF_CHECK(momentum >= 0 && momentum <= 1, TINYFIN_ERROR_ARGUMENT, "received momentum = ", momentum,
           "; expected 0 to 1");
  check_running(x, running_mean, "running_mean");
  check_running(x, running_var, "running_var");
  const Dims channels{x.size(1)};
  const Tensor w = affine_for(x, weight, channels, "weight");
  const Tensor b = affine_for(x, bias, channels, "bias");
  if (!training) {
    TF_CHECK(running_mean.defined() && running_var.defined(), TINYFIN_ERROR_ARGUMENT,
             "received no running_mean or running_var; expected both when not training");
    const Tensor rstd = rsqrt(add(cast_to(running_var, x.dtype()), weak_scalar(eps)));
    const Tensor scale = w.defined() ? mul(w, rstd) : rstd;
    const Tensor centre = mul(cast_to(running_mean, x.dtype()), scale);
    return scaled(x, channels_of(scale, x),
                  channels_of(b.defined() ? sub(b, centre) : neg(centre), x));
  }
  const int64_t count = x.size(1) ? x.numel() / x.size(1) : 2;
  TF_CHECK(count >= 2, TINYFIN_ERROR_SHAPE, "received input of shape ", to_string(x.shape()), ", ",
           count, " values per channel; expected two or more when training");
  const Meta of_channels = meta_of_channels(x);
  const Meta metas[] = {meta_like(x), of_channels, of_channels};
  Tensor out[3];
  run_multi(batch_norm_p, {&x, &w, &b}, Attrs(eps, w.defined()), metas, out);
  if (running_mean.defined() || running_var.defined()) {
    NoGrad no_grad;
    follow(running_mean, out[1], momentum);
    follow(running_var, mul(out[2], weak_scalar(double(count) / double(count - 1))), momentum);
  }
  return out[0];
}

//@op group_norm(Tensor x, int num_groups, Tensor? weight=None, Tensor? bias=None, float eps=1e-05)
//@     -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function
//@ doc: (x - mean) / sqrt(variance + eps) * weight + bias, mean and variance over groups of
//@   neighbouring channels of each sample.
//@   x: (N, C, …), C divisible by num_groups; weight, bias: (C,). Wu, He 2018.
//@   Errors: shape where these do not fit.
Tensor group_norm(const Tensor& input, int64_t num_groups, const Tensor& weight, const Tensor& bias,
                  double eps) {
  const Tensor x = as_float(input);
  TF_CHECK(x.ndim() >= 2, TINYFIN_ERROR_SHAPE, "received input of shape ", to_string(x.shape()),
           "; expected (N, C, …)");
  TF_CHECK(num_groups >= 1 && x.size(1) % num_groups == 0, TINYFIN_ERROR_SHAPE,
           "received num_groups = ", num_groups, " for input of shape ", to_string(x.shape()),
           "; expected a number that divides its ", x.size(1), " channels");
  const Dims channels{x.size(1)};
  const Tensor w = affine_for(x, weight, channels, "weight");
  const Tensor b = affine_for(x, bias, channels, "bias");
  int64_t size = x.size(1) / num_groups;
  for (int d = 2; d < x.ndim(); ++d) size *= x.size(d);
  const int64_t grouped[] = {x.size(0), num_groups, size}, last[] = {size};
  const Tensor y = layer_norm(reshape(x, grouped), last, Tensor(), Tensor(), eps);
  return scaled(reshape(y, as_list(x.shape())), channels_of(w, x), channels_of(b, x));
}

//@op rms_norm(Tensor x, int[] normalized_shape, Tensor? weight=None, float eps=1e-06) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function
//@ doc: x / sqrt(mean of squares + eps) * weight, over the last dimensions.
//@   x: (…, *normalized_shape); weight: normalized_shape. Zhang, Sennrich 2019.
//@   Errors: shape where these do not fit.
Tensor rms_norm(const Tensor& input, IntList normalized_shape, const Tensor& weight, double eps) {
  const Dims shape = as_dims(normalized_shape);
  const Tensor x = as_float(input);
  check_ending(x, shape);
  check_eps(eps);
  const Dims dims = last_dims(x.ndim(), shape.size());
  int64_t count = 1;
  for (int64_t n : shape) count *= n;
  const Tensor mean_square =
      mul(sum(mul(x, x), as_list(dims), true), weak_scalar(1.0 / double(count)));
  return scaled(mul(x, rsqrt(add(mean_square, weak_scalar(eps)))),
                affine_for(x, weight, shape, "weight"), Tensor());
}

}  // namespace tf
