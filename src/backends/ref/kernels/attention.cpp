// Attention and its gradient.
// SPDX-License-Identifier: MIT
#include <cmath>
#include <limits>

#include "call.h"

namespace ref {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Matrix `pair` of a batch: element (row, column).
double at(const Array& x, Index pair, int64_t row, int64_t column) {
  pair[x.ndim - 2] = row;
  pair[x.ndim - 1] = column;
  return x.get(pair);
}

// sum over j of a(row, j) b(column, j)
double product(const Array& a, const Array& b, const Index& pair, int64_t row, int64_t column) {
  double sum = 0;
  for (int64_t j = 0; j < a.size(-1); ++j) sum += at(a, pair, row, j) * at(b, pair, column, j);
  return sum;
}

// q k mask?; causal, scale: the score of a query and a key, -infinity where it takes no part.
double score(const Call& c, int first, const Index& pair, int64_t row, int64_t key) {
  const Array& mask = c.in[size_t(first + 3)];
  if (c.i(0) && key > row) return -kInfinity;
  double s = product(c.in[size_t(first)], c.in[size_t(first + 1)], pair, row, key) * c.f(1);
  if (!mask.present()) return s;
  const double m = at(mask, pair, row, key);
  if (!mask.holds_floats()) return m != 0 ? s : -kInfinity;
  return m == -kInfinity ? m : s + m;
}

// q k v mask?; causal, scale, … → result, log-sum-exp of the scores
const Define attention("attention", [](const Call& c) {
  const Array &k = c.in[1], &v = c.in[2];
  const int64_t keys = k.size(-2);
  for_each(c.out[1], [&](const Index& i) {
    const int64_t row = i[c.out[1].ndim - 1];
    double top = -kInfinity, total = 0;
    for (int64_t j = 0; j < keys; ++j) top = std::fmax(top, score(c, 0, i, row, j));
    if (top == -kInfinity) top = 0;
    for (int64_t j = 0; j < keys; ++j) total += std::exp(score(c, 0, i, row, j) - top);
    Index at_out = i;
    for (int64_t e = 0; e < v.size(-1); ++e) {
      double sum = 0;
      for (int64_t j = 0; j < keys; ++j)
        sum += std::exp(score(c, 0, i, row, j) - top) * at(v, i, j, e);
      at_out[c.out[0].ndim - 1] = e;
      c.out[0].set(at_out, total == 0 ? 0 : sum / total);
    }
    c.out[1].set(i, total == 0 ? -kInfinity : top + std::log(total));
  });
}, TINYFIN_DTYPES_FLOAT);

// grad q k v mask? out lse; causal, scale → gradients of q, k, v
const Define attention_grad("attention_grad", [](const Call& c) {
  const Array &grad = c.in[0], &q = c.in[1], &k = c.in[2], &v = c.in[3], &out = c.in[5];
  const int64_t queries = q.size(-2), keys = k.size(-2), d = q.size(-1), dv = v.size(-1);
  for_each(q.ndim - 2, q.shape, [&](const Index& pair) {
    std::vector<double> dq(size_t(queries * d)), dk(size_t(keys * d)), dvalue(size_t(keys * dv));
    for (int64_t i = 0; i < queries; ++i) {
      Index at_row = pair;
      at_row[q.ndim - 2] = i;
      const double lse = c.in[6].get(at_row);
      const double weighted = product(grad, out, pair, i, i);
      for (int64_t j = 0; j < keys; ++j) {
        const double p = lse == -kInfinity ? 0 : std::exp(score(c, 1, pair, i, j) - lse);
        const double ds = p * (product(grad, v, pair, i, j) - weighted) * c.f(1);
        for (int64_t e = 0; e < dv; ++e) dvalue[size_t(j * dv + e)] += p * at(grad, pair, i, e);
        for (int64_t e = 0; e < d; ++e) {
          dq[size_t(i * d + e)] += ds * at(k, pair, j, e);
          dk[size_t(j * d + e)] += ds * at(q, pair, i, e);
        }
      }
    }
    const auto store = [&](const Array& to, const std::vector<double>& values) {
      const int64_t sizes[] = {to.size(-2), to.size(-1)};
      for_each(2, sizes, [&](const Index& i) {
        Index there = pair;
        there[to.ndim - 2] = i[0];
        there[to.ndim - 1] = i[1];
        to.set(there, values[size_t(i[0] * to.size(-1) + i[1])]);
      });
    };
    store(c.out[0], dq);
    store(c.out[1], dk);
    store(c.out[2], dvalue);
  });
}, TINYFIN_DTYPES_FLOAT);

}  // namespace
}  // namespace ref
