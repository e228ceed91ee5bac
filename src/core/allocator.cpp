// Size classes, cache and counters of device memory.
// SPDX-License-Identifier: MIT
#include "core/allocator.h"

#include <bit>

#include "core/device.h"
#include "core/error.h"

namespace tf {

namespace {
constexpr int kMinLog = 6;  // the smallest class holds 64 bytes
}

int CachingAllocator::class_of(int64_t bytes) noexcept {
  // Blocks are multiples of 64 bytes, so the lowest quarters do not exist.
  const uint64_t n = (uint64_t(bytes) + 63) / 64 * 64;
  const int log = 63 - std::countl_zero(n);
  const uint64_t quarter = (uint64_t{1} << log) / 4;
  const int step = int((n - (uint64_t{1} << log) + quarter - 1) / quarter);  // 0 to 4
  return (log - kMinLog) * 4 + step;
}

int64_t CachingAllocator::class_bytes(int size_class) noexcept {
  const int64_t base = int64_t{1} << (kMinLog + size_class / 4);
  return base + base / 4 * (size_class % 4);
}

CachingAllocator::CachingAllocator(tf_device& device) : device_(device), slot_([] {
  static std::atomic<int> devices{0};
  const int slot = devices.fetch_add(1, std::memory_order_relaxed);
  return slot < ThreadLocal::kDevices ? slot : -1;
}()) {}

// This thread's cache, or null where it has none.
BlockCache* CachingAllocator::own_cache() noexcept {
  if (slot_ < 0) [[unlikely]] return nullptr;
  ThreadLocal& own = local();
  if (own.closed) [[unlikely]] return nullptr;
  BlockCache& cache = own.blocks[slot_];
  cache.owner = this;
  return &cache;
}

void* CachingAllocator::alloc(int64_t bytes, int64_t& capacity) {
  capacity = 0;
  if (bytes <= 0) return nullptr;
  const int c = class_of(bytes);
  TF_CHECK(c < kClasses, TINYFIN_ERROR_MEMORY, "out of memory: asked for ", bytes, " bytes");
  const int64_t size = class_bytes(c);
  const int64_t now = current_.fetch_add(size, std::memory_order_relaxed) + size;
  const int64_t cap = cap_.load(std::memory_order_relaxed);
  if (cap > 0 && now > cap) [[unlikely]] {
    current_.fetch_sub(size, std::memory_order_relaxed);
    fail(TINYFIN_ERROR_MEMORY, "out of memory on ", device_.name, ": asked for ", size,
         " bytes with ", now - size, " in use and a cap of ", cap,
         "; free tensors or raise the cap (tf_memory_set_cap)");
  }
  void* block = nullptr;
  BlockCache* const cache = c < BlockCache::kClasses ? own_cache() : nullptr;
  if (cache && cache->count[c] > 0) {
    block = cache->block[c][--cache->count[c]];
  } else {
    std::lock_guard lock(mutex_);
    std::vector<void*>& list = cached_[c];
    if (!list.empty()) {
      block = list.back();
      list.pop_back();
    } else if (list.capacity() == 0) {
      list.reserve(8);
    }
  }
  if (!block) block = from_backend(size, now - size);
  int64_t peak = peak_.load(std::memory_order_relaxed);
  while (now > peak && !peak_.compare_exchange_weak(peak, now, std::memory_order_relaxed)) {
  }
  capacity = size;
  return block;
}

void* CachingAllocator::from_backend(int64_t size, int64_t in_use) {
  void* block = nullptr;
  if (device_.closed()) {
    current_.fetch_sub(size, std::memory_order_relaxed);
    fail(TINYFIN_ERROR_STATE, "the backend of ", device_.name,
         " was shut down at the process's exit; finish work with it before");
  }
  tf_status status = device_.table.alloc(device_.index, size_t(size), &block);
  if (status != TINYFIN_OK) {
    trim();
    status = device_.table.alloc(device_.index, size_t(size), &block);
  }
  if (status != TINYFIN_OK) {
    current_.fetch_sub(size, std::memory_order_relaxed);
    fail(TINYFIN_ERROR_MEMORY, "out of memory on ", device_.name, ": asked for ", size,
         " bytes with ", in_use, " in use; free tensors or use smaller batches");
  }
  reserved_.fetch_add(size, std::memory_order_relaxed);
  return block;
}

void CachingAllocator::free(void* memory, int64_t capacity) noexcept {
  if (!memory) return;
  current_.fetch_sub(capacity, std::memory_order_relaxed);
  const int c = class_of(capacity);
  BlockCache* const cache = c < BlockCache::kClasses ? own_cache() : nullptr;
  if (cache && cache->count[c] < BlockCache::kKeep)
    cache->block[c][cache->count[c]++] = memory;
  else
    keep(memory, c);
}

// Hands a block to the common lists.
void CachingAllocator::keep(void* memory, int size_class) noexcept {
  try {
    std::lock_guard lock(mutex_);
    cached_[size_class].push_back(memory);
  } catch (...) {  // no room for the list: give the block back at once
    const int64_t size = class_bytes(size_class);
    if (!device_.closed()) device_.table.free(device_.index, memory, size_t(size));
    reserved_.fetch_sub(size, std::memory_order_relaxed);
  }
}

void CachingAllocator::take_back(BlockCache& cache) noexcept {
  for (int c = 0; c < BlockCache::kClasses; ++c)
    while (cache.count[c] > 0) keep(cache.block[c][--cache.count[c]], c);
}

MemoryStats CachingAllocator::stats() const noexcept {
  return {current_.load(std::memory_order_relaxed), peak_.load(std::memory_order_relaxed),
          reserved_.load(std::memory_order_relaxed)};
}

void CachingAllocator::reset_peak() noexcept {
  peak_.store(current_.load(std::memory_order_relaxed), std::memory_order_relaxed);
}

void CachingAllocator::trim() noexcept {
  if (device_.closed()) return;
  if (BlockCache* cache = own_cache()) take_back(*cache);
  std::lock_guard lock(mutex_);
  for (int c = 0; c < kClasses; ++c) {
    const int64_t size = class_bytes(c);
    for (void* block : cached_[c]) {
      device_.table.free(device_.index, block, size_t(size));
      reserved_.fetch_sub(size, std::memory_order_relaxed);
    }
    cached_[c].clear();
  }
}

CachingAllocator::~CachingAllocator() { trim(); }

}  // namespace tf
