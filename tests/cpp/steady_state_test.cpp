// A training loop that has warmed up asks the system for no memory: every tensor, node and list
// comes from what earlier steps gave back.
// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <vector>

#include "core/parallel.h"
#include "tinyfin/tinyfin.h"

// The sanitizers bring allocators of their own.
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define TF_COUNTS_ALLOCATIONS 1

extern "C" {
void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t n, size_t bytes);
void* __libc_realloc(void* memory, size_t bytes);
void* __libc_memalign(size_t alignment, size_t bytes);
}

namespace {
std::atomic<bool> counting{false};
std::atomic<int64_t> allocations{0};

void count() {
  if (counting.load(std::memory_order_relaxed)) allocations.fetch_add(1);
}
}  // namespace

// Stand before the C library's for the whole program, libtinyfin included.
extern "C" {
void* malloc(size_t bytes) {
  count();
  return __libc_malloc(bytes);
}
void* calloc(size_t n, size_t bytes) {
  count();
  return __libc_calloc(n, bytes);
}
void* realloc(void* memory, size_t bytes) {
  count();
  return __libc_realloc(memory, bytes);
}
void* aligned_alloc(size_t alignment, size_t bytes) {
  count();
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** out, size_t alignment, size_t bytes) {
  count();
  *out = __libc_memalign(alignment, bytes);
  return *out ? 0 : 12;  // ENOMEM
}
}
#endif

namespace {

void must(tf_status status) { ASSERT_EQ(status, TINYFIN_OK) << tf_last_error(); }

struct Net {
  explicit Net(tf_status (*make)(const tf_module*, double, tf_opt**)) {
    tf_module* layers[5];
    const int64_t width[] = {784, 128, 64, 10};
    for (int i = 0; i < 3; ++i) {
      must(tf_module_linear(width[i], width[i + 1], 1, TINYFIN_ACTIVATION_NONE, &layers[2 * i]));
      if (i < 2) must(tf_module_activation(TINYFIN_ACTIVATION_RELU, &layers[2 * i + 1]));
    }
    must(tf_module_sequential(layers, 5, &net));
    for (tf_module* m : layers) tf_module_release(m);
    must(make(net, 1e-3, &opt));
    const int64_t shape[] = {64, 784};
    must(tf_randn(shape, 2, 0, 1, TINYFIN_FLOAT32, nullptr, &x));
    must(tf_randint(0, 10, shape, 1, TINYFIN_INT64, nullptr, &y));
  }
  ~Net() {
    tf_tensor_release(x);
    tf_tensor_release(y);
    tf_opt_release(opt);
    tf_module_release(net);
  }
  void step() {
    tf_tensor *scores = nullptr, *loss = nullptr;
    must(tf_opt_zero_grad(opt, 1));
    must(tf_module_forward(net, x, &scores));
    must(tf_cross_entropy(scores, y, nullptr, TINYFIN_REDUCTION_MEAN, &loss));
    must(tf_backward(loss, nullptr, 0, 0));
    must(tf_opt_step(opt, 0));
    tf_tensor_release(loss);
    tf_tensor_release(scores);
  }
  tf_module* net = nullptr;
  tf_opt* opt = nullptr;
  tf_tensor *x = nullptr, *y = nullptr;
};

TEST(SteadyState, AThousandStepsAllocateNothing) {
#ifndef TF_COUNTS_ALLOCATIONS
  GTEST_SKIP() << "this build's allocator cannot be counted";
#else
  const int32_t before = tf_num_threads();
  for (int32_t threads : {1, 2}) {
    must(tf_set_num_threads(threads));
    for (auto* make : {tf_opt_sgd, tf_opt_adam}) {
      Net net(make);
      for (int i = 0; i < 50; ++i) net.step();
      allocations = 0;
      counting = true;
      for (int i = 0; i < 1000; ++i) net.step();
      counting = false;
      EXPECT_EQ(allocations.load(), 0) << threads << " threads";
    }
  }
  must(tf_set_num_threads(before));
  counting = true;  // the count itself works
  delete new std::vector<int>(1000);
  counting = false;
  EXPECT_GE(allocations.load(), 1);
#endif
}

}  // namespace
