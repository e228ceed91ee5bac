// Copies: other dtype, other order of strides, into an existing tensor, to another device.
// SPDX-License-Identifier: MIT
#include <vector>

#include "ops/op.h"
#include "ops/ops.h"

namespace tf {
namespace {

void copy_vjp(Vjp& v) { v.set(0, v.grad()); }  // the engine casts back to the input's dtype

// One kernel for all copies: from any strides and dtype to any strides and dtype.
const Primitive copy_p{{.name = "copy", .signature = "x", .vjp = copy_vjp,
                        .flags = kBroadcast | kConverts}};

}  // namespace

void write_copy(const Tensor& x, Tensor to) {
  dispatch({copy_p, {&x}, Attrs()}, &to, /*keep_out=*/true);
}

//@op cast(Tensor x, dtype dtype) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: A copy of x in another dtype, in x's order of strides. Floats are cut towards zero on the
//@   way to integers; anything but zero is true as bool.
Tensor cast(const Tensor& x, DType dtype) {
  TF_CHECK(dtype != DType::none, TINYFIN_ERROR_DTYPE, "received no dtype; expected one");
  if (x.is_weak()) return materialize(x, dtype, default_device());
  return run(copy_p, {&x}, Attrs(), meta_like(x, dtype));
}

//@op clone(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: A copy of x with memory of its own, in x's order of strides.
Tensor clone(const Tensor& x) {
  if (x.is_weak()) return materialize(x, DType::none, default_device());
  return run(copy_p, {&x}, Attrs(), meta_like(x));
}

//@op contiguous(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: x itself where it is row-major without gaps, else a row-major copy.
Tensor contiguous(const Tensor& x) {
  if (x.is_contiguous()) return x;
  return run(copy_p, {&x}, Attrs(), meta_of_shape(x.shape(), x.dtype(), x.device()));
}

//@op copy_(Tensor! x, Tensor source)
//@ since: 0.1
//@ grad: yes
//@ python: method
//@ doc: Overwrites x with source, which broadcasts to x's shape and is cast to x's dtype.
void copy_(Tensor& x, const Tensor& source) {
  const Tensor from = materialize(source, x.dtype(), x.device());
  TF_CHECK(broadcasts_to(from.shape(), x.shape()), TINYFIN_ERROR_SHAPE, "received a source of shape ",
           to_string(from.shape()), " for a tensor of shape ", to_string(x.shape()),
           "; expected one that broadcasts to it");
  run_inplace("copy_", copy_p, x, {&from}, Attrs());
}

namespace {

void to_device_vjp(Vjp& v);
const Primitive to_device_p{{.name = "to_device", .signature = "x", .vjp = to_device_vjp,
                             .flags = kView}};

Tensor moved(const Tensor& x, Device& device) {
  Tensor packed;
  {
    NoGrad no_grad;
    packed = contiguous(x);
  }
  Tensor out = empty(x.shape(), x.dtype(), device);
  const size_t bytes = size_t(x.numel() * size_of(x.dtype()));
  if (bytes == 0) return out;
  if (packed.device().host_accessible) {
    device.copy_from_host(out.data(), packed.data(), bytes);
  } else if (device.host_accessible) {
    packed.device().copy_to_host(out.data(), packed.data(), bytes);
  } else {
    const Tensor host = empty(x.shape(), x.dtype(), cpu_device());
    packed.device().copy_to_host(host.data(), packed.data(), bytes);
    device.copy_from_host(out.data(), host.data(), bytes);
  }
  return out;
}

void to_device_vjp(Vjp& v) {
  // The edge's target knows where the input lived.
  v.set(0, to_device(v.grad(), &v.in_device(0)));
}

}  // namespace

//@op to_device(Tensor x, device device) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: private
//@ doc: x itself where it is on the device, else a row-major copy there.
Tensor to_device(const Tensor& x, Device* device) {
  Device& target = device ? *device : default_device();
  if (x.is_weak()) return materialize(x, DType::none, target);
  if (&target == &x.device()) return x;
  Tensor out = moved(x, target);
  const Tensor* const list[] = {&x};  // outlives `in`, as a braced list would not
  const Inputs in(list, 1);
  if (wants_grad(to_device_p, in)) record({to_device_p, in, Attrs()}, &out);
  return out;
}

}  // namespace tf
