// Transfers of a device and the default device of a thread.
// SPDX-License-Identifier: MIT
#include "core/device.h"

#include "backend/registry.h"
#include "core/error.h"

tf_device::tf_device(tf::Backend& b, const tf_backend& t, int32_t i)
    : backend(b),
      table(t),
      index(i),
      name(std::string(t.name) + ":" + std::to_string(i)),
      host_accessible(t.host_accessible != 0),
      allocator(*this) {}

void tf_device::copy_from_host(void* to, const void* from, size_t bytes) const {
  tf::check_backend(table.copy_from_host(index, to, from, bytes), "copy_from_host", *this);
}

void tf_device::copy_to_host(void* to, const void* from, size_t bytes) const {
  tf::check_backend(table.copy_to_host(index, to, from, bytes), "copy_to_host", *this);
}

void tf_device::copy_on_device(void* to, const void* from, size_t bytes) const {
  tf::check_backend(table.copy_on_device(index, to, from, bytes), "copy_on_device", *this);
}

void tf_device::synchronize() const {
  if (table.synchronize) tf::check_backend(table.synchronize(index), "synchronize", *this);
}

namespace tf {
namespace {
thread_local Device* thread_default = nullptr;
}

Device& default_device() {
  return thread_default ? *thread_default : Registry::get().process_default();
}

void set_default_device(Device* device) { thread_default = device; }

Device& cpu_device() {
  static Device& cpu = Registry::get().backend("cpu").device(0);
  return cpu;
}

Device& device_by_name(const char* name) {
  if (!name) return default_device();
  const std::string text = name;
  const size_t colon = text.find(':');
  const std::string backend = text.substr(0, colon);
  int64_t index = 0;
  if (colon != std::string::npos) {
    const std::string digits = text.substr(colon + 1);
    TF_CHECK(!digits.empty() && digits.size() <= 4 &&
                 digits.find_first_not_of("0123456789") == std::string::npos,
             TINYFIN_ERROR_DEVICE, "received device \"", text,
             "\"; expected NAME or NAME:NUMBER, as in \"cuda:1\"");
    index = std::stoi(digits);
  }
  return Registry::get().backend(backend).device(index);
}

}  // namespace tf
