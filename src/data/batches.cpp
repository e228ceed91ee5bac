// Batches: the order of an epoch, and rows gathered in parallel.
// SPDX-License-Identifier: MIT
#include "data/batches.h"

#include <algorithm>
#include <cstring>

#include "autograd/engine.h"
#include "core/parallel.h"
#include "core/philox.h"
#include "ops/ops.h"

namespace tf {
namespace {

constexpr int64_t kBytesPerTile = 1 << 17;

std::vector<Tensor> packed(std::vector<Tensor> tensors) {
  const NoGrad no_grad;
  TF_CHECK(!tensors.empty(), TINYFIN_ERROR_ARGUMENT, "received no tensors; expected one or more");
  for (size_t i = 0; i < tensors.size(); ++i) {
    Tensor& t = tensors[i];
    TF_CHECK(t.ndim() >= 1 && !t.is_weak(), TINYFIN_ERROR_SHAPE, "received ", describe(t),
             " as tensor ", i, "; expected one dimension or more, the first for the rows");
    TF_CHECK(t.size(0) == tensors[0].size(0), TINYFIN_ERROR_SHAPE, "received ", t.size(0),
             " rows in tensor ", i, " and ", tensors[0].size(0),
             " in tensor 0; expected as many in all");
    TF_CHECK(t.device().host_accessible, TINYFIN_ERROR_DEVICE, "received a tensor on ",
             t.device().name, "; expected one on the cpu; move batches, not the data set");
    t = detach(contiguous(t));
  }
  return tensors;
}

// A number in [0, bound) from 64 random bits: their product's high half (Lemire, 2019).
int64_t below(uint64_t bits, int64_t bound) {
  return int64_t(static_cast<unsigned __int128>(bits) * uint64_t(bound) >> 64);
}

}  // namespace
}  // namespace tf

using tf::Tensor;

tf_data::tf_data(std::vector<Tensor> list, int64_t size, bool shuffled, uint64_t s, bool drop)
    : tensors(tf::packed(std::move(list))),
      batch_size(size),
      rows(tensors[0].size(0)),
      shuffle(shuffled),
      drop_last(drop),
      seed(s) {
  TF_CHECK(batch_size > 0, TINYFIN_ERROR_ARGUMENT, "received batch_size = ", batch_size,
           "; expected 1 or more");
}

void tf_data::make_order() {
  if (!shuffle || ordered_epoch == epoch) return;
  order.resize(size_t(rows));
  for (int64_t i = 0; i < rows; ++i) order[size_t(i)] = i;
  // Fisher & Yates, with a stream of random numbers for each epoch.
  const tf::PhiloxBlock key = tf::philox(seed, uint64_t(epoch));
  const uint64_t stream = uint64_t(key.word[0]) << 32 | key.word[1];
  for (int64_t i = rows - 1; i > 0; --i) {
    const tf::PhiloxBlock b = tf::philox(stream, uint64_t(i));
    const int64_t j = tf::below(uint64_t(b.word[0]) << 32 | b.word[1], i + 1);
    std::swap(order[size_t(i)], order[size_t(j)]);
  }
  ordered_epoch = epoch;
}

std::vector<Tensor> tf_data::next() {
  if (position >= batches()) {
    const int64_t ended = epoch;
    epoch += 1;
    position = 0;
    tf::fail(TINYFIN_ERROR_END, "epoch ", ended,
             " has no more batches; the next call begins epoch ", epoch);
  }
  make_order();
  const int64_t first = position * batch_size, n = std::min(batch_size, rows - first);
  std::vector<Tensor> batch;
  for (const Tensor& t : tensors) {
    tf::Dims shape = t.shape();
    shape[0] = n;
    Tensor out = tf::empty(shape, t.dtype(), t.device());
    const int64_t row_bytes = rows ? t.numel() / rows * tf::size_of(t.dtype()) : 0;
    const char* from = static_cast<const char*>(t.data());
    char* to = static_cast<char*>(out.data());
    const int64_t per_tile =
        row_bytes > 0 ? std::max<int64_t>(1, tf::kBytesPerTile / row_bytes) : n;
    tf::parallel_for(n > 0 ? (n + per_tile - 1) / per_tile : 0, [&](int64_t tile) {
      const int64_t end = std::min(n, (tile + 1) * per_tile);
      for (int64_t i = tile * per_tile; i < end; ++i) {
        const int64_t row = shuffle ? order[size_t(first + i)] : first + i;
        std::memcpy(to + i * row_bytes, from + row * row_bytes, size_t(row_bytes));
      }
    });
    batch.push_back(std::move(out));
  }
  position += 1;
  return batch;
}

void tf_data::seek(int64_t to_epoch, int64_t to_position) {
  TF_CHECK(to_epoch >= 0, TINYFIN_ERROR_ARGUMENT, "received epoch ", to_epoch,
           "; expected 0 or more");
  TF_CHECK(to_position >= 0 && to_position <= batches(), TINYFIN_ERROR_INDEX,
           "received position ", to_position, "; expected 0 to ", batches(),
           ", the number of batches in an epoch");
  epoch = to_epoch;
  position = to_position;
}

void tf_data::restart(uint64_t new_seed, int64_t to_epoch, int64_t to_position) noexcept {
  seed = new_seed;
  epoch = to_epoch;
  position = to_position;
  ordered_epoch = -1;
}
