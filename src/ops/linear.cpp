// Products of matrices.
// SPDX-License-Identifier: MIT
#include "ops/op.h"
#include "ops/ops.h"

namespace tf {
namespace {

// Both operands have two dimensions or more; batch dimensions broadcast.
void matmul_vjp(Vjp& v) {
  if (v.needs(0)) v.set(0, matmul(v.grad(), swapaxes(v.in(1), -1, -2)));
  if (v.needs(1)) v.set(1, matmul(swapaxes(v.in(0), -1, -2), v.grad()));
}
const Primitive matmul_p{{.name = "matmul",
                          .signature = "a b",
                          .vjp = matmul_vjp,
                          .save_in = bits({0, 1}),
                          .flags = kSaveForOthers}};

}  // namespace

//@op matmul(Tensor a, Tensor b) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method operator(__matmul__) reflected(__rmatmul__)
//@ doc: Matrix product of (…, m, k) and (…, k, n) to (…, m, n); batch dimensions broadcast.
Tensor matmul(const Tensor& a, const Tensor& b) {
  auto [x, y] = promote(a, b);
  TF_CHECK(x.ndim() >= 2 && y.ndim() >= 2, TINYFIN_ERROR_SHAPE, "received shapes ",
           to_string(x.shape()), " and ", to_string(y.shape()),
           "; expected two dimensions or more each");
  TF_CHECK(x.size(-1) == y.size(-2), TINYFIN_ERROR_SHAPE, "received shapes ",
           to_string(x.shape()), " and ", to_string(y.shape()), "; expected ", x.size(-1),
           " rows in the second, as many as the first has columns");
  const auto with_batch = [](const Tensor& t, Dims batch) {
    batch.push_back(t.size(-2));
    batch.push_back(t.size(-1));
    return t.shape() == batch ? t : expand(t, as_list(batch));
  };
  Dims shape = broadcast_shapes(Dims(x.shape().data(), x.ndim() - 2),
                                Dims(y.shape().data(), y.ndim() - 2));
  x = with_batch(x, shape);
  y = with_batch(y, shape);
  shape.push_back(x.size(-2));
  shape.push_back(y.size(-1));
  return run(matmul_p, {&x, &y}, Attrs(), meta_of_shape(shape, x.dtype(), x.device()));
}

}  // namespace tf
