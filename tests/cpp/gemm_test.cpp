// Matrix products of the cpu backend, every instruction set this processor has, against sums in
// long double: odd sizes, strides, sums over products, epilogues, threads.
// SPDX-License-Identifier: MIT
#define TF_ISA TF_BASE_ISA
#include "backends/cpu/gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "backends/cpu/isa.h"
#include "core/device.h"
#include "core/parallel.h"

namespace tf::cpu {

// The same functions, compiled for other instruction sets.
#define DECLARE_GEMM(isa)                                        \
  namespace isa {                                                \
  void gemm(const Gemm<float>&);                                 \
  void gemm(const Gemm<double>&);                                \
  tf_status gemm_parallel(const Gemm<float>&, const GemmBatch&);  \
  tf_status gemm_parallel(const Gemm<double>&, const GemmBatch&); \
  }
#ifdef TF_HAVE_AVX2
DECLARE_GEMM(avx2)
#endif
#ifdef TF_HAVE_AVX512
DECLARE_GEMM(avx512)
#endif

namespace {

template <class T>
struct Entry {
  const char* isa;
  void (*serial)(const Gemm<T>&);
  tf_status (*parallel)(const Gemm<T>&, const GemmBatch&);
};

template <class T>
std::vector<Entry<T>> entries() {
  cpu_device();  // the backend gets its host functions
  std::vector<Entry<T>> list;
  for (const InstructionSet& set : instruction_sets()) {
    const std::string name = set.name;
    if (!set.available) continue;
#ifdef TF_HAVE_AVX2
    if (name == "avx2") list.push_back({set.name, avx2::gemm, avx2::gemm_parallel});
#endif
#ifdef TF_HAVE_AVX512
    if (name == "avx512") list.push_back({set.name, avx512::gemm, avx512::gemm_parallel});
#endif
    if (&set == &instruction_sets()[0])
      list.push_back({set.name, TF_BASE_ISA::gemm, TF_BASE_ISA::gemm_parallel});
  }
  return list;
}

// A matrix (or several) in a larger array whose other elements are NaN: reading one shows.
template <class T>
struct Matrix {
  std::vector<T> memory;
  int64_t row = 0, col = 0, step = 0;
  const T* data() const { return memory.data(); }
};

enum class Order { kRows, kColumns, kSpread };

template <class T>
Matrix<T> random_matrix(int64_t rows, int64_t columns, int64_t count, Order order, int64_t pad,
                        std::mt19937& rng) {
  Matrix<T> m;
  const int64_t gap = order == Order::kSpread ? 3 : 1;
  const bool by_rows = order != Order::kColumns;
  m.col = by_rows ? gap : rows * gap + pad;
  m.row = by_rows ? columns * gap + pad : gap;
  m.step = (by_rows ? rows * m.row : columns * m.col) + pad;
  m.memory.assign(size_t(count * m.step + 1), std::numeric_limits<T>::quiet_NaN());
  std::uniform_real_distribution<double> uniform(-1, 1);
  for (int64_t r = 0; r < count; ++r)
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j)
        m.memory[size_t(r * m.step + i * m.row + j * m.col)] = T(uniform(rng));
  return m;
}

struct Case {
  int64_t m, n, k, reduce = 1;
  Order a = Order::kRows, b = Order::kRows;
  int64_t pad = 0;
  bool accumulate = false, bias = false;
  int64_t bias_step = 1;
  tf_activation activation = TINYFIN_ACTIVATION_NONE;
  bool through = false, residual = false, row_sums = false;
};

std::string text(const Case& c) {
  return "m " + std::to_string(c.m) + " n " + std::to_string(c.n) + " k " + std::to_string(c.k) +
         " reduce " + std::to_string(c.reduce) + " orders " + std::to_string(int(c.a)) +
         std::to_string(int(c.b)) + " pad " + std::to_string(c.pad) + " activation " +
         std::to_string(c.activation);
}

long double activated(tf_activation activation, long double x) {
  switch (activation) {
    case TINYFIN_ACTIVATION_RELU: return x < 0 ? 0 : x;
    case TINYFIN_ACTIVATION_GELU: return x * std::erfc(-x * std::sqrt(0.5L)) / 2;
    case TINYFIN_ACTIVATION_GELU_TANH:
      return x / 2 * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0L)) * (x + 0.044715L * x * x * x)));
    case TINYFIN_ACTIVATION_SIGMOID: return 1 / (1 + std::exp(-x));
    case TINYFIN_ACTIVATION_TANH: return std::tanh(x);
    case TINYFIN_ACTIVATION_SILU: return x / (1 + std::exp(-x));
    default: return x;
  }
}

