// Rows of tensors in batches, in an order that follows from seed and epoch.
// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "core/tensor.h"
#include "tinyfin/data.h"

// The object behind the public handle.
struct tf_data {
  tf_data(std::vector<tf::Tensor> tensors, int64_t batch_size, bool shuffle, uint64_t seed,
          bool drop_last);

  // The next batch, one tensor for each; fails with END after the last of an epoch, and the next
  // epoch begins.
  std::vector<tf::Tensor> next();
  void seek(int64_t epoch, int64_t position);
  // The same with another seed; the numbers were checked.
  void restart(uint64_t seed, int64_t epoch, int64_t position) noexcept;
  int64_t batches() const noexcept {
    return rows / batch_size + (rows % batch_size != 0 && !drop_last);
  }

  void retain() const noexcept { refs.retain(); }
  void release() const noexcept {
    if (refs.release()) delete this;
  }

  tf::RefCount refs;
  const std::vector<tf::Tensor> tensors;  // row-major
  const int64_t batch_size, rows;
  const bool shuffle, drop_last;
  uint64_t seed;
  int64_t epoch = 0, position = 0;

 private:
  void make_order();
  std::vector<int64_t> order;  // of `ordered_epoch`; empty without shuffling
  int64_t ordered_epoch = -1;
};
