// The blocks handed out, and who has them open.
// SPDX-License-Identifier: MIT
#include "memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <map>
#include <mutex>

#include "call.h"

namespace ref {
namespace {

struct Block {
  size_t bytes;
  int open = 0;
};

struct Blocks {
  std::mutex mutex;
  std::map<char*, Block> by_start;
};

// Never destroyed: streams may still run when the process ends.
Blocks& blocks() {
  static Blocks& all = *new Blocks;
  return all;
}

}  // namespace

void* allocate_pages(size_t bytes) noexcept try {
  const size_t page = size_t(sysconf(_SC_PAGESIZE));
  if (bytes > SIZE_MAX - page) return nullptr;
  const size_t size = (bytes + page - 1) / page * page;
  void* memory = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  std::lock_guard lock(blocks().mutex);
  blocks().by_start[static_cast<char*>(memory)] = {size};
  return memory;
} catch (...) {
  return nullptr;
}

void free_pages(void* memory) noexcept {
  std::lock_guard lock(blocks().mutex);
  const auto found = blocks().by_start.find(static_cast<char*>(memory));
  if (found == blocks().by_start.end()) return;
  munmap(memory, found->second.bytes);
  blocks().by_start.erase(found);
}

void Opened::add(const void* address) {
  std::lock_guard lock(blocks().mutex);
  char* const at = static_cast<char*>(const_cast<void*>(address));
  auto found = blocks().by_start.upper_bound(at);
  if (found == blocks().by_start.begin() ||
      at >= std::prev(found)->first + std::prev(found)->second.bytes)
    fail(TINYFIN_ERROR_BACKEND, "received an address that is not memory of this backend");
  --found;
  if (found->second.open == 0 &&
      mprotect(found->first, found->second.bytes, PROT_READ | PROT_WRITE) != 0)
    fail(TINYFIN_ERROR_BACKEND, "the system refused access to a block of device memory");
  blocks_.push_back(found->first);
  ++found->second.open;
}

Opened::~Opened() {
  std::lock_guard lock(blocks().mutex);
  for (char* start : blocks_) {
    const auto found = blocks().by_start.find(start);
    if (found != blocks().by_start.end() && --found->second.open == 0)
      mprotect(start, found->second.bytes, PROT_NONE);
  }
}

}  // namespace ref
