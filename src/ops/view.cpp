// Views: the same storage seen in another shape or order. O(1), with gradients.
// SPDX-License-Identifier: MIT
#include <algorithm>

#include "ops/cut.h"
#include "ops/op.h"
#include "ops/ops.h"

namespace tf {
namespace {

void identity_vjp(Vjp& v) { v.set(0, v.grad()); }
const Primitive identity_p{{.name = "identity", .signature = "x", .vjp = identity_vjp,
                            .flags = kView}};

// The engine sums over what was expanded.
const Primitive expand_p{{.name = "expand", .signature = "x; int[] shape", .vjp = identity_vjp,
                          .flags = kView}};

void reshape_vjp(Vjp& v) { v.set(0, reshape(v.grad(), as_list(v.in_shape(0)))); }
const Primitive reshape_p{{.name = "reshape", .signature = "x; int[] shape", .vjp = reshape_vjp,
                           .flags = kView}};

void permute_vjp(Vjp& v) {
  const Dims order = v.attrs().dims(0);
  Dims inverse = order;
  for (int i = 0; i < order.size(); ++i) inverse[int(order[i])] = i;
  v.set(0, permute(v.grad(), as_list(inverse)));
}
const Primitive permute_p{{.name = "permute", .signature = "x; int[] order", .vjp = permute_vjp,
                           .flags = kView}};

// Replaces one -1 by what the other sizes leave.
Dims infer_size(IntList size, int64_t numel) {
  Dims shape = as_dims(size);
  int unknown = -1;
  int64_t known = 1;
  for (int i = 0; i < shape.size(); ++i) {
    if (shape[i] == -1) {
      TF_CHECK(unknown < 0, TINYFIN_ERROR_SHAPE, "received shape ", to_string(shape),
               "; expected at most one -1");
      unknown = i;
      continue;
    }
    TF_CHECK(shape[i] >= 0, TINYFIN_ERROR_SHAPE, "received shape ", to_string(shape),
             "; expected sizes that are not negative, or one -1");
    TF_CHECK(!__builtin_mul_overflow(known, shape[i], &known), TINYFIN_ERROR_SHAPE,
             "received shape ", to_string(shape), "; expected ", numel, " elements");
  }
  if (unknown >= 0) {
    TF_CHECK(known > 0 && numel % known == 0, TINYFIN_ERROR_SHAPE, "received shape ",
             to_string(shape), " for ", numel,
             " elements; expected known sizes whose product divides that");
    shape[unknown] = numel / known;
    known = numel;
  }
  TF_CHECK(known == numel, TINYFIN_ERROR_SHAPE, "received shape ", to_string(shape), " for ",
           numel, " elements; expected a product of sizes equal to that");
  return shape;
}

// Strides that show a tensor in a new shape without a copy; false where there are none.
bool view_strides(const Tensor& x, const Dims& shape, Dims& strides) {
  strides = contiguous_strides(shape);
  if (x.is_contiguous() || x.numel() == 0) return true;
  // Runs of old dimensions that are contiguous among themselves are cut into new dimensions.
  int o = 0, n = 0;
  while (o < x.ndim() || n < shape.size()) {
    if (o < x.ndim() && x.size(o) == 1) { ++o; continue; }
    if (n < shape.size() && shape[n] == 1) { strides[n++] = 1; continue; }
    if (o >= x.ndim() || n >= shape.size()) return false;
    int o_end = o + 1, n_end = n + 1;
    int64_t have = x.size(o), want = shape[n];
    while (have != want) {
      if (have < want) {
        if (o_end >= x.ndim()) return false;
        have *= x.size(o_end++);
      } else {
        if (n_end >= shape.size()) return false;
        want *= shape[n_end++];
      }
    }
    for (int d = o; d + 1 < o_end; ++d)
      if (x.strides()[d] != x.strides()[d + 1] * x.size(d + 1)) return false;
    int64_t stride = x.strides()[o_end - 1];
    for (int d = n_end - 1; d >= n; --d) {
      strides[d] = stride;
      stride *= shape[d];
    }
    o = o_end;
    n = n_end;
  }
  return true;
}

Attrs attrs_of(const Dims& dims) {
  Attrs attrs;
  attrs.add(dims);
  return attrs;
}

// Dimension d repeated: as a whole (abab) or element by element (aabb). The others are merged
// around it, so that any number of dimensions leaves room for one more.
Tensor repeat_dim(const Tensor& x, int d, int64_t times, bool whole) {
  int64_t outer = 1, inner = 1;
  for (int i = 0; i < d; ++i) outer *= x.size(i);
  for (int i = d + 1; i < x.ndim(); ++i) inner *= x.size(i);
  const int64_t n = x.size(d);
  const Dims apart = whole ? Dims{outer, 1, n, inner} : Dims{outer, n, 1, inner};
  const Dims spread = whole ? Dims{outer, times, n, inner} : Dims{outer, n, times, inner};
  Dims shape = x.shape();
  TF_CHECK(!__builtin_mul_overflow(n, times, &shape[d]), TINYFIN_ERROR_SHAPE, "received ", times,
           " repeats of size ", n, "; expected fewer elements than 2^60");
  return reshape(expand(reshape(x, as_list(apart)), as_list(spread)), as_list(shape));
}

}  // namespace

//@op identity(Tensor x) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: private
//@ doc: Another tensor with x's values and history; shares storage.
Tensor identity(const Tensor& x) {
  return run_view(identity_p, x, Attrs(), x.shape(), x.strides(), x.get()->offset);
}

//@op reshape(Tensor x, shape size) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: x in another shape with the same elements in row-major order; one size may be -1. A view
//@   where strides allow, else a copy.
Tensor reshape(const Tensor& x, IntList size) {
  const Dims shape = infer_size(size, x.numel());
  Dims strides;
  if (view_strides(x, shape, strides))
    return run_view(reshape_p, x, attrs_of(shape), shape, strides, x.get()->offset);
  const Tensor packed = contiguous(x);
  return run_view(reshape_p, packed, attrs_of(shape), shape, contiguous_strides(shape),
                  packed.get()->offset);
}

//@op expand(Tensor x, shape size) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method alias(broadcast_to)
//@ doc: A view of x broadcast to a shape; -1 keeps a size. Nothing is copied.
Tensor expand(const Tensor& x, IntList size) {
  Dims shape = as_dims(size);
  const int extra = shape.size() - x.ndim();
  for (int d = 0; d < shape.size(); ++d)
    if (shape[d] == -1 && d >= extra) shape[d] = x.size(d - extra);
  TF_CHECK(extra >= 0 && broadcasts_to(x.shape(), shape), TINYFIN_ERROR_SHAPE, "received shape ",
           to_string(as_dims(size)), " for a tensor of shape ", to_string(x.shape()),
           "; expected a shape that it broadcasts to");
  checked_numel(shape);
  Dims strides = Dims::filled(shape.size(), 0);
  for (int d = extra; d < shape.size(); ++d)
    if (x.size(d - extra) == shape[d]) strides[d] = x.strides()[d - extra];
  return run_view(expand_p, x, attrs_of(shape), shape, strides, x.get()->offset);
}

//@op permute(Tensor x, shape dims) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: A view of x with its dimensions in another order. dims: a permutation of 0 … ndim-1,
//@   negative numbers count from the end.
Tensor permute(const Tensor& x, IntList dims) {
  TF_CHECK(int(dims.size()) == x.ndim(), TINYFIN_ERROR_AXIS, "received ", dims.size(),
           " dimensions for a tensor of ", x.ndim(), "; expected a permutation of all");
  Dims order, shape, strides;
  uint32_t seen = 0;
  for (int64_t dim : dims) {
    const int d = wrap_dim(dim, x.ndim());
    TF_CHECK(!(seen & (1u << d)), TINYFIN_ERROR_AXIS, "received ", to_string(as_dims(dims)),
             "; expected a permutation, each dimension once");
    seen |= 1u << d;
    order.push_back(d);
    shape.push_back(x.size(d));
    strides.push_back(x.strides()[d]);
  }
  return run_view(permute_p, x, attrs_of(order), shape, strides, x.get()->offset);
}

//@op swapaxes(Tensor x, int a, int b) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: A view of x with dimensions a and b exchanged.
Tensor swapaxes(const Tensor& x, int64_t a, int64_t b) {
  Dims order;
  for (int d = 0; d < x.ndim(); ++d) order.push_back(d);
  if (x.ndim() > 0) std::swap(order[wrap_dim(a, x.ndim())], order[wrap_dim(b, x.ndim())]);
  return permute(x, as_list(order));
}

//@op transpose(Tensor x, shape dims) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: A view of x with all dimensions reversed (no dims given) or in the order of a full
//@   permutation. To exchange two dimensions of many: swapaxes.
Tensor transpose(const Tensor& x, IntList dims) {
  if (!dims.empty()) {
    TF_CHECK(int(dims.size()) == x.ndim() || dims.size() != 2, TINYFIN_ERROR_AXIS,
             "received two dimensions for a tensor of ", x.ndim(),
             "; expected a permutation of all, or none to reverse them; try swapaxes(", dims[0],
             ", ", dims[1], ")");
    return permute(x, dims);
  }
  Dims order;
  for (int d = x.ndim() - 1; d >= 0; --d) order.push_back(d);
  return permute(x, as_list(order));
}

//@op movedim(Tensor x, int source, int destination) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: A view of x with dimension source moved to place destination, the others in their order.
Tensor movedim(const Tensor& x, int64_t source, int64_t destination) {
  const int from = wrap_dim(source, x.ndim()), to = wrap_dim(destination, x.ndim());
  if (x.ndim() == 0) return permute(x, {});
  Dims order;
  for (int d = 0; d < x.ndim(); ++d)
    if (d != from) order.push_back(d);
  order.insert(to, from);
  return permute(x, as_list(order));
}

//@op reshape_view(Tensor x, shape size) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: method alias(view)
//@ doc: x in another shape, never copied; one size may be -1.
//@   Errors: shape if x's strides allow no such view; reshape copies then.
Tensor reshape_view(const Tensor& x, IntList size) {
  const Dims shape = infer_size(size, x.numel());
  Dims strides;
  TF_CHECK(view_strides(x, shape, strides), TINYFIN_ERROR_SHAPE, "received shape ",
           to_string(shape), " for a tensor of shape ", to_string(x.shape()), " and strides ",
           to_string(x.strides()), "; expected a shape that needs no copy; try reshape");
  return run_view(reshape_p, x, attrs_of(shape), shape, strides, x.get()->offset);
}

//@op flatten(Tensor x, int start_dim=0, int end_dim=-1) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: x with dimensions start_dim … end_dim merged into one; a scalar becomes one element. A
//@   view where strides allow, else a copy.
Tensor flatten(const Tensor& x, int64_t start_dim, int64_t end_dim) {
  const int first = wrap_dim(start_dim, x.ndim()), last = wrap_dim(end_dim, x.ndim());
  TF_CHECK(first <= last, TINYFIN_ERROR_AXIS, "received start_dim ", start_dim,
           " behind end_dim ", end_dim, "; expected start_dim first");
  Dims shape;
  for (int d = 0; d < first; ++d) shape.push_back(x.size(d));
  int64_t merged = 1;
  for (int d = first; d <= last && d < x.ndim(); ++d) merged *= x.size(d);
  shape.push_back(merged);
  for (int d = last + 1; d < x.ndim(); ++d) shape.push_back(x.size(d));
  return reshape(x, as_list(shape));
}

//@op squeeze(Tensor x, int[]? dim=None) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: A view of x without its dimensions of size 1: those in dim, or all. A dimension of another
//@   size stays.
Tensor squeeze(const Tensor& x, OptIntList dim) {
  const uint32_t mask = dim ? dim_mask(dim->data(), int64_t(dim->size()), x.ndim())
                            : dim_mask(nullptr, 0, x.ndim());
  Dims shape, strides;
  for (int d = 0; d < x.ndim(); ++d) {
    if (((mask >> d) & 1) && x.size(d) == 1) continue;
    shape.push_back(x.size(d));
    strides.push_back(x.strides()[d]);
  }
  return run_view(reshape_p, x, attrs_of(shape), shape, strides, x.get()->offset);
}

//@op unsqueeze(Tensor x, int dim) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: A view of x with a dimension of size 1 inserted before place dim (-1: behind the last).
Tensor unsqueeze(const Tensor& x, int64_t dim) {
  const int at = wrap_dim(dim, x.ndim() + 1);
  Dims shape = x.shape(), strides = x.strides();
  strides.insert(at, at < x.ndim() ? x.size(at) * x.strides()[at] : 1);
  shape.insert(at, 1);
  return run_view(reshape_p, x, attrs_of(shape), shape, strides, x.get()->offset);
}

//@op flip(Tensor x, int[]? dim=None) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: A view of x with the order of elements reversed along dim, or along all dimensions.
Tensor flip(const Tensor& x, OptIntList dim) {
  const uint32_t mask = dim ? dim_mask(dim->data(), int64_t(dim->size()), x.ndim())
                            : dim_mask(nullptr, 0, x.ndim());
  Cuts cuts;
  for (int d = 0; d < x.ndim(); ++d)
    if ((mask >> d) & 1) cuts.push_back({d, std::max<int64_t>(x.size(d) - 1, 0), -1, x.size(d)});
  return cut(x, cuts);
}

//@op narrow(Tensor x, int dim, int start, int length) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: A view of elements start … start + length - 1 along a dimension.
//@   Errors: index if they do not lie within it.
Tensor narrow(const Tensor& x, int64_t dim, int64_t start, int64_t length) {
  const int d = wrap_dim(dim, x.ndim());
  TF_CHECK(x.ndim() > 0, TINYFIN_ERROR_AXIS, "received a scalar; expected a dimension to narrow");
  const int64_t size = x.size(d), first = start < 0 ? start + size : start;
  TF_CHECK(first >= 0 && first <= size && length >= 0 && length <= size - first,
           TINYFIN_ERROR_INDEX, "received start ", start, " and length ", length,
           " for dimension ", d, " of size ", size, "; expected a range within it");
  return cut(x, Cuts{{d, first, 1, length}});
}

//@op select(Tensor x, int dim, int index) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: A view of one index along a dimension, which goes; negative indices count from the end.
Tensor select(const Tensor& x, int64_t dim, int64_t index) {
  const int d = wrap_dim(dim, x.ndim());
  TF_CHECK(x.ndim() > 0, TINYFIN_ERROR_AXIS, "received a scalar; expected a dimension to select");
  return cut(x, Cuts{{d, wrap_index(index, d, x.size(d)), 0, 1}});
}

//@op repeat(Tensor x, shape repeats) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method alias(tile)
//@ doc: x laid out repeatedly: repeats[d] times along dimension d (PyTorch's repeat, NumPy's
//@   tile). More numbers than dimensions add dimensions in front.
Tensor repeat(const Tensor& x, IntList repeats) {
  const Dims times = as_dims(repeats);
  Dims shape = x.shape();
  TF_CHECK(times.size() >= x.ndim(), TINYFIN_ERROR_SHAPE, "received ", times.size(),
           " repeats for a tensor of ", x.ndim(), " dimensions; expected at least one for each");
  while (shape.size() < times.size()) shape.insert(0, 1);
  Tensor out = reshape(x, as_list(shape));
  for (int d = shape.size() - 1; d >= 0; --d) {
    TF_CHECK(times[d] >= 0, TINYFIN_ERROR_ARGUMENT, "received repeats ", to_string(times),
             "; expected numbers that are not negative");
    if (times[d] != 1) out = repeat_dim(out, d, times[d], /*whole=*/true);
  }
  return &out.storage() == &x.storage() ? clone(out) : out;
}

//@op repeat_interleave(Tensor x, int repeats, int? dim=None) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Each element repeated in place along a dimension (NumPy's repeat); without dim, of x
//@   flattened.
Tensor repeat_interleave(const Tensor& x, int64_t repeats, std::optional<int64_t> dim) {
  TF_CHECK(repeats >= 0, TINYFIN_ERROR_ARGUMENT, "received repeats = ", repeats,
           "; expected a number that is not negative");
  const Tensor from = dim && x.ndim() > 0 ? x : flatten(x);
  return repeat_dim(from, dim ? wrap_dim(*dim, from.ndim()) : 0, repeats, /*whole=*/false);
}

}  // namespace tf
