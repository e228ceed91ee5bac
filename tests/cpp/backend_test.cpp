// Loading plugins, good and bad ones; what happens where a backend has no kernel.
// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "backend/registry.h"
#include "ops/ops.h"
#include "tinyfin/backend.h"
#include "tinyfin/ops.h"
#include "tinyfin/tensor.h"

namespace {

using tf::Device;
using tf::DType;
using tf::Tensor;

std::string bad(const std::string& name) {
  return std::string(BAD_BACKEND_DIRECTORY) + "/libtinyfin_backend_" + name + ".so";
}

void expect_refused(const std::string& what, tf_status status,
                    const std::vector<std::string>& fragments) {
  EXPECT_EQ(tf_backend_load(what.c_str()), status) << what << ": " << tf_last_error();
  for (const std::string& fragment : fragments)
    EXPECT_NE(std::string(tf_last_error()).find(fragment), std::string::npos)
        << what << ": \"" << tf_last_error() << "\" lacks \"" << fragment << "\"";
}

TEST(BadBackend, EachBrokenRuleHasItsMessage) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> cases = {
      {"major", {"plugin ABI 9.0", "expected major 1", "rebuild"}},
      {"short_struct", {"table of 64 bytes", "expected at least"}},
      {"no_symbol", {"lacks the function tf_backend_init_v1"}},
      {"null_slot", {"mandatory slot `copy_to_host`"}},
      {"failing_init", {"does not start", "no driver is installed"}},
      {"no_table", {"answers without a table"}},
      {"bad_name", {"\"Bad-Name\"", "[a-z0-9_]"}},
      {"duplicate_cpu", {"\"cpu\"", "not taken"}},
      {"no_elf", {"does not load"}},
  };
  for (const auto& [name, fragments] : cases) {
    SCOPED_TRACE(name);
    expect_refused(bad(name), TINYFIN_ERROR_BACKEND, fragments);
    EXPECT_NE(std::string(tf_last_error()).find(bad(name)), std::string::npos) << tf_last_error();
  }
}

TEST(BadBackend, FoundUnderAnotherName) {
  ASSERT_EQ(setenv("TINYFIN_BACKEND_PATH", BAD_BACKEND_DIRECTORY, 1), 0);
  expect_refused("wrong_name", TINYFIN_ERROR_BACKEND,
                 {"calls itself \"another\"", "expected \"wrong_name\""});
  ASSERT_EQ(setenv("TINYFIN_BACKEND_PATH", BACKEND_DIRECTORY, 1), 0);
}

TEST(BadBackend, NameTakenByAnotherFile) {
  ASSERT_EQ(tf_backend_load(bad("good").c_str()), TINYFIN_OK) << tf_last_error();
  EXPECT_EQ(tf_backend_load(bad("good").c_str()), TINYFIN_OK) << "twice is fine";
  expect_refused(std::string(BAD_BACKEND_DIRECTORY) + "/second_good.so", TINYFIN_ERROR_BACKEND,
                 {"\"good\"", "not taken", bad("good")});
}

TEST(BadBackend, UnknownNamesListEveryPathTried) {
  ASSERT_EQ(setenv("TINYFIN_BACKEND_PATH", "/first/place:relative:/second/place", 1), 0);
  expect_refused("nosuch", TINYFIN_ERROR_BACKEND,
                 {"\"nosuch\"", "/first/place/libtinyfin_backend_nosuch.so",
                  "/second/place/libtinyfin_backend_nosuch.so"});
  EXPECT_EQ(std::string(tf_last_error()).find("relative/"), std::string::npos)
      << "relative directories are never searched";
  ASSERT_EQ(setenv("TINYFIN_BACKEND_PATH", BACKEND_DIRECTORY, 1), 0);
}

TEST(BadBackend, NamesAreNeverPaths) {
  for (const char* name : {"../ref", "ref.so", "./ref", "Ref", "", "re f"})
    expect_refused(name, TINYFIN_ERROR_BACKEND, {"letters a-z, digits and _"});
  expect_refused("/no/such/file.so", TINYFIN_ERROR_BACKEND, {"/no/such/file.so"});
  EXPECT_EQ(tf_backend_load(nullptr), TINYFIN_ERROR_ARGUMENT);
}