// The derivative of activations whose result tells it.
long double derivative(tf_activation activation, long double result) {
  switch (activation) {
    case TINYFIN_ACTIVATION_RELU: return result > 0;
    case TINYFIN_ACTIVATION_SIGMOID: return result * (1 - result);
    case TINYFIN_ACTIVATION_TANH: return 1 - result * result;
    default: return 1;
  }
}

template <class T>
struct Problem {
  Matrix<T> a, b;
  std::vector<T> c, bias, result, residual, row_sums;
  Gemm<T> g;
};

constexpr int64_t kFrame = 5;  // untouched elements behind each row of C

template <class T>
Problem<T> problem(const Case& c, std::mt19937& rng) {
  Problem<T> p;
  p.a = random_matrix<T>(c.m, c.k, c.reduce, c.a, c.pad, rng);
  p.b = random_matrix<T>(c.k, c.n, c.reduce, c.b, c.pad, rng);
  p.bias = random_matrix<T>(1, c.n * c.bias_step, 1, Order::kRows, 0, rng).memory;
  const int64_t ldc = c.n + kFrame;
  p.c.assign(size_t(c.m * ldc), T(7));
  p.g = {c.m,     c.n,     c.k,        p.a.data(), p.a.row, p.a.col, p.b.data(),
         p.b.row, p.b.col, p.c.data(), ldc};
  p.g.accumulate = c.accumulate;
  p.g.bias = c.bias ? p.bias.data() : nullptr;
  p.g.bias_step = c.bias_step;
  p.g.activation = c.activation;
  p.g.reduce = c.reduce;
  p.g.a_step = p.a.step;
  p.g.b_step = p.b.step;
  if (c.through) p.result = random_matrix<T>(c.m, ldc, 1, Order::kRows, 0, rng).memory;
  if (c.through) p.g.result = p.result.data();
  if (c.residual) {
    p.g.residual_row = c.pad == 2 ? 0 : c.n + c.pad;  // pad 2: one row for all
    p.residual = random_matrix<T>(c.m, c.n + c.pad, 1, Order::kRows, 0, rng).memory;
    p.g.residual = p.residual.data();
  }
  if (c.row_sums) {
    p.row_sums.assign(size_t(c.m + 1), T(7));
    p.g.row_sums = p.row_sums.data();
  }
  return p;
}

