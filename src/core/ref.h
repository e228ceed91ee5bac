// Intrusive reference counting, and the small-object pool behind handles and nodes.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include "core/local.h"

namespace tf {

// Memory for objects of at most 1 KiB from a list per thread and size class; larger ones
// from operator new. May throw std::bad_alloc. Freed from any thread.
inline void* pool_alloc(size_t bytes) {
  const size_t c = (bytes - 1) / ObjectPool::kStep;
  if (c >= ObjectPool::kClasses) [[unlikely]] return ::operator new(bytes);
  ObjectPool& pool = local().objects;
  if (ObjectPool::Free* object = pool.head[c]) [[likely]] {
    pool.head[c] = object->next;
    --pool.count[c];
    return object;
  }
  return ::operator new((c + 1) * ObjectPool::kStep);
}

inline void pool_free(void* memory, size_t bytes) noexcept {
  const size_t c = (bytes - 1) / ObjectPool::kStep;
  ThreadLocal& own = local();
  ObjectPool& pool = own.objects;
  if (c >= ObjectPool::kClasses || own.closed || pool.count[c] >= ObjectPool::kKeep) [[unlikely]] {
    ::operator delete(memory);
    return;
  }
  ObjectPool::Free* object = static_cast<ObjectPool::Free*>(memory);
  object->next = pool.head[c];
  pool.head[c] = object;
  ++pool.count[c];
}

class RefCount {
 public:
  void retain() const noexcept { n_.fetch_add(1, std::memory_order_relaxed); }
  // True when that was the last reference.
  bool release() const noexcept {
    // The only owner needs no read-modify-write: nobody else can reach the object.
    if (n_.load(std::memory_order_acquire) == 1) return true;
    return n_.fetch_sub(1, std::memory_order_acq_rel) == 1;
  }
  int32_t count() const noexcept { return n_.load(std::memory_order_acquire); }

 private:
  mutable std::atomic<int32_t> n_{1};
};

// A pointer that owns one reference. T offers retain() and release().
template <class T>
class Ref {
 public:
  Ref() noexcept = default;
  Ref(std::nullptr_t) noexcept {}
  static Ref adopt(T* p) noexcept {
    Ref r;
    r.p_ = p;
    return r;
  }
  static Ref share(T* p) noexcept {
    if (p) p->retain();
    return adopt(p);
  }
  Ref(const Ref& o) noexcept : p_(o.p_) {
    if (p_) p_->retain();
  }
  Ref(Ref&& o) noexcept : p_(std::exchange(o.p_, nullptr)) {}
  Ref& operator=(Ref o) noexcept {
    std::swap(p_, o.p_);
    return *this;
  }
  ~Ref() {
    if (p_) p_->release();
  }

  T* get() const noexcept { return p_; }
  T* operator->() const noexcept { return p_; }
  T& operator*() const noexcept { return *p_; }
  explicit operator bool() const noexcept { return p_ != nullptr; }
  // Gives the reference away.
  T* detach_ref() noexcept { return std::exchange(p_, nullptr); }
  void reset() noexcept { *this = Ref(); }
  friend bool operator==(const Ref& a, const Ref& b) { return a.p_ == b.p_; }

 private:
  T* p_ = nullptr;
};

}  // namespace tf
