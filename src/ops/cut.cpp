// Parts of dimensions: views of them, overwriting them, padding.
// SPDX-License-Identifier: MIT
#include "ops/cut.h"

#include "ops/ops.h"

namespace tf {
namespace {

// One call carries this many cuts; the rare ones with more are made in several.
constexpr size_t kCutsPerCall = 4;

Attrs attrs_of(const Cuts& cuts) {
  Attrs attrs;
  for (const Cut& c : cuts) {
    attrs.add(c.dim);
    attrs.add(c.start);
    attrs.add(c.step);
    attrs.add(c.length);
  }
  return attrs;
}

Cuts cuts_of(const Attrs& attrs) {
  Cuts cuts;
  for (int k = 0; k < attrs.size(); k += 4)
    cuts.push_back({int(attrs.i(k)), attrs.i(k + 1), attrs.i(k + 2), attrs.i(k + 3)});
  return cuts;
}

// Zeros in a shape without memory for each.
Tensor zeros_seen_as(const Tensor& like, const Dims& shape) {
  return expand(full_scalar({}, int64_t{0}, like.dtype(), like.device()), as_list(shape));
}

void slice_vjp(Vjp& v) { v.set(0, embed(v.grad(), v.in_shape(0), cuts_of(v.attrs()))); }
const Primitive slice_p{{.name = "slice",
                         .signature = "x; (int dim, int start, int step, int length)…",
                         .vjp = slice_vjp, .flags = kView}};

// Without base: zeros around the value.
void slice_put_vjp(Vjp& v) {
  const Cuts cuts = cuts_of(v.attrs());
  if (v.needs(0))
    v.set(0, put_cut(v.grad(), zeros_seen_as(v.grad(), shape_of_cut(v.out_shape(), cuts)), cuts));
  if (v.needs(1)) v.set(1, cut(v.grad(), cuts));
}
const Primitive slice_put_p{{.name = "slice_put",
                             .signature = "base? value; (int dim, int start, int step, "
                                          "int length)…",
                             .vjp = slice_put_vjp}};

// The last cuts, which may go first: dimensions before them keep their numbers.
Cuts take_last(Cuts& cuts) {
  const Cuts last(cuts.end() - kCutsPerCall, cuts.end());
  cuts.keep_first(cuts.size() - kCutsPerCall);
  return last;
}

}  // namespace

Dims shape_of_cut(Dims shape, const Cuts& cuts) {
  for (size_t k = cuts.size(); k-- > 0;) {
    if (cuts[k].step == 0)
      shape.erase(cuts[k].dim);
    else
      shape[cuts[k].dim] = cuts[k].length;
  }
  return shape;
}

int64_t wrap_index(int64_t index, int axis, int64_t size) {
  TF_CHECK(index >= -size && index < size, TINYFIN_ERROR_INDEX, "received index ", index,
           " for axis ", axis, " of size ", size, "; expected ",
           size ? concat_text(-size, " to ", size - 1) : "no index, there are no elements");
  return index < 0 ? index + size : index;
}

Tensor cut(const Tensor& x, const Cuts& cuts) {
  if (cuts.size() > kCutsPerCall) {
    Cuts rest = cuts;
    const Cuts last = take_last(rest);
    return cut(cut(x, last), rest);
  }
  Dims strides = x.strides();
  int64_t offset = x.get()->offset;
  for (size_t k = cuts.size(); k-- > 0;) {
    const Cut& c = cuts[k];
    if (c.length > 0) offset += c.start * x.strides()[c.dim];
    if (c.step == 0)
      strides.erase(c.dim);
    else
      strides[c.dim] *= c.step;
  }
  return run_view(slice_p, x, attrs_of(cuts), shape_of_cut(x.shape(), cuts), strides, offset);
}

Tensor put_cut(const Tensor& base, const Tensor& value, const Cuts& cuts) {
  if (cuts.size() > kCutsPerCall) {
    Cuts rest = cuts;
    const Cuts last = take_last(rest);
    return put_cut(base, put_cut(cut(base, last), value, rest), last);
  }
  return run(slice_put_p, {&base, &value}, attrs_of(cuts), meta_like(base));
}

void put_cut_(const char* op, Tensor& self, const Tensor& value, const Cuts& cuts) {
  if (cuts.size() > kCutsPerCall) {
    Cuts rest = cuts;
    const Cuts last = take_last(rest);
    put_cut_(op, self, put_cut(cut(self, last), value, rest), last);
    return;
  }
  run_inplace(op, slice_put_p, self, {&self, &value}, attrs_of(cuts));
}

Tensor embed(const Tensor& value, const Dims& shape, const Cuts& cuts) {
  if (cuts.size() > kCutsPerCall) {
    Cuts rest = cuts;
    const Cuts last = take_last(rest);
    return embed(embed(value, shape_of_cut(shape, last), rest), shape, last);
  }
  const Tensor none;
  return run(slice_put_p, {&none, &value}, attrs_of(cuts),
             meta_of_shape(shape, value.dtype(), value.device()));
}

//@op pad(Tensor x, int[] pad, float value=0) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: private
//@ doc: x surrounded by a constant. pad: (before, after) of the last dimension, then of the one
//@   before it, and so on (PyTorch's order).
//@   Errors: argument if a number is negative; shape if there are more pairs than dimensions.
Tensor pad(const Tensor& x, IntList pad, double value) {
  TF_CHECK(pad.size() % 2 == 0 && int(pad.size() / 2) <= x.ndim(), TINYFIN_ERROR_SHAPE,
           "received ", pad.size(), " paddings for a tensor of ", x.ndim(),
           " dimensions; expected a pair for each of at most ", x.ndim(), " dimensions");
  Dims shape = x.shape();
  Cuts cuts;
  for (int d = 0; d < x.ndim(); ++d) {
    const size_t k = size_t(x.ndim() - 1 - d) * 2;
    if (k >= pad.size()) continue;
    TF_CHECK(pad[k] >= 0 && pad[k + 1] >= 0, TINYFIN_ERROR_ARGUMENT, "received padding (",
             pad[k], ", ", pad[k + 1], ") for dimension ", d,
             "; expected numbers that are not negative; try slicing");
    TF_CHECK(!__builtin_add_overflow(shape[d], pad[k], &shape[d]) &&
                 !__builtin_add_overflow(shape[d], pad[k + 1], &shape[d]),
             TINYFIN_ERROR_SHAPE, "received padding beyond 2^63; expected less");
    if (pad[k] || pad[k + 1]) cuts.push_back({d, pad[k], 1, x.size(d)});
  }
  if (cuts.empty()) return clone(x);
  if (value == 0) return embed(x, shape, cuts);
  return put_cut(expand(full_scalar({}, value, x.dtype(), x.device()), as_list(shape)), x, cuts);
}

//@op pad2d(Tensor x, int pad_h, int pad_w, float value=0) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: x (…, H, W) with pad_h rows above and below and pad_w columns left and right.
Tensor pad2d(const Tensor& x, int64_t pad_h, int64_t pad_w, double value) {
  TF_CHECK(x.ndim() >= 2, TINYFIN_ERROR_SHAPE, "received shape ", to_string(x.shape()),
           "; expected at least two dimensions (…, H, W)");
  const int64_t sides[] = {pad_w, pad_w, pad_h, pad_h};
  return pad(x, sides, value);
}

}  // namespace tf
