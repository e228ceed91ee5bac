// Graphs: long chains, several roots, hooks, in-place safety, freed graphs, threads, failures.
// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "autograd/engine.h"
#include "capi/guard.h"
#include "ops/ops.h"
#include "tinyfin/autograd.h"
#include "tinyfin/tensor.h"

namespace {

using tf::Dims;
using tf::DType;
using tf::Tensor;

Tensor of(std::vector<double> values, bool wants_grad = false) {
  Tensor x = tf::empty(Dims{int64_t(values.size())}, DType::f64, tf::cpu_device());
  tf::copy_from_host(x, values.data(), int64_t(values.size() * sizeof(double)));
  if (wants_grad) tf::set_requires_grad(x, true);
  return x;
}

std::vector<double> read(const Tensor& x) {
  std::vector<double> values(size_t(x.numel()));
  tf::copy_to_host(x, values.data(), int64_t(values.size() * sizeof(double)));
  return values;
}

void backward(const Tensor& root, bool retain = false, bool create = false) {
  tf::backward({root}, {Tensor()}, retain, create);
}

template <class Body>
void expect_graph_error(Body&& body, const std::vector<std::string>& fragments) {
  try {
    body();
    FAIL() << "expected a failure";
  } catch (const tf::Error& e) {
    EXPECT_EQ(e.status(), TINYFIN_ERROR_GRAPH) << e.what();
    for (const std::string& fragment : fragments)
      EXPECT_NE(std::string(e.what()).find(fragment), std::string::npos)
          << "\"" << e.what() << "\" lacks \"" << fragment << "\"";
  }
}

// With a stack of 256 KiB: recursion over the chain would overflow it.
template <class Body>
void on_a_small_stack(Body body) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 256 * 1024);
  pthread_t thread;
  const auto entry = [](void* user) -> void* {
    (*static_cast<Body*>(user))();
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, &attributes, entry, &body), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

TEST(LongChain, AMillionNodesWithoutRecursionInBoundedTime) {
  on_a_small_stack([] {
    const auto start = std::chrono::steady_clock::now();
    Tensor x = of({1}, true);
    Tensor y = x;
    for (int i = 0; i < 1'000'000; ++i) y = tf::add(y, x);
    backward(y);
    EXPECT_EQ(read(tf::grad_of(x)), (std::vector<double>{1'000'001}));
    y.reset();
    Tensor z = x;
    for (int i = 0; i < 1'000'000; ++i) z = tf::neg(z);
    z.reset();  // freed without a backward
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    EXPECT_LT(took.count(), 60) << "seconds";
  });
}

TEST(Backward, SeveralRootsAddUp) {
  const Tensor x = of({1, 2}, true);
  const Tensor a = tf::sum(tf::mul(x, x)), b = tf::mul(x, tf::weak_scalar(3.0));
  tf::backward({a, b}, {Tensor(), of({10, 100})}, false, false);
  EXPECT_EQ(read(tf::grad_of(x)), (std::vector<double>{32, 304}));
}

TEST(Backward, AccumulatesIntoLeaves) {
  const Tensor x = of({3}, true);
  backward(tf::mul(x, x));
  backward(tf::mul(x, x));
  EXPECT_EQ(read(tf::grad_of(x)), (std::vector<double>{12}));
}

TEST(Backward, RootsOfManyElementsNeedAGradient) {
  const Tensor x = of({1, 2}, true);
  EXPECT_THROW(backward(tf::mul(x, x)), tf::Error);
  EXPECT_THROW(tf::backward({tf::mul(x, x)}, {of({1, 2, 3})}, false, false), tf::Error);
  EXPECT_FALSE(tf::grad_of(x).defined());
}

TEST(Backward, AFreedGraphSaysSo) {
  const Tensor x = of({2}, true);
  const Tensor y = tf::mul(x, x);
  backward(y);
  expect_graph_error([&] { backward(y); }, {"freed", "`mul`", "retain_graph"});
  const Tensor z = tf::mul(x, x);
  backward(z, true);
  backward(z);
  EXPECT_EQ(read(tf::grad_of(x)), (std::vector<double>{12}));
}

