// Winograd's F(4, 3) in one dimension: four outputs of a filter of three taps from six products.
//
//   y = A^T [(G g) ⊙ (B^T d)],  d (6), g (3), y (4)
//
// The polynomials behind it are evaluated at 0, ±√½, ±√2 and infinity. Their products are 1, so the
// numbers in all three matrices stay near 1, and with them the rounding error: about a quarter of
// that of the usual points 0, ±1, ±2. Gradients use the transposes of the same matrices.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/simd.h"

namespace tf::cpu::TF_ISA {
namespace {

constexpr int kWinogradOut = 4, kWinogradTaps = 3, kWinogradSide = 6;
constexpr int kTaps = kWinogradTaps * kWinogradTaps;
constexpr int kWinogradPoints = kWinogradSide * kWinogradSide;
constexpr float kRootHalf = 0.70710678118654752f, kRootTwo = 1.4142135623730950f;

// B^T in parts, so that a tile in two dimensions needs few registers at once. At 0: from d0, d2,
// d4; at infinity: from d1, d3, d5.
TF_INLINE F32 winograd_end(F32 a, F32 b, F32 c) { return fma(F32(-2.5f), b, a + c); }

struct WinogradPair {
  F32 plus, minus;
};
// At ±√½ and ±√2, from d1 … d4.
TF_INLINE WinogradPair winograd_inner(F32 d1, F32 d2, F32 d3, F32 d4) {
  const F32 even = fma(F32(-2.f), d2, d4), odd = fma(F32(-2.f), d1, d3);
  return {fma(F32(kRootHalf), odd, even), fma(F32(-kRootHalf), odd, even)};
}
TF_INLINE WinogradPair winograd_outer(F32 d1, F32 d2, F32 d3, F32 d4) {
  const F32 even = fma(F32(-0.5f), d2, d4), odd = fma(F32(-0.5f), d1, d3);
  return {fma(F32(kRootTwo), odd, even), fma(F32(-kRootTwo), odd, even)};
}

// v = B^T d.
TF_INLINE void winograd_input(const F32* d, F32* v) {
  const WinogradPair inner = winograd_inner(d[1], d[2], d[3], d[4]);
  const WinogradPair outer = winograd_outer(d[1], d[2], d[3], d[4]);
  v[0] = winograd_end(d[0], d[2], d[4]);
  v[1] = inner.plus;
  v[2] = inner.minus;
  v[3] = outer.plus;
  v[4] = outer.minus;
  v[5] = winograd_end(d[1], d[3], d[5]);
}

// u = G g.
TF_INLINE void winograd_weight(F32 g0, F32 g1, F32 g2, F32* u) {
  const F32 inner = fma(F32(0.5f), g2, g0) * F32(-2.f / 3);
  const F32 outer = fma(F32(2.f), g2, g0) * F32(1.f / 6);
  const F32 inner_odd(-2.f / 3 * kRootHalf), outer_odd(kRootTwo / 6);
  u[0] = g0;
  u[1] = fma(inner_odd, g1, inner);
  u[2] = fma(-inner_odd, g1, inner);
  u[3] = fma(outer_odd, g1, outer);
  u[4] = fma(-outer_odd, g1, outer);
  u[5] = g2;
}

// y = A^T m.
TF_INLINE void winograd_output(const F32* m, F32* y) {
  const F32 inner = m[1] + m[2], inner_odd = m[1] - m[2];
  const F32 outer = m[3] + m[4], outer_odd = m[3] - m[4];
  const F32 root(kRootHalf);
  y[0] = (m[0] + inner) + outer;
  y[1] = root * fma(F32(2.f), outer_odd, inner_odd);
  y[2] = fma(F32(2.f), outer, F32(0.5f) * inner);
  y[3] = fma(root, fma(F32(4.f), outer_odd, F32(0.5f) * inner_odd), m[5]);
}

// m = A y.
TF_INLINE void winograd_grad(const F32* y, F32* m) {
  const F32 inner = fma(F32(0.5f), y[2], y[0]), inner_odd = fma(F32(0.5f), y[3], y[1]);
  const F32 outer = fma(F32(2.f), y[2], y[0]), outer_odd = fma(F32(2.f), y[3], y[1]);
  m[0] = y[0];
  m[1] = fma(F32(kRootHalf), inner_odd, inner);
  m[2] = fma(F32(-kRootHalf), inner_odd, inner);
  m[3] = fma(F32(kRootTwo), outer_odd, outer);
  m[4] = fma(F32(-kRootTwo), outer_odd, outer);
  m[5] = y[3];
}

// g = G^T u.
TF_INLINE void winograd_taps(const F32* u, F32* g) {
  const F32 inner = u[1] + u[2], inner_odd = u[1] - u[2];
  const F32 outer = u[3] + u[4], outer_odd = u[3] - u[4];
  g[0] = fma(F32(1.f / 6), outer, fma(F32(-2.f / 3), inner, u[0]));
  g[1] = fma(F32(kRootTwo / 6), outer_odd, F32(-2.f / 3 * kRootHalf) * inner_odd);
  g[2] = fma(F32(1.f / 3), outer - inner, u[5]);
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
