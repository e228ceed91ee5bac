// Loaded backends: their devices and kernel tables.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "autograd/primitive.h"
#include "core/device.h"

namespace tf {

class Backend {
 public:
  // Validates the plugin's table and reads its devices; `file` is for messages.
  Backend(const tf_backend& table, const std::string& file);

  const tf_backend& table;
  const std::string file;

  Device& device(int64_t index);
  int64_t device_count() const { return int64_t(devices_.size()); }

  // The kernel of a primitive, or null. One array look-up.
  const tf_kernel* kernel(const Primitive& prim) const { return kernels_[size_t(prim.id)]; }

  // At exit: calls the plugin's destroy, if it has one, and nothing of the plugin after it. What
  // still holds its memory then keeps it until the process is gone.
  void destroy() noexcept;

 private:
  std::deque<Device> devices_;
  std::vector<const tf_kernel*> kernels_;  // by Primitive::id
};

class Registry {
 public:
  static Registry& get();

  // The backend of that name, loaded if it is not yet. Fails listing every place tried.
  Backend& backend(const std::string& name);
  // A name, or the absolute path of a plugin.
  Backend& load(const std::string& name_or_path);
  const Backend* at(int64_t i);
  // Device 0 of $TINYFIN_BACKEND, or of cpu.
  Device& process_default();

 private:
  Registry();
  Backend* find(const std::string& name);
  Backend& add(const tf_backend& table, const std::string& file);
  void destroy_backends() noexcept;

  std::mutex mutex_;
  std::deque<Backend> backends_;
  std::atomic<Device*> default_{nullptr};
};

// backend/loader.cpp: opens a plugin file and answers its table; fails with the loader's words.
// `name` is what the plugin must call itself ("" for a path).
const tf_backend& open_plugin(const std::string& path, const std::string& name);
// Existing plugin files and all places looked at for a backend name.
std::string find_plugin(const std::string& name, std::string& tried);

// What plugins may call; its error text is per thread.
const tf_host_api& host_api();
std::string take_plugin_error();

// Throws what a backend function reported, with the plugin's own words.
void throw_backend_error(tf_status status, const char* function, const Device& device);
inline void check_backend(tf_status status, const char* function, const Device& device) {
  if (status != TINYFIN_OK) [[unlikely]] throw_backend_error(status, function, device);
}

// What happens when no kernel and no decomposition exists.
enum class Fallback { error, warn, allow };
Fallback fallback_policy();
void set_fallback_policy(Fallback policy);
Fallback parse_fallback(const std::string& text);
int64_t fallback_count() noexcept;

}  // namespace tf

// backends/cpu/backend.cpp: the cpu backend's entry, the same function that plugins export.
extern "C" tf_status tf_cpu_backend_init(const tf_host_api* host, const tf_backend** out);
