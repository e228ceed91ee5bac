// Normalisation of channels: over the batch, and over groups of them in each image. Fused both
// ways; gradients of gradients go through the decomposition into smaller ops.
// SPDX-License-Identifier: MIT
#include "ops/norm.h"
#include "ops/ops.h"

namespace tf {
namespace {

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

// grad and x like x below, weight, bias, mean, var (C); out: the gradients of x, weight and bias.
// relu: whether it was applied to the result, whose sign is then found again from x and bias.
const Primitive batch_norm_grad_p{{.name = "batch_norm_grad",
                                   .signature = "grad x weight? bias? mean var; float eps, int relu",
                                   .n_out = 3,
                                   .diff_out = 0}};

void batch_norm_gradients(Vjp& v, const Tensor& bias, bool with_relu) {
  const Tensor grad = v.grad(), x = v.in(0), weight = v.i(1) ? v.in(1) : Tensor();
  const Tensor mean = v.out(1), var = v.out(2);
  const Meta metas[] = {meta_like(x), meta_of_channels(x), meta_of_channels(x)};
  Tensor out[3];
  run_multi(batch_norm_grad_p, {&grad, &x, &weight, &bias, &mean, &var}, Attrs(v.f(0), with_relu),
            metas, out);
  for (int i = 0; i < 3; ++i)
    if (v.needs(i)) v.set(i, out[i]);
}
void batch_norm_vjp(Vjp& v) { batch_norm_gradients(v, Tensor(), false); }
void batch_norm_relu_vjp(Vjp& v) { batch_norm_gradients(v, v.i(2) ? v.in(2) : Tensor(), true); }

void batch_norm_decompose(const Call& call, Tensor* out) {
  const Tensor& x = call.in[0];
  const Dims dims = all_but_channels(x);
  const Normalised n = normalise(x, as_list(dims), call.attrs.f(0));
  const int64_t channels[] = {x.size(1)};
  out[0] = scaled(n.value, channels_of(call.in[1], x), channels_of(call.in[2], x));
  out[1] = reshape(n.mean, channels);
  out[2] = reshape(n.var, channels);
}
void batch_norm_relu_decompose(const Call& call, Tensor* out) {
  batch_norm_decompose(call, out);
  out[0] = relu(out[0]);
}

// x (N, C) or (N, C, H, W), weight and bias (C), of any strides; out: the result in the order of
// x's strides, and each channel's mean and variance (divided by the number of elements).
const Primitive batch_norm_p{{.name = "batch_norm",
                              .signature = "x weight? bias?; float eps, int has_weight, int has_bias",
                              .vjp = batch_norm_vjp,
                              .save_in = bits({0, 1}),
                              .save_out = bits({1, 2}),
                              .flags = kFusedVjp,
                              .n_out = 3,
                              .decompose = batch_norm_decompose}};
// And relu of the result.
const Primitive batch_norm_relu_p{
    {.name = "batch_norm_relu",
     .signature = "x weight? bias?; float eps, int has_weight, int has_bias",
     .vjp = batch_norm_relu_vjp,
     .save_in = bits({0, 1, 2}),
     .save_out = bits({1, 2}),
     .flags = kFusedVjp,
     .n_out = 3,
     .decompose = batch_norm_relu_decompose}};

void batch_norm_eval_formula(const Call& call, Tensor* out) {
  const Tensor &x = call.in[0], &mean = call.in[1], &var = call.in[2];
  const Tensor &weight = call.in[3], &bias = call.in[4];
  const Tensor rstd = rsqrt(add(var, weak_scalar(call.attrs.f(0))));
  const Tensor scale = weight.defined() ? mul(weight, rstd) : rstd;
  const Tensor centred = sub(x, channels_of(mean, x));
  out[0] = scaled(centred, channels_of(scale, x), channels_of(bias, x));
  if (call.attrs.i(1)) out[0] = relu(out[0]);
}
// x like above; mean and var (C), those that were found in training; relu: applied to the result.
const Primitive batch_norm_eval_p{{.name = "batch_norm_eval",
                                   .signature = "x mean var weight? bias?; float eps, int relu",
                                   .decompose = batch_norm_eval_formula}};

// running += momentum (now - running), outside of any graph.
void follow(const Tensor& running, const Tensor& now, double momentum) {
  if (!running.defined()) return;
  NoGrad no_grad;
  Tensor target = running;
  mul_(target, weak_scalar(1.0 - momentum));
  add_(target, cast_to(mul(now, weak_scalar(momentum)), target.dtype()));
}

void check_running(const Tensor& x, const Tensor& running, const char* name) {
  TF_CHECK(!running.defined() || (running.shape() == Dims{x.size(1)} && is_float(running.dtype())),
           TINYFIN_ERROR_SHAPE, "received ", name, " ", running.defined() ? describe(running) : "",
           "; expected floats of shape (", x.size(1), ",): one per channel");
}

Tensor batch_norm_and(const Tensor& input, const Tensor& running_mean, const Tensor& running_var,
                      const Tensor& weight, const Tensor& bias, bool training, double momentum,
                      double eps, bool with_relu) {
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
    const Tensor mean = contiguous(cast_to(running_mean, x.dtype()));
    const Tensor var = contiguous(cast_to(running_var, x.dtype()));
    return run(batch_norm_eval_p, {&x, &mean, &var, &w, &b}, Attrs(eps, with_relu), meta_like(x));
  }
  const int64_t count = x.size(1) ? x.numel() / x.size(1) : 2;
  TF_CHECK(count >= 2, TINYFIN_ERROR_SHAPE, "received input of shape ", to_string(x.shape()), ", ",
           count, " values per channel; expected two or more when training");
  const Meta of_channels = meta_of_shape(channels, kept_type(x.dtype()), x.device());
  const Meta metas[] = {meta_like(x), of_channels, of_channels};
  Tensor out[3];
  run_multi(with_relu ? batch_norm_relu_p : batch_norm_p, {&x, &w, &b},
            Attrs(eps, w.defined(), b.defined()), metas, out);
  if (running_mean.defined() || running_var.defined()) {
    NoGrad no_grad;
    follow(running_mean, out[1], momentum);
    follow(running_var, mul(out[2], weak_scalar(double(count) / double(count - 1))), momentum);
  }
  return out[0];
}

// Group normalisation --------------------------------------------------------------------

// grad and x like x below, weight (C), mean and rstd (N, groups); out: the gradients of x, weight
// and bias.
const Primitive group_norm_grad_p{{.name = "group_norm_grad",
                                   .signature = "grad x weight? mean rstd; int groups",
                                   .n_out = 3,
                                   .diff_out = 0}};

void group_norm_vjp(Vjp& v) {
  const Tensor grad = v.grad(), x = v.in(0), weight = v.i(2) ? v.in(1) : Tensor();
  const Tensor mean = v.out(1), rstd = v.out(2);
  const Meta metas[] = {meta_like(x), meta_of_channels(x), meta_of_channels(x)};
  Tensor out[3];
  run_multi(group_norm_grad_p, {&grad, &x, &weight, &mean, &rstd}, Attrs(v.i(0)), metas, out);
  for (int i = 0; i < 3; ++i)
    if (v.needs(i)) v.set(i, out[i]);
}

void group_norm_decompose(const Call& call, Tensor* out) {
  const Tensor& x = call.in[0];
  const int64_t groups = call.attrs.i(0), count = x.size(0);
  int64_t size = x.size(1) / groups;
  for (int d = 2; d < x.ndim(); ++d) size *= x.size(d);
  const int64_t grouped[] = {count, groups, size}, of_groups[] = {count, groups}, last[] = {2};
  const Normalised n = normalise(reshape(x, grouped), last, call.attrs.f(1));
  out[0] = scaled(reshape(n.value, as_list(x.shape())), channels_of(call.in[1], x),
                  channels_of(call.in[2], x));
  out[1] = reshape(n.mean, of_groups);
  out[2] = reshape(n.rstd, of_groups);
}

// x (N, C) or (N, C, H, W), weight and bias (C), of any strides; out: the result in the order of
// x's strides, and of each image's groups mean and 1 / sqrt(variance + eps).
const Primitive group_norm_p{{.name = "group_norm",
                              .signature = "x weight? bias?; int groups, float eps, int has_weight",
                              .vjp = group_norm_vjp,
                              .save_in = bits({0, 1}),
                              .save_out = bits({1, 2}),
                              .flags = kFusedVjp,
                              .n_out = 3,
                              .decompose = group_norm_decompose}};

}  // namespace

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
  return batch_norm_and(input, running_mean, running_var, weight, bias, training, momentum, eps,
                        false);
}

