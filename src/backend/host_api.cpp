// What plugins may call.
// SPDX-License-Identifier: MIT
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "backend/registry.h"
#include "core/pages.h"
#include "core/parallel.h"

namespace tf {
namespace {

// A fixed buffer: reporting a failure must not fail.
thread_local char plugin_error[512] = "";

void host_log(int32_t, const char* message) { std::fprintf(stderr, "tinyfin: %s\n", message); }

void host_set_error(const char* message) {
  std::snprintf(plugin_error, sizeof plugin_error, "%s", message ? message : "");
}

// Kernels ask for the same scratch again and again, and a block that malloc takes from the system
// costs more in page faults than many products do. Each thread keeps a large block that it gave
// back, and as many small ones as a kernel of several steps holds at once; the size of a block
// stands in the 64 bytes before it.
constexpr size_t kHeader = 64;
constexpr size_t kLargestSpare = size_t(16) << 20, kLargestSmall = size_t(256) << 10;
constexpr int kSmallSpares = 3;

struct Spare {
  char* block = nullptr;
  size_t bytes = 0;
  ~Spare() { std::free(block); }
};
thread_local Spare large_spare, small_spares[kSmallSpares];

// Where a block that holds so many bytes may lie: the smallest that does, or null.
Spare* spare_for(size_t bytes) {
  if (bytes > kLargestSmall) return large_spare.bytes >= bytes ? &large_spare : nullptr;
  Spare* best = nullptr;
  for (Spare& s : small_spares)
    if (s.bytes >= bytes && (!best || s.bytes < best->bytes)) best = &s;
  return best;
}

// Where one that is given back replaces what is there: nothing, or a smaller one.
Spare& place_of(size_t bytes) {
  if (bytes > kLargestSmall) return large_spare;
  Spare* least = &small_spares[0];
  for (Spare& s : small_spares)
    if (s.bytes < least->bytes) least = &s;
  return *least;
}

void* host_alloc(size_t bytes) {
  if (bytes > SIZE_MAX - 2 * kHeader) return nullptr;
  bytes = (bytes + kHeader + 63) / 64 * 64;
  char* block = nullptr;
  if (Spare* spare = spare_for(bytes)) {
    block = std::exchange(spare->block, nullptr);
    bytes = std::exchange(spare->bytes, 0);
  } else {
    block = static_cast<char*>(alloc_pages(bytes));
    if (!block) return nullptr;
  }
  std::memcpy(block, &bytes, sizeof bytes);
  return block + kHeader;
}

void host_free(void* memory, size_t) {
  if (!memory) return;
  char* block = static_cast<char*>(memory) - kHeader;
  size_t bytes;
  std::memcpy(&bytes, block, sizeof bytes);
  Spare& spare = place_of(bytes);
  if (bytes > spare.bytes && bytes <= kLargestSpare) {
    std::swap(block, spare.block);
    spare.bytes = bytes;
  }
  std::free(block);
}

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