TEST(BadBackend, AnUnknownDefaultIsAnErrorAndNeverTheCpu) {
  // In a process of its own: the choice is made once.
  const auto child = [] {
    setenv("TINYFIN_BACKEND", "nosuch", 1);
    tf_tensor* out = nullptr;
    const int64_t shape[] = {2};
    const tf_status status = tf_zeros(shape, 1, TINYFIN_FLOAT32, nullptr, &out);
    const bool named = std::string(tf_last_error()).find("libtinyfin_backend_nosuch.so") !=
                       std::string::npos;
    _exit(status == TINYFIN_ERROR_BACKEND && !out && named && !*tf_backend_name() ? 0 : 1);
  };
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(child(), testing::ExitedWithCode(0), "");
}

Tensor on(Device& device, std::vector<float> values) {
  Tensor x = tf::empty(tf::Dims{int64_t(values.size())}, DType::f32, device);
  tf::copy_from_host(x, values.data(), int64_t(values.size() * sizeof(float)));
  return x;
}

std::vector<float> read(const Tensor& x) {
  std::vector<float> values(size_t(x.numel()));
  tf::copy_to_host(x, values.data(), int64_t(values.size() * sizeof(float)));
  return values;
}

struct Policy {
  explicit Policy(const char* name) : before(tf::fallback_policy()) { tf_set_fallback(name); }
  ~Policy() { tf::set_fallback_policy(before); }
  tf::Fallback before;
};

TEST(NullBackend, WithoutFallbackAMissingKernelIsAnError) {
  const Policy policy("error");
  Device& device = tf::device_by_name("null");
  const Tensor x = on(device, {1, 2});
  try {
    tf::add(x, x);
    FAIL() << "expected a failure";
  } catch (const tf::Error& e) {
    EXPECT_EQ(e.status(), TINYFIN_ERROR_UNSUPPORTED);
    for (const char* fragment : {"\"null\"", "`add`", "float32", "TINYFIN_FALLBACK"})
      EXPECT_NE(std::string(e.what()).find(fragment), std::string::npos) << e.what();
  }
}

TEST(NullBackend, FallbackComputesOnTheCpuAndCounts) {
  const Policy policy("allow");
  Device& device = tf::device_by_name("null");
  const Tensor x = on(device, {1, 2, 3});
  const int64_t before = tf_fallback_count();
  const Tensor y = tf::add(x, x);
  EXPECT_EQ(tf_fallback_count(), before + 1);
  EXPECT_EQ(&y.device(), &device);
  EXPECT_EQ(read(y), (std::vector<float>{2, 4, 6}));
}

TEST(NullBackend, FallbackKeepsWhatLiesBetweenStridedElements) {
  const Policy policy("allow");
  const Tensor x = on(tf::device_by_name("null"), {1, 2, 3, 4, 5});
  Tensor odd = tf::alias(x, tf::Dims{2}, tf::Dims{2}, 1);
  tf::fill_(odd, 9);
  EXPECT_EQ(read(x), (std::vector<float>{1, 9, 3, 9, 5}));
}

TEST(NullBackend, WarnsOncePerOp) {
  const Policy policy("warn");
  const Tensor x = on(tf::device_by_name("null"), {1, -2});
  testing::internal::CaptureStderr();
  tf::neg(x);
  tf::neg(x);
  const std::string text = testing::internal::GetCapturedStderr();
  const size_t first = text.find("`neg`");
  EXPECT_NE(first, std::string::npos) << text;
  EXPECT_EQ(text.find("`neg`", first + 1), std::string::npos) << text;
}

TEST(NullBackend, GradientsComeFromTheEngine) {
  const Policy policy("allow");
  Tensor x = on(tf::device_by_name("null"), {1, -2, 3});
  tf::set_requires_grad(x, true);
  tf::backward({tf::sum(tf::mul(x, x))}, {Tensor()}, false, false);
  EXPECT_EQ(read(tf::grad_of(x)), (std::vector<float>{2, -4, 6}));
}

TEST(Fallback, UnknownPoliciesAreRefused) {
  EXPECT_EQ(tf_set_fallback("sometimes"), TINYFIN_ERROR_ARGUMENT);
  EXPECT_NE(std::string(tf_last_error()).find("\"sometimes\""), std::string::npos);
}

