// The guard of public functions: every exception becomes a status and one line of text.
// SPDX-License-Identifier: MIT
#include "capi/guard.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <new>
#include <stdexcept>
#include <string>
#include <thread>

#include "core/parallel.h"
#include "ops/ops.h"
#include "tinyfin/base.h"
#include "tinyfin/tensor.h"

namespace {

template <class Thrown>
tf_status guarded(const Thrown& thrown) {
  return tf::guard("some_op", [&] { throw thrown; });
}

TEST(Guard, ExceptionsOfAllKinds) {
  EXPECT_EQ(tf::guard("some_op", [] {}), TINYFIN_OK);
  EXPECT_EQ(guarded(tf::Error(TINYFIN_ERROR_SHAPE, "received this; expected that")),
            TINYFIN_ERROR_SHAPE);
  EXPECT_STREQ(tf_last_error(), "[some_op] received this; expected that");
  EXPECT_EQ(guarded(std::bad_alloc()), TINYFIN_ERROR_MEMORY);
  EXPECT_NE(std::string(tf_last_error()).find("[some_op]"), std::string::npos);
  EXPECT_EQ(guarded(std::runtime_error("a surprise")), TINYFIN_ERROR_INTERNAL);
  EXPECT_NE(std::string(tf_last_error()).find("a surprise"), std::string::npos);
  EXPECT_EQ(guarded(42), TINYFIN_ERROR_INTERNAL);
  EXPECT_NE(std::string(tf_last_error()).find("[some_op]"), std::string::npos);
}

TEST(Guard, LongMessagesStayOneLine) {
  guarded(tf::Error(TINYFIN_ERROR_STATE, std::string(100'000, 'x')));
  const std::string text = tf_last_error();
  EXPECT_EQ(text.rfind("[some_op] xxx", 0), 0u);
  EXPECT_EQ(text.find('\n'), std::string::npos);
}

TEST(Guard, SuccessAndReleaseLeaveTheLastErrorAlone) {
  guarded(tf::Error(TINYFIN_ERROR_SHAPE, "kept"));
  tf::guard("other", [] {});
  tf_tensor_release(nullptr);
  EXPECT_STREQ(tf_last_error(), "[some_op] kept");
}

TEST(Guard, TheLastErrorIsPerThread) {
  guarded(tf::Error(TINYFIN_ERROR_SHAPE, "mine"));
  std::thread([] { EXPECT_STREQ(tf_last_error(), ""); }).join();
  EXPECT_STREQ(tf_last_error(), "[some_op] mine");
}

TEST(Guard, StatusNamesAreNeverNull) {
  for (tf_status status = -1; status < 120; ++status) {
    ASSERT_NE(tf_status_name(status), nullptr);
    EXPECT_GT(std::string(tf_status_name(status)).size(), 0u) << status;
  }
}

TEST(Fork, AChildOfAProcessThatUsedThePoolGetsAStatus) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        tf::set_num_threads(2);
        tf::parallel_for(4, [](int64_t) {});
        const pid_t child = fork();
        if (child == 0) {
          const tf_status status = tf::guard("child", [] { tf::parallel_for(4, [](int64_t) {}); });
          const bool told = std::string(tf_last_error()).find("fork") != std::string::npos;
          _exit(status == TINYFIN_ERROR_FORK && told ? 0 : 1);
        }
        int result = 1;
        waitpid(child, &result, 0);
        _exit(WIFEXITED(result) ? WEXITSTATUS(result) : 2);
      },
      testing::ExitedWithCode(0), "");
}

TEST(Parallel, EveryTileRunsOnceForAnyNumberOfThreads) {
  const int32_t before = tf::num_threads();
  for (int32_t threads : {1, 2, 3, 4, 7}) {
    tf::set_num_threads(threads);
    std::vector<int> count(1000, 0);
    tf::parallel_for(1000, [&](int64_t tile) {
      ++count[size_t(tile)];
      tf::parallel_for(3, [](int64_t) {});  // from inside a tile: on this thread alone
    });
    EXPECT_EQ(count, std::vector<int>(1000, 1)) << threads << " threads";
  }
  tf::set_num_threads(before);
  EXPECT_THROW(tf::set_num_threads(0), tf::Error);
}

}  // namespace
