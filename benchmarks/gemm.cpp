// Matrix products against the multiply-add peak measured between their samples, and against
// OpenBLAS's where it was found, per shape, form and number of threads:
//
//   bench_gemm [float64|bfloat16] [seconds per case] [threads …]   default: 0.1 s, 1 and 2 threads
//   bench_gemm - threads            reads lines "dtype form m n k seconds" and answers each with
//                                   the seconds of one product
//
// Forms of C (m, n) = A · B: NN both row-major, NT with B transposed (a layer's forward pass), TN
// with A transposed (its weight gradient).
// SPDX-License-Identifier: MIT
#if defined(__AVX512F__) && defined(TF_HAVE_AVX512)
#define TF_ISA avx512
#elif defined(__AVX2__) && defined(TF_HAVE_AVX2)
#define TF_ISA avx2
#else
#define TF_ISA TF_BASE_ISA
#endif
#include "backends/cpu/gemm_bf16.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <type_traits>
#include <vector>

#include "core/device.h"
#include "core/pages.h"
#include "core/parallel.h"
#include "peak.h"

#if defined(TF_HAVE_OPENBLAS)
#include <cblas.h>
#endif

namespace {

using tf::BFloat16;
using tf::cpu::Gemm;

double now() {
  using namespace std::chrono;
  return duration<double>(steady_clock::now().time_since_epoch()).count();
}

// FLOPs of one call; bfloat16 without dot products of it is multiplied as float32.
template <class T>
double multiply_add() {
  const double flops = peak::multiply_add<T>();
  return flops > 0 ? flops : peak::multiply_add<float>();
}

template <class T>
using Numbers = std::unique_ptr<T[], decltype(&std::free)>;

// Where tensors of this size lie.
template <class T>
Numbers<T> numbers(int64_t n) {
  Numbers<T> p(static_cast<T*>(tf::alloc_pages(size_t(n) * sizeof(T))), &std::free);
  for (int64_t i = 0; i < n; ++i) {
    const double value = double(i * 7 % 13) * 0.1 - 0.6;
    if constexpr (std::is_same_v<T, BFloat16>) {
      p[size_t(i)] = tf::bfloat16(value);
    } else {
      p[size_t(i)] = T(value);
    }
  }
  return p;
}

void product_of(const Gemm<float>& g) { tf::cpu::TF_ISA::gemm_parallel(g); }
void product_of(const Gemm<double>& g) { tf::cpu::TF_ISA::gemm_parallel(g); }
void product_of(const Gemm<BFloat16>& g) { tf::cpu::bf16_gemm(g, {}); }

// Declared as a template for what it has no function for.
template <class T>
void blas(const Gemm<T>&, bool, bool) {}
#if defined(TF_HAVE_OPENBLAS)
template <class T>
constexpr bool kHasBlas = sizeof(T) >= 4;
void set_blas_threads(int threads) { openblas_set_num_threads(threads); }
void blas(const Gemm<float>& g, bool ta, bool tb) {
  cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans,
              int(g.m), int(g.n), int(g.k), 1, g.a, int(ta ? g.m : g.k), g.b,
              int(tb ? g.k : g.n), 0, g.c, int(g.n));
}
void blas(const Gemm<double>& g, bool ta, bool tb) {
  cblas_dgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans,
              int(g.m), int(g.n), int(g.k), 1, g.a, int(ta ? g.m : g.k), g.b,
              int(tb ? g.k : g.n), 0, g.c, int(g.n));
}
#else
template <class T>
constexpr bool kHasBlas = false;
void set_blas_threads(int) {}
#endif

struct Shortest {
  double product, blas;  // seconds
  double peak;           // FLOP/s of all threads
};

// Of at least `least` samples of each, in turns, for some seconds. form: is A transposed, is B.
template <class T>
Shortest measure(const char* form, int64_t m, int64_t n, int64_t k, int threads, int least,
                 double seconds, bool with_blas) {
  const bool ta = form[0] == 'T', tb = form[1] == 'T';
  const auto a = numbers<T>(m * k), b = numbers<T>(k * n), c = numbers<T>(m * n);
  const Gemm<T> g{m, n, k, a.get(), ta ? 1 : k, ta ? m : 1, b.get(), tb ? 1 : n, tb ? k : 1,
                  c.get(), n};
  const double flops = 2.0 * double(m) * double(n) * double(k);
  const auto product = [&] { product_of(g); };
  const double peak_flops = multiply_add<T>() * threads;
  const auto peak = [&] { tf::parallel_for(threads, [](int64_t) { multiply_add<T>(); }); };
  product();
  const int repeats = int(std::max(1.0, 4e6 * threads / flops));
  Shortest best{1e9, 1e9, 0};
  const double end = now() + seconds;
  for (int i = 0; i < least || now() < end; ++i) {
    const double t0 = now();
    peak();
    const double t1 = now();
    for (int r = 0; r < repeats; ++r) product();
    const double t2 = now();
    for (int r = 0; with_blas && r < repeats; ++r) blas(g, ta, tb);
    const double t3 = now();
    best.peak = std::max(best.peak, peak_flops / (t1 - t0));
    best.product = std::min(best.product, (t2 - t1) / repeats);
    best.blas = std::min(best.blas, (t3 - t2) / repeats);
  }
  return best;
}

