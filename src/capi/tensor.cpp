// Tensors: life, making, asking, values.
// SPDX-License-Identifier: MIT
#include "tinyfin/tensor.h"

#include <memory>

#include "capi/guard.h"

using tf::Borrowed;
using tf::guard;
using tf::out_slot;

namespace {

int64_t needed_bytes(const tf::Dims& shape, tf::DType dtype, size_t bytes) {
  TF_CHECK(tf::is_valid(dtype), TINYFIN_ERROR_DTYPE, "received no dtype; expected one");
  const int64_t need = tf::checked_numel(shape) * tf::size_of(dtype);
  TF_CHECK(bytes == size_t(need), TINYFIN_ERROR_ARGUMENT, "received ", bytes, " bytes for shape ",
           to_string(shape), " of ", tf::name_of(dtype), "; expected ", need);
  return need;
}

// Runs destroy(user) unless it has been handed on.
struct Owner {
  void* user;
  void (*destroy)(void*);
  ~Owner() {
    if (destroy) destroy(user);
  }
};

}  // namespace

extern "C" {

tf_tensor* tf_tensor_retain(tf_tensor* tensor) {
  if (tensor) tensor->retain();
  return tensor;
}

void tf_tensor_release(tf_tensor* tensor) {
  if (tensor) tensor->release();
}

tf_status tf_tensor_from_data(const void* data, size_t bytes, const int64_t* shape, int64_t n_shape,
                              tf_dtype dtype, const tf_device* device, tf_tensor** out) {
  return guard("tensor_from_data", [&] {
    out_slot(out);
    const auto size = tf::int_list(shape, n_shape, "shape");
    const tf::Dims dims(size.data(), n_shape);
    const tf::DType type = tf::dtype_from(dtype);
    const int64_t need = needed_bytes(dims, type, bytes);
    tf::Tensor t =
        tf::empty(dims, type, device ? const_cast<tf_device&>(*device) : tf::default_device());
    tf::copy_from_host(t, data, need);
    *out = t.detach_ref();
  });
}

tf_status tf_tensor_borrow_data(void* data, size_t bytes, const int64_t* shape, int64_t n_shape,
                                const int64_t* strides, tf_dtype dtype, int32_t writable,
                                void* user, void (*destroy)(void* user), tf_tensor** out) {
  // Declared before the guard, so that the memory is given back on every failure.
  Owner owner{user, destroy};
  return guard("tensor_borrow_data", [&] {
    out_slot(out);
    const auto size = tf::int_list(shape, n_shape, "shape");
    const tf::Dims dims(size.data(), n_shape);
    const tf::DType type = tf::dtype_from(dtype);
    TF_CHECK(tf::is_valid(type), TINYFIN_ERROR_DTYPE, "received no dtype; expected one");
    const int64_t numel = tf::checked_numel(dims), element = tf::size_of(type);
    TF_CHECK(data || numel == 0, TINYFIN_ERROR_ARGUMENT, "received NULL for `data`");
    TF_CHECK(reinterpret_cast<uintptr_t>(data) % size_t(element) == 0, TINYFIN_ERROR_ARGUMENT,
             "received an address that is not a multiple of ", element, "; expected aligned ",
             tf::name_of(type), " elements; try tf_tensor_from_data, which copies");
    const tf::Dims steps = strides ? tf::Dims(strides, n_shape) : tf::contiguous_strides(dims);
    // `data` is the element with all indices 0; negative strides reach below it.
    int64_t low = 0, high = 0;
    for (int d = 0; d < dims.size() && numel > 0; ++d) {
      int64_t reach;
      TF_CHECK(!__builtin_mul_overflow(dims[d] - 1, steps[d], &reach) &&
                       !__builtin_add_overflow(reach < 0 ? low : high, reach,
                                           reach < 0 ? &low : &high) &&
                   low > -(INT64_MAX / 32) && high < INT64_MAX / 32,
               TINYFIN_ERROR_SHAPE, "received strides ", to_string(steps),
               "; expected ones that stay within the address space");
    }
    const int64_t span = numel > 0 ? (high - low + 1) * element : 0;
    TF_CHECK(strides ? bytes >= size_t(span) : bytes == size_t(span), TINYFIN_ERROR_ARGUMENT,
             "received ", bytes, " bytes for shape ", to_string(dims), " of ", tf::name_of(type),
             "; expected ", span);
    const auto release = destroy ? destroy : [](void*) {};
    tf::Ref<tf::Storage> storage =
        tf::Storage::borrow(tf::cpu_device(), static_cast<char*>(data) + low * element, span,
                            writable != 0 && !tf::may_overlap_itself(dims, steps), release, user);
    owner.destroy = nullptr;  // the storage's from here on
    *out = tf::tensor_of(std::move(storage), type, dims, steps, -low).detach_ref();
  });
}

tf_status tf_tensor_scalar_f64(double value, tf_tensor** out) {
  return guard("tensor_scalar_f64", [&] {
    out_slot(out);
    *out = tf::weak_scalar(value).detach_ref();
  });
}

tf_status tf_tensor_scalar_i64(int64_t value, tf_tensor** out) {
  return guard("tensor_scalar_i64", [&] {
    out_slot(out);
    *out = tf::weak_scalar(value).detach_ref();
  });
}

tf_status tf_tensor_scalar_bool(int32_t value, tf_tensor** out) {
  return guard("tensor_scalar_bool", [&] {
    out_slot(out);
    *out = tf::weak_scalar(value != 0).detach_ref();
  });
}

tf_dtype tf_tensor_dtype(const tf_tensor* t) { return t ? tf_dtype(t->dtype) : TINYFIN_DEFAULT; }
int64_t tf_tensor_ndim(const tf_tensor* t) { return t ? t->shape.size() : 0; }
int64_t tf_tensor_numel(const tf_tensor* t) { return t ? t->numel : 0; }
const int64_t* tf_tensor_shape(const tf_tensor* t) { return t ? t->shape.data() : nullptr; }
const int64_t* tf_tensor_strides(const tf_tensor* t) { return t ? t->strides.data() : nullptr; }

const tf_device* tf_tensor_device(const tf_tensor* t) {
  return t ? &t->storage->device() : nullptr;
}

int32_t tf_tensor_is_contiguous(const tf_tensor* t) {
  return t && tf::is_contiguous(t->shape, t->strides);
}

int32_t tf_tensor_is_scalar(const tf_tensor* t) { return t && t->weak; }
int64_t tf_tensor_version(const tf_tensor* t) { return t ? t->storage->version() : 0; }

void* tf_tensor_data(const tf_tensor* t) {
  if (!t || !t->storage->device().host_accessible) return nullptr;
  return static_cast<char*>(t->storage->data()) + t->offset * tf::size_of(t->dtype);
}

tf_status tf_tensor_touch(tf_tensor* tensor) {
  return guard("tensor_touch", [&] {
    const Borrowed t(tensor, "tensor");
    tensor->storage->bump_version();
  });
}

tf_status tf_tensor_read(const tf_tensor* tensor, void* data, size_t bytes) {
  return guard("tensor_read",
               [&] { tf::copy_to_host(Borrowed(tensor, "tensor"), data, int64_t(bytes)); });
}

tf_status tf_tensor_write(tf_tensor* tensor, const void* data, size_t bytes) {
  return guard("tensor_write", [&] {
    Borrowed t(tensor, "tensor");
    tf::copy_from_host(t, data, int64_t(bytes));
  });
}

tf_status tf_tensor_item_f64(const tf_tensor* tensor, double* out) {
  return guard("tensor_item_f64", [&] {
    tf::value_slot(out);
    *out = tf::item_f64(Borrowed(tensor, "tensor"));
  });
}

tf_status tf_tensor_item_i64(const tf_tensor* tensor, int64_t* out) {
  return guard("tensor_item_i64", [&] {
    tf::value_slot(out);
    *out = tf::item_i64(Borrowed(tensor, "tensor"));
  });
}
}
