// What the recurrent layers and their gradient share: the sizes, and how one step is cut into
// tiles: kUnits<T> units (all their gates) of up to kStepRows sequences of the batch.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/gemm.h"
#include "backends/cpu/gemm_pack.h"
#include "backends/cpu/gemm_straight.h"
#include "backends/cpu/vmath.h"

namespace tf::cpu::TF_ISA {
namespace {

enum Cell : int64_t { kRnnTanh, kRnnRelu, kLstm, kGru };

template <class T>
constexpr int64_t kUnits = kPanelWidth<T>;
constexpr int64_t kStepRows = 32;
// Multiply-adds that make a tile of work.
constexpr int64_t kTileWork = 200000;

// Rows of w_ih and w_hh per unit; what forward keeps per unit and step (LSTM: i f g o c, GRU: r z n
// and the part of n that comes from h); gradients of these that backward makes.
template <int64_t kCell>
constexpr int64_t kGates = kCell == kLstm ? 4 : kCell == kGru ? 3 : 1;
template <int64_t kCell>
constexpr int64_t kKept = kCell == kLstm ? 5 : kCell == kGru ? 4 : 0;
template <int64_t kCell>
constexpr int64_t kGateGrads = kCell == kLstm || kCell == kGru ? 4 : 1;

template <class T>
struct Sequence {
  int64_t steps, batch, width, hidden;
  bool reverse;

  int64_t unit_tiles() const { return ceil_div(hidden, kUnits<T>); }
  int64_t row_tiles() const { return ceil_div(batch, kStepRows); }
  // The place in time of the k-th step that is computed.
  int64_t at(int64_t k) const { return reverse ? steps - 1 - k : k; }
};

// Part of a step that one tile computes.
struct Part {
  int64_t row, rows, unit, units;
};
template <class T>
Part part_of(const Sequence<T>& s, int64_t tile) {
  const int64_t rows = tile / s.unit_tiles(), unit = tile % s.unit_tiles() * kUnits<T>;
  return {rows * kStepRows, smaller(kStepRows, s.batch - rows * kStepRows), unit,
          smaller(kUnits<T>, s.hidden - unit)};
}

// body(part) over the tiles of one step, which takes `work` multiply-adds in all.
template <class T, class Body>
tf_status for_parts(const Sequence<T>& s, int64_t work, const Body& body) {
  const int64_t tiles = s.unit_tiles() * s.row_tiles();
  return parallel_range(tiles, 1 + kTileWork * tiles / (work + 1), [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; ++tile) body(part_of(s, tile));
  });
}

// body(unit, side, lanes) for the vectors of a part's units, counted from the part's first: as many
// side by side as a whole part has, so that the chains of one fill the gaps of another.
template <class T, class Body>
TF_INLINE void for_unit_vectors(const Part& part, const Body& body) {
  constexpr int kW = int(Vec<T>::kWidth);
  if (part.units == kUnits<T>) return body(int64_t(0), Index<kPanel>{}, Index<kW>{});
  for (int64_t j = 0; j < part.units; j += kW) body(j, Index<1>{}, smaller(part.units - j, kW));
}
template <class T>
TF_INLINE Vec<T> get(const T* p, int64_t lanes) {
  return lanes == Vec<T>::kWidth ? load(p) : load_n(p, lanes);
}
template <class T>
TF_INLINE void put(T* p, Vec<T> v, int64_t lanes) {
  if (lanes == Vec<T>::kWidth) {
    store(p, v);
  } else {
    store_n(p, v, lanes);
  }
}

// Memory of the host for the length of a call.
template <class T>
struct HostArray {
  explicit HostArray(int64_t n)
      : bytes(size_t(n) * sizeof(T)), data(static_cast<T*>(host->host_alloc(bytes))) {}
  ~HostArray() { host->host_free(data, bytes); }
  HostArray(const HostArray&) = delete;
  size_t bytes;
  T* data;
};

template <class T>
T* data_of(const tf_view& v) {
  return absent(v) ? nullptr : static_cast<T*>(v.data);
}

// Calls run(Index-like constant of the cell) for a cell known at run time.
template <class Run>
tf_status with_cell(int64_t cell, const Run& run) {
  switch (cell) {
    case kRnnTanh: return run(Index<kRnnTanh>{});
    case kRnnRelu: return run(Index<kRnnRelu>{});
    case kLstm: return run(Index<kLstm>{});
    default: return run(Index<kGru>{});
  }
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