TEST(Backward, GradientsOfGradients) {
  const Tensor x = of({2}, true);
  const Tensor y = tf::mul(tf::mul(x, x), x);
  const Tensor first = tf::grad({y}, {x}, {Tensor()}, true, true, false)[0];
  const Tensor second = tf::grad({first}, {x}, {Tensor()}, true, true, false)[0];
  const Tensor third = tf::grad({second}, {x}, {Tensor()}, false, false, false)[0];
  EXPECT_EQ(read(first), (std::vector<double>{12}));
  EXPECT_EQ(read(second), (std::vector<double>{12}));
  EXPECT_EQ(read(third), (std::vector<double>{6}));
  EXPECT_FALSE(tf::grad_of(x).defined()) << "grad() leaves the leaves alone";
}

TEST(Backward, UnusedInputs) {
  const Tensor x = of({1}, true), other = of({1}, true);
  const Tensor y = tf::mul(x, x);
  expect_graph_error([&] { tf::grad({y}, {other}, {Tensor()}, true, false, false); }, {});
  const auto grads = tf::grad({y}, {other, x}, {Tensor()}, false, false, true);
  EXPECT_FALSE(grads[0].defined());
  EXPECT_EQ(read(grads[1]), (std::vector<double>{2}));
}

TEST(Backward, IntermediateTensorsAsInputsAndRetained) {
  const Tensor x = of({3}, true);
  const Tensor y = tf::mul(x, x);
  const Tensor z = tf::mul(y, y);
  EXPECT_EQ(read(tf::grad({z}, {y}, {Tensor()}, true, false, false)[0]), (std::vector<double>{18}));
  tf::retain_grad(y);
  EXPECT_EQ(read(tf::grad({z}, {x}, {Tensor()}, true, false, false)[0]), (std::vector<double>{108}));
  EXPECT_FALSE(tf::grad_of(y).defined()) << "grad() fills no .grad";
  backward(z);
  EXPECT_EQ(read(tf::grad_of(y)), (std::vector<double>{18}));
}

TEST(Backward, NothingIsRecordedWithoutGradMode) {
  const Tensor x = of({3}, true);
  const tf::NoGrad no_grad;
  EXPECT_FALSE(tf::mul(x, x).requires_grad());
  EXPECT_FALSE(tf::detach(x).requires_grad());
}

// Hooks ------------------------------------------------------------------------------------

struct HookLog {
  int called = 0;
  int destroyed = 0;
  tf_status answer = TINYFIN_OK;
  double factor = 0;  // of the replacement; 0: none
};

tf_status log_hook(const tf_tensor* grad, tf_tensor** out_replacement, void* user) {
  HookLog& log = *static_cast<HookLog*>(user);
  ++log.called;
  if (log.factor == 0) return log.answer;
  const tf::Borrowed lent(grad, "grad");
  *out_replacement = tf::mul(lent, tf::weak_scalar(log.factor)).detach_ref();
  return log.answer;
}

void count_destroyed(void* user) { ++static_cast<HookLog*>(user)->destroyed; }

int64_t add_hook(const Tensor& x, HookLog& log) {
  int64_t id = -1;
  EXPECT_EQ(tf_tensor_add_hook(x.get(), log_hook, &log, count_destroyed, &id), TINYFIN_OK)
      << tf_last_error();
  return id;
}

TEST(Hooks, SeeAndReplaceGradientsOfLeavesAndOthers) {
  HookLog leaf{.factor = 10}, inner{.factor = 2};
  {
    const Tensor x = of({3}, true);
    const Tensor y = tf::mul(x, x);
    add_hook(x, leaf);
    add_hook(y, inner);
    backward(tf::mul(y, tf::weak_scalar(1.0)));
    EXPECT_EQ(read(tf::grad_of(x)), (std::vector<double>{6 * 2 * 10}));
    EXPECT_EQ(leaf.called, 1);
    EXPECT_EQ(inner.called, 1);
  }
  EXPECT_EQ(leaf.destroyed, 1);
  EXPECT_EQ(inner.destroyed, 1);
}

