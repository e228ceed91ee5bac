// The thread behind a stream.
// SPDX-License-Identifier: MIT
#include "stream.h"

#include <unistd.h>

#include <thread>
#include <utility>

#include "call.h"

namespace ref {
namespace {

const Outcome kForked{TINYFIN_ERROR_FORK,
                      "the streams of the ref backend do not survive a fork; start the child with "
                      "exec or before the first use"};

}  // namespace

Outcome Stream::enqueue(std::function<void()> work) {
  std::lock_guard lock(mutex_);
  if (process_ == 0) {
    // Detached: it waits for work until the process ends, and the stream is never destroyed.
    std::thread([this] { work_loop(); }).detach();
    process_ = getpid();
  } else if (process_ != getpid()) {
    return kForked;
  }
  queue_.push_back(std::move(work));
  changed_.notify_all();
  return {};
}

Outcome Stream::synchronize() {
  if (process_ != 0 && process_ != getpid()) return kForked;
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return queue_.empty() && !busy_; });
  return std::exchange(failure_, {});
}

void Stream::work_loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return !queue_.empty(); });
    std::function<void()> work = std::move(queue_.front());
    queue_.pop_front();
    busy_ = true;
    lock.unlock();
    Outcome outcome;
    try {
      work();
    } catch (const Failure& failure) {
      outcome = {failure.status, failure.message};
    } catch (...) {
      outcome = {TINYFIN_ERROR_MEMORY, "out of memory on the host"};
    }
    work = nullptr;
    lock.lock();
    busy_ = false;
    if (failure_.status == TINYFIN_OK) failure_ = std::move(outcome);
    changed_.notify_all();
  }
}

}  // namespace ref
