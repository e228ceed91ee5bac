// The thread pool. Own threads by default; OpenMP's where the build asks for it
// (TINYFIN_OPENMP=ON). The difference shows when something else wants a processor: an OpenMP
// region ends when every thread of the team has been there, ours when every tile is done.
// SPDX-License-Identifier: MIT
#include "core/parallel.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>

#include "core/env.h"
#include "core/error.h"
#include "core/local.h"
#include "core/processors.h"

#ifdef _OPENMP
#include <omp.h>
#else
#include <mutex>
#include <thread>
#include <vector>
#endif

namespace tf {
namespace {

std::atomic<bool> pool_used{false};
std::atomic<bool> forked{false};

std::atomic<int32_t>& thread_setting() noexcept {
  static std::atomic<int32_t> n{int32_t(env_int("TINYFIN_THREADS", 1, 1024, processors()))};
  return n;
}

// In a child made by fork() the pool's threads do not exist: using it would wait forever.
void mark_fork() {
  if (pool_used.load()) forked.store(true);
}
[[maybe_unused]] const int fork_handler = pthread_atfork(nullptr, nullptr, mark_fork);

// Tiles of one parallel_for, in one run of neighbours per thread. A thread takes its own run first,
// from job to job the same share of an array, which its caches may still hold; then what others
// have left.
class Job {
 public:
  Job(tf_tile_fn fn, void* user, int64_t tiles, int32_t threads) noexcept
      : fn_(fn), user_(user), runs_(std::min(threads, kMaxRuns)) {
    for (int32_t i = 0; i < runs_; ++i) {
      run_[i].next.store(tiles * i / runs_, std::memory_order_relaxed);
      run_[i].end = tiles * (i + 1) / runs_;
    }
  }

  void work(int32_t thread) noexcept {
    bool& inside = local().inside_tile;
    const bool before = inside;
    inside = true;
    for (int32_t i = 0; i < runs_; ++i) {
      Run& run = run_[(thread + i) % runs_];
      for (int64_t t; (t = run.next.fetch_add(1, std::memory_order_relaxed)) < run.end;)
        fn_(t, user_);
    }
    inside = before;
  }

 private:
  static constexpr int32_t kMaxRuns = 64;
  struct alignas(64) Run {
    std::atomic<int64_t> next;
    int64_t end;
  };
  const tf_tile_fn fn_;
  void* const user_;
  const int32_t runs_;
  Run run_[kMaxRuns];
};

#ifdef _OPENMP

void run_on_pool(Job& job, int32_t threads) {
#pragma omp parallel num_threads(threads)
  job.work(omp_get_thread_num());
}

#else

inline void pause() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb");  // some tens of cycles; `yield` is nothing on most processors
#endif
}

// How long an idle worker watches for the next job before it sleeps: long enough for the gap
// between two ops, short enough not to rob other programs of a processor.
constexpr int kSpins = 2000;

// Workers enter the job that is on offer, take tiles until there are none and leave. The caller
// works too, withdraws the job and waits for the workers that are inside: one that the system
// never let run holds nobody up.
class Pool {
 public:
  void run(Job& job, int32_t threads) {
    std::unique_lock one_job_at_a_time(run_mutex_, std::try_to_lock);
    if (!one_job_at_a_time) {  // another thread's job has the workers
      job.work(0);
      return;
    }
    while (int32_t(workers_.size()) < threads - 1) {
      const int32_t index = int32_t(workers_.size());
      workers_.emplace_back([this, index] { loop(index); });
    }
    limit_.store(threads - 1, std::memory_order_relaxed);
    job_.store(&job);
    generation_.fetch_add(1);
    generation_.notify_all();
    job.work(0);
    job_.store(nullptr);
    for (int spin = 0; spin < kSpins && inside_.load() != 0; ++spin) pause();
    // Somebody took the processor from a worker in the middle of a tile. Sleeping leaves it this
    // one; watching on would keep it waiting for its turn.
    while (const int32_t inside = inside_.load()) inside_.wait(inside);
  }

 private:
  void loop(int32_t index) noexcept {
    uint32_t seen = 0;
    for (;;) {
      for (int spin = 0; spin < kSpins && generation_.load() == seen; ++spin) pause();
      generation_.wait(seen);
      seen = generation_.load();
      if (index >= limit_.load(std::memory_order_relaxed)) continue;
      // Announced before the job is read (both sequentially consistent): either this thread
      // sees that the job was withdrawn, or the caller sees that somebody is inside.
      inside_.fetch_add(1);
      if (Job* job = job_.load()) job->work(index + 1);
      if (inside_.fetch_sub(1) == 1) inside_.notify_all();  // looks first whether anybody sleeps
    }
  }

  std::mutex run_mutex_;
  std::vector<std::thread> workers_;
  std::atomic<Job*> job_{nullptr};
  std::atomic<uint32_t> generation_{0};
  std::atomic<int32_t> inside_{0}, limit_{0};
};

void run_on_pool(Job& job, int32_t threads) {
  // Never destroyed: ops may run in destructors of static objects; sleeping threads end with
  // the process.
  static Pool& pool = *new Pool;
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
  if (threads <= 1 || local().inside_tile) {
    for (int64_t t = 0; t < tiles; ++t) fn(t, user);
    return TINYFIN_OK;
  }
  if (forked.load(std::memory_order_relaxed)) [[unlikely]] return TINYFIN_ERROR_FORK;
  pool_used.store(true, std::memory_order_relaxed);
  Job job(fn, user, tiles, threads);
  try {
    run_on_pool(job, threads);
  } catch (...) {  // no more threads from the system: the caller does what is left
    job.work(0);
  }
  return TINYFIN_OK;
}

void throw_fork_error() {
  fail(TINYFIN_ERROR_FORK,
       "used in a child process whose parent had started tinyfin's threads; start children "
       "before the first op, use spawn instead of fork, or set TINYFIN_THREADS=1");
}

}  // namespace tf
