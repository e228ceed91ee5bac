// What each thread keeps for itself: free small objects, freed device blocks, modes. One block of
// thread-local memory, which one look-up finds.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

namespace tf {

class CachingAllocator;
class Node;

// The small-object pool: a list of free blocks per size class of 64, 128, … 1024 bytes.
struct ObjectPool {
  // The address sanitizer must see every object come and go.
#ifdef __SANITIZE_ADDRESS__
  static constexpr size_t kClasses = 0;
#else
  static constexpr size_t kClasses = 16;
#endif
  static constexpr size_t kStep = 64;
  static constexpr int kKeep = 4096;  // blocks kept per class

  struct Free {
    Free* next;
  };
  Free* head[kClasses + 1];
  int count[kClasses + 1];
};

// Freed blocks of one device's small size classes, in front of its allocator. Device memory may
// be out of the host's reach: the list is an array, not a chain through the blocks.
struct BlockCache {
  static constexpr int kClasses = 33;  // blocks of up to 16 KiB
  static constexpr int kKeep = 16;     // per class

  CachingAllocator* owner;
  int32_t count[kClasses];
  void* block[kClasses][kKeep];
};

// Trivially destructible: objects released while a thread ends (destructors of other thread_local
// objects, Python's finaliser) still find it, closed.
struct ThreadLocal {
  bool grad_mode = true;
  bool inside_tile = false;  // of a parallel_for
  bool attached = false;     // its clean-up is arranged
  bool closed = false;       // the thread is ending: nothing is kept any more
  Node* dying = nullptr;     // nodes to destroy after the one being destroyed (autograd/node.cpp)
  bool draining = false;
  ObjectPool objects = {};
  // Of the first devices of the process (CachingAllocator::slot).
  static constexpr int kDevices = 2;
  BlockCache blocks[kDevices] = {};
};

extern thread_local constinit ThreadLocal thread_local_block;
void attach_thread(ThreadLocal& own) noexcept;

inline ThreadLocal& local() noexcept {
  ThreadLocal& own = thread_local_block;
  if (!own.attached) [[unlikely]] attach_thread(own);
  return own;
}

}  // namespace tf
