// Dims and strides, the caching allocator, storage and views.
// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "core/allocator.h"
#include "core/tensor.h"
#include "ops/ops.h"
#include "tinyfin/base.h"
#include "tinyfin/ops.h"
#include "tinyfin/tensor.h"

namespace {

using tf::CachingAllocator;
using tf::Dims;
using tf::DType;
using tf::Tensor;

constexpr int64_t kHuge = int64_t{1} << 62;

tf_status status_of(void (*body)()) {
  try {
    body();
  } catch (const tf::Error& e) {
    return e.status();
  }
  return TINYFIN_OK;
}

TEST(Dims, ContiguousStridesOfEmptyAndScalarShapes) {
  EXPECT_EQ(tf::contiguous_strides(Dims{2, 3, 4}), (Dims{12, 4, 1}));
  EXPECT_EQ(tf::contiguous_strides(Dims{}), Dims{});
  EXPECT_TRUE(tf::is_contiguous(Dims{}, Dims{}));
  EXPECT_TRUE(tf::is_contiguous(Dims{0, 3}, Dims{7, 9})) << "nothing to be out of order";
  EXPECT_TRUE(tf::is_contiguous(Dims{1, 3}, Dims{99, 1})) << "strides of size 1 mean nothing";
  EXPECT_FALSE(tf::is_contiguous(Dims{2, 3}, Dims{1, 2}));
}

TEST(Dims, DenseInAnyOrder) {
  EXPECT_TRUE(tf::is_dense(Dims{2, 3}, Dims{1, 2}));
  EXPECT_TRUE(tf::is_dense(Dims{2, 3, 4, 5}, tf::channels_last_strides(Dims{2, 3, 4, 5})));
  EXPECT_FALSE(tf::is_dense(Dims{2, 3}, Dims{4, 1})) << "gaps";
  EXPECT_FALSE(tf::is_dense(Dims{2, 3}, Dims{0, 1})) << "overlap";
}

TEST(Dims, OverlapWithinATensor) {
  for (const auto& [shape, strides] : std::vector<std::pair<Dims, Dims>>{
           {{2, 3}, {3, 1}}, {{2, 3}, {1, 2}}, {{2, 3}, {-8, 2}}, {{5}, {-1}}, {{1, 4}, {0, 1}},
           {{0, 4}, {0, 0}}, {{}, {}}, {{4, 1, 3}, {3, 7, -1}}})
    EXPECT_FALSE(tf::may_overlap_itself(shape, strides)) << to_string(shape);
  for (const auto& [shape, strides] : std::vector<std::pair<Dims, Dims>>{
           {{2, 3}, {0, 1}}, {{3, 3}, {1, 1}}, {{3, 3}, {2, 1}}, {{5}, {0}}, {{2, 2}, {-1, 1}}})
    EXPECT_TRUE(tf::may_overlap_itself(shape, strides)) << to_string(strides);
}

TEST(Dims, StrideOrderIsKept) {
  const Dims shape{2, 3, 4, 5};
  const Dims last = tf::channels_last_strides(shape);
  EXPECT_EQ(last, (Dims{60, 1, 15, 3}));
  EXPECT_EQ(tf::strides_in_order_of(Dims{2, 6, 4, 5}, shape, last),
            tf::channels_last_strides(Dims{2, 6, 4, 5}));
}

TEST(Dims, Broadcasting) {
  EXPECT_EQ(tf::broadcast_shapes(Dims{2, 1, 4}, Dims{3, 1}), (Dims{2, 3, 4}));
  EXPECT_EQ(tf::broadcast_shapes(Dims{0}, Dims{1}), Dims{0});
  EXPECT_EQ(tf::broadcast_shapes(Dims{}, Dims{5}), Dims{5});
  EXPECT_EQ(status_of([] { tf::broadcast_shapes(Dims{2}, Dims{3}); }), TINYFIN_ERROR_SHAPE);
  EXPECT_FALSE(tf::broadcasts_to(Dims{2, 3}, Dims{3}));
}

TEST(Dims, AxesCountFromBothEnds) {
  EXPECT_EQ(tf::wrap_dim(-1, 3), 2);
  EXPECT_EQ(tf::wrap_dim(0, 0), 0) << "a scalar counts as one dimension";
  for (int64_t axis : {int64_t{3}, int64_t{-4}, std::numeric_limits<int64_t>::min()})
    EXPECT_THROW(tf::wrap_dim(axis, 3), tf::Error) << axis;
  const int64_t twice[] = {1, -2};
  EXPECT_THROW(tf::dim_mask(twice, 2, 3), tf::Error);
}

TEST(Dims, SizesThatOverflowAreRefused) {
  EXPECT_EQ(status_of([] { tf::checked_numel(Dims{kHuge, 4}); }), TINYFIN_ERROR_SHAPE);
  EXPECT_EQ(status_of([] { tf::checked_numel(Dims{-1, 2}); }), TINYFIN_ERROR_SHAPE);
  EXPECT_EQ(tf::checked_numel(Dims{0, 7}), 0);
}

TEST(HugeShapes, AreAStatusAndNoCrash) {
  tf_tensor* out = nullptr;
  for (const std::vector<int64_t>& shape : std::vector<std::vector<int64_t>>{
           {kHuge, 4}, {int64_t{1} << 32, int64_t{1} << 32}, {kHuge}, {-1}, {INT64_MAX, INT64_MAX}}) {
    const tf_status status =
        tf_zeros(shape.data(), int64_t(shape.size()), TINYFIN_FLOAT64, nullptr, &out);
    EXPECT_TRUE(status == TINYFIN_ERROR_SHAPE || status == TINYFIN_ERROR_MEMORY)
        << status << ": " << tf_last_error();
    EXPECT_EQ(out, nullptr);
  }
  const std::vector<int64_t> many(9, 1);
  EXPECT_EQ(tf_zeros(many.data(), 9, TINYFIN_FLOAT32, nullptr, &out), TINYFIN_ERROR_SHAPE);
  const int64_t two[] = {2};
  EXPECT_EQ(tf_zeros(two, -1, TINYFIN_FLOAT32, nullptr, &out), TINYFIN_ERROR_ARGUMENT);
}

TEST(SizeClasses, HoldWhatIsAskedWithoutMuchWaste) {
  int last = -1;
  for (int64_t bytes : {1, 63, 64, 65, 128, 129, 200, 256, 257, 1000, 4096, 4097, 1 << 20}) {
    const int c = CachingAllocator::class_of(bytes);
    const int64_t size = CachingAllocator::class_bytes(c);
    EXPECT_GE(size, bytes);
    EXPECT_LE(size, bytes + bytes / 4 + 64) << bytes;
    EXPECT_EQ(CachingAllocator::class_of(size), c) << "free() finds the class by its size";
    EXPECT_GE(c, last);
    last = c;
  }
}

// Memory figures of the cpu, and the cap lifted again afterwards.
struct Memory {
  Memory() : start(now()) {}
  ~Memory() { tf_memory_set_cap(nullptr, 0); }
  static tf::MemoryStats now() { return tf::cpu_device().allocator.stats(); }
  tf::MemoryStats start;
};

TEST(Allocator, CountsAndReuses) {
  Memory memory;
  CachingAllocator& allocator = tf::cpu_device().allocator;
  allocator.trim();
  const int64_t reserved = Memory::now().reserved;
  int64_t capacity = 0;
  void* first = allocator.alloc(1000, capacity);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(first) % 64, 0u);
  EXPECT_EQ(Memory::now().current, memory.start.current + capacity);
  EXPECT_EQ(Memory::now().reserved, reserved + capacity);
  allocator.free(first, capacity);
  EXPECT_EQ(Memory::now().current, memory.start.current);
  EXPECT_EQ(Memory::now().reserved, reserved + capacity) << "kept for reuse";
  EXPECT_EQ(allocator.alloc(990, capacity), first) << "the same class gives the same block";
  allocator.free(first, capacity);
  allocator.trim();
  EXPECT_EQ(Memory::now().reserved, reserved);
  EXPECT_EQ(allocator.alloc(0, capacity), nullptr);
  EXPECT_EQ(capacity, 0);
}