template <class T>
void expect_right(const Problem<T>& p, const char* isa, const Case& c) {
  const Gemm<T>& g = p.g;
  const long double bound = 4 * std::numeric_limits<T>::epsilon() *
                            (std::sqrt((long double)(c.k * c.reduce)) + 2) * 4;
  for (int64_t i = 0; i < g.m; ++i) {
    for (int64_t j = 0; j < g.n; ++j) {
      long double sum = g.accumulate ? 7 : 0;
      for (int64_t r = 0; r < g.reduce; ++r)
        for (int64_t q = 0; q < g.k; ++q)
          sum += (long double)g.a[r * g.a_step + i * g.a_row + q * g.a_col] *
                 g.b[r * g.b_step + q * g.b_row + j * g.b_col];
      if (g.bias) sum += g.bias[j * g.bias_step];
      if (g.residual) sum += g.residual[i * g.residual_row + j];
      const long double want =
          g.result ? sum * derivative(g.activation, g.result[i * g.ldc + j])
                   : activated(g.activation, sum);
      const T got = p.c[size_t(i * g.ldc + j)];
      ASSERT_LE(std::abs(got - want), bound * (1 + std::abs(want)))
          << isa << " " << text(c) << " at " << i << ", " << j << ": " << got << ", expected "
          << double(want);
    }
    for (int64_t j = g.n; j < g.ldc; ++j)
      ASSERT_EQ(p.c[size_t(i * g.ldc + j)], T(7)) << isa << " " << text(c) << " past row " << i;
  }
  for (int64_t i = 0; g.row_sums && g.n > 0 && i <= g.m; ++i) {
    long double sum = g.accumulate || i == g.m ? 7 : 0;
    for (int64_t r = 0; i < g.m && r < g.reduce; ++r)
      for (int64_t q = 0; q < g.k; ++q) sum += g.a[r * g.a_step + i * g.a_row + q * g.a_col];
    ASSERT_LE(std::abs(p.row_sums[size_t(i)] - sum), bound * (1 + std::abs(sum)))
        << isa << " " << text(c) << ": sum of row " << i << " is " << p.row_sums[size_t(i)];
  }
}

template <class T>
void check(const Case& c) {
  for (const Entry<T>& entry : entries<T>()) {
    std::mt19937 rng(7);
    Problem<T> p = problem<T>(c, rng);
    entry.serial(p.g);
    expect_right(p, entry.isa, c);
    if (::testing::Test::HasFatalFailure()) return;
    rng.seed(7);
    Problem<T> again = problem<T>(c, rng);
    ASSERT_EQ(entry.parallel(again.g, {}), TINYFIN_OK);
    if (c.row_sums) expect_right(again, entry.isa, c);
    ASSERT_TRUE(p.c.empty() ||
                std::memcmp(p.c.data(), again.c.data(), p.c.size() * sizeof(T)) == 0)
        << entry.isa << " " << text(c) << " in parallel";
  }
}

void check_both(const Case& c) {
  check<float>(c);
  if (!::testing::Test::HasFatalFailure()) check<double>(c);
}

constexpr Order kOrders[] = {Order::kRows, Order::kColumns, Order::kSpread};

TEST(Gemm, SizesAndOrders) {
  std::mt19937 rng(1);
  std::uniform_int_distribution<int64_t> size(1, 33), long_size(34, 200);
  for (int i = 0; i < 400; ++i) {
    Case c{size(rng), size(rng), size(rng)};
    if (i % 4 == 1) c.m = long_size(rng);
    if (i % 4 == 2) c.n = long_size(rng);
    if (i % 8 == 3) c.k = long_size(rng);
    c.a = kOrders[i % 3];
    c.b = kOrders[i / 3 % 3];
    c.pad = i % 5;
    c.accumulate = i % 7 == 0;
    check_both(c);
    if (HasFatalFailure()) return;
  }
}

// One row, one column, one term: the shortest of everything.
TEST(Gemm, Ones) {
  for (int64_t m : {1, 2, 70})
    for (int64_t n : {1, 3, 70})
      for (int64_t k : {1, 5, 600})
        for (Order a : kOrders)
          for (Order b : kOrders) {
            check_both({.m = m, .n = n, .k = k, .a = a, .b = b, .pad = 1, .bias = true});
            if (HasFatalFailure()) return;
          }
}

// Past every block size: several blocks of k, packed A, packed B.
TEST(Gemm, Blocks) {
  for (Order a : kOrders)
    for (Order b : kOrders) {
      check_both({.m = 61, .n = 165, .k = 1100, .a = a, .b = b, .bias = true,
                  .activation = TINYFIN_ACTIVATION_RELU});
      if (HasFatalFailure()) return;
    }
}

