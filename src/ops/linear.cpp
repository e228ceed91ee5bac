// Products of matrices and vectors, and the linear layer.
// SPDX-License-Identifier: MIT
#include "ops/op.h"
#include "ops/ops.h"
#include "ops/product.h"

namespace tf {
namespace {

// Both operands have two dimensions or more, with the same batch dimensions.
void matmul_vjp(Vjp& v) {
  if (v.needs(0) && v.in(1).ndim() == 2) {
    v.set_product(0, v.grad(), swapaxes(v.in(1), 0, 1));
  } else if (v.needs(0)) {
    v.set(0, matmul(v.grad(), swapaxes(v.in(1), -1, -2)));
  }
  if (v.needs(1)) v.set(1, matmul(swapaxes(v.in(0), -1, -2), v.grad()));
}
// a (…, m, k), b (…, k, n), out (…, m, n) row-major.
const Primitive matmul_p{{.name = "matmul",
                          .signature = "a b",
                          .vjp = matmul_vjp,
                          .save_in = bits({0, 1}),
                          .flags = kSaveForOthers}};

Dims leading(const Tensor& x, int without) { return Dims(x.shape().data(), x.ndim() - without); }

// x as a matrix: all dimensions but the last in one.
Tensor rows_of(const Tensor& x) {
  if (x.ndim() == 2) return x;
  const int64_t size[] = {checked_numel(leading(x, 1)), x.size(-1)};
  return reshape(x, size);
}

// Rows back in the leading dimensions of x.
Tensor rows_like(const Tensor& rows, const Tensor& x) {
  if (x.ndim() == 2) return rows;
  Dims shape = leading(x, 1);
  shape.push_back(rows.size(-1));
  return reshape(rows, as_list(shape));
}

// Activations whose derivative the result tells: the layer need not keep what went in.
bool told_by_result(tf_activation activation) {
  return activation == TINYFIN_ACTIVATION_NONE || activation == TINYFIN_ACTIVATION_RELU ||
         activation == TINYFIN_ACTIVATION_SIGMOID || activation == TINYFIN_ACTIVATION_TANH;
}

// grad times the derivative of such an activation.
Tensor through_activation(tf_activation activation, const Tensor& grad, const Tensor& result) {
  switch (activation) {
    case TINYFIN_ACTIVATION_RELU: return relu_mask(grad, result);
    case TINYFIN_ACTIVATION_SIGMOID: return sigmoid_backward(grad, result);
    case TINYFIN_ACTIVATION_TANH: return tanh_backward(grad, result);
    default: return grad;
  }
}

// x itself if its leading dimensions are one of constant stride, else a recorded copy.
Tensor with_rows_in_line(const Tensor& x) {
  int inner = -1;  // the dimension inside d that is longer than 1
  for (int d = x.ndim() - 2; d >= 0; --d) {
    if (x.size(d) == 1) continue;
    if (inner >= 0 && x.strides()[d] != x.strides()[inner] * x.size(inner)) return contiguous(x);
    inner = d;
  }
  return x;
}

void product_through_decompose(const Call& call, Tensor* out) {
  const Tensor product = matmul(call.in[0], call.in[1]);
  const Tensor z = call.in[2].defined() ? add(call.in[2], product) : product;
  out[0] = call.in[3].defined()
               ? through_activation(tf_activation(call.attrs.i(0)), z, call.in[3])
               : z;
}

// (base + a · b) times the derivative of the activation whose result is given. a (…, k), the leading
// dimensions of which are one of constant stride, b (k, n) of any strides; base, result and out
// (…, n) row-major; base may be out.
const Primitive product_through_p{{.name = "product_through",
                                   .signature = "a b base? result?; int activation",
                                   .decompose = product_through_decompose}};

// The gradient of what goes into the layer's activation.
Tensor grad_before_activation(const Vjp& v) {
  const tf_activation activation = tf_activation(v.i(0));
  const Tensor result = v.out();
  if (activation == TINYFIN_ACTIVATION_NONE || !v.gradient().waits())
    return through_activation(activation, v.grad(), result);
  const Gradient& grad = v.gradient();
  const Tensor a = with_rows_in_line(grad.left), none;
  return run(product_through_p, {&a, &grad.right, &none, &result}, Attrs(int64_t(activation)),
             meta_of_shape(result.shape(), result.dtype(), result.device()));
}

Tensor column_sums(const Tensor& grad) {
  const int64_t rows[] = {0};
  return sum(grad, rows);
}

void linear_grad_weight_decompose(const Call& call, Tensor* out) {
  out[0] = matmul(swapaxes(call.in[0], 0, 1), call.in[1]);
  out[1] = column_sums(call.in[0]);
}

// Gradients of a layer's weight and bias. grad (rows, out) and x (rows, in) of any strides; out:
// gradᵀ · x (out, in) row-major and the sums of grad's columns (out).
const Primitive linear_grad_weight_p{{.name = "linear_grad_weight",
                                      .signature = "grad x",
                                      .n_out = 2,
                                      .diff_out = bits({0, 1}),
                                      .decompose = linear_grad_weight_decompose}};

void set_grad_of_parameters(Vjp& v, const Tensor& grad) {
  if (!v.needs(1)) {
    if (v.needs(2)) v.set(2, column_sums(grad));
    return;
  }
  const Tensor x = rows_of(v.in(0));
  if (!v.needs(2)) return v.set(1, matmul(swapaxes(grad, 0, 1), x));
  Tensor out[2];
  const Meta metas[] = {
      meta_of_shape({grad.size(1), x.size(1)}, grad.dtype(), grad.device()),
      meta_of_shape({grad.size(1)}, grad.dtype(), grad.device())};
  run_multi(linear_grad_weight_p, {&grad, &x}, Attrs(), metas, out);
  v.set(1, std::move(out[0]));
  v.set(2, std::move(out[1]));
}

void linear_vjp(Vjp& v) {
  const Tensor grad = grad_before_activation(v);
  if (v.needs(3)) v.set(3, grad);
  if (v.needs(0)) v.set_product(0, grad, v.in(1));
  if (v.needs(1) || v.needs(2)) set_grad_of_parameters(v, rows_of(grad));
}

void linear_decompose(const Call& call, Tensor* out) {
  Tensor z = matmul(call.in[0], swapaxes(call.in[1], 0, 1));
  if (call.in[2].defined()) z = add(z, call.in[2]);
  if (call.in[3].defined()) z = add(z, call.in[3]);
  out[0] = activate(z, tf_activation(call.attrs.i(0)));
}

// x (…, in), the leading dimensions of which are one of constant stride, weight (out, in) and bias
// (out) of any strides; residual (…, out), the leading dimensions likewise, the last one of stride
// 1; out (…, out) row-major.
const Primitive linear_p{{.name = "linear",
                          .signature = "x weight bias? residual?; int activation",
                          .vjp = linear_vjp,
                          .save_in = bits({0, 1}),
                          .save_out = bits({0}),
                          .flags = kTakesProducts,
                          .decompose = linear_decompose}};

Dims shape_of_layer(const Tensor& x, const Tensor& weight) {
  Dims shape = leading(x, 1);
  shape.push_back(weight.size(0));
  return shape;
}

// The residual as linear_p takes it.
Tensor as_residual(const Tensor& residual, const Dims& shape, DType dtype) {
  Tensor r = cast_to(residual, dtype);
  if (!(r.shape() == shape)) r = expand(r, as_list(shape));
  return r.size(-1) == 1 || r.strides()[r.ndim() - 1] == 1 ? with_rows_in_line(r) : contiguous(r);
}

Tensor with_batch(const Tensor& x, Dims batch) {
  batch.push_back(x.size(-2));
  batch.push_back(x.size(-1));
  return x.shape() == batch ? x : expand(x, as_list(batch));
}

Tensor multiply(const Tensor& a, const Tensor& b) {
  Dims shape = broadcast_shapes(leading(a, 2), leading(b, 2));
  const Tensor x = with_batch(a, shape), y = with_batch(b, shape);
  shape.push_back(a.size(-2));
  shape.push_back(b.size(-1));
  return run(matmul_p, {&x, &y}, Attrs(), meta_of_shape(shape, a.dtype(), a.device()));
}

}  // namespace

void add_product_(Tensor& sum, const Tensor& a, const Tensor& b) {
  NoGrad no_grad;
  const Tensor rows = with_rows_in_line(a), none;
  dispatch({product_through_p, {&rows, &b, &sum, &none}, Attrs(int64_t(TINYFIN_ACTIVATION_NONE))},
           &sum, /*keep_out=*/true);
}

namespace {

void check_vector(const Tensor& x, const char* name) {
  TF_CHECK(x.ndim() == 1, TINYFIN_ERROR_SHAPE, "received ", name, " of shape ",
           to_string(x.shape()), "; expected one dimension; matmul takes more");
}

void check_numbers(const Tensor& x) {
  TF_CHECK(!is_bool(x.dtype()), TINYFIN_ERROR_DTYPE, "received bool ", to_string(x.shape()),
           "; expected numbers; cast one operand to int64 or float32 first");
}

}  // namespace

//@op matmul(Tensor a, Tensor b) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method operator(__matmul__) reflected(__rmatmul__)
//@ doc: Matrix product of (…, m, k) and (…, k, n) to (…, m, n); batch dimensions broadcast.
//@   A vector counts as one row on the left, as one column on the right, and the result has no
//@   such dimension: (k,) and (k,) give a scalar. Dtypes promote; integers wrap around.
//@   Errors: shape if k differs or an operand has no dimension; dtype for bool.
Tensor matmul(const Tensor& a, const Tensor& b) {
  auto [x, y] = promote(a, b);
  check_numbers(x);
  TF_CHECK(x.ndim() > 0 && y.ndim() > 0, TINYFIN_ERROR_SHAPE, "received shapes ",
           to_string(x.shape()), " and ", to_string(y.shape()),
           "; expected one dimension or more each; multiply by a scalar with *");
  const int64_t k = y.size(y.ndim() == 1 ? 0 : -2);
  TF_CHECK(x.size(-1) == k, TINYFIN_ERROR_SHAPE, "received shapes ", to_string(x.shape()),
           " and ", to_string(y.shape()), "; expected ", x.size(-1),
           y.ndim() == 1 ? " elements in the second" : " rows in the second",
           ", as many as the first has columns");
  if (x.ndim() == 1 || y.ndim() == 1) {
    const int64_t row[] = {1, k}, column[] = {k, 1};
    const Tensor product = matmul(x.ndim() == 1 ? reshape(x, row) : x,
                                  y.ndim() == 1 ? reshape(y, column) : y);
    Dims shape = product.shape();
    if (y.ndim() == 1) shape.erase(shape.size() - 1);
    if (x.ndim() == 1) shape.erase(shape.size() - (y.ndim() == 1 ? 1 : 2));
    return reshape(product, as_list(shape));
  }
  // One matrix for all of a's rows: one large product instead of many, in the gradient too.
  if (y.ndim() == 2) return rows_like(multiply(rows_of(x), y), x);
  return multiply(x, y);
}

//@op dot(Tensor a, Tensor b) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Inner product of two vectors (k,) and (k,): a scalar. Dtypes promote.
//@   Errors: shape unless both have one dimension and one length; dtype for bool.
Tensor dot(const Tensor& a, const Tensor& b) {
  check_vector(a, "a");
  check_vector(b, "b");
  return matmul(a, b);
}

//@op bmm(Tensor a, Tensor b) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Products of a batch of matrices: (n, m, k) and (n, k, p) to (n, m, p). No broadcasting.
//@   Errors: shape unless both have three dimensions that fit; dtype for bool.
Tensor bmm(const Tensor& a, const Tensor& b) {
  TF_CHECK(a.ndim() == 3 && b.ndim() == 3 && a.size(0) == b.size(0), TINYFIN_ERROR_SHAPE,
           "received shapes ", to_string(a.shape()), " and ", to_string(b.shape()),
           "; expected (n, m, k) and (n, k, p); matmul broadcasts");
  return matmul(a, b);
}

//@op outer(Tensor a, Tensor b) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: All products a[i] * b[j] of two vectors (m,) and (n,): (m, n). Dtypes promote.
//@   Errors: shape unless both have one dimension; dtype for bool.
Tensor outer(const Tensor& a, const Tensor& b) {
  check_vector(a, "a");
  check_vector(b, "b");
  const int64_t column[] = {a.size(0), 1}, row[] = {1, b.size(0)};
  return matmul(reshape(a, column), reshape(b, row));
}

//@op linear(Tensor x, Tensor weight, Tensor? bias=None, activation activation=none, Tensor?
//@   residual=None) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function
//@ doc: activation(x · weightᵀ + bias + residual): the fully connected layer in one pass.
//@   x: (…, in); weight: (out, in); bias: (out,) or None; result (…, out). residual: what
//@   broadcasts to the result, a residual connection's other branch, or None. x and weight are
//@   floats and promoted to a common one, which is the result's. activation: "none", "relu",
//@   "gelu", "gelu_tanh", "sigmoid", "tanh" or "silu". Errors: shape if sizes do not fit; dtype for
//@   integers.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias,
              tf_activation activation, const Tensor& residual) {
  TF_CHECK(weight.ndim() == 2, TINYFIN_ERROR_SHAPE, "received weight of shape ",
           to_string(weight.shape()), "; expected (out, in)");
  TF_CHECK(x.ndim() > 0 && x.size(-1) == weight.size(1), TINYFIN_ERROR_SHAPE,
           "received x of shape ", to_string(x.shape()), " and weight of shape ",
           to_string(weight.shape()), "; expected x (…, ", weight.size(1), ")");
  TF_CHECK(!bias.defined() || (bias.ndim() == 1 && bias.size(0) == weight.size(0)),
           TINYFIN_ERROR_SHAPE, "received bias of shape ",
           to_string(bias.defined() ? bias.shape() : Dims()), "; expected (", weight.size(0),
           ",), one value per row of weight ", to_string(weight.shape()));
  TF_CHECK(activation >= TINYFIN_ACTIVATION_NONE && activation <= TINYFIN_ACTIVATION_SILU,
           TINYFIN_ERROR_ARGUMENT, "received activation ", activation,
           "; expected one of TINYFIN_ACTIVATION_NONE to TINYFIN_ACTIVATION_SILU (1 to 7)");
  check_float(x, "x");
  check_float(weight, "weight");
  const auto [input, w] = promote(x, weight);
  const Tensor b = bias.defined() ? cast_to(bias, w.dtype()) : bias;
  const Tensor rows = with_rows_in_line(input);
  const Dims shape = shape_of_layer(rows, w);
  Tensor added;
  if (residual.defined()) {
    TF_CHECK(broadcasts_to(residual.shape(), shape), TINYFIN_ERROR_SHAPE,
             "received residual of shape ", to_string(residual.shape()),
             "; expected one that broadcasts to the result's ", to_string(shape));
    check_float(residual, "residual");
    added = as_residual(residual, shape, w.dtype());
  }
  const auto layer = [&](tf_activation inside) {
    return run(linear_p, {&rows, &w, &b, &added}, Attrs(int64_t(inside)),
               meta_of_shape(shape, rows.dtype(), rows.device()));
  };
  if (!told_by_result(activation) && wants_grad(linear_p, {&rows, &w, &b, &added}))
    return activate(layer(TINYFIN_ACTIVATION_NONE), activation);
  return layer(activation);
}

}  // namespace tf
