// Matrix products against the multiply-add peak measured between their samples, per shape, form
// and number of threads:
//
//   bench_gemm [seconds per case] [threads …]      default: 0.1 s, 1 and 2 threads
//   bench_gemm - threads                           reads lines "form m n k seconds" and answers
//                                                  each with the seconds of one product
//
// Forms of C (m, n) = A · B: NN both row-major, NT with B transposed (a layer's forward pass), TN
// with A transposed (its weight gradient).
// SPDX-License-Identifier: MIT
#if defined(__AVX512F__) && defined(TF_HAVE_AVX512)
#define TF_ISA avx512
#elif defined(__AVX2__) && defined(TF_HAVE_AVX2)
#define TF_ISA avx2
#else
#define TF_ISA generic
#endif
#include "backends/cpu/gemm.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "core/device.h"
#include "core/parallel.h"

namespace {

using tf::cpu::Gemm;

double now() {
  using namespace std::chrono;
  return duration<double>(steady_clock::now().time_since_epoch()).count();
}

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif
typedef float Vector __attribute__((vector_size(kVectorBytes)));

constexpr int kChains = 12;
constexpr int kRounds = 4096;
constexpr double kPeakFlops = 2.0 * (kVectorBytes / 4) * kChains * kRounds;

void multiply_add() {
  Vector sum[kChains];
  for (int c = 0; c < kChains; ++c) sum[c] = Vector{} + float(c);
  Vector scale = Vector{} + 0.999f, shift = Vector{} + 0.001f;
  asm volatile("" : "+m"(scale), "+m"(shift));
  for (int r = 0; r < kRounds; ++r) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sum[c] = sum[c] * scale + shift;
  }
  for (int c = 0; c < kChains; ++c) asm volatile("" : : "m"(sum[c]));
}

std::unique_ptr<float[], decltype(&std::free)> numbers(int64_t n) {
  const size_t bytes = (size_t(n) * sizeof(float) + 63) / 64 * 64;
  std::unique_ptr<float[], decltype(&std::free)> p(
      static_cast<float*>(std::aligned_alloc(64, bytes)), &std::free);
  for (int64_t i = 0; i < n; ++i) p[size_t(i)] = float(i * 7 % 13) * 0.1f - 0.6f;
  return p;
}

struct Shortest {
  double product, peak;  // seconds of one product; of a call of multiply_add in every thread
};

// Of at least `least` samples, for some seconds. form: is A transposed, is B.
Shortest measure(const char* form, int64_t m, int64_t n, int64_t k, int threads, int least,
                 double seconds) {
  const bool ta = form[0] == 'T', tb = form[1] == 'T';
  const auto a = numbers(m * k), b = numbers(k * n), c = numbers(m * n);
  const Gemm<float> g{m, n, k, a.get(), ta ? 1 : k, ta ? m : 1, b.get(), tb ? 1 : n, tb ? k : 1,
                      c.get(), n};
  const double flops = 2.0 * double(m) * double(n) * double(k);
  const auto product = [&] { tf::cpu::TF_ISA::gemm_parallel(g); };
  const auto peak = [&] { tf::parallel_for(threads, [](int64_t) { multiply_add(); }); };
  product();
  const int repeats = int(std::max(1.0, 4e6 * threads / flops));
  Shortest best{1e9, 1e9};
  const double end = now() + seconds;
  for (int i = 0; i < least || now() < end; ++i) {
    const double t0 = now();
    peak();
    const double t1 = now();
    for (int r = 0; r < repeats; ++r) product();
    const double t2 = now();
    best.peak = std::min(best.peak, t1 - t0);
    best.product = std::min(best.product, (t2 - t1) / repeats);
  }
  return best;
}

// GFLOP/s and share of the peak.
void print(const char* form, int64_t m, int64_t n, int64_t k, int threads, double seconds) {
  const Shortest best = measure(form, m, n, k, threads, 20, seconds);
  const double rate = 2.0 * double(m) * double(n) * double(k) / best.product;
  const double roof = kPeakFlops * threads / best.peak;
  std::printf("  %s %6.1f (%3.0f%%)", form, rate / 1e9, 100 * rate / roof);
}

void row(int64_t m, int64_t n, int64_t k, int threads, double seconds) {
  std::printf("%d thread%s %5lld %5lld %5lld ", threads, threads > 1 ? "s" : " ", (long long)m,
              (long long)n, (long long)k);
  print("NN", m, n, k, threads, seconds);
  print("NT", m, n, k, threads, seconds);
  print("TN", m, n, k, threads, seconds);
  std::printf("\n");
  std::fflush(stdout);
}

int answer(int threads) {
  tf::set_num_threads(threads);
  char form[3];
  long long m, n, k;
  double seconds;
  while (std::scanf("%2s %lld %lld %lld %lf", form, &m, &n, &k, &seconds) == 5) {
    std::printf("%.6e\n", measure(form, m, n, k, threads, 3, seconds).product);
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  tf::cpu_device();  // the backend gets its host functions
  if (argc == 3 && std::strcmp(argv[1], "-") == 0) return answer(std::atoi(argv[2]));
  const double seconds = argc > 1 ? std::atof(argv[1]) : 0.1;
  std::vector<int> threads;
  for (int i = 2; i < argc; ++i) threads.push_back(std::atoi(argv[i]));
  if (threads.empty()) threads = {1, 2};
  std::printf("float32, GFLOP/s and share of the multiply-add peak;    m     n     k\n");
  // batch, in, out: forward (batch, out, in), input gradient, weight gradient.
  const int64_t layers[][3] = {{32, 784, 128},  {64, 784, 128},    {64, 128, 64},
                               {64, 64, 10},    {128, 784, 512},   {256, 512, 512},
                               {1024, 768, 768}, {4096, 256, 1024}, {1024, 128, 512}};
  for (int t : threads) {
    tf::set_num_threads(t);
    for (int64_t n : {8, 16, 32, 48, 64, 128, 256, 512, 1024, 2048}) row(n, n, n, t, seconds);
    for (const auto& [batch, in, out] : layers) {
      row(batch, out, in, t, seconds);
      row(batch, in, out, t, seconds);
      row(out, in, batch, t, seconds);
    }
  }
}
