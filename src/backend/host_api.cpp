// What plugins may call.
// SPDX-License-Identifier: MIT
#include <cstdio>
#include <cstdlib>

#include "backend/registry.h"
#include "core/parallel.h"

namespace tf {
namespace {

// A fixed buffer: reporting a failure must not fail.
thread_local char plugin_error[512] = "";

void host_log(int32_t, const char* message) { std::fprintf(stderr, "tinyfin: %s\n", message); }

void host_set_error(const char* message) {
  std::snprintf(plugin_error, sizeof plugin_error, "%s", message ? message : "");
}

void* host_alloc(size_t bytes) {
  return bytes > SIZE_MAX - 63 ? nullptr : std::aligned_alloc(64, (bytes + 63) / 64 * 64);
}

void host_free(void* memory, size_t) { std::free(memory); }

}  // namespace

const tf_host_api& host_api() {
  static const tf_host_api api = {
      sizeof(tf_host_api), TINYFIN_BACKEND_ABI_MAJOR, TINYFIN_BACKEND_ABI_MINOR,
      host_log,  host_set_error, host_alloc, host_free, parallel_for_raw, num_threads,
  };
  return api;
}

std::string take_plugin_error() {
  std::string text = plugin_error;
  plugin_error[0] = '\0';
  return text;
}

}  // namespace tf
