// A short list of int64: shapes, strides, permutations. Kept inline, at most 8.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>

#include "core/error.h"

namespace tf {

inline constexpr int kMaxDims = 8;

class Dims {
 public:
  Dims() = default;
  // Copies what is there: the rest of the eight is never read.
  Dims(const Dims& o) noexcept : n_(o.n_) {
    for (int i = 0; i < n_; ++i) v_[i] = o.v_[i];
  }
  Dims& operator=(const Dims& o) noexcept {
    n_ = o.n_;
    for (int i = 0; i < n_; ++i) v_[i] = o.v_[i];
    return *this;
  }
  Dims(std::initializer_list<int64_t> list) {
    for (int64_t v : list) push_back(v);
  }
  Dims(const int64_t* values, int64_t n) {
    TF_CHECK(n >= 0 && n <= kMaxDims, TINYFIN_ERROR_SHAPE, "received ", n,
             " dimensions; expected 0 to ", kMaxDims);
    for (int64_t i = 0; i < n; ++i) push_back(values[i]);
  }
  static Dims filled(int n, int64_t value) {
    Dims d;
    for (int i = 0; i < n; ++i) d.push_back(value);
    return d;
  }

  int size() const noexcept { return n_; }
  bool empty() const { return n_ == 0; }
  int64_t operator[](int i) const { return v_[i]; }
  int64_t& operator[](int i) { return v_[i]; }
  // Python's reading: at(-1) is the last.
  int64_t at(int i) const { return v_[i < 0 ? i + n_ : i]; }
  const int64_t* data() const noexcept { return v_; }
  int64_t* data() noexcept { return v_; }
  const int64_t* begin() const { return v_; }
  const int64_t* end() const { return v_ + n_; }

  void push_back(int64_t v) {
    TF_CHECK(n_ < kMaxDims, TINYFIN_ERROR_SHAPE, "received more than ", kMaxDims,
             " dimensions; expected at most ", kMaxDims);
    v_[n_++] = v;
  }
  void insert(int at, int64_t v) {
    push_back(v);
    for (int i = n_ - 1; i > at; --i) v_[i] = v_[i - 1];
    v_[at] = v;
  }
  void erase(int at) {
    for (int i = at; i + 1 < n_; ++i) v_[i] = v_[i + 1];
    --n_;
  }

  friend bool operator==(const Dims& a, const Dims& b) {
    if (a.n_ != b.n_) return false;
    for (int i = 0; i < a.n_; ++i)
      if (a.v_[i] != b.v_[i]) return false;
    return true;
  }

 private:
  int n_ = 0;
  int64_t v_[kMaxDims];
};

// "(2, 3)", "(5,)", "()": as Python writes a shape.
std::string to_string(const Dims& dims);

// Product of the sizes; fails on a negative size and on int64 overflow.
int64_t checked_numel(const Dims& shape);

// Row-major strides, in elements.
Dims contiguous_strides(const Dims& shape);

bool is_contiguous(const Dims& shape, const Dims& strides) noexcept;

// True when the strides lay the elements out without gaps or overlap in some order
// of the dimensions (contiguous, transposed, channels-last, …).
bool is_dense(const Dims& shape, const Dims& strides);

// Whether two elements may lie at one address. False where each dimension steps over all that the
// smaller steps reach, as in every view of a dense array.
bool may_overlap_itself(const Dims& shape, const Dims& strides);

// Dense strides for `shape` that keep the order of `like` (same number of dimensions).
// This is how channels-last travels through elementwise ops.
Dims strides_in_order_of(const Dims& shape, const Dims& like_shape, const Dims& like_strides);

// Dense NHWC strides of an NCHW shape.
Dims channels_last_strides(const Dims& shape);

// NumPy's broadcasting of two shapes; fails naming both.
Dims broadcast_shapes(const Dims& a, const Dims& b);

// Whether `from` broadcasts to `to` without changing `to`.
bool broadcasts_to(const Dims& from, const Dims& to);

// dim in [-ndim, ndim) → [0, ndim); a scalar counts as one dimension. Fails with AXIS.
int wrap_dim(int64_t dim, int ndim);

// Bit d set for each dimension named; NULL or none named: all. Fails on duplicates.
uint32_t dim_mask(const int64_t* dims, int64_t n, int ndim);

}  // namespace tf