// Packed by all threads for all threads: several blocks of k, of rows and of columns.
TEST(Gemm, Shared) {
  for (Order b : kOrders)
    check_both({.m = 300, .n = 275, .k = 1100, .b = b, .pad = 3, .bias = true,
                .activation = TINYFIN_ACTIVATION_GELU});
  check_both({.m = 301, .n = 300, .k = 40, .reduce = 2, .a = Order::kSpread, .accumulate = true});
  check_both({.m = 2050, .n = 260, .k = 33});
  check_both({.m = 290, .n = 4100, .k = 33, .b = Order::kColumns});
}

// Lines 4 KiB apart: packed or copied before they are read.
TEST(Gemm, CollidingLines) {
  for (Order a : kOrders)
    for (Order b : kOrders)
      for (const Case& c : {Case{70, 1024, 65}, Case{1024, 67, 40}, Case{66, 75, 1024},
                            Case{300, 1024, 33}, Case{1024, 260, 34}}) {
        Case d = c;
        d.a = a;
        d.b = b;
        d.bias = true;
        d.activation = TINYFIN_ACTIVATION_RELU;
        check_both(d);
        if (HasFatalFailure()) return;
      }
}

// A small A times a transposed B: tiles are turned when they are stored.
TEST(Gemm, Turned) {
  for (int64_t m : {13, 16, 33, 47})
    for (int64_t n : {14, 45, 100})
      for (tf_activation activation :
           {TINYFIN_ACTIVATION_NONE, TINYFIN_ACTIVATION_RELU, TINYFIN_ACTIVATION_TANH})
        for (Order a : kOrders)
          check_both({.m = m, .n = n, .k = 210, .a = a, .b = Order::kColumns, .pad = 1,
                      .bias = true, .bias_step = activation ? 2 : 1, .activation = activation});
}

TEST(Gemm, Empty) {
  for (int64_t m : {0, 3})
    for (int64_t n : {0, 40})
      for (int64_t k : {0, 4})
        for (bool accumulate : {false, true})
          for (bool bias : {false, true})
            check_both({.m = m, .n = n, .k = k, .accumulate = accumulate, .bias = bias});
  check_both({.m = 3, .n = 5, .k = 4, .reduce = 0, .bias = true,
              .activation = TINYFIN_ACTIVATION_RELU});
}

TEST(Gemm, SumOfProducts) {
  for (int64_t reduce : {2, 5})
    for (Order a : kOrders)
      for (Order b : kOrders) {
        check_both({.m = 17, .n = 48, .k = 21, .reduce = reduce, .a = a, .b = b, .pad = 2,
                    .bias = true, .activation = TINYFIN_ACTIVATION_RELU});
        check_both({.m = 90, .n = 37, .k = 530, .reduce = reduce, .a = a, .b = b,
                    .accumulate = true});
        if (HasFatalFailure()) return;
      }
}

TEST(Gemm, Activations) {
  for (tf_activation activation = TINYFIN_ACTIVATION_NONE; activation <= TINYFIN_ACTIVATION_SILU;
       ++activation)
    for (int64_t m : {1, 19})
      for (int64_t n : {1, 16, 45}) {
        check_both({.m = m, .n = n, .k = 9, .bias = true, .bias_step = 3,
                    .activation = activation});
        check_both({.m = m, .n = n, .k = 9, .b = Order::kColumns, .accumulate = true,
                    .activation = activation});
        if (HasFatalFailure()) return;
      }
}

// Times an activation's derivative, on every way.
TEST(Gemm, ThroughActivations) {
  const Case ways[] = {{1, 45, 70, 1, Order::kRows, Order::kColumns},
                       {19, 1, 9},
                       {33, 45, 210, 1, Order::kRows, Order::kColumns, 1},
                       {61, 165, 600, 1, Order::kSpread, Order::kRows, 2},
                       {7, 40, 0},
                       {300, 275, 530}};
  for (tf_activation activation :
       {TINYFIN_ACTIVATION_RELU, TINYFIN_ACTIVATION_SIGMOID, TINYFIN_ACTIVATION_TANH})
    for (Case c : ways) {
      c.activation = activation;
      c.through = true;
      c.accumulate = c.m == 61;
      check_both(c);
      if (HasFatalFailure()) return;
    }
}