TEST(Allocator, PeakStartsAnewOnRequest) {
  ASSERT_EQ(tf_memory_reset_peak(nullptr), TINYFIN_OK);
  const int64_t before = Memory::now().current;
  { const Tensor big = tf::empty(Dims{1 << 16}, DType::f32, tf::cpu_device()); }
  EXPECT_GE(Memory::now().peak, before + (4 << 16));
  ASSERT_EQ(tf_memory_reset_peak(nullptr), TINYFIN_OK);
  EXPECT_EQ(Memory::now().peak, Memory::now().current);
}

TEST(Allocator, TheCapIsAStatusFromWhichWorkGoesOn) {
  Memory memory;
  ASSERT_EQ(tf_memory_set_cap(nullptr, memory.start.current + 4096), TINYFIN_OK);
  const int64_t large[] = {1 << 20}, small[] = {16};
  tf_tensor* out = nullptr;
  EXPECT_EQ(tf_zeros(large, 1, TINYFIN_FLOAT32, nullptr, &out), TINYFIN_ERROR_MEMORY);
  EXPECT_EQ(out, nullptr);
  const std::string text = tf_last_error();
  for (const char* fragment : {"[zeros]", "out of memory", "cpu:0", "cap", "tf_memory_set_cap"})
    EXPECT_NE(text.find(fragment), std::string::npos) << text;
  EXPECT_EQ(Memory::now().current, memory.start.current) << "nothing is half-allocated";
  EXPECT_EQ(tf_zeros(small, 1, TINYFIN_FLOAT32, nullptr, &out), TINYFIN_OK);
  tf_tensor_release(out);
  ASSERT_EQ(tf_memory_set_cap(nullptr, 0), TINYFIN_OK);
  EXPECT_EQ(tf_zeros(large, 1, TINYFIN_FLOAT32, nullptr, &out), TINYFIN_OK);
  tf_tensor_release(out);
  EXPECT_EQ(tf_memory_set_cap(nullptr, -1), TINYFIN_ERROR_ARGUMENT);
}

