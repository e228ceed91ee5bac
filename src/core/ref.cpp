// The small-object pool: a list of free blocks per thread and size class.
// SPDX-License-Identifier: MIT
#include "core/ref.h"

#include <new>

namespace tf {
namespace {

// The address sanitizer must see every object come and go.
#ifdef __SANITIZE_ADDRESS__
constexpr size_t kClasses = 0;
#else
constexpr size_t kClasses = 16;
#endif
constexpr size_t kStep = 64;  // blocks of 64, 128, … 1024 bytes
constexpr int kKeep = 4096;                  // blocks kept per class and thread

struct FreeBlock {
  FreeBlock* next;
};

// Trivially destructible, so that objects released while a thread ends (other thread_local
// destructors, Python's finaliser) still find it; the blocks are given back by `Cleaner`.
struct Pool {
  FreeBlock* head[kClasses + 1];
  int count[kClasses + 1];
  bool closed;
};
thread_local constinit Pool pool{};

struct Cleaner {
  ~Cleaner() {
    pool.closed = true;
    for (size_t c = 0; c < kClasses; ++c)
      while (FreeBlock* block = pool.head[c]) {
        pool.head[c] = block->next;
        ::operator delete(block);
      }
  }
};
thread_local Cleaner cleaner;

}  // namespace

void* pool_alloc(size_t bytes) {
  const size_t c = (bytes - 1) / kStep;
  if (c >= kClasses) [[unlikely]] return ::operator new(bytes);
  if (FreeBlock* block = pool.head[c]) [[likely]] {
    pool.head[c] = block->next;
    --pool.count[c];
    return block;
  }
  return ::operator new((c + 1) * kStep);
}

void pool_free(void* memory, size_t bytes) noexcept {
  const size_t c = (bytes - 1) / kStep;
  if (c >= kClasses || pool.closed || pool.count[c] >= kKeep) [[unlikely]] {
    ::operator delete(memory);
    return;
  }
  if (pool.count[c] == 0) (void)&cleaner;  // makes this thread's cleaner exist
  FreeBlock* block = static_cast<FreeBlock*>(memory);
  block->next = pool.head[c];
  pool.head[c] = block;
  ++pool.count[c];
}

}  // namespace tf
