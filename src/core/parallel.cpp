// The thread pool: OpenMP underneath, std::thread where OpenMP is absent (and under the thread
// sanitizer, which cannot see into libgomp).
// SPDX-License-Identifier: MIT
#include "core/parallel.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>

#include "core/env.h"
#include "core/error.h"

#ifdef _OPENMP
#include <omp.h>
#else
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>
#endif

namespace tf {
namespace {

thread_local bool inside_tile = false;
std::atomic<bool> pool_used{false};
std::atomic<bool> forked{false};

int32_t processors() noexcept {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return 1;
}

std::atomic<int32_t>& thread_setting() noexcept {
  static std::atomic<int32_t> n{int32_t(env_int("TINYFIN_THREADS", 1, 1024, processors()))};
  return n;
}

// In a child made by fork() the pool's threads do not exist: using it would wait forever.
void mark_fork() {
  if (pool_used.load()) forked.store(true);
}
[[maybe_unused]] const int fork_handler = pthread_atfork(nullptr, nullptr, mark_fork);

struct Job {
  tf_tile_fn fn;
  void* user;
  int64_t tiles;
  std::atomic<int64_t> next{0};

  void work() noexcept {
    const bool before = inside_tile;
    inside_tile = true;
    for (int64_t t; (t = next.fetch_add(1, std::memory_order_relaxed)) < tiles;) fn(t, user);
    inside_tile = before;
  }
};

#ifdef _OPENMP

void run_on_pool(Job& job, int32_t threads) {
#pragma omp parallel num_threads(threads)
  job.work();
}

#else

// Workers sleep until a job is announced; the caller works too and waits for the rest.
class Pool {
 public:
  void run(Job& job, int32_t threads) {
    std::lock_guard one_job_at_a_time(run_mutex_);
    {
      std::unique_lock lock(mutex_);
      while (int32_t(workers_.size()) < threads - 1) {
        const int32_t index = int32_t(workers_.size());
        workers_.emplace_back([this, index, seen = generation_]() mutable { loop(index, seen); });
      }
      job_ = &job;
      active_ = busy_ = threads - 1;
      ++generation_;
    }
    wake_.notify_all();
    job.work();
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return busy_ == 0; });
    job_ = nullptr;
  }

  ~Pool() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

 private:
  void loop(int32_t index, uint64_t seen) {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return stop_ || generation_ != seen; });
      if (stop_) return;
      seen = generation_;
      if (index >= active_) continue;
      Job* job = job_;
      lock.unlock();
      job->work();
      lock.lock();
      if (--busy_ == 0) done_.notify_one();
    }
  }

  std::mutex run_mutex_, mutex_;
  std::condition_variable wake_, done_;
  std::vector<std::thread> workers_;
  Job* job_ = nullptr;
  int32_t active_ = 0, busy_ = 0;
  uint64_t generation_ = 0;
  bool stop_ = false;
};

void run_on_pool(Job& job, int32_t threads) {
  static Pool pool;
  pool.run(job, threads);
}

#endif

}  // namespace

int32_t num_threads() noexcept { return thread_setting().load(std::memory_order_relaxed); }

void set_num_threads(int32_t n) {
  TF_CHECK(n >= 1 && n <= 1024, TINYFIN_ERROR_ARGUMENT, "received ", n,
           " threads; expected 1 to 1024");
  thread_setting().store(n, std::memory_order_relaxed);
}

tf_status parallel_for_raw(int64_t tiles, tf_tile_fn fn, void* user) noexcept {
  const int32_t threads = int32_t(std::min<int64_t>(num_threads(), tiles));
  if (threads <= 1 || inside_tile) {
    for (int64_t t = 0; t < tiles; ++t) fn(t, user);
    return TINYFIN_OK;
  }
  if (forked.load(std::memory_order_relaxed)) [[unlikely]] return TINYFIN_ERROR_FORK;
  pool_used.store(true, std::memory_order_relaxed);
  Job job{fn, user, tiles};
  try {
    run_on_pool(job, threads);
  } catch (...) {  // no more threads from the system: the caller does what is left
    job.work();
  }
  return TINYFIN_OK;
}

void throw_fork_error() {
  fail(TINYFIN_ERROR_FORK,
       "used in a child process whose parent had started tinyfin's threads; start children "
       "before the first op, use spawn instead of fork, or set TINYFIN_THREADS=1");
}

}  // namespace tf
