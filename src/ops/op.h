// What op files share: promotion, output descriptions, argument types of schemas.
// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <optional>
#include <span>
#include <tuple>
#include <vector>

#include "autograd/engine.h"
#include "autograd/primitive.h"
#include "core/tensor.h"

namespace tf {

using IntList = std::span<const int64_t>;     // schema int[] and shape
using OptIntList = std::optional<IntList>;    // schema int[]?
using Pair = std::array<int64_t, 2>;          // schema int[2]: (height, width)

// Both operands in their common dtype and on one device: weak scalars become tensors, casts
// are recorded.
std::pair<Tensor, Tensor> promote(const Tensor& a, const Tensor& b);
// The tensor itself, or a real tensor on `device` for a weak scalar. dtype none: its own kind's
// default (bool, int64, float32).
Tensor materialize(const Tensor& x, DType dtype, Device& device);
Tensor cast_to(const Tensor& x, DType dtype);    // differentiable; x itself if it has it already
Tensor as_float(const Tensor& x);                // integers and bool to float32, weak made real

// A tensor filled with one number (integers beyond 2^53 kept exactly).
Tensor full_scalar(const Dims& shape, double value, DType dtype, Device& device);
Tensor full_scalar(const Dims& shape, int64_t value, DType dtype, Device& device);

inline IntList as_list(const Dims& dims) { return {dims.data(), size_t(dims.size())}; }
inline Dims as_dims(IntList list) { return Dims(list.data(), int64_t(list.size())); }

// Output like x: dense, with x's order of strides (channels-last stays channels-last).
Meta meta_like(const Tensor& x, DType dtype);
inline Meta meta_like(const Tensor& x) { return meta_like(x, x.dtype()); }
// Elementwise output of the broadcast of a and b, in the order of the larger.
Meta meta_broadcast(const Tensor& a, const Tensor& b, DType dtype);
// Row-major output.
Meta meta_of_shape(const Dims& shape, DType dtype, Device& device);

// Overwrites `to`, of x's shape and any dtype, with x. Leaves no trace in graphs and versions.
void write_copy(const Tensor& x, Tensor to);
// Row-major version of x: x itself if it is (a recorded copy otherwise).
Tensor contiguous(const Tensor& x);
// Sums a gradient down to `shape`: the adjoint of broadcasting.
Tensor sum_to(const Tensor& grad, const Dims& shape);

// The op of that name; x itself for NONE. Fails on an unknown number.
Tensor activate(const Tensor& x, tf_activation activation);

void check_float(const Tensor& x, const char* what);

}  // namespace tf
