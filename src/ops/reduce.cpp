// Reductions over dimensions. Every reduction's first attribute is the mask of the dimensions
// it removes; the output holds the others, or all with size 1 at those (keepdim).
// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>

#include "ops/op.h"
#include "ops/ops.h"

namespace tf {
namespace {

uint32_t mask_of(const Tensor& x, OptIntList dim) {
  // An empty list of dimensions means all, as a missing one does.
  return dim && !dim->empty() ? dim_mask(dim->data(), int64_t(dim->size()), x.ndim())
                              : dim_mask(nullptr, 0, x.ndim());
}

Dims reduced_shape(const Dims& shape, uint32_t mask, bool keepdim) {
  Dims out;
  for (int d = 0; d < shape.size(); ++d) {
    if (!((mask >> d) & 1))
      out.push_back(shape[d]);
    else if (keepdim)
      out.push_back(1);
  }
  return out;
}

// Elements that one output stands for.
int64_t reduced_count(const Dims& shape, uint32_t mask) {
  int64_t n = 1;
  for (int d = 0; d < shape.size(); ++d)
    if ((mask >> d) & 1) n *= shape[d];
  return n;
}

Meta meta_reduced(const Tensor& x, uint32_t mask, bool keepdim, DType dtype) {
  return meta_of_shape(reduced_shape(x.shape(), mask, keepdim), dtype, x.device());
}

// A result of the reduction, or its gradient, seen in the input's shape: nothing is copied.
Tensor spread(Vjp& v, const Tensor& reduced) {
  const Dims kept = reduced_shape(v.in_shape(0), uint32_t(v.i(0)), true);
  return expand(reshape(reduced, as_list(kept)), as_list(v.in_shape(0)));
}

void sum_vjp(Vjp& v) { v.set(0, spread(v, v.grad())); }
const Primitive sum_p{{.name = "sum", .signature = "x; int mask", .vjp = sum_vjp}};

void mean_vjp(Vjp& v) {
  const double n = double(reduced_count(v.in_shape(0), uint32_t(v.i(0))));
  v.set(0, spread(v, div(v.grad(), weak_scalar(n))));
}
const Primitive mean_p{{.name = "mean", .signature = "x; int mask", .vjp = mean_vjp}};

// What norms are made of: the elements' squares, or their sizes.
void sum_squares_vjp(Vjp& v) {
  v.set(0, mul(v.in(0), spread(v, mul(v.grad(), weak_scalar(2.0)))));
}
const Primitive sum_squares_p{{.name = "sum_squares", .signature = "x; int mask",
                               .vjp = sum_squares_vjp, .save_in = bits({0})}};
void sum_sizes_vjp(Vjp& v) { v.set(0, mul(sign(v.in(0)), spread(v, v.grad()))); }
const Primitive sum_sizes_p{{.name = "sum_sizes", .signature = "x; int mask",
                             .vjp = sum_sizes_vjp, .save_in = bits({0})}};

Tensor reduce_by(const Primitive& prim, const Tensor& x, OptIntList dim, bool keepdim) {
  const uint32_t mask = mask_of(x, dim);
  return run(prim, {&x}, Attrs(mask), meta_reduced(x, mask, keepdim, x.dtype()));
}

// Products of halves of the list of reduced elements, until one is left: the gradient is the
// product of the others, whatever the number of zeros among them.
void prod_formula(const Call& call, Tensor* out) {
  const Tensor& x = call.in[0];
  const uint32_t mask = uint32_t(call.attrs.i(0));
  Dims order;
  for (int d = 0; d < x.ndim(); ++d)
    if (!((mask >> d) & 1)) order.push_back(d);
  Dims shape = reduced_shape(x.shape(), mask, false);
  for (int d = 0; d < x.ndim(); ++d)
    if ((mask >> d) & 1) order.push_back(d);
  int64_t n = reduced_count(x.shape(), mask);
  Dims flat = shape;
  const int last = flat.size();
  flat.push_back(n);
  const Dims result = reduced_shape(x.shape(), mask, call.attrs.i(1));
  if (n == 0) {
    out[0] = ones(as_list(result), x.dtype(), &x.device());
    return;
  }
  Tensor list = reshape(permute(x, as_list(order)), as_list(flat));
  while (n > 1) {
    const int64_t half = n / 2;
    const Tensor product = mul(narrow(list, last, 0, half), narrow(list, last, half, half));
    if (n % 2) {
      const Tensor both[] = {product, narrow(list, last, n - 1, 1)};
      list = concat(both, last);
    } else {
      list = product;
    }
    n = half + n % 2;
  }
  out[0] = reshape(list, as_list(result));
}
const Primitive prod_p{{.name = "prod", .signature = "x; int mask, bool keepdim",
                        .decompose = prod_formula}};

// var's divisor: the number of elements less the correction, not below 0.
double var_divisor(const Dims& shape, uint32_t mask, double correction) {
  return std::max(double(reduced_count(shape, mask)) - correction, 0.0);
}
void variance_vjp(Vjp& v) {
  const Tensor factor = weak_scalar(2 / var_divisor(v.in_shape(0), uint32_t(v.i(0)), v.f(2)));
  v.set(0, mul(sub(v.in(0), spread(v, v.out(1))), spread(v, mul(v.grad(), factor))));
}
void variance_formula(const Call& call, Tensor* out) {
  const Tensor& x = call.in[0];
  const uint32_t mask = uint32_t(call.attrs.i(0));
  const bool keepdim = call.attrs.i(1) != 0;
  int64_t dims[kMaxDims];
  size_t n = 0;
  for (int d = 0; d < x.ndim(); ++d)
    if ((mask >> d) & 1) dims[n++] = d;
  const OptIntList list = n ? OptIntList(IntList(dims, n)) : std::nullopt;
  const Tensor centre = mean(x, list, true);
  const double divisor = var_divisor(x.shape(), mask, call.attrs.f(2));
  out[0] = div(sum(square(sub(x, centre)), list, keepdim), weak_scalar(divisor));
  out[1] = reshape(centre, as_list(reduced_shape(x.shape(), mask, keepdim)));
}
// Out: variance and mean.
const Primitive variance_p{{.name = "variance",
                            .signature = "x; int mask, bool keepdim, float correction",
                            .vjp = variance_vjp, .save_in = bits({0}), .save_out = bits({1}),
                            .flags = kFusedVjp, .n_out = 2, .decompose = variance_formula}};

// Elements equal to the extremum share its gradient.
void extremum_vjp(Vjp& v) {
  const Tensor hit = cast_to(eq(v.in(0), spread(v, v.out())), v.grad().dtype());
  int64_t dims[kMaxDims];
  size_t n = 0;
  for (int d = 0; d < hit.ndim(); ++d)
    if ((v.i(0) >> d) & 1) dims[n++] = d;
  const Tensor shared = n ? div(hit, sum(hit, IntList(dims, n), true)) : hit;
  v.set(0, mul(spread(v, v.grad()), shared));
}
const Primitive amax_p{{.name = "amax", .signature = "x; int mask", .vjp = extremum_vjp,
                        .save_in = bits({0}), .save_out = bits({0})}};
const Primitive amin_p{{.name = "amin", .signature = "x; int mask", .vjp = extremum_vjp,
                        .save_in = bits({0}), .save_out = bits({0})}};

Tensor extremum(const Primitive& prim, const Tensor& x, OptIntList dim, bool keepdim) {
  const Tensor value = materialize(x, DType::none, default_device());
  const uint32_t mask = mask_of(value, dim);
  const Meta meta = meta_reduced(value, mask, keepdim, value.dtype());
  TF_CHECK(reduced_count(value.shape(), mask) > 0 || checked_numel(meta.shape) == 0,
           TINYFIN_ERROR_ARGUMENT, "received ", describe(value),
           ", where a result would be taken of no elements; expected at least one for each");
  if (is_bool(value.dtype())) {
    const Tensor number = cast(value, DType::i32);
    return cast(run(prim, {&number}, Attrs(mask),
                    meta_reduced(value, mask, keepdim, DType::i32)), DType::b8);
  }
  return run(prim, {&value}, Attrs(mask), meta);
}

const Primitive argmax_p{{.name = "argmax", .signature = "x; int mask"}};
const Primitive argmin_p{{.name = "argmin", .signature = "x; int mask"}};

Tensor position(const Primitive& prim, const Tensor& x, std::optional<int64_t> dim,
                bool keepdim) {
  Tensor value = materialize(x, DType::none, default_device());
  if (is_bool(value.dtype())) value = cast(value, DType::i32);
  if (value.requires_grad()) value = detach(value);
  const Dims all = Dims::filled(keepdim ? x.ndim() : 0, 1);
  if (!dim) value = reshape(value, as_list(Dims{value.numel()}));
  const int d = wrap_dim(dim.value_or(0), value.ndim());
  if (value.ndim() == 0) value = reshape(value, as_list(Dims{1}));
  Meta meta = meta_reduced(value, 1u << d, keepdim, DType::i64);
  TF_CHECK(value.size(d) > 0 || checked_numel(meta.shape) == 0, TINYFIN_ERROR_ARGUMENT,
           "received ", describe(x), "; expected at least one element to choose from");
  const Tensor out = run(prim, {&value}, Attrs(1u << d), meta);
  return !dim || x.ndim() == 0 ? reshape(out, as_list(all)) : out;
}

// The gradient of log(sum(exp(x))) is the softmax.
void logsumexp_vjp(Vjp& v) {
  v.set(0, mul(spread(v, v.grad()), exp(sub(v.in(0), spread(v, v.out())))));
}
void logsumexp_formula(const Call& call, Tensor* out) {
  const Tensor& x = call.in[0];
  const uint32_t mask = uint32_t(call.attrs.i(0));
  int64_t dims[kMaxDims];
  size_t n = 0;
  for (int d = 0; d < x.ndim(); ++d)
    if ((mask >> d) & 1) dims[n++] = d;
  const OptIntList list = n ? OptIntList(IntList(dims, n)) : std::nullopt;
  Tensor shift;
  {
    // Any finite shift gives the same result, so its gradient is none of our business.
    NoGrad no_grad;
    shift = reduced_count(x.shape(), mask) > 0
                ? max(detach(x), list, true)
                : zeros(as_list(reduced_shape(x.shape(), mask, true)), x.dtype(), &x.device());
    shift = where(isfinite(shift), shift, weak_scalar(0.0));
  }
  const Tensor sums = add(log(sum(exp(sub(x, shift)), list, true)), shift);
  out[0] = reshape(sums, as_list(reduced_shape(x.shape(), mask, call.attrs.i(1))));
}
const Primitive logsumexp_p{{.name = "logsumexp", .signature = "x; int mask, bool keepdim",
                             .vjp = logsumexp_vjp, .save_in = bits({0}), .save_out = bits({0}),
                             .decompose = logsumexp_formula}};

void cumsum_vjp(Vjp& v) { v.set(0, cumsum_backward(v.grad(), v.i(0), !v.i(1))); }
const Primitive cumsum_p{{.name = "cumsum", .signature = "x; int dim, bool reverse",
                          .vjp = cumsum_vjp}};

Tensor running_sum(const Tensor& x, int64_t dim, bool reverse) {
  const int d = wrap_dim(dim, x.ndim());
  if (x.ndim() == 0) return clone(x);
  return run(cumsum_p, {&x}, Attrs(d, reverse), meta_like(x));
}

// sqrt whose gradient at 0 is 0 instead of infinite.
Tensor sqrt_flat_at_0(const Tensor& x) {
  const Tensor zero = eq(x, weak_scalar(0.0));
  return where(zero, weak_scalar(0.0), sqrt(where(zero, weak_scalar(1.0), x)));
}

Tensor truth(const Tensor& x) {
  return cast_to(materialize(x, DType::none, default_device()), DType::b8);
}

// max or min of bools; `empty` where there are none.
Tensor quantify(const Primitive& prim, const Tensor& x, OptIntList dim, bool keepdim,
                bool empty) {
  const Tensor value = truth(x);
  const uint32_t mask = mask_of(value, dim);
  if (reduced_count(value.shape(), mask) == 0)
    return full_scalar(reduced_shape(value.shape(), mask, keepdim), int64_t(empty), DType::b8,
                       value.device());
  return extremum(prim, value, dim, keepdim);
}

}  // namespace

//@op sum(Tensor x, int[]? dim=None, bool keepdim=False, dtype dtype=None) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Sum over dimensions (all where none is given). Integers and bool are added up as int64.
Tensor sum(const Tensor& x, OptIntList dim, bool keepdim, DType dtype) {
  const Tensor value = cast_to(materialize(x, DType::none, default_device()),
                               sum_type(dtype == DType::none ? x.dtype() : dtype));
  const uint32_t mask = mask_of(value, dim);
  return run(sum_p, {&value}, Attrs(mask), meta_reduced(value, mask, keepdim, value.dtype()));
}

//@op mean(Tensor x, int[]? dim=None, bool keepdim=False, dtype dtype=None) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Mean over dimensions (all where none is given); NaN of no elements. Integers and bool are
//@   averaged as float32.
Tensor mean(const Tensor& x, OptIntList dim, bool keepdim, DType dtype) {
  TF_CHECK(dtype == DType::none || is_float(dtype), TINYFIN_ERROR_DTYPE, "received dtype ",
           name_of(dtype), "; expected a float dtype");
  const Tensor value = dtype == DType::none ? as_float(x) : cast_to(x, dtype);
  const uint32_t mask = mask_of(value, dim);
  return run(mean_p, {&value}, Attrs(mask), meta_reduced(value, mask, keepdim, value.dtype()));
}

//@op prod(Tensor x, int[]? dim=None, bool keepdim=False) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Product over dimensions (all where none is given); 1 of no elements. Integers and bool are
//@   multiplied as int64.
Tensor prod(const Tensor& x, OptIntList dim, bool keepdim) {
  const Tensor value =
      cast_to(materialize(x, DType::none, default_device()), sum_type(x.dtype()));
  const uint32_t mask = mask_of(value, dim);
  return run(prod_p, {&value}, Attrs(mask, keepdim),
             meta_reduced(value, mask, keepdim, value.dtype()));
}

//@op max(Tensor x, int[]? dim=None, bool keepdim=False) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method alias(amax)
//@ doc: Greatest element over dimensions (all where none is given); NaN wins. Equal elements share
//@   the gradient. Errors: argument where there is no element.
Tensor max(const Tensor& x, OptIntList dim, bool keepdim) {
  return extremum(amax_p, x, dim, keepdim);
}

//@op min(Tensor x, int[]? dim=None, bool keepdim=False) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method alias(amin)
//@ doc: Least element over dimensions (all where none is given); NaN wins. Equal elements share
//@   the gradient. Errors: argument where there is no element.
Tensor min(const Tensor& x, OptIntList dim, bool keepdim) {
  return extremum(amin_p, x, dim, keepdim);
}

//@op argmax(Tensor x, int? dim=None, bool keepdim=False) -> Tensor
//@ since: 0.1
//@ grad: no, the result is an index
//@ python: function method
//@ doc: Index (int64) of the greatest element along a dimension, or among all in row-major order;
//@   the first of equal ones, the first NaN where there is one. Errors: argument where there is no
//@   element.
Tensor argmax(const Tensor& x, std::optional<int64_t> dim, bool keepdim) {
  return position(argmax_p, x, dim, keepdim);
}

//@op argmin(Tensor x, int? dim=None, bool keepdim=False) -> Tensor
//@ since: 0.1
//@ grad: no, the result is an index
//@ python: function method
//@ doc: Index (int64) of the least element along a dimension, or among all in row-major order;
//@   the first of equal ones, the first NaN where there is one. Errors: argument where there is no
//@   element.
Tensor argmin(const Tensor& x, std::optional<int64_t> dim, bool keepdim) {
  return position(argmin_p, x, dim, keepdim);
}

//@op any(Tensor x, int[]? dim=None, bool keepdim=False) -> Tensor
//@ since: 0.1
//@ grad: no, the result is bool
//@ python: function method
//@ doc: Whether an element over dimensions (all where none is given) is not 0; false of none.
Tensor any(const Tensor& x, OptIntList dim, bool keepdim) {
  return quantify(amax_p, x, dim, keepdim, false);
}

//@op all(Tensor x, int[]? dim=None, bool keepdim=False) -> Tensor
//@ since: 0.1
//@ grad: no, the result is bool
//@ python: function method
//@ doc: Whether every element over dimensions (all where none is given) is not 0; true of none.
Tensor all(const Tensor& x, OptIntList dim, bool keepdim) {
  return quantify(amin_p, x, dim, keepdim, true);
}

//@op var(Tensor x, int[]? dim=None, float correction=1, bool keepdim=False) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Variance over dimensions (all where none is given): the sum of squared distances from the
//@   mean, divided by the number of elements less `correction`. Integers and bool count as float32.
Tensor var(const Tensor& x, OptIntList dim, double correction, bool keepdim) {
  const Tensor value = as_float(x);
  const uint32_t mask = mask_of(value, dim);
  const Meta meta = meta_reduced(value, mask, keepdim, value.dtype());
  const Meta metas[] = {meta, meta};
  Tensor out[2];
  run_multi(variance_p, {&value}, Attrs(mask, keepdim, correction), metas, out);
  return out[0];
}

//@op std(Tensor x, int[]? dim=None, float correction=1, bool keepdim=False) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Standard deviation: the square root of var. Its gradient where it is 0 is 0.
Tensor std(const Tensor& x, OptIntList dim, double correction, bool keepdim) {
  return sqrt_flat_at_0(var(x, dim, correction, keepdim));
}

//@op logsumexp(Tensor x, int[]? dim=None, bool keepdim=False) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: log(sum(exp(x))) over dimensions (all where none is given), without overflow; -inf of no
//@   elements. Integers and bool count as float32.
Tensor logsumexp(const Tensor& x, OptIntList dim, bool keepdim) {
  const Tensor value = as_float(x);
  const uint32_t mask = mask_of(value, dim);
  return run(logsumexp_p, {&value}, Attrs(mask, keepdim),
             meta_reduced(value, mask, keepdim, value.dtype()));
}

//@op norm(Tensor x, float p=2, int[]? dim=None, bool keepdim=False) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: The p-norm over dimensions (all where none is given): sum(|x|^p)^(1/p); p = inf: the
//@   greatest |x|; -inf: the least; 0: the number of elements that are not 0. The gradient where the
//@   norm is 0 is 0. Integers and bool count as float32.
Tensor norm(const Tensor& x, double p, OptIntList dim, bool keepdim) {
  TF_CHECK(!std::isnan(p), TINYFIN_ERROR_ARGUMENT, "received p = NaN; expected a number or inf");
  const Tensor value = as_float(x);
  if (p == 2) return sqrt_flat_at_0(reduce_by(sum_squares_p, value, dim, keepdim));
  if (p == 0)
    return sum(cast(ne(value, weak_scalar(0.0)), value.dtype()), dim, keepdim);
  if (p == 1) return reduce_by(sum_sizes_p, value, dim, keepdim);
  const Tensor size = abs(value);
  if (std::isinf(p)) return p > 0 ? max(size, dim, keepdim) : min(size, dim, keepdim);
  const Tensor total = sum(pow(size, weak_scalar(p)), dim, keepdim);
  const Tensor zero = eq(total, weak_scalar(0.0));
  const Tensor root = pow(where(zero, weak_scalar(1.0), total), weak_scalar(1 / p));
  return where(zero, weak_scalar(0.0), root);
}

//@op cumsum(Tensor x, int dim) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Running sums along a dimension. Integers and bool are added up as int64.
Tensor cumsum(const Tensor& x, int64_t dim) {
  return running_sum(cast_to(materialize(x, DType::none, default_device()), sum_type(x.dtype())),
                     dim, false);
}

//@op cumsum_backward(Tensor grad, int dim, bool reverse) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: private
//@ doc: Running sums along a dimension, from its end where `reverse`: the gradient of cumsum.
Tensor cumsum_backward(const Tensor& grad, int64_t dim, bool reverse) {
  return running_sum(grad, dim, reverse);
}

}  // namespace tf
