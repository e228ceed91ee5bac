// Reference-counted memory on a device, shared by a tensor and its views.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>

#include "core/device.h"
#include "core/ref.h"

namespace tf {

class Storage {
 public:
  // Memory from the device's allocator, not initialised.
  static Ref<Storage> allocate(Device& device, int64_t bytes);
  // Memory that somebody else owns; `release(context)` runs once, when the last view goes.
  static Ref<Storage> borrow(Device& device, void* data, int64_t bytes, bool writable,
                             void (*release)(void* context), void* context);

  void* data() const noexcept { return data_; }
  int64_t bytes() const noexcept { return bytes_; }
  Device& device() const noexcept { return *device_; }
  bool writable() const noexcept { return writable_; }

  // Counts in-place modifications: saved values check it before they are used.
  uint32_t version() const noexcept { return version_.load(std::memory_order_relaxed); }
  void bump_version() noexcept { version_.fetch_add(1, std::memory_order_relaxed); }

  void retain() const noexcept { refs_.retain(); }
  void release() const noexcept {
    if (refs_.release()) destroy();
  }
  int32_t use_count() const noexcept { return refs_.count(); }

 private:
  Storage() = default;
  void destroy() const noexcept;

  RefCount refs_;
  std::atomic<uint32_t> version_{0};
  bool writable_ = true;
  Device* device_ = nullptr;
  void* data_ = nullptr;
  int64_t bytes_ = 0;
  int64_t capacity_ = 0;  // of the allocator's block; unused where release_ is set
  void (*release_)(void*) = nullptr;
  void* context_ = nullptr;
};

}  // namespace tf