TEST(Gemm, Residuals) {
  const Case ways[] = {{1, 45, 70, 1, Order::kRows, Order::kColumns},
                       {19, 1, 9},
                       {19, 1, 9, 1, Order::kRows, Order::kRows, 1},
                       {33, 45, 210, 1, Order::kRows, Order::kColumns, 1},
                       {33, 47, 210, 1, Order::kRows, Order::kColumns, 2},
                       {61, 165, 600, 1, Order::kSpread, Order::kRows, 2},
                       {61, 165, 600, 1, Order::kColumns, Order::kRows, 3},
                       {66, 75, 1024, 2, Order::kRows, Order::kColumns},
                       {7, 40, 0}};
  check_both({.m = 300, .n = 275, .k = 1100, .b = Order::kColumns, .bias = true, .residual = true});
  for (tf_activation activation :
       {TINYFIN_ACTIVATION_NONE, TINYFIN_ACTIVATION_RELU, TINYFIN_ACTIVATION_GELU})
    for (Case c : ways) {
      c.activation = activation;
      c.residual = true;
      c.bias = c.m != 19;
      c.accumulate = c.pad == 3;
      check_both(c);
      if (HasFatalFailure()) return;
    }
}

TEST(Gemm, RowSums) {
  for (Order a : kOrders)
    for (Order b : kOrders)
      for (const Case& c :
           {Case{10, 64, 64}, Case{1, 9, 33}, Case{14, 1, 77}, Case{29, 33, 1}, Case{128, 70, 600},
            Case{61, 40, 1101}, Case{96, 40, 1024}, Case{13, 20, 0}}) {
        // Blocks of k in the order a weight's gradient has; a few steps tell the others apart.
        if (c.k > 512 && (a != Order::kColumns || b != Order::kRows)) continue;
        Case d = c;
        d.a = a;
        d.b = b;
        d.pad = c.m % 3;
        d.row_sums = true;
        check_both(d);
        d.accumulate = true;
        d.reduce = c.k % 2 + 1;
        check_both(d);
        if (HasFatalFailure()) return;
      }
  check_both({.m = 300, .n = 275, .k = 1100, .a = Order::kColumns, .row_sums = true});
}

TEST(Gemm, NanGoesThroughRelu) {
  for (const Entry<float>& entry : entries<float>()) {
    std::vector<float> a(3, 1.0f), b(3 * 20, 1.0f), c(20);
    b[4] = std::numeric_limits<float>::quiet_NaN();
    Gemm<float> g{1, 20, 3, a.data(), 3, 1, b.data(), 20, 1, c.data(), 20};
    g.activation = TINYFIN_ACTIVATION_RELU;
    entry.serial(g);
    EXPECT_TRUE(std::isnan(c[4])) << entry.isa;
    EXPECT_EQ(c[5], 3.0f) << entry.isa;
    const std::vector<float> residual(b.begin(), b.begin() + 20);
    b[4] = 1;
    g.residual = residual.data();
    entry.serial(g);
    EXPECT_TRUE(std::isnan(c[4])) << entry.isa;
    EXPECT_EQ(c[5], 4.0f) << entry.isa;
  }
}

