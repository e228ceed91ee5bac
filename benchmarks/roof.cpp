// What this machine can do at best, measured when asked: multiply-adds in registers, copies in the
// last cache and in memory.
//
//   echo "flops 2 0.05" | bench_roof     2 threads, 0.05 s: FLOP/s of all threads together, float32
//   echo "bf16 2 0.05" | bench_roof      the same of bfloat16 dot products; 0 where there are none
//   echo "cache 1 0.05" | bench_roof     bytes/s, counting those read and those written
//   echo "memory 1 0.05" | bench_roof    the same beyond any cache, the better of two ways to write
//
// It stays for any number of lines, so that a runner can ask between its own samples.
// SPDX-License-Identifier: MIT
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>
#if __has_include(<sys/mman.h>)
#include <sys/mman.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "peak.h"

namespace {

double now() {
  using namespace std::chrono;
  return duration<double>(steady_clock::now().time_since_epoch()).count();
}

constexpr size_t kInCache = size_t(2) << 20, kBeyond = size_t(96) << 20;
constexpr size_t kHugePage = size_t(2) << 20;

// Writes that do not read the lines first; the usual ones where there are none.
void stream(char *to, const char *from, size_t bytes) {
#if defined(__AVX512F__)
  for (size_t i = 0; i < bytes; i += 64)
    _mm512_stream_si512(reinterpret_cast<__m512i *>(to + i), _mm512_load_si512(from + i));
#elif defined(__SSE2__)
  for (size_t i = 0; i < bytes; i += 16)
    _mm_stream_si128(reinterpret_cast<__m128i *>(to + i),
                     _mm_load_si128(reinterpret_cast<const __m128i *>(from + i)));
#else
  std::memcpy(to, from, bytes);
#endif
}

void copy(char *to, const char *from, size_t bytes) { std::memcpy(to, from, bytes); }

// Two buffers of kBeyond bytes for each thread, touched once: new pages cost more than the copies.
char *buffers(int thread) {
  static std::vector<std::unique_ptr<char, decltype(&std::free)>> all;
  while (int(all.size()) <= thread) {
    all.emplace_back(static_cast<char *>(std::aligned_alloc(kHugePage, 2 * kBeyond)), &std::free);
#if defined(MADV_HUGEPAGE)
    madvise(all.back().get(), 2 * kBeyond, MADV_HUGEPAGE);
#endif
    std::memset(all.back().get(), 1, 2 * kBeyond);
  }
  return all[size_t(thread)].get();
}

// Copies the first `bytes` of one buffer to the other, piece by piece.
class Copier {
 public:
  using Function = void (*)(char *, const char *, size_t);

  Copier(Function function, char *memory, size_t bytes)
      : function_(function), memory_(memory), bytes_(bytes) {}
  double operator()() {
    function_(memory_ + bytes_ + position_, memory_ + position_, kPiece);
    asm volatile("" : : : "memory");
    position_ = (position_ + kPiece) % bytes_;
    return 2.0 * kPiece;
  }

 private:
  static constexpr size_t kPiece = size_t(256) << 10;
  Function function_;
  char *memory_;
  size_t bytes_, position_ = 0;
};

// Binds the calling thread to the processor of that rank among those it may run on: for the time of a
// measurement two new threads may well stay on one.
void bind(int rank) {
#if defined(__linux__)
  static const cpu_set_t allowed = [] {
    cpu_set_t set;
    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof set, &set);
    return set;
  }();
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || rank-- > 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
    return;
  }
#else
  (void)rank;
#endif
}

// Work per second of all threads together.
template <class Make>
double rate(int threads, double seconds, Make make) {
  std::atomic<int> waiting{threads};
  std::vector<double> rates(static_cast<size_t>(threads));
  auto body = [&](int t) {
    bind(t);
    auto work = make(t);
    work();
    --waiting;
    while (waiting.load() > 0) {
    }
    const double begin = now();
    double done = 0, elapsed = 0;
    do {
      done += work();
      elapsed = now() - begin;
    } while (elapsed < seconds);
    rates[static_cast<size_t>(t)] = done / elapsed;
  };
  std::vector<std::thread> others;
  for (int t = 1; t < threads; ++t) others.emplace_back(body, t);
  body(0);
  for (std::thread &other : others) other.join();
  double sum = 0;
  for (double r : rates) sum += r;
  return sum;
}

}  // namespace

int main() {
  char what[16];
  int threads;
  double seconds;
  while (std::scanf("%15s %d %lf", what, &threads, &seconds) == 3) {
    double answer = 0;
    const auto copies = [&](Copier::Function function, size_t bytes) {
      buffers(threads - 1);  // by this thread alone
      return rate(threads, seconds, [=](int t) { return Copier(function, buffers(t), bytes); });
    };
    if (std::strcmp(what, "flops") == 0) {
      answer = rate(threads, seconds, [](int) { return peak::multiply_add<float>; });
    } else if (std::strcmp(what, "bf16") == 0) {
      answer = rate(threads, seconds, [](int) { return peak::multiply_add<tf::BFloat16>; });
    } else if (std::strcmp(what, "cache") == 0) {
      answer = copies(copy, kInCache);
    } else if (std::strcmp(what, "memory") == 0) {
      answer = std::max(copies(copy, kBeyond), copies(stream, kBeyond));
    } else {
      std::fprintf(stderr, "received %s; expected flops, bf16, cache or memory\n", what);
      return 1;
    }
    std::printf("%.6e\n", answer);
    std::fflush(stdout);
  }
}
