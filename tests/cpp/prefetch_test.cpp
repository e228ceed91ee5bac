// Batches gathered ahead: the same ones in the same order, whatever happens meanwhile.
// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "core/parallel.h"
#include "data/batches.h"
#include "ops/ops.h"

namespace tf {
namespace {

// Row i is i, i + 1, …; of 80 KiB, so that a batch has many tiles.
constexpr int64_t kWide = 10240;
Tensor numbered(int64_t rows, int64_t columns) {
  Tensor t = empty(Dims{rows, columns}, DType::i64, cpu_device());
  int64_t* p = static_cast<int64_t*>(t.data());
  for (int64_t i = 0; i < rows; ++i, p += columns) std::iota(p, p + columns, i);
  return t;
}

Ref<tf_data> make(int64_t rows, int64_t columns, int64_t batch, bool shuffle, int32_t ahead) {
  auto data = Ref<tf_data>::adopt(new tf_data({numbered(rows, columns), numbered(rows, 1)}, batch,
                                              shuffle, 5, false));
  data->set_prefetch(ahead, true);
  return data;
}

std::vector<int64_t> contents(const std::vector<Tensor>& batch) {
  std::vector<int64_t> all;
  for (const Tensor& t : batch) {
    const int64_t* p = static_cast<const int64_t*>(t.data());
    all.insert(all.end(), p, p + t.numel());
  }
  return all;
}

std::vector<std::vector<int64_t>> all_of(tf_data& data, int epochs) {
  std::vector<std::vector<int64_t>> seen;
  for (int ended = 0; ended < epochs;) {
    try {
      seen.push_back(contents(data.next()));
    } catch (const Error& e) {
      EXPECT_EQ(e.status(), TINYFIN_ERROR_END);
      ++ended;
    }
  }
  return seen;
}

TEST(Prefetch, GivesTheSameBatches) {
  for (bool shuffle : {false, true}) {
    const auto expected = all_of(*make(23, kWide, 4, shuffle, 0), 2);
    for (int32_t ahead : {1, 2, 3, 100})
      EXPECT_EQ(all_of(*make(23, kWide, 4, shuffle, ahead), 2), expected) << ahead;
  }
}

TEST(Prefetch, WithAnyNumberOfThreads) {
  const int32_t before = num_threads();
  const auto expected = all_of(*make(23, kWide, 4, true, 0), 2);
  for (int32_t n : {1, 2, 4}) {
    set_num_threads(n);
    EXPECT_EQ(all_of(*make(23, kWide, 4, true, 2), 2), expected) << n;
  }
  set_num_threads(before);
}

TEST(Prefetch, SeeksToWhereItIsTold) {
  auto plain = make(40, kWide, 4, true, 0), ahead = make(40, kWide, 4, true, 3);
  for (int64_t epoch : {0, 1, 0, 3})
    for (int64_t position : {0, 1, 2, 5, 6, 5, 6, 7, 9, 0}) {
      for (tf_data* d : {plain.get(), ahead.get()}) d->seek(epoch, position);
      EXPECT_EQ(contents(ahead->next()), contents(plain->next())) << epoch << " " << position;
    }
}

TEST(Prefetch, ForSeveralIteratorsAtOnce) {
  auto plain = make(24, kWide, 4, true, 0), ahead = make(24, kWide, 4, true, 2);
  for (int64_t position = 0; position < 6; ++position)
    for (int64_t epoch = 0; epoch < 3; ++epoch) {
      for (tf_data* d : {plain.get(), ahead.get()}) d->seek(epoch, position);
      EXPECT_EQ(contents(ahead->next()), contents(plain->next()));
    }
}

TEST(Prefetch, AnotherSeedForgetsWhatWasAhead) {
  auto plain = make(40, kWide, 4, true, 0), ahead = make(40, kWide, 4, true, 2);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(contents(ahead->next()), contents(plain->next()));
  for (tf_data* d : {plain.get(), ahead.get()}) d->restart(77, 0, 4);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(contents(ahead->next()), contents(plain->next()));
}

TEST(Prefetch, MoreFewerOrNoneInTheMiddle) {
  auto plain = make(80, kWide, 4, true, 0), ahead = make(80, kWide, 4, true, 2);
  for (int32_t count : {5, 1, 0, 3})
    for (int i = 0; i < 5; ++i) {
      EXPECT_EQ(contents(ahead->next()), contents(plain->next()));
      if (i == 2) ahead->set_prefetch(count, true);
    }
  EXPECT_THROW(ahead->set_prefetch(-1, true), Error);
  EXPECT_THROW(ahead->set_prefetch(1025, false), Error);
}

TEST(Prefetch, AChangeOfTheDataSetIsSeenByTheNextBatch) {
  Tensor rows = numbered(40, kWide);
  auto data = Ref<tf_data>::adopt(new tf_data({rows}, 4, false, 0, false));
  data->set_prefetch(3, true);
  for (int64_t i = 0; i < 10; ++i) {
    EXPECT_EQ(contents(data->next())[0], 4 * i + 1000 * i);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // what is ahead is complete
    add_(rows, weak_scalar(int64_t(1000)));
  }
}

TEST(Prefetch, IsReleasedWhileTheThreadCopies) {
  for (int i = 0; i < 50; ++i) {
    auto data = make(40, kWide, 8, true, 4);
    data->next();
    if (i % 2) data->next();
    if (i % 3 == 0) data->set_prefetch(i % 5, true);
  }
}

TEST(Prefetch, BatchesOutliveTheData) {
  std::vector<std::vector<Tensor>> kept;
  {
    auto data = make(40, kWide, 8, false, 2);
    for (int i = 0; i < 4; ++i) kept.push_back(data->next());
  }
  for (int64_t i = 0; i < 4; ++i) EXPECT_EQ(contents(kept[size_t(i)])[0], 8 * i);
}

TEST(Prefetch, RowsWithoutBytesAndDataWithoutRows) {
  EXPECT_TRUE(all_of(*make(0, 3, 2, true, 2), 2).empty());
  const auto batches = all_of(*make(5, 0, 2, true, 2), 1);
  ASSERT_EQ(batches.size(), 3u);
  EXPECT_EQ(batches[0].size(), 2u);
}

TEST(Prefetch, WithoutMemoryAheadTheBatchItselfIsTheOneThatFails) {
  auto data = make(40, kWide, 4, false, 8);
  CachingAllocator& memory = cpu_device().allocator;
  const int64_t batch = 4 * kWide * 8;
  data->next();
  memory.set_cap(memory.stats().current + 4 * batch);
  EXPECT_EQ(contents(data->next())[0], 4);
  EXPECT_EQ(contents(data->next())[0], 8);
  memory.set_cap(1);
  data->seek(0, 0);
  EXPECT_THROW(data->next(), Error);
  memory.set_cap(0);
  EXPECT_EQ(contents(data->next())[0], 0) << "a failure leaves the position";
}

TEST(Prefetch, AChildOfForkGathersItself) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        set_num_threads(1);
        auto data = make(40, kWide, 4, true, 3);
        auto plain = make(40, kWide, 4, true, 0);
        for (int i = 0; i < 3; ++i) {
          data->next();
          plain->next();
        }
        const pid_t child = fork();
        if (child == 0) {
#ifdef __SANITIZE_THREAD__  // which allows no threads after a fork
          data->set_prefetch(0, true);
#endif
          bool same = true;
          for (int i = 0; i < 5; ++i)
            same = same && contents(data->next()) == contents(plain->next());
          data = {};
          _exit(same ? 0 : 1);
        }
        int result = 1;
        waitpid(child, &result, 0);
        const bool same = contents(data->next()) == contents(plain->next());
        data = {};
        _exit(!WIFEXITED(result) ? 2 : !same ? 3 : WEXITSTATUS(result));
      },
      testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace tf
