// A device: one piece of a backend, with its kernel table and caching allocator.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "core/allocator.h"
#include "tinyfin/backend.h"

namespace tf {
class Backend;  // backend/registry.h
}

// The object behind the public tf_device: immortal, compared by address.
struct tf_device {
  tf_device(tf::Backend& backend, const tf_backend& table, int32_t index);

  tf::Backend& backend;
  const tf_backend& table;  // the plugin's functions
  const int32_t index;
  const std::string name;   // "cpu:0"
  const bool host_accessible;
  tf::CachingAllocator allocator;

  // Transfers between host memory and this device; they throw what the backend reports.
  void copy_from_host(void* to, const void* from, size_t bytes) const;
  void copy_to_host(void* to, const void* from, size_t bytes) const;
  void copy_on_device(void* to, const void* from, size_t bytes) const;
  void synchronize() const;

  // The backend is gone (at exit): its functions are not called any more.
  void close() noexcept { closed_.store(true, std::memory_order_release); }
  bool closed() const noexcept { return closed_.load(std::memory_order_acquire); }

 private:
  std::atomic<bool> closed_{false};
};

namespace tf {

using Device = tf_device;

// "cpu", "cuda:1", …; nullptr is the default device of this thread. Loads the backend.
Device& device_by_name(const char* name);
Device& default_device();
void set_default_device(Device* device);
// The device tensors are read on by the host: cpu:0.
Device& cpu_device();

}  // namespace tf
