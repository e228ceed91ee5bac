// Operations along a dimension whose neighbours in memory are other lines: by columns, so that
// memory is read in order.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/lines.h"

namespace tf::cpu::TF_ISA {
namespace {

// N operands as matrices one after another: `length` rows, along the dimension, of `columns`
// neighbours.
template <int N>
struct Columns {
  Lines<N> lines;
  int64_t matrices, columns;
  bool apply;  // whether memory is like that

  explicit Columns(const Lines<N>& l) : lines(l), matrices(0), columns(0), apply(l.ndim > 0) {
    const int last = l.ndim - 1;
    for (int k = 0; k < N && apply; ++k) apply = l.stride[k] != 1 && l.step[k][last] == 1;
    if (!apply || l.length < 2 || l.shape[last] < 16) {
      apply = false;
      return;
    }
    columns = l.shape[last];
    matrices = l.count / columns;
  }
  template <class T>
  T* at(int k, T* base, int64_t matrix, int64_t row, int64_t column) const {
    return base + line_offset(lines, k, matrix * columns + column) + row * lines.stride[k];
  }
};

// Matrices cut into strips of columns and these into bands of rows, by their shape.
struct Bands {
  static constexpr int64_t kWidest = 1024;
  int64_t length, columns, strips, bands, tiles;

  template <int N>
  explicit Bands(const Columns<N>& c) : length(c.lines.length), columns(c.columns) {
    strips = (columns + kWidest - 1) / kWidest;
    bands = length * (columns < kWidest ? columns : kWidest) / kGrain;
    if (bands > 32 / (c.matrices * strips)) bands = 32 / (c.matrices * strips);
    if (bands < 1) bands = 1;
    tiles = c.matrices * strips * bands;
  }
  // body(matrix, first column, columns, first row, last row, band)
  template <class Body>
  tf_status run(const Body& body) const {
    const int64_t work = length / bands * (columns < kWidest ? columns : kWidest);
    return parallel_range(tiles, kGrain / (work + 1) + 1, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const int64_t band = t % bands, strip = t / bands % strips, c0 = strip * kWidest;
        body(t / bands / strips, c0, columns - c0 < kWidest ? columns - c0 : kWidest,
             length * band / bands, length * (band + 1) / bands, band);
      }
    });
  }
};

// Lists of a number per column.
template <class T>
struct PerColumn {
  size_t bytes;
  T* data;
  int64_t all;  // columns of all matrices
  PerColumn(int64_t columns, int64_t count)
      : bytes(size_t(columns * count) * sizeof(T)),
        data(static_cast<T*>(host->host_alloc(bytes))),
        all(columns) {}
  PerColumn(const PerColumn&) = delete;
  ~PerColumn() {
    if (data) host->host_free(data, bytes);
  }
  T* of(int64_t number) const { return data + number * all; }
};
static inline tf_status no_columns() {
  return error(TINYFIN_ERROR_MEMORY, "out of host memory for columns");
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
