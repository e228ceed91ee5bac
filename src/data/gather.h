// Rows of tensors copied into new tensors, in tiles that any thread may take.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor.h"

namespace tf {

class Gather {
 public:
  // Rows order[0], order[1], … order[n - 1] of each tensor; without an order rows first,
  // first + 1, …. The tensors are row-major with n rows or more; they and the order outlive run().
  Gather(const std::vector<Tensor>& tensors, const int64_t* order, int64_t first, int64_t n);

  int64_t tiles() const noexcept { return tiles_; }
  void run(int64_t tile) const noexcept;
  // All tiles from `tile` on, on the pool.
  void run_from(int64_t tile) const;

  // Whether the tensors have changed since.
  bool stale(const std::vector<Tensor>& tensors) const noexcept {
    return versions_ != versions(tensors);
  }
  std::vector<Tensor>& out() noexcept { return out_; }

 private:
  struct Part {
    const char* from;
    char* to;
    int64_t row_bytes, rows_per_tile, first_tile;
  };
  static uint64_t versions(const std::vector<Tensor>& tensors) noexcept;

  const int64_t* const order_;
  const int64_t first_, rows_;
  int64_t tiles_ = 0;
  const uint64_t versions_;
  std::vector<Part> parts_;
  std::vector<Tensor> out_;
};

}  // namespace tf