TEST(RefBackend, TwoDevicesThatDoNotMix) {
  int64_t count = 0;
  ASSERT_EQ(tf_device_count("ref", &count), TINYFIN_OK) << tf_last_error();
  ASSERT_EQ(count, 2);
  Device &first = tf::device_by_name("ref:0"), &second = tf::device_by_name("ref:1");
  const Tensor x = on(first, {1, 2}), y = on(second, {3, 4});
  EXPECT_THROW(tf::add(x, y), tf::Error);
  EXPECT_EQ(read(tf::add(tf::to_device(x, &second), y)), (std::vector<float>{4, 6}));
  EXPECT_EQ(read(tf::to_device(tf::mul(x, x), &tf::cpu_device())), (std::vector<float>{1, 4}));
  EXPECT_EQ(tf_device_get("ref:2"), nullptr);
  EXPECT_NE(std::string(tf_last_error()).find("below 2"), std::string::npos) << tf_last_error();
}

TEST(RefBackend, TheHostCannotReachItsMemory) {
  const Tensor x = on(tf::device_by_name("ref"), {1, 2});
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        const Tensor y = on(tf::device_by_name("ref"), {1, 2});
        tf_device_synchronize(&y.device());
        std::_Exit(int(*static_cast<volatile float*>(y.data())));
      },
      "");
  EXPECT_EQ(tf_tensor_data(x.get()), nullptr);
}

TEST(RefBackend, FailuresOfQueuedWorkAreReportedByTheNextCallThatWaits) {
  Device &first = tf::device_by_name("ref:0"), &second = tf::device_by_name("ref:1");
  const Tensor x = on(first, {1, 2, 3});
  Tensor index = tf::empty(tf::Dims{1}, DType::i64, first);
  const int64_t outside = 7;
  tf::copy_from_host(index, &outside, sizeof outside);
  EXPECT_NO_THROW(tf::index_select(x, 0, index)) << "the device has not looked yet";
  EXPECT_EQ(tf_device_synchronize(&second), TINYFIN_OK) << "streams keep their failures apart";
  EXPECT_EQ(tf_device_synchronize(&first), TINYFIN_ERROR_INDEX);
  const std::string text = tf_last_error();
  for (const char* fragment : {"`index`", "index 7", "axis 0 of size 3", "ref:0"})
    EXPECT_NE(text.find(fragment), std::string::npos) << text;
  EXPECT_EQ(tf_device_synchronize(&first), TINYFIN_OK) << "once";
  EXPECT_EQ(read(x), (std::vector<float>{1, 2, 3}));
}

TEST(RefBackend, TrainsALine) {
  const Policy policy("error");
  Device& device = tf::device_by_name("ref");
  const Tensor x = on(device, {0, 1, 2, 3}), y = on(device, {1, 3, 5, 7});
  Tensor slope = on(device, {0}), start = on(device, {0});
  for (int step = 0; step < 200; ++step) {
    tf::set_requires_grad(slope, true);
    tf::set_requires_grad(start, true);
    const Tensor error = tf::add(tf::add(tf::mul(x, slope), start), tf::neg(y));
    tf::backward({tf::sum(tf::mul(error, error))}, {Tensor()}, false, false);
    const auto stepped = [](const Tensor& p) {
      return tf::detach(tf::add(p, tf::mul(tf::grad_of(p), tf::weak_scalar(-0.03))));
    };
    slope = stepped(slope);
    start = stepped(start);
  }
  EXPECT_NEAR(read(slope)[0], 2, 1e-3);
  EXPECT_NEAR(read(start)[0], 1, 1e-3);
}

TEST(Backends, SupportIsReadable) {
  ASSERT_EQ(tf_backend_load("ref"), TINYFIN_OK);
  int32_t yes = -1;
  EXPECT_EQ(tf_backend_supports("ref", "add", TINYFIN_FLOAT32, &yes), TINYFIN_OK);
  EXPECT_EQ(yes, 1);
  EXPECT_EQ(tf_backend_supports("null", "add", TINYFIN_FLOAT32, &yes), TINYFIN_OK);
  EXPECT_EQ(yes, 0);
  EXPECT_EQ(tf_backend_supports("ref", "nosuch", TINYFIN_FLOAT32, &yes), TINYFIN_ERROR_NAME);
}

TEST(BackendDeathTest, DestroyedOnceAtExit) {
  EXPECT_EXIT(
      {
        // Released by a static destructor that runs after the backend is gone.
        static tf::Tensor late;
        if (tf_backend_load(bad("good").c_str()) != TINYFIN_OK) std::exit(1);
        late = tf::empty(tf::Dims{4}, tf::DType::f32, tf::device_by_name("good"));
        std::exit(0);
      },
      testing::ExitedWithCode(0), "^good: destroyed\n$");
}

}  // namespace
