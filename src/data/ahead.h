// Batches that a thread of their own gathers while the caller works on an earlier one.
//
// The thread only copies: what it fills was allocated by the caller, who also takes over whatever
// the thread has not begun when the batch is asked for. So a thread that the system does not let
// run delays nothing, and one that it has stopped delays one tile.
// SPDX-License-Identifier: MIT
#pragma once

#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "data/gather.h"

namespace tf {

// Used by one thread at a time.
class Ahead {
 public:
  Ahead();
  ~Ahead();

  // In a child made by fork() the thread does not exist: such an object is abandoned there, not
  // destroyed (its thread could not be joined, its lock may be held by nobody).
  bool usable() const noexcept { return process_ == ::getpid(); }

  size_t size() const noexcept { return batches_.size(); }
  // Position of the batch that take() gives next. There is one.
  int64_t front() const noexcept { return batches_.front()->position; }
  void add(int64_t position, std::unique_ptr<Gather> gather);
  // The first batch, complete.
  std::unique_ptr<Gather> take();
  // Nothing reads the tensors or the order afterwards.
  void clear() noexcept;

 private:
  struct Batch {
    int64_t position;
    std::unique_ptr<Gather> gather;
    int64_t next;  // the first tile that nobody has taken
  };
  void work() noexcept;
  void wait_until_left(std::unique_lock<std::mutex>& lock, const Batch* batch) noexcept;

  const pid_t process_;
  std::deque<std::unique_ptr<Batch>> batches_;  // changed by the caller under the lock
  std::mutex mutex_;
  std::condition_variable more_, left_;
  const Batch* inside_ = nullptr;  // what the thread copies a tile of
  bool ending_ = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace tf
