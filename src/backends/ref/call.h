// What a kernel of this backend sees: arrays that are read and written one element at a time,
// in double or int64 whatever they hold.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <sstream>
#include <string>
#include <vector>

#include "tinyfin/backend.h"

namespace ref {

struct Failure {
  tf_status status;
  std::string message;
};

template <class... Parts>
[[noreturn]] void fail(tf_status status, const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  throw Failure{status, text.str()};
}

inline bool is_float(tf_dtype t) {
  return t == TINYFIN_FLOAT32 || t == TINYFIN_FLOAT64 || t == TINYFIN_BFLOAT16;
}
size_t size_of(tf_dtype t);

// Position in an array: one number per dimension.
struct Index {
  int64_t at[8] = {};
  int64_t& operator[](int d) { return at[d]; }
  int64_t operator[](int d) const { return at[d]; }
};

// A copy of a tf_view that outlives the call.
struct Array {
  Array() = default;
  explicit Array(const tf_view& view);

  bool present() const { return ndim >= 0; }
  bool holds_floats() const { return is_float(dtype); }
  int64_t size(int d) const { return shape[d < 0 ? d + ndim : d]; }
  int64_t numel() const;

  // Exact: float32, bfloat16 and bool widen, int64 keeps all bits in get_int.
  double get(const Index& i) const;
  int64_t get_int(const Index& i) const;
  void set(const Index& i, double value) const;       // rounded once, to the array's dtype
  void set_int(const Index& i, int64_t value) const;

  char* data = nullptr;
  tf_dtype dtype = TINYFIN_DEFAULT;
  int ndim = -1;
  int64_t shape[8] = {};
  int64_t strides[8] = {};

 private:
  char* address(const Index& i) const;
};

struct Call {
  explicit Call(const tf_kernel_call& call);
  std::string op;
  std::vector<Array> in, out;
  std::vector<tf_attr> attr;

  int64_t i(int k) const { return attr[size_t(k)].i; }
  double f(int k) const { return attr[size_t(k)].f; }
  // True when the op computes in double, false when in int64: by the first input, or the output.
  bool in_floats() const { return (in.empty() ? out[0] : in[0]).holds_floats(); }
};

// body(Index) for every position, the last dimension fastest. A zero-size shape: never.
template <class Body>
void for_each(int ndim, const int64_t* shape, Body&& body) {
  Index i;
  for (int d = 0; d < ndim; ++d)
    if (shape[d] == 0) return;
  for (;;) {
    body(static_cast<const Index&>(i));
    int d = ndim - 1;
    while (d >= 0 && ++i[d] == shape[d]) i[d--] = 0;
    if (d < 0) return;
  }
}
template <class Body>
void for_each(const Array& array, Body&& body) {
  for_each(array.ndim, array.shape, body);
}

// A definition: runs on the stream with the memory of all its arrays open.
using Definition = void (*)(const Call& call);

// Enters a definition into the backend's table; defined at namespace scope next to it.
struct Define {
  // bfloat16 is always among the dtypes: elements are read and written as any other float.
  Define(const char* op, Definition fn, uint32_t dtypes = TINYFIN_DTYPES_ALL);
};

}  // namespace ref
