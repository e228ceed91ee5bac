// Life of a storage.
// SPDX-License-Identifier: MIT
#include "core/storage.h"

#include <new>

namespace tf {

Ref<Storage> Storage::allocate(Device& device, int64_t bytes) {
  Ref<Storage> s = Ref<Storage>::adopt(new (pool_alloc(sizeof(Storage))) Storage);
  s->device_ = &device;
  s->data_ = device.allocator.alloc(bytes, s->capacity_);
  s->bytes_ = bytes;
  return s;
}

Ref<Storage> Storage::borrow(Device& device, void* data, int64_t bytes, bool writable,
                             void (*release)(void*), void* context) {
  Ref<Storage> s = Ref<Storage>::adopt(new (pool_alloc(sizeof(Storage))) Storage);
  s->device_ = &device;
  s->data_ = data;
  s->bytes_ = bytes;
  s->writable_ = writable;
  s->release_ = release;
  s->context_ = context;
  return s;
}

void Storage::destroy() const noexcept {
  if (release_)
    release_(context_);
  else
    device_->allocator.free(data_, capacity_);
  Storage* self = const_cast<Storage*>(this);
  self->~Storage();
  pool_free(self, sizeof(Storage));
}

}  // namespace tf
