// Shapes and strides.
// SPDX-License-Identifier: MIT
#include "core/dims.h"

#include <algorithm>
#include <cstdlib>

namespace tf {

std::string to_string(const Dims& dims) {
  std::string text = "(";
  for (int i = 0; i < dims.size(); ++i) {
    if (i) text += ", ";
    text += std::to_string(dims[i]);
  }
  return text + (dims.size() == 1 ? ",)" : ")");
}

int64_t checked_numel(const Dims& shape) {
  int64_t n = 1;
  bool overflow = false, zero = false;
  for (const int64_t d : shape) {
    TF_CHECK(d >= 0, TINYFIN_ERROR_SHAPE, "received shape ", to_string(shape),
             "; expected sizes that are not negative");
    zero = zero || d == 0;
    overflow = overflow || __builtin_mul_overflow(n, d, &n);
  }
  if (zero) return 0;
  // Byte counts must fit as well: the widest element has eight bytes.
  TF_CHECK(!overflow && n <= INT64_MAX / 8, TINYFIN_ERROR_SHAPE, "received shape ",
           to_string(shape), "; expected fewer elements than 2^60");
  return n;
}

Dims contiguous_strides(const Dims& shape) {
  Dims strides = Dims::filled(shape.size(), 1);
  for (int i = shape.size() - 2; i >= 0; --i)
    strides[i] = strides[i + 1] * std::max<int64_t>(shape[i + 1], 1);
  return strides;
}

bool is_contiguous(const Dims& shape, const Dims& strides) noexcept {
  int64_t expect = 1;
  for (int i = shape.size() - 1; i >= 0; --i) {
    if (shape[i] != 1 && strides[i] != expect) [[unlikely]]
      return std::ranges::count(shape, 0) > 0;  // without elements nothing is out of order
    expect *= shape[i];
  }
  return true;
}

namespace {

// Dimensions from the slowest to the fastest; those of size 1 keep their place among equals.
void sort_by_stride(const Dims& strides, int order[kMaxDims]) {
  for (int d = 0; d < strides.size(); ++d) {
    int at = d;
    for (; at > 0 && strides[order[at - 1]] < strides[d]; --at) order[at] = order[at - 1];
    order[at] = d;
  }
}

}  // namespace

bool is_dense(const Dims& shape, const Dims& strides) {
  if (is_contiguous(shape, strides)) [[likely]] return true;
  Dims kept_shape, kept_strides;
  for (int i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0) return true;
    if (shape[i] == 1) continue;
    kept_shape.push_back(shape[i]);
    kept_strides.push_back(strides[i]);
  }
  int order[kMaxDims];
  sort_by_stride(kept_strides, order);
  int64_t expect = 1;
  for (int k = kept_shape.size() - 1; k >= 0; --k) {
    if (kept_strides[order[k]] != expect) return false;
    expect *= kept_shape[order[k]];
  }
  return true;
}

bool may_overlap_itself(const Dims& shape, const Dims& strides) {
  if (is_contiguous(shape, strides)) [[likely]] return false;
  Dims sizes, steps;
  for (int i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0) return false;
    if (shape[i] == 1) continue;
    sizes.push_back(shape[i]);
    steps.push_back(std::abs(strides[i]));
  }
  int order[kMaxDims];
  sort_by_stride(steps, order);
  int64_t reach = 0;  // of the dimensions with smaller steps
  for (int k = sizes.size() - 1; k >= 0; --k) {
    const int64_t step = steps[order[k]];
    if (step <= reach) return true;
    reach += (sizes[order[k]] - 1) * step;
  }
  return false;
}

Dims strides_in_order_of(const Dims& shape, const Dims& like_shape, const Dims& like_strides) {
  if (is_contiguous(like_shape, like_strides)) return contiguous_strides(shape);
  int order[kMaxDims];
  sort_by_stride(like_strides, order);
  Dims strides = Dims::filled(shape.size(), 1);
  int64_t next = 1;
  for (int k = shape.size() - 1; k >= 0; --k) {
    strides[order[k]] = next;
    next *= std::max<int64_t>(shape[order[k]], 1);
  }
  return strides;
}

Dims channels_last_strides(const Dims& shape) {
  TF_CHECK(shape.size() == 4, TINYFIN_ERROR_SHAPE, "received shape ", to_string(shape),
           "; expected four dimensions (N, C, H, W)");
  const int64_t c = std::max<int64_t>(shape[1], 1), h = std::max<int64_t>(shape[2], 1),
                w = std::max<int64_t>(shape[3], 1);
  return {h * w * c, 1, w * c, c};
}

Dims broadcast_shapes(const Dims& a, const Dims& b) {
  if (a == b) return a;
  const int n = std::max(a.size(), b.size());
  Dims out = Dims::filled(n, 1);
  for (int i = 1; i <= n; ++i) {
    const int64_t x = i <= a.size() ? a.at(-i) : 1;
    const int64_t y = i <= b.size() ? b.at(-i) : 1;
    TF_CHECK(x == y || x == 1 || y == 1, TINYFIN_ERROR_SHAPE, "received shapes ", to_string(a),
             " and ", to_string(b), "; expected shapes that broadcast: sizes ", x, " and ", y,
             " differ and neither is 1");
    out[n - i] = x == 1 ? y : x;
  }
  return out;
}

bool broadcasts_to(const Dims& from, const Dims& to) {
  if (from.size() > to.size()) return false;
  for (int i = 1; i <= from.size(); ++i)
    if (from.at(-i) != to.at(-i) && from.at(-i) != 1) return false;
  return true;
}

int wrap_dim(int64_t dim, int ndim) {
  const int n = std::max(ndim, 1);
  TF_CHECK(dim >= -n && dim < n, TINYFIN_ERROR_AXIS, "received dimension ", dim,
           " for a tensor of ", ndim, " dimensions; expected ", -n, " to ", n - 1);
  return int(dim < 0 ? dim + n : dim);
}

uint32_t dim_mask(const int64_t* dims, int64_t n, int ndim) {
  if (!dims) return (1u << ndim) - 1;
  uint32_t mask = 0;
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t bit = 1u << wrap_dim(dims[i], ndim);
    TF_CHECK(!(mask & bit), TINYFIN_ERROR_AXIS, "received dimension ", dims[i],
             " twice; expected each dimension once");
    mask |= bit;
  }
  return mask & ((1u << ndim) - 1);
}

}  // namespace tf
