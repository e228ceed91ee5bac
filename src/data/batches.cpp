// Batches: the order of an epoch, and what is gathered ahead of it.
// SPDX-License-Identifier: MIT
#include "data/batches.h"

#include <algorithm>
#include <utility>

#include "autograd/engine.h"
#include "core/parallel.h"
#include "core/philox.h"
#include "core/processors.h"
#include "ops/ops.h"

namespace tf {
namespace {

// What a smaller batch takes to gather is less than to hand it to another thread.
constexpr int64_t kWorthAhead = 1 << 16;

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

tf_data::~tf_data() {
  (void)ahead();  // abandons what another process has
}

void tf_data::make_order() {
  if (!shuffle || ordered_epoch == epoch) return;
  forget_ahead();
  ordered_epoch = -1;  // of none, until it is complete
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

std::unique_ptr<tf::Gather> tf_data::gather_of(int64_t at) const {
  const int64_t first = at * batch_size, n = std::min(batch_size, rows - first);
  return std::make_unique<tf::Gather>(tensors, shuffle ? order.data() + first : nullptr, first, n);
}

// What is gathered ahead in this process, or null.
tf::Ahead* tf_data::ahead() noexcept {
  if (ahead_ && !ahead_->usable()) (void)ahead_.release();
  return ahead_.get();
}

void tf_data::forget_ahead() noexcept {
  if (tf::Ahead* a = ahead()) a->clear();
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
  std::unique_ptr<tf::Gather> batch;
  if (tf::Ahead* a = ahead(); a && a->size() > 0) {
    if (ahead_epoch == epoch && a->front() == position) {
      batch = a->take();
      if (batch->stale(tensors)) batch.reset();
    }
    if (!batch) a->clear();
  }
  if (!batch) {
    batch = gather_of(position);
    batch->run_from(0);
  }
  // Where batches are asked for in turn, which several iterators over one object do not.
  const bool in_turn = given_epoch == epoch && given_position + 1 == position;
  given_epoch = epoch;
  given_position = position;
  position += 1;
  if (in_turn) look_ahead();
  return std::move(batch->out());
}

int32_t tf_data::depth() const noexcept {
  if (prefetch == 0 || prefetch_always) return prefetch;
  static const int32_t have = tf::processors();
  if (have <= tf::num_threads()) return 0;
  int64_t bytes = 0;
  for (const Tensor& t : tensors) bytes += t.numel() * tf::size_of(t.dtype());
  return bytes / std::max<int64_t>(1, rows) * batch_size >= tf::kWorthAhead ? prefetch : 0;
}

// Orders the batches that follow. Where memory or threads are short there is nothing ahead, and
// who needs a batch hears why.
void tf_data::look_ahead() noexcept {
  const int32_t most = depth();
  if (most == 0) return;
  try {
    if (!ahead()) ahead_ = std::make_unique<tf::Ahead>();
    ahead_epoch = epoch;
    for (int64_t n = int64_t(ahead_->size()); n < most && position + n < batches(); ++n)
      ahead_->add(position + n, gather_of(position + n));
  } catch (...) {
  }
}

void tf_data::set_prefetch(int32_t count, bool always) {
  TF_CHECK(count >= 0 && count <= 1024, TINYFIN_ERROR_ARGUMENT, "received ", count,
           " batches; expected 0 to 1024");
  prefetch = count;
  prefetch_always = always;
  (void)ahead();
  ahead_.reset();
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
  forget_ahead();
  seed = new_seed;
  epoch = to_epoch;
  position = to_position;
  ordered_epoch = -1;
}
