// Copies of an operand, one for each thread that needs it. A line that one thread writes and
// another reads moves between their caches both times it is used: what each can pack for itself in
// a few microseconds costs less than to pack it together.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/kernel.h"

namespace tf::cpu::TF_ISA {
namespace {

// Different for each thread that lives.
static inline const void* this_thread() {
  static thread_local char here;
  return &here;
}

// For up to kMost pieces of work, each with room for a copy. A thread makes one with its first
// piece; from call to call that is the same thread at the same place, as far as the pool can.
template <class T>
class OwnCopies {
 public:
  static constexpr int64_t kMost = 16;

  OwnCopies(int64_t pieces, int64_t size)
      : size_(size),
        bytes_(size_t(pieces * size) * sizeof(T)),
        memory_(static_cast<T*>(host->host_alloc(bytes_))) {}
  ~OwnCopies() {
    if (memory_) host->host_free(memory_, bytes_);
  }
  OwnCopies(const OwnCopies&) = delete;

  bool there() const { return memory_ != nullptr; }

  // The copy that this thread uses in a piece. make(T*) fills it.
  template <class Make>
  const T* in_piece(int64_t piece, const Make& make) {
    const void* const self = this_thread();
    for (int64_t i = 0; i < kMost; ++i)
      if (__atomic_load_n(&owner_[i], __ATOMIC_RELAXED) == self) return memory_ + i * size_;
    make(memory_ + piece * size_);
    __atomic_store_n(&owner_[piece], self, __ATOMIC_RELAXED);
    return memory_ + piece * size_;
  }

 private:
  const int64_t size_;
  const size_t bytes_;
  T* const memory_;
  const void* owner_[kMost] = {};
};

// Columns of C in pieces for the pool: a power of two of them, which most numbers of threads share
// evenly, none of fewer columns than `least`.
static inline int64_t column_pieces(int64_t n, int64_t least, size_t bytes_of_copy) {
  constexpr int64_t kLeast = 32;  // a piece costs a hand-over, and for a thread's first one a copy
  constexpr size_t kMostBytes = size_t(15) << 20;  // more is not kept for the next call
  if (least < kLeast) least = kLeast;
  int64_t pieces = 1;
  while (pieces < OwnCopies<char>::kMost && 2 * pieces * least <= n &&
         2 * size_t(pieces) * bytes_of_copy <= kMostBytes)
    pieces *= 2;
  return pieces;
}

// body(piece, begin, end) for all of them. They meet where cache lines of C, of T, do.
template <class T, class Body>
static inline tf_status for_column_pieces(int64_t n, int64_t pieces, const Body& body) {
  constexpr int64_t kLine = 64 / int64_t(sizeof(T));
  const auto start = [&](int64_t piece) {
    const int64_t at = (n + kLine - 1) / kLine * piece / pieces * kLine;
    return at < n ? at : n;
  };
  const auto run = [&](int64_t i) { body(i, start(i), start(i + 1)); };
  if (pieces > 1) return parallel_for(pieces, run);
  run(0);
  return TINYFIN_OK;
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
