// A stream: a thread that works through a queue, and the first failure it met.
// SPDX-License-Identifier: MIT
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>

#include "tinyfin/backend.h"

namespace ref {

struct Outcome {
  tf_status status = TINYFIN_OK;
  std::string message;
};

class Stream {
 public:
  // Runs `work` after everything queued before it, on the stream's thread.
  Outcome enqueue(std::function<void()> work);
  // Waits until the queue is empty; the first failure since the last time.
  Outcome synchronize();

 private:
  void work_loop();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;
  bool busy_ = false;
  int process_ = 0;  // that the thread was started in; 0: not yet
  Outcome failure_;
};

}  // namespace ref
