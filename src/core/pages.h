// Host memory for blocks that are written and read as a whole: tensors, scratch of kernels.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include <sys/mman.h>

namespace tf {

// At least 64 bytes aligned; null without memory; freed by std::free. Large blocks lie on huge
// pages where the system offers them: a first touch costs a tenth, a walk over many lines of a
// matrix needs few translations of addresses.
inline void* alloc_pages(size_t bytes) noexcept {
  constexpr size_t kHuge = size_t{2} << 20;
  const bool large = bytes >= 2 * kHuge;
  const size_t alignment = large ? kHuge : 64;
  if (bytes > SIZE_MAX - alignment) return nullptr;
  void* block = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
#ifdef MADV_HUGEPAGE
  if (large && block) madvise(block, bytes, MADV_HUGEPAGE);
#endif
  return block;
}

}  // namespace tf
