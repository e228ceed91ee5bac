// Copies of rows.
// SPDX-License-Identifier: MIT
#include "data/gather.h"

#include <algorithm>
#include <cstring>

#include "core/parallel.h"

#if defined(__SANITIZE_THREAD__)
extern "C" void AnnotateIgnoreReadsBegin(const char* file, int line);
extern "C" void AnnotateIgnoreReadsEnd(const char* file, int line);
#endif

namespace tf {
namespace {
constexpr int64_t kBytesPerTile = 1 << 17;
}

Gather::Gather(const std::vector<Tensor>& tensors, const int64_t* order, int64_t first, int64_t n)
    : order_(order), first_(first), rows_(n), versions_(versions(tensors)) {
  parts_.reserve(tensors.size());
  out_.reserve(tensors.size());
  for (const Tensor& t : tensors) {
    Dims shape = t.shape();
    const int64_t rows = shape[0];
    shape[0] = n;
    out_.push_back(empty(shape, t.dtype(), t.device()));
    const int64_t row_bytes = rows ? t.numel() / rows * size_of(t.dtype()) : 0;
    if (row_bytes == 0 || n == 0) continue;
    const int64_t most = std::max<int64_t>(1, kBytesPerTile / row_bytes);
    const int64_t tiles = (n + most - 1) / most, per_tile = (n + tiles - 1) / tiles;
    parts_.push_back({static_cast<const char*>(t.data()), static_cast<char*>(out_.back().data()),
                      row_bytes, per_tile, tiles_});
    tiles_ += (n + per_tile - 1) / per_tile;
  }
}

namespace {

// The caller may change the data set while a thread copies ahead: what was copied then is dropped,
// its version being another one (stale()). So this race is meant, and the thread sanitizer is told.
void copy_rows(char* to, const char* from, int64_t bytes) noexcept {
#if defined(__SANITIZE_THREAD__)
  AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
#endif
  std::memcpy(to, from, size_t(bytes));
#if defined(__SANITIZE_THREAD__)
  AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
#endif
}

}  // namespace

void Gather::run(int64_t tile) const noexcept {
  const Part* part = &parts_.back();
  while (part->first_tile > tile) --part;
  const int64_t begin = (tile - part->first_tile) * part->rows_per_tile;
  const int64_t end = std::min(rows_, begin + part->rows_per_tile);
  if (!order_) {
    copy_rows(part->to + begin * part->row_bytes, part->from + (first_ + begin) * part->row_bytes,
              (end - begin) * part->row_bytes);
    return;
  }
  for (int64_t i = begin; i < end; ++i)
    copy_rows(part->to + i * part->row_bytes, part->from + order_[i] * part->row_bytes,
              part->row_bytes);
}

void Gather::run_from(int64_t tile) const {
  parallel_for(tiles_ - tile, [&](int64_t i) { run(tile + i); });
}

uint64_t Gather::versions(const std::vector<Tensor>& tensors) noexcept {
  uint64_t sum = 0;
  for (const Tensor& t : tensors) sum += t.version();
  return sum;
}

}  // namespace tf
