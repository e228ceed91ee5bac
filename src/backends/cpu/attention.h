// What attention and its gradient share: the problem as both see it, and blocks of scores.
//
// Scores are never stored as a whole. A tile of work holds a block of them in the cache,
// kQueryRows queries by up to kKeyBlock keys. Keys (for the gradient values too) are transposed
// once per tile, so that every product reads its operands in place. Dao et al. 2022.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/gemm.h"
#include "backends/cpu/gemm_pack.h"
#include "backends/cpu/vmath.h"

namespace tf::cpu::TF_ISA {
namespace {

constexpr int64_t kQueryRows = 32;
constexpr int64_t kKeyBlock = 512;
// Multiply-adds that make a tile of work.
constexpr int64_t kTileWork = 200000;

template <class T>
int64_t whole_vectors(int64_t n) {
  return ceil_div(n, Vec<T>::kWidth) * Vec<T>::kWidth;
}

// One matrix of a batch of them: element (i, j) is data[i * row + j].
template <class T>
struct Matrix {
  T* data;
  int64_t row;
  T* at(int64_t i) const { return data + i * row; }
};
template <class T>
Matrix<T> matrix_at(const tf_view& v, int64_t pair) {
  int64_t offset = 0;
  for (int d = v.ndim - 3; d >= 0; --d) {
    offset += pair % v.shape[d] * v.strides[d];
    pair /= v.shape[d];
  }
  return {static_cast<T*>(v.data) + offset, v.strides[v.ndim - 2]};
}

// q (…, queries, d), k (…, keys, d), v (…, keys, dv), mask (…, queries, keys) or absent, all with
// the same batch dimensions, `pairs` of them in all. The last strides of q, k and v are 1.
template <class T>
struct Attention {
  Attention(const tf_view* in, const tf_attr* attr)
      : q(in[0]), k(in[1]), v(in[2]), mask(in[3]), causal(attr[0].i != 0), scale(T(attr[1].f)) {
    queries = q.shape[q.ndim - 2];
    keys = k.shape[k.ndim - 2];
    d = q.shape[q.ndim - 1];
    dv = v.shape[v.ndim - 1];
    pairs = 1;
    for (int i = 0; i < q.ndim - 2; ++i) pairs *= q.shape[i];
  }
  // How many keys, from the first on, the queries before `end` may see.
  int64_t keys_seen(int64_t end) const { return causal ? smaller(keys, end) : keys; }
  int64_t work() const { return queries * keys * (d + dv) / (causal ? 2 : 1) + 1; }

  const tf_view &q, &k, &v, &mask;
  bool causal;
  T scale;
  int64_t queries, keys, d, dv, pairs;
};

// From one row of a block of scores to the next: whole vectors, and rows that do not meet in the
// same sets of the cache.
template <class T>
int64_t pitch_of(int64_t keys) {
  return whole_vectors<T>(keys) + Vec<T>::kWidth;
}

// to (width, pitch) = rows [first, first + count) of a matrix of `width` columns, transposed.
template <class T>
void transpose_rows(T* to, int64_t pitch, Matrix<T> rows, int64_t first, int64_t count,
                    int64_t width) {
  pack(to, pitch, rows.at(first), int64_t(1), rows.row, width, count);
}

// block (rows, pitch) = rows of a · (width, pitch), columns up to a whole vector.
template <class T>
void score_block(T* block, int64_t pitch, const T* a, int64_t a_row, int64_t rows,
                 const T* transposed, int64_t columns, int64_t width) {
  gemm(Gemm<T>{rows, whole_vectors<T>(columns), width, a, a_row, 1, transposed, pitch, 1, block,
               pitch});
}

// What is added to `count` scores of a row of the mask, from key `first` on: the mask itself
// where it holds numbers side by side, else a copy in `buffer`. Bool: true takes part.
template <class T>
const T* mask_row(const tf_view& mask, int64_t pair, int64_t row, int64_t first, int64_t count,
                  T* buffer) {
  const int64_t step = mask.strides[mask.ndim - 1];
  if (mask.dtype == TINYFIN_BOOL) {
    const Matrix<uint8_t> m = matrix_at<uint8_t>(mask, pair);
    const uint8_t* from = m.at(row) + first * step;
    for (int64_t j = 0; j < count; ++j) buffer[j] = from[j * step] ? T(0) : -T(INFINITY);
    return buffer;
  }
  const T* from = matrix_at<T>(mask, pair).at(row) + first * step;
  if (step == 1) return from;
  for (int64_t j = 0; j < count; ++j) buffer[j] = from[j * step];
  return buffer;
}

// The score s * scale + mask of lanes that take part, -infinity of others. `lanes` of the
// register exist; mask may be null.
template <class T>
TF_INLINE Vec<T> masked_score(Vec<T> s, T scale, const T* mask, int64_t lanes) {
  using V = Vec<T>;
  const V out(-T(INFINITY));
  V x = s * V(scale);
  if (mask) {
    const V m = lanes == V::kWidth ? load(mask) : load_n(mask, lanes);
    x = select(m == out, out, x + m);
  }
  if (lanes < V::kWidth) {
    x = select(iota<IntOf<T>>() < Vec<IntOf<T>>(IntOf<T>(lanes)), x, out);
  }
  return x;
}

// exp(x) for x that is not above 0 by much; 0 where that is no normal number, the arithmetic of
// which takes the processor many times as long.
template <class T>
TF_INLINE Vec<T> weight_of(Vec<T> x) {
  using V = Vec<T>;
  const V least(sizeof(T) == 4 ? T(-87) : T(-708));
  return select(x < least, V(T(0)), exp_nonpositive(max(least, x)));
}

// Scratch memory of one tile, cut into arrays that begin on cache lines.
template <class T>
class Scratch {
 public:
  explicit Scratch(int64_t elements) : bytes_(size_t(elements) * sizeof(T)) {
    next_ = start_ = static_cast<T*>(host->host_alloc(bytes_));
  }
  ~Scratch() { host->host_free(start_, bytes_); }
  Scratch(const Scratch&) = delete;
  bool ok() const { return start_ != nullptr; }
  T* take(int64_t n) {
    T* const at = next_;
    next_ += padded(n);
    return at;
  }
  static int64_t padded(int64_t n) {
    constexpr int64_t kLine = 64 / int64_t(sizeof(T));
    return ceil_div(n, kLine) * kLine;
  }

 private:
  size_t bytes_;
  T *start_, *next_;
};

}  // namespace
}  // namespace tf::cpu::TF_ISA