TEST(Allocator, OutOfMemoryInABackwardLeavesNoGradient) {
  Memory memory;
  Tensor x = tf::empty(Dims{1 << 14}, DType::f32, tf::cpu_device());
  tf::fill_(x, 1);
  tf::set_requires_grad(x, true);
  const Tensor root = tf::sum(tf::mul(tf::mul(x, x), x));
  const int64_t held = Memory::now().current;
  tf_memory_set_cap(nullptr, held + 1024);
  EXPECT_THROW(tf::backward({root}, {Tensor()}, true, false), tf::Error);
  EXPECT_FALSE(tf::grad_of(x).defined());
  EXPECT_EQ(Memory::now().current, held) << "no gradient waits in a node";
  tf_memory_set_cap(nullptr, 0);
  tf::backward({root}, {Tensor()}, false, false);
  float first = 0;
  tf::copy_to_host(tf::alias(tf::grad_of(x), Dims{}, Dims{}, 0), &first, 4);
  EXPECT_EQ(first, 3);
}

TEST(Storage, LivesAsLongAsItsLastView) {
  Memory memory;
  Tensor view;
  {
    const Tensor x = tf::empty(Dims{4, 4}, DType::f32, tf::cpu_device());
    view = tf::alias(x, Dims{4}, Dims{5}, 0);  // the diagonal
    EXPECT_EQ(&view.storage(), &x.storage());
  }
  EXPECT_GT(Memory::now().current, memory.start.current);
  view.reset();
  EXPECT_EQ(Memory::now().current, memory.start.current);
}

TEST(Storage, BorrowedMemoryIsGivenBackOnce) {
  static int given_back = 0;
  given_back = 0;
  float data[4] = {1, 2, 3, 4};
  const int64_t shape[] = {4};
  tf_tensor* x = nullptr;
  const auto destroy = [](void*) { ++given_back; };
  ASSERT_EQ(tf_tensor_borrow_data(data, sizeof data, shape, 1, nullptr, TINYFIN_FLOAT32, 1, nullptr,
                                  destroy, &x), TINYFIN_OK);
  EXPECT_EQ(tf_tensor_data(x), data);
  tf_tensor* view = nullptr;
  ASSERT_EQ(tf_reshape(x, (const int64_t[]){2, 2}, 2, &view), TINYFIN_OK) << tf_last_error();
  tf_tensor_release(x);
  EXPECT_EQ(given_back, 0);
  tf_tensor_release(view);
  EXPECT_EQ(given_back, 1);
  EXPECT_EQ(tf_tensor_borrow_data(data, 3, shape, 1, nullptr, TINYFIN_FLOAT32, 1, nullptr, destroy,
                                  &x), TINYFIN_ERROR_ARGUMENT) << tf_last_error();
  EXPECT_EQ(given_back, 2) << "also when it fails";
  EXPECT_EQ(x, nullptr);
}

TEST(Versions, ViewsShareTheCounter) {
  Tensor x = tf::empty(Dims{2, 2}, DType::f32, tf::cpu_device());
  tf::fill_(x, 1);
  const Tensor flat = tf::alias(x, Dims{4}, Dims{1}, 0);
  const uint32_t before = flat.version();
  tf::fill_(x, 2);
  EXPECT_EQ(flat.version(), before + 1);
  EXPECT_EQ(tf::item_f64(tf::sum(flat)), 8);
}

}  // namespace
