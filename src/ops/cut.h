// Basic indexing inside the engine: parts of dimensions, taken as views or overwritten.
// SPDX-License-Identifier: MIT
#pragma once

#include "ops/op.h"

namespace tf {

// What is kept of one dimension: `length` elements from `start` in steps of `step`, which may be
// negative. Step 0: the one element `start`, and the dimension goes.
struct Cut {
  int dim;
  int64_t start, step, length;
};

// At most one per dimension, by increasing dimension. Kept inline.
class Cuts {
 public:
  Cuts() = default;
  Cuts(std::initializer_list<Cut> list) : Cuts(list.begin(), list.end()) {}
  Cuts(const Cut* begin, const Cut* end) {
    for (const Cut* c = begin; c != end; ++c) push_back(*c);
  }
  // Copies what is there.
  Cuts(const Cuts& o) : Cuts(o.begin(), o.end()) {}
  Cuts& operator=(const Cuts&) = delete;

  size_t size() const { return n_; }
  bool empty() const { return n_ == 0; }
  const Cut& operator[](size_t i) const { return cut_[i]; }
  const Cut* begin() const { return cut_; }
  const Cut* end() const { return cut_ + n_; }
  void push_back(const Cut& c) {
    TF_CHECK(n_ < kMaxDims, TINYFIN_ERROR_INTERNAL, "more cuts than dimensions");
    cut_[n_++] = c;
  }
  void keep_first(size_t n) { n_ = n; }

 private:
  size_t n_ = 0;
  Cut cut_[kMaxDims];
};

// The part's shape in a tensor of a shape.
Dims shape_of_cut(Dims shape, const Cuts& cuts);
// A view of the part of x.
Tensor cut(const Tensor& x, const Cuts& cuts);
// base with the part overwritten by value, which has the part's shape and base's dtype.
Tensor put_cut(const Tensor& base, const Tensor& value, const Cuts& cuts);
// The same into self, with a gradient to both.
void put_cut_(const char* op, Tensor& self, const Tensor& value, const Cuts& cuts);
// Zeros of a shape with the part overwritten: the adjoint of cut.
Tensor embed(const Tensor& value, const Dims& shape, const Cuts& cuts);

// An index in [-size, size) counted from the front; INDEX error naming it, the axis and the size.
int64_t wrap_index(int64_t index, int axis, int64_t size);

// Memory for the gradients of n tensors that are parts of one and lie in it at equal distances, as
// those that chunk() gives, laid out as they are: joining them again is free. False: they are not.
bool empty_like_parts(const Tensor* const* parts, int n, Tensor* out);

}  // namespace tf