//@op batch_norm_relu(Tensor x, Tensor? running_mean, Tensor? running_var, Tensor? weight, Tensor?
//@     bias, bool training, float momentum, float eps) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: private
//@ doc: relu(batch_norm(…)) in one pass each way; nn.Sequential runs BatchNorm and ReLU by it. The
//@   arguments and errors are those of batch_norm.
Tensor batch_norm_relu(const Tensor& input, const Tensor& running_mean, const Tensor& running_var,
                       const Tensor& weight, const Tensor& bias, bool training, double momentum,
                       double eps) {
  return batch_norm_and(input, running_mean, running_var, weight, bias, training, momentum, eps,
                        true);
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
  check_eps(eps);
  const Dims channels{x.size(1)};
  const Tensor w = affine_for(x, weight, channels, "weight");
  const Tensor b = affine_for(x, bias, channels, "bias");
  const int64_t count = x.size(0), of_groups[] = {count, num_groups};
  // Of more dimensions only their product counts.
  int64_t pixels = 1;
  for (int d = 2; d < x.ndim(); ++d) pixels *= x.size(d);
  const int64_t flat[] = {count, x.size(1), 1, pixels};
  const Tensor images = x.ndim() == 2 || x.ndim() == 4 ? x : reshape(x, flat);
  const Meta statistics = meta_of_shape(as_dims(of_groups), kept_type(x.dtype()), x.device());
  const Meta metas[] = {meta_like(images), statistics, statistics};
  Tensor out[3];
  run_multi(group_norm_p, {&images, &w, &b}, Attrs(num_groups, eps, w.defined()), metas, out);
  return images.ndim() == x.ndim() ? out[0] : reshape(out[0], as_list(x.shape()));
}

}  // namespace tf
