// Elements named by arrays of integers: taken, overwritten, added up.
// SPDX-License-Identifier: MIT
#include "ops/gather.h"

#include <algorithm>
#include <cmath>

#include "ops/cut.h"
#include "ops/ops.h"

namespace tf {
namespace {

Dims shape_of_rows(const Dims& x, const Rows& rows) {
  Dims shape = rows.indices[0].shape();
  for (int d = int(rows.indices.size()); d < x.size(); ++d) shape.push_back(x[d]);
  return shape;
}

Rows rows_of(Vjp& v, int first_input, int first_attr) {
  Rows rows;
  for (int i = first_input; i < v.n_in(); ++i) rows.indices.push_back(v.in(i));
  for (int k = first_attr; k < v.attrs().size(); ++k) rows.axes.push_back(v.i(k));
  return rows;
}

void index_vjp(Vjp& v) {
  v.set(0, embed_rows(v.grad(), rows_of(v, 1, 0), Put::accumulate, v.in_shape(0)));
}
const Primitive index_p{{.name = "index", .signature = "x indices…; int axis…",
                         .vjp = index_vjp, .save_in = 0x1feu}};

// 1 where no later entry names the same row, 0 elsewhere, in the shape of the indices.
Tensor last_of_equal(const Rows& rows, const Dims& shape, DType dtype) {
  const Tensor& like = rows.indices[0];
  Dims lead;
  for (size_t k = 0; k < rows.indices.size(); ++k) lead.push_back(shape[int(k)]);
  const int64_t n = like.numel();
  const Tensor order = reshape(iota({n}, 0, like.device()), as_list(like.shape()));
  const Tensor winner = take_rows(embed_rows(order, rows, Put::assign, lead), rows);
  const Tensor lost = cast(cast(add(winner, neg(order)), DType::b8), dtype);
  return add(full_scalar({}, int64_t{1}, dtype, like.device()), neg(lost));
}

void index_put_vjp(Vjp& v) {
  const Rows rows = rows_of(v, 2, 1);
  const Put how = Put(v.i(0));
  if (v.needs(0)) {
    const Tensor zero = full_scalar({}, int64_t{0}, v.grad().dtype(), v.grad().device());
    v.set(0, how == Put::accumulate ? v.grad() : put_rows(v.grad(), zero, rows, how));
  }
  if (!v.needs(1)) return;
  Tensor grad = take_rows(v.grad(), rows);
  if (how == Put::assign) {
    Tensor keep = last_of_equal(rows, v.out_shape(), grad.dtype());
    Dims shape = keep.shape();
    while (shape.size() < grad.ndim()) shape.push_back(1);
    grad = mul(grad, reshape(keep, as_list(shape)));
  }
  v.set(1, grad);
}
const Primitive index_put_p{{.name = "index_put",
                             .signature = "base? value indices…; int how, int axis…",
                             .vjp = index_put_vjp, .save_in = 0x3fcu}};

struct PutCall {
  PutCall(const Tensor& base, const Tensor& source, const Rows& rows, Put how, const Dims& shape)
      : value(expand(source, as_list(shape_of_rows(shape, rows)))), attrs(int64_t(how)) {
    in = {&base, &value};
    for (const Tensor& i : rows.indices) in.push_back(&i);
    for (int64_t axis : rows.axes) attrs.add(axis);
  }
  PutCall(const PutCall&) = delete;
  Inputs inputs() const { return Inputs(in.data(), int(in.size())); }
  Tensor value;
  std::vector<const Tensor*> in;
  Attrs attrs;
};

Rows along(const Tensor& x, int dim, const Tensor& index) {
  Rows rows;
  for (int d = 0; d < x.ndim(); ++d) {
    rows.axes.push_back(d);
    rows.indices.push_back(d == dim ? index : iota(index.shape(), d, index.device()));
  }
  return rows;
}

// gather and scatter_add: one index per element, at most as many as x has in other dimensions.
Tensor check_along(const Tensor& x, int dim, const Tensor& index) {
  const Tensor i = as_index(index);
  bool fits = i.ndim() == x.ndim();
  for (int d = 0; fits && d < x.ndim(); ++d) fits = d == dim || i.size(d) <= x.size(d);
  TF_CHECK(fits, TINYFIN_ERROR_SHAPE, "received index of shape ", to_string(i.shape()),
           " for a tensor of shape ", to_string(x.shape()), " and dimension ", dim,
           "; expected as many dimensions, and sizes no greater than the tensor's in the others");
  return i;
}

// Class numbers and token numbers often arrive as floats; whole ones are as good as integers.
Tensor as_whole(const Tensor& x) {
  if (x.is_weak() || !is_float(x.dtype())) return as_index(materialize(x, DType::none, x.device()));
  NoGrad no_grad;
  const Tensor whole = cast(x, DType::i64);
  const Tensor rest = cast(add(x, neg(cast(whole, x.dtype()))), DType::b8);
  TF_CHECK(item_i64(count_nonzero(rest)) == 0, TINYFIN_ERROR_INDEX, "received indices ",
           describe(x), " with fractions; expected integers, or floats that hold whole numbers");
  return whole;
}

}  // namespace

Tensor iota(const Dims& shape, int dim, Device& device) {
  Dims apart = Dims::filled(shape.size(), 1);
  apart[dim] = shape[dim];
  const Tensor line = arange(0, double(shape[dim]), 1, DType::i64, &device);
  return expand(reshape(line, as_list(apart)), as_list(shape));
}

Tensor as_index(const Tensor& x) {
  if (!is_int(x.dtype()))
    TF_CHECK(x.numel() == 0 && is_float(x.dtype()), TINYFIN_ERROR_INDEX, "received indices ",
             describe(x), "; expected int64 or int32; cast them first");
  return x.is_weak() ? materialize(x, DType::i64, default_device()) : cast_to(x, DType::i64);
}

Tensor take_rows(const Tensor& x, const Rows& rows) {
  std::vector<const Tensor*> in{&x};
  for (const Tensor& i : rows.indices) in.push_back(&i);
  Attrs attrs;
  for (int64_t axis : rows.axes) attrs.add(axis);
  return run(index_p, Inputs(in.data(), int(in.size())), attrs,
             meta_of_shape(shape_of_rows(x.shape(), rows), x.dtype(), x.device()));
}

Tensor put_rows(const Tensor& base, const Tensor& value, const Rows& rows, Put how) {
  const PutCall call(base, value, rows, how, base.shape());
  return run(index_put_p, call.inputs(), call.attrs, meta_like(base));
}

Tensor embed_rows(const Tensor& value, const Rows& rows, Put how, const Dims& shape) {
  const Tensor none;
  const PutCall call(none, value, rows, how, shape);
  return run(index_put_p, call.inputs(), call.attrs,
             meta_of_shape(shape, value.dtype(), value.device()));
}

void put_rows_(const char* op, Tensor& self, const Tensor& value, const Rows& rows, Put how) {
  const PutCall call(self, value, rows, how, self.shape());
  run_inplace(op, index_put_p, self, call.inputs(), call.attrs);
}

//@op gather(Tensor x, int dim, Tensor index) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: For each element of index, x at that position along dim and the element's own elsewhere.
//@   index: integers, as many dimensions as x. Errors: index where one is out of range.
Tensor gather(const Tensor& x, int64_t dim, const Tensor& index) {
  const int d = wrap_dim(dim, x.ndim());
  const Tensor i = check_along(x, d, index);
  if (x.ndim() == 0)
    return reshape(gather(reshape(x, IntList{{1}}), 0, reshape(i, IntList{{1}})), {});
  return take_rows(x, along(x, d, i));
}

//@op scatter_add(Tensor x, int dim, Tensor index, Tensor source) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: x with each element of source added at index's position along dim and the element's own
//@   elsewhere; several for one place are added in row-major order. source: at least index's shape.
Tensor scatter_add(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source) {
  const int d = wrap_dim(dim, x.ndim());
  const Tensor i = check_along(x, d, index);
  Tensor from = cast_to(materialize(source, x.dtype(), x.device()), x.dtype());
  bool fits = from.ndim() == i.ndim();
  for (int k = 0; fits && k < i.ndim(); ++k) fits = i.size(k) <= from.size(k);
  TF_CHECK(fits, TINYFIN_ERROR_SHAPE, "received source of shape ", to_string(from.shape()),
           " for index of shape ", to_string(i.shape()), "; expected at least that shape");
  if (x.ndim() == 0) return add(x, from);
  for (int k = 0; k < i.ndim(); ++k)
    if (from.size(k) != i.size(k)) from = narrow(from, k, 0, i.size(k));
  return put_rows(x, from, along(x, d, i), Put::accumulate);
}

//@op index_select(Tensor x, int dim, Tensor index) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: The parts of x that a one-dimensional index names along dim, in its order.
Tensor index_select(const Tensor& x, int64_t dim, const Tensor& index) {
  const int d = wrap_dim(dim, x.ndim());
  Tensor i = as_index(index);
  TF_CHECK(i.ndim() <= 1 && x.ndim() > 0, TINYFIN_ERROR_SHAPE, "received index of shape ",
           to_string(i.shape()), " for a tensor of shape ", to_string(x.shape()),
           "; expected one dimension in both, at least, and one in index");
  if (i.ndim() == 0) i = reshape(i, IntList{{1}});
  return movedim(take_rows(movedim(x, d, 0), {{i}, {d}}), 0, d);
}

//@op take_along_dim(Tensor x, Tensor indices, int? dim=None) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: x at indices along dim; the other dimensions broadcast. Without dim: of x flattened.
Tensor take_along_dim(const Tensor& x, const Tensor& indices, std::optional<int64_t> dim) {
  if (!dim) return take_along_dim(flatten(x), flatten(indices), 0);
  TF_CHECK(x.ndim() == indices.ndim() && x.ndim() > 0, TINYFIN_ERROR_SHAPE,
           "received indices of shape ", to_string(indices.shape()), " for a tensor of shape ",
           to_string(x.shape()), "; expected as many dimensions, at least one");
  const int d = wrap_dim(*dim, x.ndim());
  Dims mine = x.shape(), theirs = indices.shape();
  mine[d] = theirs[d] = 1;
  mine = theirs = broadcast_shapes(mine, theirs);
  mine[d] = x.shape()[d];
  theirs[d] = indices.shape()[d];
  return gather(expand(x, as_list(mine)), d, expand(indices, as_list(theirs)));
}

//@op embedding(Tensor weight, Tensor indices) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function
//@ doc: Rows of a table: indices of any shape, each replaced by weight[index]. The gradient adds
//@   up where an index occurs several times, in row-major order.
//@   indices: integers, or floats that hold whole numbers. Errors: index if one is out of range.
Tensor embedding(const Tensor& weight, const Tensor& indices) {
  TF_CHECK(weight.ndim() > 0, TINYFIN_ERROR_SHAPE,
           "received a scalar as weight; expected a table, (rows, size)");
  return take_rows(weight, {{as_whole(indices)}, {0}});
}

//@op lookup(Tensor weight, Tensor indices) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: method
//@ doc: embedding, under the name it has as a method of the table.
Tensor lookup(const Tensor& weight, const Tensor& indices) { return embedding(weight, indices); }

//@op one_hot(Tensor indices, int num_classes) -> Tensor
//@ since: 0.1
//@ grad: no, the result is constant wherever it is defined
//@ python: function
//@ doc: int64 (…, num_classes): 1 at the index, 0 elsewhere.
//@   indices: integers, or floats that hold whole numbers, 0 … num_classes - 1.
Tensor one_hot(const Tensor& indices, int64_t num_classes) {
  TF_CHECK(num_classes > 0, TINYFIN_ERROR_ARGUMENT, "received num_classes = ", num_classes,
           "; expected at least 1");
  const Tensor i = as_whole(indices);
  const int64_t n = i.numel();
  const Rows rows{{iota({n}, 0, i.device()), reshape(i, IntList{{n}})}, {0, 1}};
  const Tensor one = full_scalar({}, int64_t{1}, DType::i64, i.device());
  Dims shape = i.shape();
  shape.push_back(num_classes);
  return reshape(embed_rows(one, rows, Put::distinct, {n, num_classes}), as_list(shape));
}

}  // namespace tf