// The cut into tiles changes no bit, whatever the number of threads.
template <class T>
void check_threads(const Case& c) {
  const int32_t before = num_threads();
  for (const Entry<T>& entry : entries<T>()) {
    std::mt19937 rng(3);
    Problem<T> serial = problem<T>(c, rng);
    entry.serial(serial.g);
    std::vector<T> sums;
    for (int32_t threads = 1; threads <= 4; ++threads) {
      set_num_threads(threads);
      std::mt19937 again(3);
      Problem<T> p = problem<T>(c, again);
      EXPECT_EQ(entry.parallel(p.g, {}), TINYFIN_OK);
      EXPECT_EQ(0, std::memcmp(p.c.data(), serial.c.data(), p.c.size() * sizeof(T)))
          << entry.isa << " " << threads << " threads, " << text(c);
      if (threads == 1) sums = p.row_sums;
      EXPECT_EQ(sums, p.row_sums) << entry.isa << " " << threads << " threads, " << text(c);
    }
  }
  set_num_threads(before);
}

TEST(Gemm, SameBitsForAnyThreads) {
  for (Order a : {Order::kRows, Order::kColumns})
    for (Order b : {Order::kRows, Order::kColumns})
      for (const Case& c : {Case{64, 128, 784}, Case{700, 24, 130}, Case{5, 900, 200},
                            Case{1, 2000, 300}, Case{1500, 1, 300}, Case{330, 300, 90}}) {
        Case d = c;
        d.a = a;
        d.b = b;
        d.bias = true;
        check_threads<float>(d);
        check_threads<double>(d);
        d.residual = d.row_sums = true;
        check_threads<float>(d);
        d.residual = d.row_sums = false;
        d.activation = TINYFIN_ACTIVATION_TANH;
        d.through = true;
        check_threads<float>(d);
      }
}

// Weight gradients over many rows: two chains, whatever way they are cut.
TEST(Gemm, SumsByHalves) {
  for (const Case& c : {Case{64, 40, 1030}, Case{33, 130, 1025}}) {
    Case d = c;
    d.a = Order::kColumns;
    d.pad = 1;
    check_threads<float>(d);
    d.row_sums = true;
    check_threads<float>(d);
    check_threads<double>(d);
    check_both(d);
    d.accumulate = true;
    check_both(d);
    if (HasFatalFailure()) return;
  }
}

// Copies that are taken a part at a time, along k, rows and columns.
TEST(Gemm, LargeCopies) {
  for (const Case& c : {Case{64, 66, 20480}, Case{65, 4096, 600}, Case{4096, 64, 600}}) {
    for (Order a : {Order::kRows, Order::kColumns}) {
      Case d = c;
      d.a = a;
      d.bias = true;
      d.activation = TINYFIN_ACTIVATION_SIGMOID;
      d.residual = d.row_sums = true;
      check_threads<float>(d);
    }
  }
  check_threads<double>({.m = 64, .n = 66, .k = 20480});
}

TEST(Gemm, Batch) {
  const int64_t m = 9, n = 20, k = 11;
  for (const Entry<double>& entry : entries<double>()) {
    std::mt19937 rng(5);
    const auto a = random_matrix<double>(m, k, 6, Order::kRows, 0, rng);
    const auto b = random_matrix<double>(k, n, 3, Order::kRows, 0, rng);
    std::vector<double> c(size_t(6 * m * n)), one(size_t(m * n));
    // (2, 3) products; B is the same for both of the first dimension.
    Gemm<double> g{m, n, k, a.data(), a.row, a.col, b.data(), b.row, b.col, c.data(), n};
    const GemmBatch batch{2, {2, 3}, {3 * a.step, a.step}, {0, b.step}, {3 * m * n, m * n}};
    EXPECT_EQ(entry.parallel(g, batch), TINYFIN_OK);
    for (int64_t i = 0; i < 6; ++i) {
      Gemm<double> single = g;
      single.a += i * a.step;
      single.b += i % 3 * b.step;
      single.c = one.data();
      entry.serial(single);
      EXPECT_EQ(0, std::memcmp(one.data(), &c[size_t(i * m * n)], one.size() * sizeof(double)))
          << entry.isa << " product " << i;
    }
  }
}

}  // namespace
}  // namespace tf::cpu
