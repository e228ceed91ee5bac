// Copies of operands whose lines collide in the caches. Lines of a matrix that lie a multiple of
// 4 KiB apart, as those of 1024 columns do, share the places of two cache lines in L1: the rows of
// one register tile evict each other there, those of a few hundred steps of k also in L2. A product
// that reads such an operand often enough copies it first, to lines at an odd distance.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/gemm_panel.h"

namespace tf::cpu::TF_ISA {
namespace {

// Whether lines at this distance do.
template <class T>
bool collide(int64_t stride) {
  return stride != 0 && stride * int64_t(sizeof(T)) % 4096 == 0;
}

// `lines` of `length` elements, `step` elements apart.
template <class T>
struct Lines {
  const T* from;
  int64_t step, lines, length;

  // More than the places that they share.
  bool too_many() const { return lines > 8 && collide<T>(step); }
  // An odd number of cache lines.
  int64_t pitch() const {
    constexpr int64_t kLine = 64 / int64_t(sizeof(T));
    return (ceil_div(length, kLine) | 1) * kLine;
  }
  int64_t size() const { return lines * pitch(); }
  void copy(T* to, int64_t begin, int64_t end) const {
    for (int64_t i = begin; i < end; ++i)
      memcpy(to + i * pitch(), from + i * step, size_t(length) * sizeof(T));
  }
};

template <class T>
Lines<T> lines_of_a(const Gemm<T>& g) {
  if (g.a_col == 1) return {g.a, g.a_row, g.m, g.k};
  if (g.a_row == 1) return {g.a, g.a_col, g.k, g.m};
  return {g.a, 0, 0, 0};
}
template <class T>
Lines<T> lines_of_b(const Gemm<T>& g) {
  if (g.b_col == 1) return {g.b, g.b_row, g.k, g.n};
  if (g.b_row == 1) return {g.b, g.b_col, g.n, g.k};
  return {g.b, 0, 0, 0};
}

// Owner of the copies of A and B, those of them that are worth it.
template <class T>
class Straight {
 public:
  // Rows of C per element of B, or columns per element of A, from which on a copy pays.
  static constexpr int64_t kWorth = 4 * Vec<T>::kWidth;
  static constexpr int64_t kMost = (8 << 20) / int64_t(sizeof(T));  // elements

  Straight(const Gemm<T>& g, bool with_a, bool with_b) : a_(lines_of_a(g)), b_(lines_of_b(g)) {
    if (!with_a || g.n < kWorth || g.reduce != 1 || !a_.too_many()) a_ = {};
    if (!with_b || g.m < kWorth || g.reduce != 1 || !b_.too_many()) b_ = {};
  }
  ~Straight() {
    if (memory_) host->host_free(memory_, bytes());
  }
  Straight(const Straight&) = delete;

  bool needed() const { return a_.lines > 0 || b_.lines > 0; }
  bool fits() const { return a_.size() + b_.size() <= kMost; }

  // False: no memory, g stays as it was.
  bool copy(Gemm<T>& g) {
    memory_ = static_cast<T*>(host->host_alloc(bytes()));
    if (!memory_) return false;
    T* const to_b = memory_ + a_.size();
    constexpr int64_t kLinesPerJob = 32;
    const int64_t a_jobs = ceil_div(a_.lines, kLinesPerJob);
    const int64_t b_jobs = ceil_div(b_.lines, kLinesPerJob);
    const tf_status status = parallel_for(a_jobs + b_jobs, [&](int64_t job) {
      const bool first = job < a_jobs;
      const Lines<T>& lines = first ? a_ : b_;
      const int64_t begin = (first ? job : job - a_jobs) * kLinesPerJob;
      lines.copy(first ? memory_ : to_b, begin, smaller(begin + kLinesPerJob, lines.lines));
    });
    if (status != TINYFIN_OK) return false;
    if (a_.lines > 0) {
      g.a = memory_;
      (g.a_col == 1 ? g.a_row : g.a_col) = a_.pitch();
    }
    if (b_.lines > 0) {
      g.b = to_b;
      (g.b_col == 1 ? g.b_row : g.b_col) = b_.pitch();
    }
    return true;
  }

 private:
  size_t bytes() const { return size_t(a_.size() + b_.size()) * sizeof(T); }
  Lines<T> a_, b_;
  T* memory_ = nullptr;
};

}  // namespace
}  // namespace tf::cpu::TF_ISA
