// Joining tensors along a dimension, and taking them apart again.
// SPDX-License-Identifier: MIT
#include <algorithm>

#include "autograd/node.h"
#include "ops/cut.h"
#include "ops/op.h"
#include "ops/ops.h"

namespace tf {
namespace {

void concat_vjp(Vjp& v) {
  const int dim = int(v.i(0));
  int64_t start = 0;
  for (int k = 0; k < v.n_in(); ++k) {
    const int64_t size = v.in_shape(k)[dim];
    if (v.needs(k)) v.set(k, cut(v.grad(), Cuts{{dim, start, 1, size}}));
    start += size;
  }
}
const Primitive concat_p{{.name = "concat", .signature = "xs…; int dim", .vjp = concat_vjp,
                          .flags = kKeepShapes}};

// All in one dtype: that of NumPy's promotion over the list, weak scalars by their kind.
std::vector<Tensor> promote_all(std::span<const Tensor> xs) {
  TF_CHECK(!xs.empty(), TINYFIN_ERROR_ARGUMENT, "received no tensors; expected at least one");
  std::vector<Tensor> out(xs.begin(), xs.end());
  Device& device = out[0].is_weak() ? default_device() : out[0].device();
  for (Tensor& x : out) x = materialize(x, DType::none, device);
  DType common = out[0].dtype();
  for (const Tensor& x : out) common = promote_types(common, x.dtype());
  for (Tensor& x : out) x = cast_to(x, common);
  return out;
}

Tensor joined(const std::vector<Tensor>& xs, int dim) {
  std::vector<const Tensor*> list;
  Dims shape = xs[0].shape();
  shape[dim] = 0;
  for (const Tensor& x : xs) {
    list.push_back(&x);
    Dims expected = shape;
    if (x.ndim() == shape.size()) expected[dim] = x.shape()[dim];
    TF_CHECK(x.shape() == expected, TINYFIN_ERROR_SHAPE, "received shapes ",
             to_string(xs[0].shape()), " and ", to_string(x.shape()), " along dimension ", dim,
             "; expected equal shapes but for that dimension");
    TF_CHECK(!__builtin_add_overflow(shape[dim], x.shape()[dim], &shape[dim]), TINYFIN_ERROR_SHAPE,
             "received sizes along dimension ", dim, " that add up to more than 2^63");
  }
  const Meta meta{shape, strides_in_order_of(shape, xs[0].shape(), xs[0].strides()),
                  xs[0].dtype(), &xs[0].device()};
  return run(concat_p, Inputs(list.data(), int(list.size())), Attrs(dim), meta);
}

// The whole of which xs are the parts along `dim`, if they lie in memory as those; else undefined.
Tensor whole_of(const std::vector<Tensor>& xs, int dim) {
  const TensorImpl& first = *xs[0].get();
  int64_t length = 0;
  for (const Tensor& x : xs) {
    if (&x.storage() != &xs[0].storage() || !(x.strides() == first.strides) ||
        x.get()->offset != first.offset + length * first.strides[dim])
      return Tensor();
    length += x.size(dim);
  }
  Dims shape = first.shape;
  shape[dim] = length;
  return alias(xs[0], shape, first.strides, first.offset);
}

// Several parts in one call, so that their gradients are joined by one copy at most instead of
// being embedded in zeros and added up. The number of outputs belongs to a primitive: one for each.
void split_vjp(Vjp& v) {
  const int dim = int(v.i(0));
  std::vector<Tensor> grads;
  for (int k = 0; k < v.i(1); ++k) grads.push_back(v.grad(k));
  const Tensor whole = v.create_graph() ? Tensor() : whole_of(grads, dim);
  v.set(0, whole.defined() ? whole : joined(grads, dim));
}
constexpr PrimitiveSpec split_into(const char* name, int parts) {
  return {.name = name, .signature = "x; int dim, int parts", .vjp = split_vjp, .flags = kView,
          .n_out = parts, .diff_out = (1u << parts) - 1};
}
const Primitive split2_p{split_into("split2", 2)}, split3_p{split_into("split3", 3)},
    split4_p{split_into("split4", 4)};
constexpr int64_t kMostAtOnce = 4;

std::vector<Tensor> split_at_once(const Tensor& x, int dim, int64_t each, int64_t count) {
  const Primitive& prim = count == 2 ? split2_p : count == 3 ? split3_p : split4_p;
  std::vector<Tensor> out;
  for (int64_t k = 0; k < count; ++k) {
    Dims shape = x.shape();
    shape[dim] = std::min(each, x.size(dim) - k * each);
    out.push_back(alias(x, shape, x.strides(), x.get()->offset + k * each * x.strides()[dim]));
    out.back().get()->is_view = true;
  }
  const Tensor* const list[] = {&x};
  const Inputs in(list, 1);
  if (wants_grad(prim, in)) record({prim, in, Attrs(dim, count)}, out.data());
  return out;
}

std::vector<Tensor> pieces(const Tensor& x, int dim, int64_t each, int64_t count) {
  if (count >= 2 && count <= kMostAtOnce && each > 0) return split_at_once(x, dim, each, count);
  std::vector<Tensor> out;
  for (int64_t k = 0; k < count; ++k) {
    const int64_t start = k * each, left = x.size(dim) - start;
    out.push_back(cut(x, Cuts{{dim, start, 1, left < each ? left : each}}));
  }
  return out;
}

}  // namespace

bool empty_like_parts(const Tensor* const* parts, int n, Tensor* out) {
  const TensorImpl& first = *parts[0]->get();
  if (n < 2 || first.shape.size() == kMaxDims) return false;
  const int64_t distance = parts[1]->get()->offset - first.offset;
  for (int i = 0; i < n; ++i) {
    const TensorImpl& x = *parts[i]->get();
    if (&*x.storage != &*first.storage || x.dtype != first.dtype || !(x.shape == first.shape) ||
        !(x.strides == first.strides) || x.offset != first.offset + i * distance)
      return false;
  }
  Meta whole{first.shape, first.strides, first.dtype, &parts[0]->device()};
  whole.shape.insert(0, n);
  whole.strides.insert(0, distance);
  if (!is_dense(whole.shape, whole.strides)) return false;
  const Tensor all = empty(whole);
  for (int i = 0; i < n; ++i) out[i] = alias(all, first.shape, first.strides, i * distance);
  return true;
}

//@op concat(Tensor[] xs, int dim=0) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function alias(cat)
//@ doc: Tensors one behind the other along a dimension; their dtypes promote.
//@   Errors: shape if sizes of other dimensions differ; argument if there are no tensors.
Tensor concat(std::span<const Tensor> xs, int64_t dim) {
  const std::vector<Tensor> list = promote_all(xs);
  const int d = wrap_dim(dim, list[0].ndim());
  TF_CHECK(list[0].ndim() > 0, TINYFIN_ERROR_SHAPE,
           "received scalars; expected tensors of at least one dimension; try stack");
  return joined(list, d);
}

//@op stack(Tensor[] xs, int dim=0) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function
//@ doc: Tensors of one shape along a new dimension before place dim; their dtypes promote.
//@   Errors: shape if the shapes differ; argument if there are no tensors.
Tensor stack(std::span<const Tensor> xs, int64_t dim) {
  std::vector<Tensor> list = promote_all(xs);
  const int d = wrap_dim(dim, list[0].ndim() + 1);
  for (const Tensor& x : list)
    TF_CHECK(x.shape() == list[0].shape(), TINYFIN_ERROR_SHAPE, "received shapes ",
             to_string(list[0].shape()), " and ", to_string(x.shape()), "; expected equal shapes");
  for (Tensor& x : list) x = unsqueeze(x, d);
  return joined(list, d);
}

//@op split(Tensor x, int dim=0, int parts=2) -> Tensor[parts]
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Views of equal parts along a dimension.
//@   Errors: shape if the size is not divisible by parts; chunk leaves a shorter last part.
std::vector<Tensor> split(const Tensor& x, int64_t dim, int64_t parts) {
  const int d = wrap_dim(dim, x.ndim());
  TF_CHECK(x.ndim() > 0, TINYFIN_ERROR_AXIS, "received a scalar; expected a dimension to split");
  TF_CHECK(parts > 0 && x.size(d) % parts == 0, TINYFIN_ERROR_SHAPE, "received ", parts,
           " parts for dimension ", d, " of size ", x.size(d),
           "; expected a number that divides the size; try chunk");
  return pieces(x, d, x.size(d) / parts, parts);
}

//@op chunk(Tensor x, int chunks, int dim=0) -> Tensor[chunks]
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Views of at most `chunks` parts along a dimension, of equal size but for a shorter last
//@   one; fewer where the size does not fill them (PyTorch's chunk).
std::vector<Tensor> chunk(const Tensor& x, int64_t chunks, int64_t dim) {
  const int d = wrap_dim(dim, x.ndim());
  TF_CHECK(x.ndim() > 0, TINYFIN_ERROR_AXIS, "received a scalar; expected a dimension to cut");
  TF_CHECK(chunks > 0, TINYFIN_ERROR_ARGUMENT, "received ", chunks,
           " chunks; expected at least 1");
  const int64_t size = x.size(d);
  if (size == 0) return pieces(x, d, 0, chunks);
  const int64_t each = (size - 1) / chunks + 1;
  return pieces(x, d, each, (size - 1) / each + 1);
}

}  // namespace tf
