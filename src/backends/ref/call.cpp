// Elements of arrays as doubles and integers.
// SPDX-License-Identifier: MIT
#include "call.h"

#include <cmath>
#include <cstring>

namespace ref {
namespace {

template <class T>
T load(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <class T>
void store(char* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

// Towards zero; what has no integer becomes 0, or the end of the range that it lies beyond.
int64_t whole(double value) {
  if (std::isnan(value)) return 0;
  if (value >= 0x1p63) return INT64_MAX;
  if (value < -0x1p63) return INT64_MIN;
  return int64_t(value);
}

}  // namespace

size_t size_of(tf_dtype t) {
  return t == TINYFIN_BOOL ? 1 : t == TINYFIN_FLOAT32 || t == TINYFIN_INT32 ? 4 : 8;
}

Array::Array(const tf_view& view)
    : data(static_cast<char*>(view.data)), dtype(view.dtype), ndim(view.ndim) {
  for (int d = 0; d < ndim; ++d) {
    shape[d] = view.shape[d];
    strides[d] = view.strides[d];
  }
}

int64_t Array::numel() const {
  int64_t n = 1;
  for (int d = 0; d < ndim; ++d) n *= shape[d];
  return n;
}

char* Array::address(const Index& i) const {
  int64_t offset = 0;
  for (int d = 0; d < ndim; ++d) offset += i[d] * strides[d];
  return data + offset * int64_t(size_of(dtype));
}

double Array::get(const Index& i) const {
  const char* p = address(i);
  switch (dtype) {
    case TINYFIN_FLOAT32: return load<float>(p);
    case TINYFIN_FLOAT64: return load<double>(p);
    case TINYFIN_INT32: return load<int32_t>(p);
    case TINYFIN_INT64: return double(load<int64_t>(p));
    default: return *p != 0;
  }
}

int64_t Array::get_int(const Index& i) const {
  const char* p = address(i);
  switch (dtype) {
    case TINYFIN_INT32: return load<int32_t>(p);
    case TINYFIN_INT64: return load<int64_t>(p);
    case TINYFIN_BOOL: return *p != 0;
    default: return whole(get(i));
  }
}

void Array::set(const Index& i, double value) const {
  char* p = address(i);
  switch (dtype) {
    case TINYFIN_FLOAT32: store(p, float(value)); break;
    case TINYFIN_FLOAT64: store(p, value); break;
    case TINYFIN_BOOL: *p = value != 0; break;
    default: set_int(i, whole(value));
  }
}

void Array::set_int(const Index& i, int64_t value) const {
  char* p = address(i);
  switch (dtype) {
    case TINYFIN_INT32: store(p, int32_t(value)); break;
    case TINYFIN_INT64: store(p, value); break;
    case TINYFIN_BOOL: *p = value != 0; break;
    default: set(i, double(value));
  }
}

Call::Call(const tf_kernel_call& call) : op(call.op), attr(call.attr, call.attr + call.n_attr) {
  for (int32_t k = 0; k < call.n_in; ++k) in.emplace_back(call.in[k]);
  for (int32_t k = 0; k < call.n_out; ++k) out.emplace_back(call.out[k]);
}

}  // namespace ref