// GFLOP/s, share of the peak, OpenBLAS's time by ours.
template <class T>
void print(const char* form, int64_t m, int64_t n, int64_t k, int threads, double seconds) {
  const Shortest best = measure<T>(form, m, n, k, threads, 20, seconds, kHasBlas<T>);
  const double rate = 2.0 * double(m) * double(n) * double(k) / best.product;
  std::printf("  %s %6.1f (%3.0f%%)", form, rate / 1e9, 100 * rate / best.peak);
  if (kHasBlas<T>) std::printf(" x%.2f", best.blas / best.product);
}

template <class T>
void row(int64_t m, int64_t n, int64_t k, int threads, double seconds) {
  std::printf("%d thread%s %5lld %5lld %5lld ", threads, threads > 1 ? "s" : " ", (long long)m,
              (long long)n, (long long)k);
  print<T>("NN", m, n, k, threads, seconds);
  print<T>("NT", m, n, k, threads, seconds);
  print<T>("TN", m, n, k, threads, seconds);
  std::printf("\n");
  std::fflush(stdout);
}

template <class T>
void table(const std::vector<int>& threads, double seconds) {
  std::printf("%s, GFLOP/s, share of the multiply-add peak%s;    m     n     k\n",
              sizeof(T) == 2 ? "bfloat16" : sizeof(T) == 4 ? "float32" : "float64",
              kHasBlas<T> ? ", OpenBLAS's time by ours" : "");
  // batch, in, out: forward (batch, out, in), input gradient, weight gradient. Rows of 1024 collide
  // in the caches.
  const int64_t layers[][3] = {{32, 784, 128},  {64, 784, 128},    {64, 128, 64},
                               {64, 64, 10},    {128, 784, 512},   {256, 512, 512},
                               {1024, 768, 768}, {4096, 256, 1024}, {1024, 128, 512},
                               {64, 1024, 1024}, {256, 1024, 1024}};
  for (int t : threads) {
    tf::set_num_threads(t);
    set_blas_threads(t);
    for (int64_t n : {8, 16, 32, 48, 64, 128, 256, 512, 1024, 2048}) row<T>(n, n, n, t, seconds);
    for (const auto& [batch, in, out] : layers) {
      row<T>(batch, out, in, t, seconds);
      row<T>(batch, in, out, t, seconds);
      row<T>(out, in, batch, t, seconds);
    }
  }
}

int answer(int threads) {
  tf::set_num_threads(threads);
  char dtype[9], form[3];
  long long m, n, k;
  double seconds;
  while (std::scanf("%8s %2s %lld %lld %lld %lf", dtype, form, &m, &n, &k, &seconds) == 6) {
    const Shortest best = std::strcmp(dtype, "bfloat16") == 0
                              ? measure<BFloat16>(form, m, n, k, threads, 3, seconds, false)
                              : measure<float>(form, m, n, k, threads, 3, seconds, false);
    std::printf("%.6e\n", best.product);
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  tf::cpu_device();  // the backend gets its host functions
  if (argc == 3 && std::strcmp(argv[1], "-") == 0) return answer(std::atoi(argv[2]));
  const char* const dtype = argc > 1 ? argv[1] : "";
  const bool wide = std::strcmp(dtype, "float64") == 0;
  const bool narrow = std::strcmp(dtype, "bfloat16") == 0;
  const int first = wide || narrow ? 2 : 1;
  const double seconds = argc > first ? std::atof(argv[first]) : 0.1;
  std::vector<int> threads;
  for (int i = first + 1; i < argc; ++i) threads.push_back(std::atoi(argv[i]));
  if (threads.empty()) threads = {1, 2};
  if (wide) {
    table<double>(threads, seconds);
  } else if (narrow) {
    table<BFloat16>(threads, seconds);
  } else {
    table<float>(threads, seconds);
  }
}
