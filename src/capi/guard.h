// The one way from a public C function into the engine: no exception leaves, every failure
// becomes a status and a text, outputs are NULL until there is a result.
// SPDX-License-Identifier: MIT
#pragma once

#include <new>
#include <span>
#include <vector>

#include "core/error.h"
#include "core/tensor.h"

namespace tf {

// Stores "[op] message" as this thread's last error (never fails) and returns the status.
tf_status set_last_error(tf_status status, const char* op, const char* message) noexcept;
// Turns the exception being handled into a status and a last error.
tf_status report_current_exception(const char* op) noexcept;

// Runs body. `op` is the public name without "tf_".
template <class Body>
tf_status guard(const char* op, Body&& body) noexcept {
  try {
    body();
    return TINYFIN_OK;
  } catch (...) {
    return report_current_exception(op);
  }
}

// A tensor lent by the caller for one call: seen as a `const Tensor&` without touching its
// reference count. Fails on NULL, naming the argument.
class Borrowed {
 public:
  Borrowed(const tf_tensor* handle, const char* argument)
      : tensor_(Tensor::adopt(const_cast<tf_tensor*>(handle))) {
    if (!handle || handle->alive != tf_tensor::kAlive) [[unlikely]] refuse(handle, argument);
  }
  // For `Tensor?` arguments: NULL is an undefined tensor.
  explicit Borrowed(const tf_tensor* handle)
      : tensor_(Tensor::adopt(const_cast<tf_tensor*>(handle))) {
    if (handle && handle->alive != tf_tensor::kAlive) [[unlikely]] refuse(handle, "");
  }
  ~Borrowed() { tensor_.detach_ref(); }
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;
  operator const Tensor&() const { return tensor_; }
  operator Tensor&() { return tensor_; }

 private:
  [[noreturn]] void refuse(const tf_tensor* handle, const char* argument) {
    tensor_.detach_ref();  // not ours to release
    TF_CHECK(handle, TINYFIN_ERROR_ARGUMENT, "received NULL for `", argument,
             "`; expected a tensor handle");
    fail(TINYFIN_ERROR_ARGUMENT, "received a tensor handle that was released",
         *argument ? " for `" : "", argument, *argument ? "`" : "",
         "; expected one that is held (tf_tensor_retain)");
  }

  Tensor tensor_;
};

// An array of handles as tensors (they share the caller's).
std::vector<Tensor> borrow_list(const tf_tensor* const* handles, int64_t n, const char* argument,
                                bool optional = false);

// The list a caller passed as pointer and count; NULL only with a count of 0.
std::span<const int64_t> int_list(const int64_t* values, int64_t n, const char* argument);

// A place for a number; fails on NULL, else sets it to 0.
template <class T>
T* value_slot(T* out, const char* argument = "out") {
  TF_CHECK(out, TINYFIN_ERROR_ARGUMENT, "received NULL for `", argument,
           "`; expected an address for the result");
  *out = T{};
  return out;
}

// A place for a handle; fails on NULL, else clears it.
template <class T>
T** out_slot(T** out, const char* argument = "out") {
  TF_CHECK(out, TINYFIN_ERROR_ARGUMENT, "received NULL for `", argument,
           "`; expected the address of a pointer");
  *out = nullptr;
  return out;
}

}  // namespace tf
