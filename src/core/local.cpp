// Life of a thread's own block.
// SPDX-License-Identifier: MIT
#include "core/local.h"

#include <new>

#include "core/allocator.h"

namespace tf {

thread_local constinit ThreadLocal thread_local_block;

namespace {

struct Cleaner {
  ~Cleaner() {
    ThreadLocal& own = thread_local_block;
    own.closed = true;
    for (size_t c = 0; c < ObjectPool::kClasses; ++c)
      while (ObjectPool::Free* object = own.objects.head[c]) {
        own.objects.head[c] = object->next;
        ::operator delete(object);
      }
    for (BlockCache& cache : own.blocks)
      if (cache.owner) cache.owner->take_back(cache);
  }
};
thread_local Cleaner cleaner;

}  // namespace

void attach_thread(ThreadLocal& own) noexcept {
  (void)&cleaner;  // makes this thread's cleaner exist
  own.attached = true;
}

}  // namespace tf
