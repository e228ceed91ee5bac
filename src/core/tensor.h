// A strided view of a storage, and what autograd knows about it.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

#include "core/dims.h"
#include "core/dtype.h"
#include "core/ref.h"
#include "core/storage.h"

namespace tf {

class Node;          // autograd/node.h
struct AutogradMeta; // autograd/node.h
class Tensor;

// What an output will be, before memory for it exists.
struct Meta {
  Dims shape;
  Dims strides;
  DType dtype = DType::none;
  Device* device = nullptr;
};

}  // namespace tf

// The object behind the public handle tf_tensor *.
struct tf_tensor {
  static constexpr uint32_t kAlive = 0x7f1a11fe;

  tf::RefCount refs;
  uint32_t alive = kAlive;  // anything else: a handle that was released too often
  tf::DType dtype = tf::DType::none;
  bool weak = false;     // a Python/C scalar: takes part in promotion by kind only
  bool is_view = false;  // made by a view op: shares its storage with another tensor
  tf::Dims shape;
  tf::Dims strides;      // in elements
  int64_t numel = 0;
  int64_t offset = 0;    // first element, in elements from the storage's start
  tf::Ref<tf::Storage> storage;
  tf::AutogradMeta* meta = nullptr;  // owned; null until autograd needs it

  void retain() const noexcept { refs.retain(); }
  void release() const noexcept {
    if (refs.release()) destroy();
  }
  void destroy() const noexcept;
};

namespace tf {

using TensorImpl = tf_tensor;

// A counted pointer to a tf_tensor; "undefined" when null. Cheap to copy and pass.
class Tensor : public Ref<TensorImpl> {
 public:
  using Ref::Ref;
  Tensor() = default;
  Tensor(Ref<TensorImpl>&& r) noexcept : Ref(std::move(r)) {}
  static Tensor adopt(TensorImpl* p) noexcept { return Tensor(Ref<TensorImpl>::adopt(p)); }
  static Tensor share(const TensorImpl* p) noexcept {
    return Tensor(Ref<TensorImpl>::share(const_cast<TensorImpl*>(p)));
  }

  bool defined() const noexcept { return get() != nullptr; }
  const Dims& shape() const { return get()->shape; }
  const Dims& strides() const { return get()->strides; }
  int64_t size(int dim) const { return get()->shape.at(dim); }
  int ndim() const { return get()->shape.size(); }
  int64_t numel() const { return get()->numel; }
  DType dtype() const { return get()->dtype; }
  bool is_weak() const { return get()->weak; }
  Device& device() const { return get()->storage->device(); }
  Storage& storage() const { return *get()->storage; }
  uint32_t version() const { return storage().version(); }
  // Address of the first element, in the memory of the tensor's device.
  void* data() const {
    return static_cast<char*>(get()->storage->data()) + get()->offset * size_of(get()->dtype);
  }
  bool is_contiguous() const { return tf::is_contiguous(shape(), strides()); }

  bool requires_grad() const;  // a leaf that wants a gradient, or made from one
  bool is_leaf() const;
};

// A new tensor with memory that is not initialised.
Tensor empty(const Dims& shape, DType dtype, Device& device);
Tensor empty(const Meta& meta);
// A tensor over given storage; offset in elements from its start.
Tensor tensor_of(Ref<Storage>&& storage, DType dtype, const Dims& shape, const Dims& strides,
                 int64_t offset);
// Another view of the same storage, without autograd history.
Tensor alias(const Tensor& x, const Dims& shape, const Dims& strides, int64_t offset);
Tensor alias(const Tensor& x);
// The same elements of the same memory in the same places.
bool same_view(const Tensor& a, const Tensor& b);

// A scalar of the host language: bool < int < float by kind, adapts to the other operand.
Tensor weak_scalar(double value);
Tensor weak_scalar(int64_t value);
Tensor weak_scalar(bool value);

// Copies between a tensor and contiguous host memory of the tensor's dtype. `bytes` must be
// exactly numel * size. Strided tensors are packed / unpacked on the way.
void copy_to_host(const Tensor& x, void* to, int64_t bytes);
void copy_from_host(Tensor& x, const void* from, int64_t bytes);
// The only element as a double / int64 (waits for the device).
double item_f64(const Tensor& x);
int64_t item_i64(const Tensor& x);

// "float32 (2, 3) on cpu:0": how error messages name a tensor.
std::string describe(const Tensor& x);

}  // namespace tf
