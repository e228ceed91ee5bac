// Device memory by size class: freed blocks are kept and handed out again.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

struct tf_device;

namespace tf {

struct MemoryStats {
  int64_t current;   // bytes in tensors
  int64_t peak;      // the most `current` has been
  int64_t reserved;  // bytes taken from the backend, in use or cached
};

class CachingAllocator {
 public:
  explicit CachingAllocator(tf_device& device) : device_(device) {}
  ~CachingAllocator();
  CachingAllocator(const CachingAllocator&) = delete;
  CachingAllocator& operator=(const CachingAllocator&) = delete;

  // At least `bytes` bytes, 64-byte aligned; sets `capacity` to what the block holds (give it
  // back to free()). Fails with TINYFIN_ERROR_MEMORY naming sizes and cap. 0 bytes: nullptr.
  void* alloc(int64_t bytes, int64_t& capacity);
  void free(void* memory, int64_t capacity) noexcept;

  MemoryStats stats() const noexcept;
  void reset_peak() noexcept;
  void set_cap(int64_t bytes) noexcept { cap_.store(bytes, std::memory_order_relaxed); }
  void trim() noexcept;

  static constexpr int kClasses = 4 * 48;
  // Smallest class that holds `bytes`: four per power of two.
  static int class_of(int64_t bytes) noexcept;
  static int64_t class_bytes(int size_class) noexcept;

 private:
  tf_device& device_;
  std::mutex mutex_;
  std::vector<void*> cached_[kClasses];
  std::atomic<int64_t> current_{0}, peak_{0}, reserved_{0}, cap_{0};
};

}  // namespace tf
