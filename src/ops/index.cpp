// Indexing by NumPy's rules: integers, slices, new dimensions, the ellipsis, masks and arrays.
//
// An index is read into a plan: cuts, which are views; then a shape with new dimensions of size
// 1; then arrays over some of its dimensions. Without arrays the result is a view.
// SPDX-License-Identifier: MIT
#include <cstdint>

#include "ops/cut.h"
#include "ops/gather.h"
#include "ops/op.h"
#include "ops/ops.h"

namespace tf {
namespace {

enum Kind : int64_t { kInteger, kSlice, kNewDim, kEllipsis, kTensor };

struct Item {
  Kind kind;
  int64_t a, b, c;
  int takes;  // dimensions of x that it consumes
};

struct Plan {
  Cuts cuts;
  Dims spread;         // shape after the cuts, with new dimensions
  Rows rows;           // arrays, empty for basic indexing
  Dims array_dims;     // the dimensions of `spread` that they index
  int place = 0;       // where the arrays' own dimensions stand in the result
  bool distinct = false;  // no place is named twice
};

std::vector<Item> read_items(const Tensor& x, IntList spec, std::span<const Tensor> arrays) {
  TF_CHECK(spec.size() % 4 == 0, TINYFIN_ERROR_ARGUMENT, "received ", spec.size(),
           " numbers as an index; expected groups of four (kind, a, b, c)");
  std::vector<Item> items;
  int taken = 0, ellipsis = -1;
  for (size_t k = 0; k < spec.size(); k += 4) {
    Item item{Kind(spec[k]), spec[k + 1], spec[k + 2], spec[k + 3], 1};
    TF_CHECK(spec[k] >= kInteger && spec[k] <= kTensor, TINYFIN_ERROR_ARGUMENT,
             "received an index item of kind ", spec[k], "; expected 0 to 4");
    if (item.kind == kNewDim) item.takes = 0;
    if (item.kind == kEllipsis) {
      TF_CHECK(ellipsis < 0, TINYFIN_ERROR_INDEX, "received two ellipses; expected at most one");
      ellipsis = int(items.size());
      item.takes = 0;
    }
    if (item.kind == kTensor) {
      TF_CHECK(item.a >= 0 && item.a < int64_t(arrays.size()) && arrays[size_t(item.a)].defined(),
               TINYFIN_ERROR_ARGUMENT, "received an index item for array ", item.a, " of ",
               arrays.size(), "; expected one that is there");
      const Tensor& t = arrays[size_t(item.a)];
      if (is_bool(t.dtype())) item.takes = t.ndim();
    }
    taken += item.takes;
    items.push_back(item);
  }
  TF_CHECK(taken <= x.ndim(), TINYFIN_ERROR_INDEX, "received too many indices: ", taken,
           " for a tensor of ", x.ndim(), " dimensions");
  if (ellipsis < 0) {  // the dimensions left over are kept whole
    ellipsis = int(items.size());
    if (taken < x.ndim()) items.push_back({kEllipsis, 0, 0, 0, 0});
  }
  if (ellipsis < int(items.size())) items[size_t(ellipsis)].takes = x.ndim() - taken;
  return items;
}

constexpr int64_t kNone = INT64_MIN;

// Python's slice over n elements.
Cut slice_of(const Item& item, int dim, int64_t n) {
  const int64_t step = item.c == kNone ? 1 : item.c;
  TF_CHECK(step != 0, TINYFIN_ERROR_ARGUMENT, "received a slice of step 0; expected another step");
  const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
  const auto clipped = [&](int64_t v, int64_t otherwise) {
    if (v == kNone) return otherwise;
    if (v < 0) v += n;
    return v < low ? low : v > high ? high : v;
  };
  const int64_t start = clipped(item.a, step > 0 ? low : high);
  const int64_t stop = clipped(item.b, step > 0 ? high : low);
  int64_t length = 0;
  if (step > 0 && stop > start) length = (stop - start - 1) / step + 1;
  // Unsigned: the least step has no negative.
  if (step < 0 && stop < start)
    length = int64_t(uint64_t(start - stop - 1) / (0 - uint64_t(step))) + 1;
  return {dim, length > 0 ? start : 0, length > 1 ? step : 1, length};
}

// The cuts of an index of integers and slices. False: there is something else in it.
bool plain_cuts(const Tensor& x, IntList spec, Cuts& cuts) {
  if (spec.size() % 4 != 0 || int64_t(spec.size()) > 4 * x.ndim()) return false;
  for (size_t k = 0; k < spec.size(); k += 4)
    if (spec[k] != kInteger && spec[k] != kSlice) return false;
  for (int dim = 0; dim < int(spec.size() / 4); ++dim) {
    const int64_t* item = &spec[size_t(dim) * 4];
    const int64_t n = x.size(dim);
    const Cut c = item[0] == kInteger
                      ? Cut{dim, wrap_index(item[1], dim, n), 0, 1}
                      : slice_of({kSlice, item[1], item[2], item[3], 1}, dim, n);
    if (c.step != 1 || c.length != n) cuts.push_back(c);
  }
  return true;
}

// Integer arrays that name what a mask does; those of the whole index share one shape in the end.
void add_mask(const Tensor& x, const Tensor& mask, int dim, Plan& plan) {
  for (int k = 0; k < mask.ndim(); ++k)
    TF_CHECK(mask.size(k) == x.size(dim + k), TINYFIN_ERROR_INDEX, "received a mask of shape ",
             to_string(mask.shape()), " for axis ", dim + k, " of size ", x.size(dim + k),
             "; expected a mask with the tensor's sizes");
  const Tensor where = nonzero(mask);
  if (mask.ndim() == 0) {  // a new dimension that is there or not
    plan.array_dims.push_back(plan.spread.size());
    plan.spread.push_back(1);
    plan.rows.indices.push_back(zeros(IntList{{where.size(0)}}, DType::i64, &x.device()));
    plan.rows.axes.push_back(0);
  }
  for (int k = 0; k < mask.ndim(); ++k) {
    plan.array_dims.push_back(plan.spread.size());
    plan.spread.push_back(x.size(dim + k));
    plan.rows.indices.push_back(cut(where, Cuts{{1, k, 0, 1}}));
    plan.rows.axes.push_back(dim + k);
  }
}

void broadcast_indices(Plan& plan) {
  Dims shape;
  for (const Tensor& i : plan.rows.indices) {
    try {
      shape = broadcast_shapes(shape, i.shape());
    } catch (const Error&) {  // what is a shape error elsewhere is an index error here
      fail(TINYFIN_ERROR_INDEX, "received index arrays of shapes ", to_string(shape), " and ",
           to_string(i.shape()), "; expected arrays that broadcast together");
    }
  }
  for (Tensor& i : plan.rows.indices)
    if (!(i.shape() == shape)) i = expand(i, as_list(shape));
}

Plan make_plan(const Tensor& x, IntList spec, std::span<const Tensor> arrays) {
  NoGrad no_grad;  // indices have no gradient
  const std::vector<Item> items = read_items(x, spec, arrays);
  bool advanced = false;
  int masks = 0;
  for (const Item& item : items) advanced = advanced || item.kind == kTensor;
  Plan plan;
  // Next to arrays, integers are arrays without dimensions. Where all stand side by side, the
  // dimensions of the result take their place, else they come first.
  int dim = 0, runs = 0, place = 0;
  bool in_run = false;
  for (const Item& item : items) {
    const bool is_array = advanced && (item.kind == kTensor || item.kind == kInteger);
    if (is_array && !in_run && ++runs == 1)
      place = plan.spread.size() - plan.array_dims.size();
    in_run = is_array;
    switch (item.kind) {
      case kInteger:
        plan.cuts.push_back({dim, wrap_index(item.a, dim, x.size(dim)), 0, 1});
        break;
      case kSlice: {
        const Cut c = slice_of(item, dim, x.size(dim));
        if (c.step != 1 || c.length != x.size(dim)) plan.cuts.push_back(c);
        plan.spread.push_back(c.length);
        break;
      }
      case kNewDim: plan.spread.push_back(1); break;
      case kEllipsis:
        for (int k = 0; k < item.takes; ++k) plan.spread.push_back(x.size(dim + k));
        break;
      case kTensor: {
        const Tensor& t = arrays[size_t(item.a)];
        if (is_bool(t.dtype())) {
          add_mask(x, t, dim, plan);
          ++masks;
        } else {
          plan.array_dims.push_back(plan.spread.size());
          plan.spread.push_back(x.size(dim));
          plan.rows.indices.push_back(as_index(t));
          plan.rows.axes.push_back(dim);
        }
        break;
      }
    }
    dim += item.takes;
  }
  plan.place = runs == 1 ? place : 0;
  if (advanced) broadcast_indices(plan);
  int tensor_items = 0;
  for (const Item& item : items) tensor_items += item.kind == kTensor;
  plan.distinct = masks == 1 && tensor_items == 1;
  return plan;
}

// Dimensions of `spread` with those that arrays index in front.
Dims arrays_first(const Plan& plan) {
  Dims order = plan.array_dims;
  for (int d = 0; d < plan.spread.size(); ++d) {
    bool indexed = false;
    for (int64_t a : plan.array_dims) indexed = indexed || a == d;
    if (!indexed) order.push_back(d);
  }
  return order;
}

// Where the dimensions of the arrays' result, which lead, belong.
Dims to_place(const Plan& plan, int ndim) {
  const int n = plan.rows.indices[0].ndim();
  Dims order;
  for (int d = n; d < ndim; ++d) order.push_back(d);
  for (int d = 0; d < n; ++d) order.insert(plan.place + d, d);
  return order;
}

Dims inverse(const Dims& order) {
  Dims result = order;
  for (int d = 0; d < order.size(); ++d) result[int(order[d])] = d;
  return result;
}

bool in_order(const Dims& order) {
  for (int d = 0; d < order.size(); ++d)
    if (order[d] != d) return false;
  return true;
}

Tensor ordered(const Tensor& x, const Dims& order) {
  return in_order(order) ? x : permute(x, as_list(order));
}

// The part of x that the plan's views show, arrays' dimensions first.
Tensor basic_part(const Tensor& x, const Plan& plan) {
  Tensor part = plan.cuts.empty() ? x : cut(x, plan.cuts);
  if (!(part.shape() == plan.spread)) part = reshape(part, as_list(plan.spread));
  return ordered(part, arrays_first(plan));
}

// value as it is written: in self's dtype and in the shape of the indexed part; NumPy lets it
// have more dimensions of size 1 in front.
Tensor fit_value(const Tensor& value, const Tensor& self, const Dims& shape) {
  Tensor v = cast_to(materialize(value, self.dtype(), self.device()), self.dtype());
  Dims own = v.shape();
  while (own.size() > shape.size() && own[0] == 1) own.erase(0);
  TF_CHECK(broadcasts_to(own, shape), TINYFIN_ERROR_SHAPE, "received a value of shape ",
           to_string(value.shape()), " for a part of shape ", to_string(shape),
           "; expected one that broadcasts to it");
  if (!(own == v.shape())) v = reshape(v, as_list(own));
  return own == shape ? v : expand(v, as_list(shape));
}

// The mask of x[mask]: the only item, over the first dimensions of x and of their sizes.
const Tensor* lone_mask(const Tensor& x, IntList spec, std::span<const Tensor> arrays) {
  if (spec.size() != 4 || spec[0] != kTensor || spec[1] < 0 || spec[1] >= int64_t(arrays.size()))
    return nullptr;
  const Tensor& mask = arrays[size_t(spec[1])];
  if (!mask.defined() || !is_bool(mask.dtype()) || mask.ndim() == 0 || mask.ndim() > x.ndim())
    return nullptr;
  for (int d = 0; d < mask.ndim(); ++d)
    if (mask.size(d) != x.size(d)) return nullptr;
  return &mask;
}

// x[mask] with the mask's dimensions as one, so that one array of indices is enough.
Tensor take_masked(const Tensor& x, const Tensor& mask) {
  Dims shape{mask.numel()};
  for (int d = mask.ndim(); d < x.ndim(); ++d) shape.push_back(x.size(d));
  const Tensor flat = reshape(x, as_list(shape));
  return take_rows(flat, {{select(nonzero(flatten(mask)), 1, 0)}, {0}});
}

}  // namespace

//@op getitem(Tensor x, int[] spec, Tensor?[] arrays) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: private
//@ doc: x[…] by NumPy's rules. A view for integers, slices, new dimensions and the ellipsis, a
//@   copy where masks or integer arrays take part.
//@   spec: four numbers (kind, a, b, c) for each item: 0 integer a; 1 slice from a to b by c,
//@   INT64_MIN for what is not given; 2 new dimension; 3 ellipsis; 4 arrays[a], bool or integers.
//@   Errors: index if there are too many items or one is out of range.
Tensor getitem(const Tensor& x, IntList spec, std::span<const Tensor> arrays) {
  if (Cuts cuts; plain_cuts(x, spec, cuts)) return cuts.empty() ? identity(x) : cut(x, cuts);
  if (const Tensor* mask = lone_mask(x, spec, arrays); mask && x.is_contiguous())
    return take_masked(x, *mask);
  const Plan plan = make_plan(x, spec, arrays);
  const Tensor part = basic_part(x, plan);
  if (plan.rows.indices.empty()) return part.get() == x.get() ? identity(x) : part;
  const Tensor taken = take_rows(part, plan.rows);
  return ordered(taken, to_place(plan, taken.ndim()));
}

//@op setitem_(Tensor! x, int[] spec, Tensor?[] arrays, Tensor value)
//@ since: 0.1
//@ grad: yes
//@ python: private
//@ doc: x[…] = value by NumPy's rules; spec as for getitem. Of several values for one element the
//@   last stays.
//@   Errors: shape if value does not broadcast to the part; index as for getitem.
void setitem_(Tensor& x, IntList spec, std::span<const Tensor> arrays, const Tensor& value) {
  // One number under a mask needs no indices. Other dtypes hold integers that a double does not.
  if (const Tensor* mask = lone_mask(x, spec, arrays);
      mask && is_float(x.dtype()) && value.numel() == 1 && value.ndim() == 0 &&
      !value.requires_grad() && value.device().host_accessible) {
    Dims shape = mask->shape();
    while (shape.size() < x.ndim()) shape.push_back(1);
    masked_fill_(x, reshape(*mask, as_list(shape)), item_f64(value));
    return;
  }
  const Plan plan = make_plan(x, spec, arrays);
  if (plan.rows.indices.empty()) {
    Tensor v = fit_value(value, x, plan.spread);
    const Dims shape = shape_of_cut(x.shape(), plan.cuts);  // without new dimensions
    if (!(v.shape() == shape)) v = reshape(v, as_list(shape));
    put_cut_("setitem_", x, v, plan.cuts);
    return;
  }
  const Put how = plan.distinct ? Put::distinct : Put::assign;
  const Dims first = arrays_first(plan);
  Dims shape = plan.rows.indices[0].shape();  // of the value, arrays' dimensions first
  for (int k = plan.array_dims.size(); k < first.size(); ++k)
    shape.push_back(plan.spread[int(first[k])]);
  const Dims back = to_place(plan, shape.size());
  Dims result;
  for (int64_t d : back) result.push_back(shape[int(d)]);
  const Tensor v = ordered(fit_value(value, x, result), inverse(back));
  const bool whole = plan.cuts.empty() && plan.spread == x.shape() && in_order(first);
  if (whole) {
    put_rows_("setitem_", x, v, plan.rows, how);
    return;
  }
  if (!grad_enabled() || !(x.requires_grad() || v.requires_grad())) {
    NoGrad no_grad;
    Tensor part = basic_part(x, plan);  // shares x's memory
    put_rows_("setitem_", part, v, plan.rows, how);
    return;
  }
  // With a gradient: the part is made anew and put back as a whole.
  Tensor part = put_rows(basic_part(x, plan), v, plan.rows, how);
  part = ordered(part, inverse(first));
  const Dims cut_shape = shape_of_cut(x.shape(), plan.cuts);
  if (!(part.shape() == cut_shape)) part = reshape(part, as_list(cut_shape));
  put_cut_("setitem_", x, part, plan.cuts);
}

}  // namespace tf
