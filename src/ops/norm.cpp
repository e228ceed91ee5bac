// Normalisation over the last dimensions. Fused both ways; gradients of gradients go through the
// decomposition into smaller ops.
// SPDX-License-Identifier: MIT
#include "ops/norm.h"
#include "ops/ops.h"

namespace tf {

Tensor scaled(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  const Tensor y = weight.defined() ? mul(x, weight) : x;
  return bias.defined() ? add(y, bias) : y;
}

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

Tensor affine_for(const Tensor& x, const Tensor& value, const Dims& shape, const char* name) {
  if (!value.defined()) return value;
  TF_CHECK(value.shape() == shape, TINYFIN_ERROR_SHAPE, "received ", name, " of shape ",
           to_string(value.shape()), "; expected ", to_string(shape));
  return contiguous(cast_to(value, x.dtype()));
}

void check_eps(double eps) {
  TF_CHECK(eps >= 0 && eps < 1e30, TINYFIN_ERROR_ARGUMENT, "received eps = ", eps,
           "; expected a small positive number, as 1e-5");
}

namespace {

Dims last_dims(int ndim, int64_t count) {
  Dims dims;
  for (int64_t d = ndim - count; d < ndim; ++d) dims.push_back(d);
  return dims;
}

// The shape of rows over the last `dims` dimensions.
Dims leading(const Tensor& x, int dims) { return Dims(x.shape().data(), x.ndim() - dims); }

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
  out[0] = scaled(n.value, call.in[1], call.in[2]);
  out[1] = reshape(n.mean, as_list(leading(x, dims.size())));
  out[2] = reshape(n.rstd, as_list(leading(x, dims.size())));
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

void check_ending(const Tensor& x, const Dims& shape) {
  bool fits = shape.size() >= 1 && shape.size() <= x.ndim();
  for (int d = 1; fits && d <= shape.size(); ++d) fits = shape.at(-d) == x.size(-d);
  TF_CHECK(fits, TINYFIN_ERROR_SHAPE, "received input of shape ", to_string(x.shape()),
           " and normalized_shape ", to_string(shape),
           "; expected the input's last dimensions to be those");
}

// RMS normalisation ----------------------------------------------------------------------

// grad, x (…, n), weight (n), rstd (…), all row-major; out: the gradients of x and weight, the
// latter with no elements where not asked for.
const Primitive rms_norm_grad_p{{.name = "rms_norm_grad",
                                 .signature = "grad x weight? rstd; int dims",
                                 .n_out = 2,
                                 .diff_out = 0}};

void rms_norm_vjp(Vjp& v) {
  const Tensor grad = contiguous(v.grad()), x = v.in(0), rstd = v.out(1);
  const Tensor weight = v.i(2) ? v.in(1) : Tensor();
  const Dims affine = v.needs(1) ? weight.shape() : Dims{0};
  const Meta metas[] = {meta_like(x), meta_of_shape(affine, x.dtype(), x.device())};
  Tensor out[2];
  run_multi(rms_norm_grad_p, {&grad, &x, &weight, &rstd}, Attrs(v.i(0)), metas, out);
  for (int i = 0; i < 2; ++i)
    if (v.needs(i)) v.set(i, out[i]);
}

void rms_norm_decompose(const Call& call, Tensor* out) {
  const Tensor& x = call.in[0];
  const Dims dims = last_dims(x.ndim(), call.attrs.i(0));
  int64_t count = 1;
  for (int64_t d : dims) count *= x.size(int(d));
  const Tensor mean_square =
      mul(sum(mul(x, x), as_list(dims), true), weak_scalar(1.0 / double(count)));
  const Tensor rstd = rsqrt(add(mean_square, weak_scalar(call.attrs.f(1))));
  out[0] = scaled(mul(x, rstd), call.in[1], Tensor());
  out[1] = reshape(rstd, as_list(leading(x, dims.size())));
}

// x (…, n), weight (n), all row-major; out: the result, and 1 / sqrt(mean of squares + eps) of
// each row.
const Primitive rms_norm_p{{.name = "rms_norm",
                            .signature = "x weight?; int dims, float eps, int has_weight",
                            .vjp = rms_norm_vjp,
                            .save_in = bits({0, 1}),
                            .save_out = bits({1}),
                            .flags = kFusedVjp,
                            .n_out = 2,
                            .decompose = rms_norm_decompose}};

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
  const Meta of_rows = meta_of_shape(leading(x, shape.size()), kept_type(x.dtype()), x.device());
  const Meta metas[] = {meta_of_shape(x.shape(), x.dtype(), x.device()), of_rows, of_rows};
  Tensor out[3];
  run_multi(layer_norm_p, {&x, &w, &b}, Attrs(int64_t(shape.size()), eps, w.defined()), metas, out);
  return out[0];
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
  const Tensor x = contiguous(as_float(input));
  check_ending(x, shape);
  check_eps(eps);
  const Tensor w = affine_for(x, weight, shape, "weight");
  const Meta metas[] = {meta_of_shape(x.shape(), x.dtype(), x.device()),
                        meta_of_shape(leading(x, shape.size()), kept_type(x.dtype()),
                                      x.device())};
  Tensor out[2];
  run_multi(rms_norm_p, {&x, &w}, Attrs(int64_t(shape.size()), eps, w.defined()), metas, out);
  return out[0];
}

}  // namespace tf
