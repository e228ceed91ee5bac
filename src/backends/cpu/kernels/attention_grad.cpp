// The gradient of attention. Scores are computed again, block by block; with p = exp(score - lse)
//
//   dv = pᵀ · grad,  ds = p * (grad · vᵀ - rowsum(grad * out)) * scale,  dq = ds · k,  dk = dsᵀ · q
//
// A tile takes some keys of one pair and all its queries: dk and dv are its own, dq is its own
// where it has all keys and else a partial sum.
// SPDX-License-Identifier: MIT
#include "backends/cpu/attention.h"

namespace tf::cpu::TF_ISA {
namespace {

// A row of blocks: scores become p, grad · vᵀ becomes ds; both 0 from `seen` to `count`.
template <class T>
void soften_grad(T* s, T* g, int64_t seen, int64_t count, T scale, const T* mask, T lse,
                 T weighted) {
  using V = Vec<T>;
  constexpr int64_t kW = V::kWidth;
  // A row without a key that took part: exp(-infinity - infinity) is 0.
  const V shift(lse == -T(INFINITY) ? T(INFINITY) : lse), factor(scale), less(weighted * scale);
  int64_t j = 0;
  for (; j < seen; j += kW) {
    const V x = masked_score(load(s + j), scale, mask ? mask + j : nullptr, smaller(seen - j, kW));
    const V p = weight_of(x - shift);
    store(s + j, p);
    store(g + j, p * (load(g + j) * factor - less));
  }
  for (; j < count; j += kW) {
    store(s + j, V(T(0)));
    store(g + j, V(T(0)));
  }
}

template <class T>
T dot(const T* x, const T* y, int64_t n) {
  constexpr int64_t kW = Vec<T>::kWidth;
  Vec<T> s(T(0));
  int64_t j = 0;
  for (; j + kW <= n; j += kW) s = fma(load(x + j), load(y + j), s);
  if (j < n) s = fma(load_n(x + j, n - j), load_n(y + j, n - j), s);
  return sum(s);
}

template <class T>
void zero_rows(Matrix<T> m, int64_t begin, int64_t end, int64_t width) {
  for (int64_t i = begin; i < end; ++i) memset(m.at(i), 0, size_t(width) * sizeof(T));
}

template <class T>
struct Work {
  T *keys, *values, *scores, *grads, *mask;
  T* weighted;  // rowsum(grad * out) of each query
};

// Keys [begin, end) of one pair.
template <class T>
void attend_grad(const Attention<T>& a, const tf_kernel_call* c, int64_t pair, int64_t begin,
                 int64_t end, Matrix<T> dq, const Work<T>& w) {
  const Matrix<T> grad = matrix_at<T>(c->in[0], pair), out = matrix_at<T>(c->in[5], pair);
  const Matrix<T> q = matrix_at<T>(a.q, pair), k = matrix_at<T>(a.k, pair);
  const Matrix<T> v = matrix_at<T>(a.v, pair);
  const Matrix<T> dk = matrix_at<T>(c->out[1], pair), dv = matrix_at<T>(c->out[2], pair);
  const T* lse = static_cast<const T*>(c->in[6].data) + pair * a.queries;
  for (int64_t i = 0; i < a.queries; ++i) w.weighted[i] = dot(grad.at(i), out.at(i), a.dv);
  const int64_t most = larger(smaller(a.keys_seen(a.queries), end), begin);
  zero_rows(dk, most, end, a.d);
  zero_rows(dv, most, end, a.dv);
  if (most == begin) zero_rows(dq, 0, a.queries, a.d);
  for (int64_t first = begin; first < most; first += kKeyBlock) {
    const int64_t count = smaller(most - first, kKeyBlock), pitch = pitch_of<T>(count);
    transpose_rows(w.keys, pitch, k, first, count, a.d);
    transpose_rows(w.values, pitch, v, first, count, a.dv);
    // The last queries see all keys: theirs is the first term of every sum.
    const int64_t last = (a.queries - 1) / kQueryRows * kQueryRows;
    for (int64_t row = last; row >= 0; row -= kQueryRows) {
      const int64_t rows = smaller(a.queries - row, kQueryRows);
      const int64_t here = smaller(a.keys_seen(row + rows) - first, count);
      if (here <= 0) {
        if (first == begin) zero_rows(dq, 0, row + rows, a.d);
        break;
      }
      score_block(w.scores, pitch, q.at(row), q.row, rows, w.keys, here, a.d);
      score_block(w.grads, pitch, grad.at(row), grad.row, rows, w.values, here, a.dv);
      for (int64_t i = 0; i < rows; ++i) {
        const int64_t seen = larger(smaller(a.keys_seen(row + i + 1) - first, here), 0);
        const T* mask =
            absent(a.mask) ? nullptr : mask_row(a.mask, pair, row + i, first, seen, w.mask);
        soften_grad(w.scores + i * pitch, w.grads + i * pitch, seen, here, a.scale, mask,
                    lse[row + i], w.weighted[row + i]);
      }
      const bool add = row < last;
      gemm(Gemm<T>{here, a.dv, rows, w.scores, 1, pitch, grad.at(row), grad.row, 1, dv.at(first),
                   dv.row, add});
      gemm(Gemm<T>{here, a.d, rows, w.grads, 1, pitch, q.at(row), q.row, 1, dk.at(first), dk.row,
                   add});
      gemm(Gemm<T>{rows, a.d, here, w.grads, pitch, 1, k.at(first), k.row, 1, dq.at(row), dq.row,
                   first > begin});
    }
  }
}

// dq = the sum of its parts, (parts, pairs, queries, d), in order.
template <class T>
tf_status add_parts(const Attention<T>& a, const tf_view& dq, const T* sums, int64_t parts) {
  const int64_t gap = a.pairs * a.queries * a.d;
  const int64_t grain = 1 + kTileWork / 8 / (parts * a.d + 1);
  return parallel_range(a.pairs * a.queries, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      T* to = matrix_at<T>(dq, i / a.queries).at(i % a.queries);
      const T* from = sums + i * a.d;
      for (int64_t j = 0; j < a.d; ++j) {
        T total = from[j];
        for (int64_t part = 1; part < parts; ++part) total += from[part * gap + j];
        to[j] = total;
      }
    }
  });
}

