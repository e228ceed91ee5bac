// Attention forward: softmax(q · kᵀ * scale + mask) · v block by block, with the running maximum
// and sum of each row (Milakov & Gimelshein 2018; Dao et al. 2022).
// SPDX-License-Identifier: MIT
#include "backends/cpu/attention.h"

namespace tf::cpu::TF_ISA {
namespace {

// A row of a block: scores become exp(score - top), 0 from `seen` to `count`. Returns what the
// row's earlier sums are to be multiplied by.
template <class T>
T soften(T* s, int64_t seen, int64_t count, T scale, const T* mask, T& top, T& total) {
  using V = Vec<T>;
  constexpr int64_t kW = V::kWidth;
  V most(-T(INFINITY));
  for (int64_t j = 0; j < seen; j += kW) {
    const V x = masked_score(load(s + j), scale, mask ? mask + j : nullptr, smaller(seen - j, kW));
    store(s + j, x);
    most = max(x, most);
  }
  T now = fold(most, [](V a, V b) TF_ALWAYS_INLINE { return max(a, b); });
  now = now > top ? now : top;
  // A row without a key that takes part: exp(-infinity - 0) is 0.
  const T shift = now == -T(INFINITY) ? T(0) : now;
  V sums(T(0));
  for (int64_t j = 0; j < seen; j += kW) {
    const V e = weight_of(load(s + j) - V(shift));
    store(s + j, e);
    sums += e;
  }
  for (int64_t j = whole_vectors<T>(seen); j < count; j += kW) store(s + j, V(T(0)));
  const T earlier = total == T(0) ? T(1) : exp(V(top - shift))[0];
  top = now;
  total = total * earlier + sum(sums);
  return earlier;
}

template <class T>
void scale_row(T* row, int64_t n, T factor) {
  constexpr int64_t kW = Vec<T>::kWidth;
  int64_t j = 0;
  for (; j + kW <= n; j += kW) store(row + j, load(row + j) * Vec<T>(factor));
  if (j < n) store_n(row + j, load_n(row + j, n - j) * Vec<T>(factor), n - j);
}

template <class T>
struct Work {
  T *keys, *block, *mask;
  T *top, *total;  // of each row so far: the greatest score, the sum of exp(score - top)
};

// Rows divided by their sums, and the log-sum-exp of each: -infinity where nothing took part.
template <class T>
void finish_rows(const Work<T>& w, Matrix<T> out, T* lse, int64_t begin, int64_t end, int64_t dv) {
  using V = Vec<T>;
  for (int64_t i = 0; i < end - begin; i += V::kWidth) {
    const int64_t lanes = smaller(end - begin - i, V::kWidth);
    const V total = load_n(w.total + i, lanes);
    store_n(lse + begin + i, load_n(w.top + i, lanes) + log(total), lanes);
    const V share = select(total == V(T(0)), V(T(0)), V(T(1)) / total);
    for (int64_t l = 0; l < lanes; ++l) scale_row(out.at(begin + i + l), dv, share[int(l)]);
  }
}

// Queries [begin, end) of one pair.
template <class T>
void attend(const Attention<T>& a, const tf_kernel_call* c, int64_t pair, int64_t begin,
            int64_t end, const Work<T>& w) {
  const Matrix<T> q = matrix_at<T>(a.q, pair), k = matrix_at<T>(a.k, pair);
  const Matrix<T> v = matrix_at<T>(a.v, pair), out = matrix_at<T>(c->out[0], pair);
  T* lse = static_cast<T*>(c->out[1].data) + pair * a.queries;
  for (int64_t i = 0; i < end - begin; ++i) {
    w.top[i] = -T(INFINITY);
    w.total[i] = T(0);
  }
  const int64_t most = a.keys_seen(end);
  for (int64_t first = 0; first < most; first += kKeyBlock) {
    const int64_t count = smaller(most - first, kKeyBlock), pitch = pitch_of<T>(count);
    // For a query or two, as in generation, a transposition would cost more than the products.
    const bool few = end - begin <= 8;
    if (!few) transpose_rows(w.keys, pitch, k, first, count, a.d);
    for (int64_t row = begin; row < end; row += kQueryRows) {
      const int64_t rows = smaller(end - row, kQueryRows);
      const int64_t here = smaller(a.keys_seen(row + rows) - first, count);
      if (here <= 0) continue;
      if (few) {
        gemm(Gemm<T>{rows, here, a.d, q.at(row), q.row, 1, k.at(first), 1, k.row, w.block, pitch});
      } else {
        score_block(w.block, pitch, q.at(row), q.row, rows, w.keys, here, a.d);
      }
      for (int64_t i = 0; i < rows; ++i) {
        const int64_t seen = larger(smaller(a.keys_seen(row + i + 1) - first, here), 0);
        const T* mask =
            absent(a.mask) ? nullptr : mask_row(a.mask, pair, row + i, first, seen, w.mask);
        const int64_t at = row + i - begin;
        const T earlier =
            soften(w.block + i * pitch, seen, here, a.scale, mask, w.top[at], w.total[at]);
        if (first > 0 && earlier != T(1)) scale_row(out.at(row + i), a.dv, earlier);
      }
      gemm(Gemm<T>{rows, a.dv, here, w.block, pitch, 1, v.at(first), v.row, 1, out.at(row),
                   out.row, first > 0});
    }
  }
  for (int64_t row = begin; most == 0 && row < end; ++row)
    memset(out.at(row), 0, size_t(a.dv) * sizeof(T));
  finish_rows(w, out, lse, begin, end, a.dv);
}

template <class T>
tf_status attention_typed(const tf_kernel_call* c) {
  const Attention<T> a(c->in, c->attr);
  if (a.pairs == 0 || a.queries == 0) return TINYFIN_OK;
  // Pairs as a whole, or pieces of them where there are too few to share.
  const int64_t wanted = ceil_div(a.queries * a.pairs, 32 * kQueryRows) * kQueryRows;
  const int64_t piece = a.pairs >= 32 ? a.queries : smaller(a.queries, larger(64, wanted));
  const int64_t pieces = ceil_div(a.queries, piece), pitch = pitch_of<T>(smaller(a.keys, kKeyBlock));
  using S = Scratch<T>;
  const int64_t elements = S::padded(a.d * pitch) + S::padded(smaller(piece, kQueryRows) * pitch) +
                           S::padded(pitch) + 2 * S::padded(piece);
  bool starved = false;
  const int64_t grain = 1 + kTileWork * pieces / a.work();
  const tf_status status =
      parallel_range(a.pairs * pieces, grain, [&](int64_t from, int64_t to) {
        S scratch(elements);
        if (!scratch.ok()) return __atomic_store_n(&starved, true, __ATOMIC_RELAXED);
        Work<T> w;
        w.keys = scratch.take(a.d * pitch);
        w.block = scratch.take(smaller(piece, kQueryRows) * pitch);
        w.mask = scratch.take(pitch);
        w.top = scratch.take(piece);
        w.total = scratch.take(piece);
        for (int64_t i = from; i < to; ++i) {
          const int64_t begin = i % pieces * piece;
          attend(a, c, i / pieces, begin, smaller(begin + piece, a.queries), w);
        }
      });
  return starved ? error(TINYFIN_ERROR_MEMORY, "out of host memory for a block of scores") : status;
}

// "q k v mask?; int causal, float scale": out has last stride 1, lse is row-major.
tf_status attention_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT64 ? attention_typed<double>(c)
                                            : attention_typed<float>(c);
}
TF_KERNEL(attention, TINYFIN_DTYPES_FLOAT, attention_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
