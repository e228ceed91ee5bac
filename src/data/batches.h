// Rows of tensors in batches, in an order that follows from seed and epoch.
// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <vector>

#include "core/tensor.h"
#include "data/ahead.h"
#include "tinyfin/data.h"

// The object behind the public handle.
struct tf_data {
  tf_data(std::vector<tf::Tensor> tensors, int64_t batch_size, bool shuffle, uint64_t seed,
          bool drop_last);
  ~tf_data();

  // The next batch, one tensor for each; fails with END after the last of an epoch, and the next
  // epoch begins.
  std::vector<tf::Tensor> next();
  void seek(int64_t epoch, int64_t position);
  // The same with another seed; the numbers were checked.
  void restart(uint64_t seed, int64_t epoch, int64_t position) noexcept;
  // How many batches are gathered ahead, at most; unless `always`, only where it pays.
  void set_prefetch(int32_t batches, bool always);
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
  std::unique_ptr<tf::Gather> gather_of(int64_t position) const;
  tf::Ahead* ahead() noexcept;
  void forget_ahead() noexcept;
  void look_ahead() noexcept;
  int32_t depth() const noexcept;

  std::vector<int64_t> order;  // of `ordered_epoch`; empty without shuffling
  int64_t ordered_epoch = -1;
  std::unique_ptr<tf::Ahead> ahead_;  // batches of `epoch`, or of the last one asked for
  int64_t ahead_epoch = 0;
  int64_t given_epoch = -1, given_position = -1;  // the batch given last
  int32_t prefetch = 2;
  bool prefetch_always = false;
};
