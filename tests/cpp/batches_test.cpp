// Batches: order, ends of epochs, positions.
// SPDX-License-Identifier: MIT
#include "data/batches.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "core/parallel.h"

namespace tf {
namespace {

Tensor counted(int64_t rows, int64_t columns) {
  Tensor t = empty(Dims{rows, columns}, DType::i64, cpu_device());
  std::iota(static_cast<int64_t*>(t.data()), static_cast<int64_t*>(t.data()) + rows * columns, 0);
  return t;
}

Ref<tf_data> make(std::vector<Tensor> tensors, int64_t batch, bool shuffle, uint64_t seed,
                  bool drop_last) {
  return Ref<tf_data>::adopt(
      new tf_data(std::move(tensors), batch, shuffle, seed, drop_last));
}

// First column of all batches until the end of the epoch.
std::vector<int64_t> epoch_of(tf_data& data) {
  std::vector<int64_t> seen;
  for (;;) {
    try {
      const Tensor batch = data.next()[0];
      const int64_t* v = static_cast<const int64_t*>(batch.data());
      for (int64_t i = 0; i < batch.size(0); ++i) seen.push_back(v[i * batch.size(1)]);
    } catch (const Error& e) {
      EXPECT_EQ(e.status(), TINYFIN_ERROR_END);
      return seen;
    }
  }
}

TEST(Batches, InOrderWithASmallerLast) {
  auto data = make({counted(7, 1), counted(7, 3)}, 3, false, 0, false);
  EXPECT_EQ(data->batches(), 3);
  const auto batch = data->next();
  EXPECT_EQ(batch[1].shape(), (Dims{3, 3}));
  EXPECT_EQ(static_cast<const int64_t*>(batch[1].data())[8], 8);
  data->seek(0, 0);
  EXPECT_EQ(epoch_of(*data), (std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(data->epoch, 1);
  EXPECT_EQ(data->position, 0);
}

TEST(Batches, DropLast) {
  auto data = make({counted(7, 1)}, 3, false, 0, true);
  EXPECT_EQ(data->batches(), 2);
  EXPECT_EQ(epoch_of(*data).size(), 6u);
}

TEST(Batches, NoRowsNoBatches) {
  auto data = make({counted(0, 4)}, 3, true, 0, false);
  EXPECT_EQ(data->batches(), 0);
  EXPECT_TRUE(epoch_of(*data).empty());
}

TEST(Batches, ShufflesAnewEachEpochFromTheSeed) {
  auto a = make({counted(100, 1)}, 7, true, 5, false);
  auto b = make({counted(100, 1)}, 7, true, 5, false);
  auto other = make({counted(100, 1)}, 7, true, 6, false);
  const auto first = epoch_of(*a), second = epoch_of(*a);
  EXPECT_NE(first, second);
  EXPECT_EQ(epoch_of(*b), first);
  EXPECT_EQ(epoch_of(*b), second);
  EXPECT_NE(epoch_of(*other), first);
  auto sorted = first;
  std::sort(sorted.begin(), sorted.end());
  for (int64_t i = 0; i < 100; ++i) EXPECT_EQ(sorted[size_t(i)], i);
}

TEST(Batches, SeekGivesTheSameRest) {
  auto a = make({counted(50, 1)}, 8, true, 1, false);
  epoch_of(*a);
  for (int i = 0; i < 3; ++i) a->next();
  auto b = make({counted(50, 1)}, 8, true, 1, false);
  b->seek(a->epoch, a->position);
  EXPECT_EQ(epoch_of(*a), epoch_of(*b));
  EXPECT_THROW(b->seek(0, 8), Error);
  EXPECT_THROW(b->seek(-1, 0), Error);
}

TEST(Batches, RowsOfAStridedTensor) {
  const Tensor t = counted(4, 6);
  const Tensor columns = alias(t, Dims{6, 4}, Dims{1, 6}, 0);
  auto data = make({columns}, 6, false, 0, false);
  const Tensor batch = data->next()[0];
  EXPECT_EQ(static_cast<const int64_t*>(batch.data())[5], 7);  // row 1, column 1
}

TEST(Batches, SameForAnyNumberOfThreads) {
  const int32_t before = num_threads();
  std::vector<int64_t> first;
  for (int32_t n : {1, 2, 4}) {
    set_num_threads(n);
    auto data = make({counted(1000, 200)}, 256, true, 3, false);
    const auto rows = epoch_of(*data);
    if (first.empty()) first = rows;
    EXPECT_EQ(rows, first) << n;
  }
  set_num_threads(before);
}

TEST(Batches, RefusesWhatDoesNotFit) {
  EXPECT_THROW(make({}, 3, false, 0, false), Error);
  EXPECT_THROW(make({counted(3, 1), counted(4, 1)}, 3, false, 0, false), Error);
  EXPECT_THROW(make({counted(3, 1)}, 0, false, 0, false), Error);
  EXPECT_THROW(make({empty(Dims{}, DType::f32, cpu_device())}, 1, false, 0, false), Error);
}

}  // namespace
}  // namespace tf
