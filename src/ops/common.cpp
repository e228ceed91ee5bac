// What op files share: promotion, output layouts, the adjoint of broadcasting.
// SPDX-License-Identifier: MIT
#include "ops/op.h"
#include "ops/ops.h"

namespace tf {
namespace {

// bool 0, integers 1, floats 2.
int kind(DType t) { return is_float(t) ? 2 : is_int(t) ? 1 : 0; }

// The dtype a tensor of `strong` and a weak scalar of `weak` are computed in: the tensor's,
// unless the scalar is of a higher kind.
DType promote_weak(DType strong, DType weak) {
  if (kind(weak) <= kind(strong)) return strong;
  return is_float(weak) ? DType::f32 : DType::i64;
}

DType default_of_kind(DType weak) {
  return is_float(weak) ? DType::f32 : is_int(weak) ? DType::i64 : DType::b8;
}

}  // namespace

std::pair<Tensor, Tensor> promote(const Tensor& a, const Tensor& b) {
  if (a.dtype() == b.dtype() && !a.is_weak() && !b.is_weak()) [[likely]] return {a, b};
  DType common;
  Device* device = &a.device();
  if (a.is_weak() && b.is_weak()) {
    common = promote_types(default_of_kind(a.dtype()), default_of_kind(b.dtype()));
    if (is_float(a.dtype()) || is_float(b.dtype())) common = DType::f32;
    device = &default_device();
  } else if (b.is_weak()) {
    common = promote_weak(a.dtype(), b.dtype());
  } else if (a.is_weak()) {
    common = promote_weak(b.dtype(), a.dtype());
    device = &b.device();
  } else {
    common = promote_types(a.dtype(), b.dtype());
  }
  return {cast_to(materialize(a, common, *device), common),
          cast_to(materialize(b, common, *device), common)};
}

Tensor materialize(const Tensor& x, DType dtype, Device& device) {
  if (!x.is_weak()) return x;
  if (dtype == DType::none) dtype = default_of_kind(x.dtype());
  return is_float(x.dtype()) ? full_scalar({}, item_f64(x), dtype, device)
                             : full_scalar({}, item_i64(x), dtype, device);
}

Tensor cast_to(const Tensor& x, DType dtype) { return x.dtype() == dtype ? x : cast(x, dtype); }

Tensor as_float(const Tensor& x) {
  if (x.is_weak()) return materialize(x, DType::f32, default_device());
  return cast_to(x, float_type(x.dtype()));
}

Meta meta_like(const Tensor& x, DType dtype) {
  return {x.shape(), strides_in_order_of(x.shape(), x.shape(), x.strides()), dtype, &x.device()};
}

Meta meta_broadcast(const Tensor& a, const Tensor& b, DType dtype) {
  if (a.shape() == b.shape()) {
    if (a.is_contiguous()) [[likely]] return meta_of_shape(a.shape(), dtype, a.device());
    // The first that is laid out without gaps decides: a broadcast operand says nothing.
    const Tensor& like = is_dense(a.shape(), a.strides()) ? a : b;
    return {a.shape(), strides_in_order_of(a.shape(), like.shape(), like.strides()), dtype,
            &a.device()};
  }
  const Dims shape = broadcast_shapes(a.shape(), b.shape());
  if (shape == a.shape())
    return {shape, strides_in_order_of(shape, shape, a.strides()), dtype, &a.device()};
  if (shape == b.shape())
    return {shape, strides_in_order_of(shape, shape, b.strides()), dtype, &a.device()};
  return {shape, contiguous_strides(shape), dtype, &a.device()};
}

Meta meta_of_shape(const Dims& shape, DType dtype, Device& device) {
  return {shape, contiguous_strides(shape), dtype, &device};
}

Tensor sum_to(const Tensor& g, const Dims& shape) {
  if (g.shape() == shape) return g;
  TF_CHECK(broadcasts_to(shape, g.shape()), TINYFIN_ERROR_INTERNAL, "a gradient of shape ",
           to_string(g.shape()), " does not reduce to ", to_string(shape));
  const int extra = g.ndim() - shape.size();
  Dims dims;
  for (int d = 0; d < g.ndim(); ++d)
    if (d < extra || (shape[d - extra] == 1 && g.size(d) != 1)) dims.push_back(d);
  const Tensor s = sum(g, IntList(dims.data(), size_t(dims.size())), true, DType::none);
  return extra == 0 ? s : reshape(s, IntList(shape.data(), size_t(shape.size())));
}

Tensor activate(const Tensor& x, tf_activation activation) {
  switch (activation) {
    case TINYFIN_ACTIVATION_NONE: return x;
    case TINYFIN_ACTIVATION_RELU: return relu(x);
    case TINYFIN_ACTIVATION_GELU: return gelu(x, TINYFIN_ACTIVATION_NONE);
    case TINYFIN_ACTIVATION_GELU_TANH: return gelu(x, TINYFIN_ACTIVATION_TANH);
    case TINYFIN_ACTIVATION_SIGMOID: return sigmoid(x);
    case TINYFIN_ACTIVATION_TANH: return tanh(x);
    case TINYFIN_ACTIVATION_SILU: return silu(x);
    default:
      fail(TINYFIN_ERROR_ARGUMENT, "received activation ", activation,
           "; expected one of TINYFIN_ACTIVATION_NONE … TINYFIN_ACTIVATION_SILU (1 to 7)");
  }
}

void check_float(const Tensor& x, const char* what) {
  TF_CHECK(is_float(x.dtype()), TINYFIN_ERROR_DTYPE, "received ", what, " ", describe(x),
           "; expected a float dtype; cast it first");
}

}  // namespace tf
