// An array whose length is known when it is made: inline up to N elements, on the heap beyond.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <memory>

namespace tf {

// Elements are default-initialised: those of trivial types hold nothing until they are set.
template <class T, int N = 8>
class SmallArray {
 public:
  explicit SmallArray(int n) {
    if (n > N) [[unlikely]] {
      heap_ = std::make_unique_for_overwrite<T[]>(size_t(n));
      data_ = heap_.get();
    }
  }
  SmallArray(const SmallArray&) = delete;
  SmallArray& operator=(const SmallArray&) = delete;

  T* data() noexcept { return data_; }
  T& operator[](int i) noexcept { return data_[i]; }

 private:
  T inline_[N];
  std::unique_ptr<T[]> heap_;
  T* data_ = inline_;
};

}  // namespace tf
