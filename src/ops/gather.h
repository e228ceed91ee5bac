// Indexing by arrays inside the engine: the first dimensions of a tensor, named by integers.
// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "ops/op.h"

namespace tf {

// Which rows of a tensor are meant: entry b of the k arrays, all int64 of one shape, names a
// position in the first k dimensions. `axes` are those dimensions' numbers in the caller's
// tensor, for messages.
struct Rows {
  std::vector<Tensor> indices;
  Dims axes;
};

enum class Put : int64_t {
  assign,      // the last of several values for one row stays
  accumulate,  // values are added, in the order of the indices
  distinct,    // assign, and no row occurs twice
};

// Shape of the indices, then x's other dimensions.
Tensor take_rows(const Tensor& x, const Rows& rows);
// base with the rows overwritten by value or value added to them; without base: zeros of
// `shape`. value broadcasts to the shape that take_rows gives.
Tensor put_rows(const Tensor& base, const Tensor& value, const Rows& rows, Put how);
Tensor embed_rows(const Tensor& value, const Rows& rows, Put how, const Dims& shape);
void put_rows_(const char* op, Tensor& self, const Tensor& value, const Rows& rows, Put how);

// An index array as int64; fails unless it holds integers (or nothing at all).
Tensor as_index(const Tensor& x);
// 0, 1, … n - 1 along dimension `dim` of a shape.
Tensor iota(const Dims& shape, int dim, Device& device);

}  // namespace tf
