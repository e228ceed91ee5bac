// The thread that gathers ahead.
// SPDX-License-Identifier: MIT
#include "data/ahead.h"

#include <utility>

namespace tf {

Ahead::Ahead() : process_(::getpid()), thread_([this] { work(); }) {}

Ahead::~Ahead() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  more_.notify_one();
  thread_.join();
}

void Ahead::add(int64_t position, std::unique_ptr<Gather> gather) {
  auto batch = std::make_unique<Batch>(Batch{position, std::move(gather), 0});
  {
    const std::lock_guard lock(mutex_);
    batches_.push_back(std::move(batch));
  }
  more_.notify_one();
}

void Ahead::wait_until_left(std::unique_lock<std::mutex>& lock, const Batch* batch) noexcept {
  left_.wait(lock, [&] { return inside_ != batch; });
}

std::unique_ptr<Gather> Ahead::take() {
  std::unique_lock lock(mutex_);
  const std::unique_ptr<Batch> batch = std::move(batches_.front());
  batches_.pop_front();
  const int64_t rest = std::exchange(batch->next, batch->gather->tiles());
  if (rest < batch->gather->tiles()) {
    lock.unlock();
    try {
      batch->gather->run_from(rest);
    } catch (...) {
      lock.lock();
      wait_until_left(lock, batch.get());
      throw;
    }
    lock.lock();
  }
  wait_until_left(lock, batch.get());
  return std::move(batch->gather);
}

void Ahead::clear() noexcept {
  std::unique_lock lock(mutex_);
  left_.wait(lock, [&] { return inside_ == nullptr; });
  batches_.clear();
}

void Ahead::work() noexcept {
  std::unique_lock lock(mutex_);
  for (;;) {
    Batch* batch = nullptr;
    for (const auto& b : batches_) {
      if (b->next < b->gather->tiles()) {
        batch = b.get();
        break;
      }
    }
    if (ending_) return;
    if (!batch) {
      more_.wait(lock);
      continue;
    }
    const int64_t tile = batch->next++;
    inside_ = batch;
    lock.unlock();
    batch->gather->run(tile);
    lock.lock();
    inside_ = nullptr;
    left_.notify_one();
  }
}

}  // namespace tf
