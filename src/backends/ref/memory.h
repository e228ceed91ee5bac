// Memory of the fake devices: out of reach (PROT_NONE) except while a kernel or copy uses it.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <vector>

namespace ref {

// Whole pages; nullptr when there are none.
void* allocate_pages(size_t bytes) noexcept;
void free_pages(void* memory) noexcept;

// Makes the blocks that hold the addresses accessible for a scope. Blocks may be open several
// times at once; the last to leave closes.
class Opened {
 public:
  Opened() = default;
  ~Opened();
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;

  // Fails on an address that lies in no block: a pointer of the host or of another backend.
  void add(const void* address);

 private:
  std::vector<char*> blocks_;
};

}  // namespace ref
