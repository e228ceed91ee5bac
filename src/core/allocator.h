// Device memory by size class: freed blocks are kept and handed out again. Small ones come from
// a cache of the thread and cost no lock.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "core/local.h"

struct tf_device;

namespace tf {

struct MemoryStats {
  int64_t current;   // bytes in tensors
  int64_t peak;      // the most `current` has been
  int64_t reserved;  // bytes taken from the backend, in use or cached
};

class CachingAllocator {
 public:
  explicit CachingAllocator(tf_device& device);
  ~CachingAllocator();
  CachingAllocator(const CachingAllocator&) = delete;
  CachingAllocator& operator=(const CachingAllocator&) = delete;

  // At least `bytes` bytes, 64-byte aligned; sets `capacity` to what the block holds (give it
  // back to free()). Fails with TINYFIN_ERROR_MEMORY naming sizes and cap. 0 bytes: nullptr.
  void* alloc(int64_t bytes, int64_t& capacity);
  void free(void* memory, int64_t capacity) noexcept;
  // Empties a thread's cache of this allocator's blocks.
  void take_back(BlockCache& cache) noexcept;

  MemoryStats stats() const noexcept;
  void reset_peak() noexcept;
  void set_cap(int64_t bytes) noexcept { cap_.store(bytes, std::memory_order_relaxed); }
  // Gives blocks that nobody uses back to the backend: the common ones and this thread's.
  void trim() noexcept;

  static constexpr int kClasses = 4 * 48;
  // Smallest class that holds `bytes`: four per power of two.
  static int class_of(int64_t bytes) noexcept;
  static int64_t class_bytes(int size_class) noexcept;

 private:
  BlockCache* own_cache() noexcept;
  void keep(void* memory, int size_class) noexcept;
  void* from_backend(int64_t size, int64_t in_use);

  tf_device& device_;
  const int slot_;  // of ThreadLocal::blocks; -1: every block goes through the lock
  std::mutex mutex_;
  std::vector<void*> cached_[kClasses];
  std::atomic<int64_t> current_{0}, peak_{0}, reserved_{0}, cap_{0};
};

}  // namespace tf