TEST(Hooks, AFailureEndsTheBackwardWithItsStatus) {
  HookLog log{.answer = 77};
  const Tensor x = of({3}, true);
  const Tensor y = tf::mul(x, x);
  const int64_t id = add_hook(y, log);
  EXPECT_EQ(tf_backward(tf::sum(y).get(), nullptr, 1, 0), 77);
  EXPECT_FALSE(tf::grad_of(x).defined());
  ASSERT_EQ(tf_tensor_remove_hook(y.get(), id), TINYFIN_OK);
  EXPECT_EQ(log.destroyed, 1);
  EXPECT_EQ(tf_tensor_remove_hook(y.get(), id), TINYFIN_OK) << "twice is fine";
  EXPECT_EQ(log.destroyed, 1);
  EXPECT_EQ(tf_backward(tf::sum(y).get(), nullptr, 0, 0), TINYFIN_OK) << tf_last_error();
  EXPECT_EQ(read(tf::grad_of(x)), (std::vector<double>{6}));
}

TEST(Hooks, DestroyRunsAlsoWhenAddingFails) {
  HookLog log;
  int64_t id = -1;
  EXPECT_NE(tf_tensor_add_hook(nullptr, log_hook, &log, count_destroyed, &id), TINYFIN_OK);
  EXPECT_EQ(log.destroyed, 1);
  const Tensor constant = of({1});
  EXPECT_NE(tf_tensor_add_hook(constant.get(), log_hook, &log, count_destroyed, &id), TINYFIN_OK);
  EXPECT_EQ(log.destroyed, 2);
}

// In-place ops -------------------------------------------------------------------------------

TEST(InPlace, ALeafThatWantsAGradientIsRefused) {
  Tensor x = of({1}, true);
  expect_graph_error([&] { tf::add_(x, x); }, {"`add_`", "leaf", "no_grad"});
  const tf::NoGrad no_grad;
  tf::add_(x, x);
  EXPECT_EQ(read(x), (std::vector<double>{2}));
}

TEST(InPlace, ModifiedSavedValuesAreNoticedByOpName) {
  Tensor x = of({2}, true);
  Tensor y = tf::mul(x, tf::weak_scalar(3.0));
  const Tensor z = tf::mul(y, y);
  tf::add_(y, of({1}));
  expect_graph_error([&] { backward(z); }, {"`mul`", "modified in place", "version"});
}

TEST(InPlace, AViewTakenBeforeAModificationIsRefused) {
  const Tensor x = of({1, 2}, true);
  Tensor y = tf::mul(x, tf::weak_scalar(3.0));
  const int64_t shape[] = {2, 1};
  const Tensor view = tf::reshape(y, shape);
  tf::add_(y, of({1, 1}));
  expect_graph_error([&] { tf::mul(view, view); }, {"modified in place", "`mul`"});
}

TEST(InPlace, ViewsOfTensorsInAGraphAreRefused) {
  const Tensor x = of({1, 2}, true);
  const Tensor y = tf::mul(x, tf::weak_scalar(3.0));
  const int64_t shape[] = {2, 1};
  Tensor view = tf::reshape(y, shape);
  expect_graph_error([&] { tf::add_(view, of({1})); }, {"`add_`", "view"});
}

TEST(InPlace, ReadOnlyAndExpandedTensorsAreRefused) {
  const Tensor one = of({1});
  const int64_t shape[] = {3};
  Tensor many = tf::expand(one, shape);
  EXPECT_THROW(tf::fill_(many, 2), tf::Error);
  EXPECT_EQ(read(one), (std::vector<double>{1}));
}

TEST(InPlace, HistoryGoesOnThroughTheModification) {
  const Tensor x = of({2}, true), b = of({5}, true);
  Tensor y = tf::mul(x, x);
  tf::mul_(y, b);  // x² b
  backward(y);
  EXPECT_EQ(read(tf::grad_of(x)), (std::vector<double>{20}));
  EXPECT_EQ(read(tf::grad_of(b)), (std::vector<double>{4}))
      << "reads the value from before the modification";
}

TEST(InPlace, OverlappingOperandsSeeTheValuesFromBefore) {
  const Tensor x = of({1, 2, 3});
  Tensor front = tf::alias(x, Dims{2}, Dims{1}, 0);
  const Tensor back = tf::alias(x, Dims{2}, Dims{1}, 1);
  tf::add_(front, back);
  EXPECT_EQ(read(x), (std::vector<double>{3, 5, 3}));
}

