// What this machine can do at best, measured when asked: float32 multiply-adds in registers and
// copies between memory.
//
//   echo "flops 2 0.05" | bench_roof     2 threads, 0.05 s: FLOP/s of all threads together
//   echo "copy 1 0.05" | bench_roof      bytes/s, counting those read and those written
//
// It stays for any number of lines, so that a runner can ask between its own samples.
// SPDX-License-Identifier: MIT
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif
typedef float Vector __attribute__((vector_size(kVectorBytes)));

constexpr int kLanes = kVectorBytes / int(sizeof(float));
// Enough independent chains to hide the latency of two multiply-add units.
constexpr int kChains = 12;
constexpr int kRounds = 4096;

double now() {
  using namespace std::chrono;
  return duration<double>(steady_clock::now().time_since_epoch()).count();
}

// FLOPs done by one call.
double multiply_add() {
  Vector sum[kChains];
  for (int c = 0; c < kChains; ++c) sum[c] = Vector{} + float(c);
  Vector scale = Vector{} + 0.999f, shift = Vector{} + 0.001f;
  // The compiler must take both for unknown, or it would compute the limit.
  asm volatile("" : "+m"(scale), "+m"(shift));
  for (int r = 0; r < kRounds; ++r) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sum[c] = sum[c] * scale + shift;
  }
  for (int c = 0; c < kChains; ++c) asm volatile("" : : "m"(sum[c]));
  return 2.0 * kLanes * kChains * kRounds;
}

// Copies between two buffers far larger than any cache.
class Copier {
 public:
  double operator()() {
    char *from = memory_.get() + position_;
    std::memcpy(from + kBytes, from, kPiece);
    asm volatile("" : : : "memory");
    position_ = (position_ + kPiece) % kBytes;
    return 2.0 * kPiece;
  }
  Copier() : memory_(new char[2 * kBytes]) { std::memset(memory_.get(), 1, 2 * kBytes); }

 private:
  static constexpr size_t kBytes = size_t(96) << 20;
  static constexpr size_t kPiece = size_t(1) << 20;
  std::unique_ptr<char[]> memory_;
  size_t position_ = 0;
};

// Work per second of all threads together.
template <class Make>
double rate(int threads, double seconds, Make make) {
  std::atomic<int> waiting{threads};
  std::vector<double> rates(static_cast<size_t>(threads));
  auto body = [&](int t) {
    auto work = make();
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
    if (std::strcmp(what, "flops") == 0) {
      answer = rate(threads, seconds, [] { return multiply_add; });
    } else if (std::strcmp(what, "copy") == 0) {
      answer = rate(threads, seconds, [] { return Copier(); });
    } else {
      std::fprintf(stderr, "received %s; expected flops or copy\n", what);
      return 1;
    }
    std::printf("%.6e\n", answer);
    std::fflush(stdout);
  }
}
