// Over a contiguous row: what softmax, losses and normalisation are made of.
//
// Four registers of partial results at a time, joined in one order at the end: a result depends on
// the row's length alone.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/simd.h"

namespace tf::cpu::TF_ISA {
namespace {

// body(index, lanes) for all registers of a row of n elements; lanes < width only in the last call.
template <class T, class Body>
TF_INLINE void for_vectors(int64_t n, const Body& body) {
  constexpr int64_t w = Vec<T>::kWidth;
  int64_t i = 0;
  for (; i + w <= n; i += w) body(i, w);
  if (i < n) body(i, n - i);
}

template <class T>
TF_INLINE Vec<T> load_lanes(const T* p, int64_t lanes) {
  return lanes == Vec<T>::kWidth ? load(p) : load_n(p, lanes);
}
template <class T>
TF_INLINE void store_lanes(T* p, Vec<T> v, int64_t lanes) {
  if (lanes == Vec<T>::kWidth) return store(p, v);
  store_n(p, v, lanes);
}
// The register with lanes from `lanes` on set to 0.
template <class T>
TF_INLINE Vec<T> only(Vec<T> v, int64_t lanes) {
  if (lanes == Vec<T>::kWidth) return v;
  return select(iota<IntOf<T>>() < Vec<IntOf<T>>(IntOf<T>(lanes)), v, Vec<T>(T(0)));
}

// out[i] = f(i-th elements); f takes an index and a number of lanes.
template <class T, class F>
TF_INLINE void fill_row(T* out, int64_t n, const F& f) {
  for_vectors<T>(n, [&](int64_t i, int64_t lanes)
                        TF_ALWAYS_INLINE { store_lanes(out + i, f(i, lanes), lanes); });
}

// Sum of term(i-th elements), term taking an index and giving a register of which the lanes past
// n do not count.
template <class T, class Term>
TF_INLINE T row_sum(int64_t n, const Term& term) {
  constexpr int64_t w = Vec<T>::kWidth;
  Vec<T> s[4] = {Vec<T>(T(0)), Vec<T>(T(0)), Vec<T>(T(0)), Vec<T>(T(0))};
  int64_t i = 0;
  for (; i + 4 * w <= n; i += 4 * w)
    unroll<4>([&](auto k) TF_ALWAYS_INLINE { s[k] += term(i + k * w, w); });
  for (; i + w <= n; i += w) s[0] += term(i, w);
  if (i < n) s[1] += only(term(i, n - i), n - i);
  return sum((s[0] + s[1]) + (s[2] + s[3]));
}

// The greatest element that is not NaN; -infinity where there is none.
template <class T>
TF_INLINE T row_max(const T* x, int64_t n) {
  constexpr int64_t w = Vec<T>::kWidth;
  const T nothing = T(-__builtin_inf());
  Vec<T> m[4] = {Vec<T>(nothing), Vec<T>(nothing), Vec<T>(nothing), Vec<T>(nothing)};
  int64_t i = 0;  // max() answers with its second operand where one is NaN
  for (; i + 4 * w <= n; i += 4 * w)
    unroll<4>([&](auto k) TF_ALWAYS_INLINE { m[k] = max(load(x + i + k * w), m[k]); });
  for (; i + w <= n; i += w) m[0] = max(load(x + i), m[0]);
  if (i < n) {
    const auto inside = iota<IntOf<T>>() < Vec<IntOf<T>>(IntOf<T>(n - i));
    m[1] = max(select(inside, load_n(x + i, n - i), Vec<T>(nothing)), m[1]);
  }
  return fold(max(max(m[0], m[1]), max(m[2], m[3])),
              [](Vec<T> a, Vec<T> b) TF_ALWAYS_INLINE { return max(a, b); });
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