// Memory of a caller, lent twice: the engine sees two storages.
TEST(InPlace, OverlappingMemoryOfACallerIsReadBeforeItIsWritten) {
  std::vector<double> memory(1000), expected(1000);
  std::iota(memory.begin(), memory.end(), 0);
  const auto lent = [&](int64_t first) {
    return tf::tensor_of(tf::Storage::borrow(tf::cpu_device(), memory.data() + first,
                                             int64_t(999 * sizeof(double)), true, [](void*) {},
                                             nullptr),
                         tf::DType::f64, Dims{999}, Dims{1}, 0);
  };
  for (int64_t to : {0, 1}) {
    Tensor a = lent(to);
    const Tensor b = lent(1 - to);
    expected = memory;
    for (size_t i = 0; i < 999; ++i)
      expected[i + size_t(to)] = memory[i + size_t(to)] + memory[i + 1 - size_t(to)];
    tf::add_(a, b);
    EXPECT_EQ(memory, expected) << to;
  }
  Tensor same = lent(0);
  expected = memory;
  for (size_t i = 0; i < 999; ++i) expected[i] *= memory[i];
  tf::mul_(same, lent(0));
  EXPECT_EQ(memory, expected);
}

// Failures and threads -------------------------------------------------------------------------

void failing_vjp(tf::Vjp&) { tf::fail(TINYFIN_ERROR_STATE, "this rule fails on purpose"); }

// A view: it needs no kernel.
const tf::Primitive failing{
    {.name = "test_failing_view", .vjp = failing_vjp, .flags = tf::kView}};

TEST(Backward, AFailingRuleLeavesNoGradientBehind) {
  const Tensor x = of({2}, true), other = of({7}, true);
  const Tensor y = tf::mul(x, other);
  const Tensor z = tf::run_view(failing, y, tf::Attrs(), y.shape(), y.strides(), y.get()->offset);
  const Tensor root = tf::add(tf::mul(y, y), z);
  for (int attempt = 0; attempt < 2; ++attempt) {
    EXPECT_THROW(backward(root, true), tf::Error);
    EXPECT_FALSE(tf::grad_of(x).defined());
    EXPECT_FALSE(tf::grad_of(other).defined());
  }
  backward(tf::mul(y, y), true);
  EXPECT_EQ(read(tf::grad_of(x)), (std::vector<double>{2 * 14 * 7}))
      << "nothing of the failed attempts was left in the nodes";
}

TEST(Threads, OneLeafInGraphsOfTwoThreads) {
  const Tensor x = of({1, 2, 3}, true);
  constexpr int kEach = 2000;
  const auto work = [&] {
    for (int i = 0; i < kEach; ++i) backward(tf::sum(tf::mul(x, tf::weak_scalar(2.0))));
  };
  std::thread one(work), two(work);
  one.join();
  two.join();
  const double total = 2.0 * 2 * kEach;
  EXPECT_EQ(read(tf::grad_of(x)), (std::vector<double>{total, total, total}));
}

TEST(Threads, GradModeIsPerThread) {
  const tf::NoGrad no_grad;
  std::thread([] { EXPECT_TRUE(tf::grad_enabled()); }).join();
  EXPECT_FALSE(tf::grad_enabled());
}

int64_t resident_kilobytes() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

TEST(Leaks, TenThousandStepsHoldNoMoreThanTen) {
  Tensor w = of({0.5, -0.5}, true);
  const Tensor x = of({1, 2});
  const auto step = [&] {
    const Tensor error = tf::add(tf::sum(tf::mul(w, x)), tf::weak_scalar(-1.0));
    backward(tf::mul(error, error));
    const Tensor grad = tf::grad_of(w);
    const tf::NoGrad no_grad;
    tf::add_(w, tf::mul(grad, tf::weak_scalar(-0.01)));
    tf::set_grad(w, Tensor());
  };
  for (int i = 0; i < 200; ++i) step();
  const tf::MemoryStats before = tf::cpu_device().allocator.stats();
  const int64_t resident = resident_kilobytes();
  for (int i = 0; i < 10'000; ++i) step();
  const tf::MemoryStats after = tf::cpu_device().allocator.stats();
  EXPECT_EQ(after.current, before.current);
  EXPECT_EQ(after.reserved, before.reserved);
#ifndef __SANITIZE_ADDRESS__  // which keeps freed memory for a while, to catch late uses
  EXPECT_LT(resident_kilobytes() - resident, 1024);
#else
  (void)resident;
#endif
}

}  // namespace
