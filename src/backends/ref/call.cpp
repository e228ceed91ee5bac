// Elements of arrays as doubles and integers.
// SPDX-License-Identifier: MIT
#include "call.h"

#include <algorithm>
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

double widened(uint16_t half) {
  const uint32_t bits = uint32_t(half) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// To 8 significant bits, or as many as there are above the least number, 2^-133; ties to even.
uint16_t bfloat16(double value) {
  if (std::isfinite(value) && value != 0) {
    int exponent;  // value = f 2^exponent, 1/2 <= |f| < 1
    std::frexp(value, &exponent);
    const int last = std::max(exponent - 8, -133);
    value = std::ldexp(std::nearbyint(std::ldexp(value, -last)), last);
  }
  const float exact = float(value);
  uint32_t bits;
  std::memcpy(&bits, &exact, sizeof bits);
  return uint16_t(bits >> 16 | (std::isnan(value) ? 0x40 : 0));
}

}  // namespace

size_t size_of(tf_dtype t) {
  switch (t) {
    case TINYFIN_BOOL: return 1;
    case TINYFIN_BFLOAT16: return 2;
    case TINYFIN_FLOAT32:
    case TINYFIN_INT32: return 4;
    default: return 8;
  }
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
    case TINYFIN_BFLOAT16: return widened(load<uint16_t>(p));
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
    case TINYFIN_BFLOAT16: store(p, bfloat16(value)); break;
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
