// Making tensors and views, and moving their values to and from the host.
// SPDX-License-Identifier: MIT
#include "core/tensor.h"

#include <cstring>
#include <memory>
#include <new>

#include "autograd/engine.h"
#include "core/bfloat16.h"
#include "ops/ops.h"

void tf_tensor::destroy() const noexcept {
  delete meta;
  tf_tensor* self = const_cast<tf_tensor*>(this);
  self->~tf_tensor();
  // After the destructor, through volatile: no compiler may drop it as a dead store.
  *const_cast<volatile uint32_t*>(&self->alive) = 0;
  tf::pool_free(self, sizeof(tf_tensor));
}

namespace tf {
namespace {

Tensor new_tensor(DType dtype, const Dims& shape, const Dims& strides, int64_t numel,
                  Ref<Storage>&& storage, int64_t offset) {
  TensorImpl* t = new (pool_alloc(sizeof(TensorImpl))) TensorImpl;
  t->dtype = dtype;
  t->shape = shape;
  t->strides = strides;
  t->numel = numel;
  t->offset = offset;
  t->storage = std::move(storage);
  return Tensor::adopt(t);
}

template <class T>
Tensor make_weak(DType dtype, T value) {
  Tensor t = empty(Dims{}, dtype, cpu_device());
  t.get()->weak = true;
  *static_cast<T*>(t.data()) = value;
  return t;
}

}  // namespace

Tensor empty(const Dims& shape, DType dtype, Device& device) {
  const int64_t n = checked_numel(shape);
  return new_tensor(dtype, shape, contiguous_strides(shape), n,
                    Storage::allocate(device, n * size_of(dtype)), 0);
}

Tensor empty(const Meta& meta) {
  const int64_t n = checked_numel(meta.shape);
  return new_tensor(meta.dtype, meta.shape, meta.strides, n,
                    Storage::allocate(*meta.device, n * size_of(meta.dtype)), 0);
}

Tensor tensor_of(Ref<Storage>&& storage, DType dtype, const Dims& shape, const Dims& strides,
                 int64_t offset) {
  return new_tensor(dtype, shape, strides, checked_numel(shape), std::move(storage), offset);
}

Tensor alias(const Tensor& x, const Dims& shape, const Dims& strides, int64_t offset) {
  return new_tensor(x.dtype(), shape, strides, checked_numel(shape), Ref(x.get()->storage),
                    offset);
}

Tensor alias(const Tensor& x) {
  return new_tensor(x.dtype(), x.shape(), x.strides(), x.numel(), Ref(x.get()->storage),
                    x.get()->offset);
}

bool same_view(const Tensor& a, const Tensor& b) {
  return a.data() == b.data() && a.dtype() == b.dtype() && a.shape() == b.shape() &&
         a.strides() == b.strides();
}

Tensor weak_scalar(double value) { return make_weak(DType::f64, value); }
Tensor weak_scalar(int64_t value) { return make_weak(DType::i64, value); }
Tensor weak_scalar(bool value) { return make_weak(DType::b8, uint8_t(value)); }

bool Tensor::requires_grad() const {
  const AutogradMeta* meta = get()->meta;
  return meta && (meta->requires_grad || meta->node);
}

bool Tensor::is_leaf() const {
  const AutogradMeta* meta = get()->meta;
  return !meta || !meta->node;
}

void copy_to_host(const Tensor& x, void* to, int64_t bytes) {
  const int64_t need = x.numel() * size_of(x.dtype());
  TF_CHECK(bytes == need, TINYFIN_ERROR_ARGUMENT, "received a buffer of ", bytes,
           " bytes for ", describe(x), "; expected ", need, " bytes");
  if (need == 0) return;
  TF_CHECK(to, TINYFIN_ERROR_ARGUMENT, "received NULL for the buffer; expected ", need, " bytes");
  NoGrad no_grad;
  const Tensor packed = contiguous(detach(x));
  packed.device().copy_to_host(to, packed.data(), size_t(need));
}

void copy_from_host(Tensor& x, const void* from, int64_t bytes) {
  const int64_t need = x.numel() * size_of(x.dtype());
  TF_CHECK(bytes == need, TINYFIN_ERROR_ARGUMENT, "received ", bytes, " bytes for ", describe(x),
           "; expected ", need, " bytes");
  if (need == 0) return;
  TF_CHECK(from, TINYFIN_ERROR_ARGUMENT, "received NULL for the data; expected ", need, " bytes");
  TF_CHECK(x.storage().writable(), TINYFIN_ERROR_STATE,
           "received a read-only tensor; expected one whose memory may be written; try clone()");
  if (x.is_contiguous()) {
    x.device().copy_from_host(x.data(), from, size_t(need));
  } else {
    const Tensor packed = empty(x.shape(), x.dtype(), x.device());
    packed.device().copy_from_host(packed.data(), from, size_t(need));
    NoGrad no_grad;
    Tensor target = detach(x);
    copy_(target, packed);
    return;  // copy_ has counted the modification
  }
  x.storage().bump_version();
}

namespace {

template <class T>
T item(const Tensor& x) {
  TF_CHECK(x.numel() == 1, TINYFIN_ERROR_SHAPE, "received ", describe(x),
           "; expected a tensor of one element");
  alignas(8) unsigned char value[8];
  x.device().copy_to_host(value, x.data(), size_t(size_of(x.dtype())));
  switch (x.dtype()) {
    case DType::f32: { float v; std::memcpy(&v, value, 4); return T(v); }
    case DType::f64: { double v; std::memcpy(&v, value, 8); return T(v); }
    case DType::i32: { int32_t v; std::memcpy(&v, value, 4); return T(v); }
    case DType::i64: { int64_t v; std::memcpy(&v, value, 8); return T(v); }
    case DType::bf16: { BFloat16 v; std::memcpy(&v, value, 2); return T(widened(v)); }
    case DType::b8: return T(value[0] != 0);
    case DType::none: break;
  }
  fail(TINYFIN_ERROR_INTERNAL, "a tensor without dtype");
}

}  // namespace

double item_f64(const Tensor& x) { return item<double>(x); }
int64_t item_i64(const Tensor& x) { return item<int64_t>(x); }

std::string describe(const Tensor& x) {
  return concat_text(name_of(x.dtype()), " ", to_string(x.shape()), " on ", x.device().name);
}

}  // namespace tf
