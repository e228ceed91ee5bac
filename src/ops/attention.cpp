// Scaled dot-product attention (Vaswani et al. 2017), fused both ways: of all scores only the
// log-sum-exp of each row is kept. Gradients of gradients go through the decomposition.
// SPDX-License-Identifier: MIT
#include <cmath>
#include <limits>

#include "ops/cut.h"
#include "ops/op.h"
#include "ops/ops.h"

namespace tf {
namespace {

// What does not depend on the data.
struct How {
  bool causal;
  double scale, dropout;
};

// Where a query may look at a key, undefined for everywhere; broadcasts to (…, T, S).
Tensor taking_part(const Tensor& q, const Tensor& k, const Tensor& mask, bool causal) {
  Tensor part;
  if (mask.defined()) {
    part = is_bool(mask.dtype())
               ? mask
               : ne(detach(mask), weak_scalar(-std::numeric_limits<double>::infinity()));
  }
  if (!causal) return part;
  const int64_t size[] = {q.size(-2), k.size(-2)};
  const Tensor past = tril(ones(size, DType::b8, &q.device()));
  return part.defined() ? logical_and(part, past) : past;
}

// The definition, by smaller ops. A query that may look nowhere gets 0.
Tensor attend_by_parts(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask,
                       const How& how, Tensor* lse) {
  const Tensor nothing = weak_scalar(-std::numeric_limits<double>::infinity());
  const Tensor zero = weak_scalar(0.0), part = taking_part(q, k, mask, how.causal);
  const int64_t last[] = {-1};
  Tensor scores = matmul(mul(q, weak_scalar(how.scale)), swapaxes(k, -1, -2)), some;
  if (mask.defined() && !is_bool(mask.dtype())) scores = add(scores, mask);
  if (part.defined()) {
    some = any(part, IntList(last), true);
    scores = where(some, where(part, scores, nothing), zero);
  }
  Tensor weights = softmax(scores, -1);
  if (some.defined()) weights = where(some, weights, zero);
  if (how.dropout > 0) weights = dropout(weights, how.dropout, true);
  if (lse) {
    const Dims rows(scores.shape().data(), scores.ndim() - 1);
    *lse = k.size(-2) == 0 ? full(as_list(rows), -std::numeric_limits<double>::infinity(),
                                  q.dtype(), &q.device())
                           : logsumexp(scores, IntList(last));
    if (some.defined()) *lse = where(squeeze(some, IntList(last)), *lse, nothing);
  }
  return matmul(weights, v);
}

// Rows of `width` elements side by side, the other dimensions in the order of x's strides: heads
// that are views of one projection give a result that is merged into one without a copy.
Meta meta_rows_like(const Tensor& x, int64_t width) {
  Dims shape = x.shape();
  shape[x.ndim() - 1] = width;
  Dims strides = strides_in_order_of(shape, x.shape(), x.strides());
  if (strides.at(-1) != 1) strides = contiguous_strides(shape);
  return {shape, strides, x.dtype(), &x.device()};
}
Meta meta_rows_like(const Tensor& x) { return meta_rows_like(x, x.size(-1)); }

// x with rows of elements side by side: x itself, or a copy.
Tensor with_whole_rows(const Tensor& x) {
  return x.size(-1) <= 1 || x.strides().at(-1) == 1 ? x : contiguous(x);
}

// grad and out (…, T, dv), lse (…, T) row-major, the others as below.
const Primitive attention_grad_p{{.name = "attention_grad",
                                  .signature = "grad q k v mask? out lse; int causal, float scale",
                                  .n_out = 3,
                                  .diff_out = 0}};

void attention_vjp(Vjp& v) {
  const Tensor grad = with_whole_rows(v.grad()), q = v.in(0), k = v.in(1), value = v.in(2);
  const Tensor mask = v.i(2) ? v.in(3) : Tensor(), result = v.out(0), lse = v.out(1);
  const Tensor* const inputs[] = {&q, &k, &value};
  Tensor out[3];
  // Of one projection, or keys and values of one.
  if (!empty_like_parts(inputs, 3, out)) empty_like_parts(inputs + 1, 2, out + 1);
  for (int i = 0; i < 3; ++i)
    if (!out[i].defined()) out[i] = empty(meta_rows_like(*inputs[i]));
  dispatch({attention_grad_p, {&grad, &q, &k, &value, &mask, &result, &lse},
            Attrs(v.i(0), v.f(1))}, out);
  for (int i = 0; i < 3; ++i)
    if (v.needs(i)) v.set(i, out[i]);
}

void attention_decompose(const Call& call, Tensor* out) {
  const How how{call.attrs.i(0) != 0, call.attrs.f(1), 0};
  out[0] = attend_by_parts(call.in[0], call.in[1], call.in[2], call.in[3], how, &out[1]);
}

// q (…, T, d), k (…, S, d), v (…, S, dv), mask (…, T, S) bool (true takes part) or of their
// dtype, the same batch dimensions for all; last strides of q, k, v are 1. out: the result
// (…, T, dv), of last stride 1, and the log-sum-exp of the scores (…, T), row-major. has_mask:
// whether mask is there, for the gradient.
const Primitive attention_p{{.name = "attention",
                             .signature = "q k v mask?; int causal, float scale, int has_mask",
                             .vjp = attention_vjp,
                             .save_in = bits({0, 1, 2, 3}),
                             .save_out = bits({0, 1}),
                             .flags = kFusedVjp,
                             .n_out = 2,
                             .decompose = attention_decompose}};

Dims batch_of(const Tensor& x) { return Dims(x.shape().data(), x.ndim() - 2); }

Tensor with_batch(const Tensor& x, Dims batch) {
  batch.push_back(x.size(-2));
  batch.push_back(x.size(-1));
  return x.shape() == batch ? x : expand(x, as_list(batch));
}

void check_sizes(const Tensor& q, const Tensor& k, const Tensor& v) {
  const bool matrices = q.ndim() >= 2 && k.ndim() >= 2 && v.ndim() >= 2;
  TF_CHECK(matrices && q.size(-1) == k.size(-1) && k.size(-2) == v.size(-2), TINYFIN_ERROR_SHAPE,
           "received query ", to_string(q.shape()), ", key ", to_string(k.shape()), ", value ",
           to_string(v.shape()), "; expected (…, T, d), (…, S, d) and (…, S, dv)");
  for (const Tensor* x : {&q, &k, &v}) check_float(*x, "query, key or value");
}

// The mask as (…, T, S) in q's dtype, or bool.
Tensor mask_for(const Tensor& mask, const Tensor& q, const Dims& scores) {
  if (!mask.defined()) return mask;
  TF_CHECK(is_bool(mask.dtype()) || is_float(mask.dtype()), TINYFIN_ERROR_DTYPE,
           "received attn_mask ", describe(mask),
           "; expected bool (true takes part) or floats, which are added to the scores");
  TF_CHECK(broadcasts_to(mask.shape(), scores), TINYFIN_ERROR_SHAPE, "received attn_mask of shape ",
           to_string(mask.shape()), "; expected one that broadcasts to ", to_string(scores));
  const Tensor values = is_bool(mask.dtype()) ? mask : cast_to(mask, q.dtype());
  return values.shape() == scores ? values : expand(values, as_list(scores));
}

}  // namespace

//@op scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None,
//@     float dropout_p=0.0, bool is_causal=False, float? scale=None) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function
//@ doc: softmax(query · keyᵀ * scale + attn_mask) · value; in a bool mask true takes part.
//@   query: (…, T, d); key: (…, S, d); value: (…, S, dv); result (…, T, dv), in the order of
//@   query's strides. Batch dimensions broadcast, dtypes promote. attn_mask: bool, or floats that
//@   are added to the scores, broadcast to (…, T, S). is_causal: query i sees keys 0 to i, beside
//@   what the mask says. scale: 1 / sqrt(d) where None. dropout_p: probability with which a weight
//@   is dropped. A query that may look nowhere gives 0. Vaswani et al. 2017, computed as Dao et
//@   al. 2022 do. Errors: shape where these do not fit; dtype for integers.
Tensor scaled_dot_product_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                                    const Tensor& attn_mask, double dropout_p, bool is_causal,
                                    std::optional<double> scale) {
  check_sizes(query, key, value);
  TF_CHECK(dropout_p >= 0 && dropout_p <= 1, TINYFIN_ERROR_ARGUMENT, "received dropout_p = ",
           dropout_p, "; expected a probability from 0 to 1");
  const DType dtype =
      promote_types(promote_types(query.dtype(), key.dtype()), value.dtype());
  const Dims batch =
      broadcast_shapes(broadcast_shapes(batch_of(query), batch_of(key)), batch_of(value));
  const auto prepared = [&](const Tensor& x) {
    return with_batch(with_whole_rows(cast_to(x, dtype)), batch);
  };
  const Tensor q = prepared(query), k = prepared(key), v = prepared(value);
  Dims scores = batch;
  scores.push_back(q.size(-2));
  scores.push_back(k.size(-2));
  const Tensor mask = mask_for(attn_mask, q, scores);
  const How how{is_causal, scale.value_or(1 / std::sqrt(double(std::max<int64_t>(q.size(-1), 1)))),
                dropout_p};
  // What the kernel does not do: drop weights, give a gradient for the mask.
  if (dropout_p > 0 || (mask.defined() && mask.requires_grad() && grad_enabled()))
    return attend_by_parts(q, k, v, mask, how, nullptr);
  const Meta metas[] = {meta_rows_like(q, v.size(-1)),
                        meta_of_shape(Dims(scores.data(), scores.size() - 1), kept_type(dtype),
                                      q.device())};
  Tensor out[2];
  run_multi(attention_p, {&q, &k, &v, &mask}, Attrs(how.causal, how.scale, mask.defined()), metas,
            out);
  return out[0];
}

}  // namespace tf