// Pairs are the tiles where there are enough of them, else parts of their keys.
constexpr int64_t kEnoughPairs = 16, kLeastKeys = 128, kMostParts = 8;

template <class T>
tf_status attention_grad_typed(const tf_kernel_call* c) {
  const Attention<T> a(c->in + 1, c->attr);
  if (a.pairs == 0) return TINYFIN_OK;
  const int64_t wanted = smaller(ceil_div(kEnoughPairs, a.pairs), kMostParts);
  const int64_t part_keys = whole_vectors<T>(ceil_div(a.keys, smaller(
      wanted, larger(ceil_div(a.keys, kLeastKeys), 1))));
  const int64_t parts = a.keys > 0 ? ceil_div(a.keys, part_keys) : 1;
  using S = Scratch<T>;
  S sums(parts > 1 ? parts * a.pairs * a.queries * a.d : 0);
  const int64_t pitch = pitch_of<T>(smaller(part_keys, kKeyBlock));
  const int64_t block = smaller(a.queries, kQueryRows) * pitch;
  const int64_t elements = S::padded(a.d * pitch) + S::padded(a.dv * pitch) +
                           2 * S::padded(block) + S::padded(pitch) + S::padded(a.queries);
  bool starved = !sums.ok();
  T* const partial = sums.take(0);
  const int64_t grain = 1 + kTileWork / 3 * parts / a.work();
  tf_status status =
      parallel_range(starved ? 0 : a.pairs * parts, grain, [&](int64_t from, int64_t to) {
        S scratch(elements);
        if (!scratch.ok()) return __atomic_store_n(&starved, true, __ATOMIC_RELAXED);
        Work<T> w;
        w.keys = scratch.take(a.d * pitch);
        w.values = scratch.take(a.dv * pitch);
        w.scores = scratch.take(block);
        w.grads = scratch.take(block);
        w.mask = scratch.take(pitch);
        w.weighted = scratch.take(a.queries);
        for (int64_t i = from; i < to; ++i) {
          const int64_t pair = i / parts, part = i % parts;
          Matrix<T> dq = matrix_at<T>(c->out[0], pair);
          if (parts > 1) dq = {partial + (part * a.pairs + pair) * a.queries * a.d, a.d};
          attend_grad(a, c, pair, part * part_keys, smaller((part + 1) * part_keys, a.keys), dq, w);
        }
      });
  if (starved) return error(TINYFIN_ERROR_MEMORY, "out of host memory for blocks of scores");
  if (parts > 1 && status == TINYFIN_OK) status = add_parts(a, c->out[0], partial, parts);
  return status;
}

// "grad q k v mask? out lse; int causal, float scale": last strides are 1, lse is row-major.
tf_status attention_grad_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT64 ? attention_grad_typed<double>(c)
                                            : attention_grad_typed<float>(c);
}
TF_KERNEL(attention_grad, TINYFIN_DTYPES_FLOAT, attention_grad_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
