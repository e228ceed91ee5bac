// Products of bfloat16 matrices, every instruction set this processor has, against sums in long
// double that are rounded once: layouts, odd k, blocks, epilogues, threads, NaN and infinity.
// SPDX-License-Identifier: MIT
#define TF_ISA TF_BASE_ISA
#include "backends/cpu/gemm_bf16.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "backends/cpu/isa.h"
#include "core/device.h"
#include "core/parallel.h"

namespace tf::cpu {
namespace {

using Product = Gemm<BFloat16>;

struct Entry {
  const char* isa;
  Bf16Gemm gemm;
};

std::vector<Entry> entries() {
  cpu_device();  // the backend gets its host functions
  std::vector<Entry> list;
  for (const InstructionSet& set : instruction_sets())
    if (set.available) list.push_back({set.name, set.bf16_gemm});
  return list;
}

// Neighbours along rows, along columns, or nowhere.
enum class Order { kRows, kColumns, kSpread };
constexpr Order kOrders[] = {Order::kRows, Order::kColumns, Order::kSpread};

struct Case {
  int64_t m, n, k, reduce = 1;
  Order a = Order::kRows, b = Order::kRows;
  int64_t pad = 0;
  bool accumulate = false, bias = false;
  tf_activation activation = TINYFIN_ACTIVATION_NONE;
  bool through = false, residual = false, row_sums = false;
};

// In memory whose other elements are NaN: reading one shows.
struct Matrix {
  std::vector<BFloat16> memory;
  int64_t row, col, step;

  Matrix(int64_t rows, int64_t columns, int64_t count, Order order, int64_t pad,
         std::mt19937& rng) {
    const int64_t gap = order == Order::kSpread ? 3 : 1;
    const bool by_rows = order != Order::kColumns;
    col = by_rows ? gap : rows * gap + pad;
    row = by_rows ? columns * gap + pad : gap;
    step = (by_rows ? rows * row : columns * col) + pad;
    memory.assign(size_t(count * step + 1), BFloat16{0x7fc0});
    std::uniform_real_distribution<double> uniform(-1, 1);
    for (int64_t r = 0; r < count; ++r)
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < columns; ++j)
          memory[size_t(r * step + i * row + j * col)] = bfloat16(uniform(rng));
  }
};

constexpr int64_t kFrame = 5;  // untouched elements behind each row of C
const BFloat16 kSeven = bfloat16(7.0);

struct Problem {
  Matrix a, b, bias, result, residual;
  std::vector<BFloat16> c, row_sums;
  Product g;

  Problem(const Case& s, std::mt19937& rng)
      : a(s.m, s.k, s.reduce, s.a, s.pad, rng),
        b(s.k, s.n, s.reduce, s.b, s.pad, rng),
        bias(1, s.n, 1, Order::kSpread, 0, rng),
        result(s.m, s.n + kFrame, 1, Order::kRows, 0, rng),
        residual(s.m, s.n, 1, Order::kRows, s.pad, rng),
        c(size_t(s.m * (s.n + kFrame)), kSeven),
        row_sums(size_t(s.m + 1), kSeven) {
    g = {s.m,   s.n,   s.k,      a.memory.data(), a.row, a.col, b.memory.data(),
         b.row, b.col, c.data(), s.n + kFrame};
    g.accumulate = s.accumulate;
    if (s.bias) g.bias = bias.memory.data();
    g.bias_step = bias.col;
    g.activation = s.activation;
    g.reduce = s.reduce;
    g.a_step = a.step;
    g.b_step = b.step;
    if (s.through) g.result = result.memory.data();
    if (s.residual) g.residual = residual.memory.data();
    g.residual_row = s.pad == 2 ? 0 : residual.row;  // pad 2: one row for all
    if (s.row_sums) g.row_sums = row_sums.data();
  }
};

double activated(tf_activation activation, double x) {
  switch (activation) {
    case TINYFIN_ACTIVATION_RELU: return x < 0 ? 0 : x;
    case TINYFIN_ACTIVATION_GELU: return x * std::erfc(-x * std::sqrt(0.5)) / 2;
    case TINYFIN_ACTIVATION_TANH: return std::tanh(x);
    default: return x;
  }
}

// The derivative of activations whose result tells it.
double derivative(tf_activation activation, double result) {
  switch (activation) {
    case TINYFIN_ACTIVATION_RELU: return result > 0;
    case TINYFIN_ACTIVATION_SIGMOID: return result * (1 - result);
    case TINYFIN_ACTIVATION_TANH: return 1 - result * result;
    default: return 1;
  }
}

// Half a unit of bfloat16, and float32's of the terms, the sizes of which add up to `size`.
double bound(double want, double size) { return std::abs(want) * 0x1.01p-8 + (size + 1) * 0x1p-21; }

void expect_right(const Problem& p, const char* isa) {
  const Product& g = p.g;
  for (int64_t i = 0; g.row_sums && g.n > 0 && i <= g.m; ++i) {
    double sum = g.accumulate || i == g.m ? 7 : 0, size = 7;
    for (int64_t r = 0; i < g.m && r < g.reduce; ++r)
      for (int64_t q = 0; q < g.k; ++q) {
        const double v = widened(g.a[r * g.a_step + i * g.a_row + q * g.a_col]);
        sum += v;
        size += std::abs(v);
      }
    ASSERT_LE(std::abs(widened(p.row_sums[size_t(i)]) - sum), bound(sum, size))
        << isa << " m " << g.m << " n " << g.n << " k " << g.k << ": sum of row " << i;
  }
  for (int64_t i = 0; i < g.m; ++i) {
    for (int64_t j = 0; j < g.n; ++j) {
      double sum = g.accumulate ? 7 : 0, size = std::abs(sum);
      const auto add = [&](double v) {
        sum += v;
        size += std::abs(v);
      };
      for (int64_t r = 0; r < g.reduce; ++r)
        for (int64_t q = 0; q < g.k; ++q)
          add(double(widened(g.a[r * g.a_step + i * g.a_row + q * g.a_col])) *
              double(widened(g.b[r * g.b_step + q * g.b_row + j * g.b_col])));
      if (g.bias) add(widened(g.bias[j * g.bias_step]));
      if (g.residual) add(widened(g.residual[i * g.residual_row + j]));
      const double want =
          g.result ? sum * derivative(g.activation, widened(g.result[i * g.ldc + j]))
                   : activated(g.activation, sum);
      const double got = widened(p.c[size_t(i * g.ldc + j)]);
      ASSERT_LE(std::abs(got - want), bound(want, size))
          << isa << " m " << g.m << " n " << g.n << " k " << g.k << " at " << i << ", " << j;
    }
    for (int64_t j = g.n; j < g.ldc; ++j)
      ASSERT_EQ(p.c[size_t(i * g.ldc + j)].bits, kSeven.bits) << isa << " past row " << i;
  }
}

void check(const Case& c) {
  for (const Entry& entry : entries()) {
    if (::testing::Test::HasFatalFailure()) return;
    std::mt19937 rng(7);
    Problem p(c, rng);
    ASSERT_EQ(entry.gemm(p.g, {}), TINYFIN_OK);
    expect_right(p, entry.isa);
  }
}

TEST(GemmBf16, SizesAndOrders) {
  std::mt19937 rng(1);
  std::uniform_int_distribution<int64_t> size(1, 35), long_size(36, 200);
  for (int i = 0; i < 300 && !HasFatalFailure(); ++i) {
    Case c{size(rng), size(rng), size(rng)};
    if (i % 4 == 1) c.m = long_size(rng);
    if (i % 4 == 2) c.n = long_size(rng);
    if (i % 8 == 3) c.k = long_size(rng);
    c.a = kOrders[i % 3];
    c.b = kOrders[i / 3 % 3];
    c.pad = i % 5;
    c.accumulate = i % 7 == 0;
    c.bias = i % 2 == 0;
    check(c);
  }
}

// Past every block size: of k (sums wait in float32), of rows, of columns; A in place and packed.
TEST(GemmBf16, Blocks) {
  for (Order a : kOrders)
    for (Order b : kOrders)
      for (int64_t k : {1100, 1101})
        check({.m = 43, .n = 75, .k = k, .a = a, .b = b, .bias = true,
               .activation = TINYFIN_ACTIVATION_RELU});
  check({.m = 31, .n = 290, .k = 2100, .pad = 1, .bias = true,
         .activation = TINYFIN_ACTIVATION_GELU});
  check({.m = 2050, .n = 5, .k = 1033, .reduce = 2});
  check({.m = 2050, .n = 5, .k = 33});
  check({.m = 20, .n = 2100, .k = 34, .b = Order::kColumns});
}

TEST(GemmBf16, SumOfProducts) {
  for (int64_t reduce : {2, 5})
    for (Order a : kOrders)
      for (Order b : kOrders)
        check({.m = 17, .n = 48, .k = 21, .reduce = reduce, .a = a, .b = b, .pad = 2,
               .accumulate = reduce == 5, .bias = true, .activation = TINYFIN_ACTIVATION_TANH});
}

constexpr std::array<int64_t, 4> kWays[] = {{1, 45, 70, 0},   {9, 45, 300, 1},   {19, 1, 9, 0},
                                            {33, 75, 210, 1}, {61, 165, 1100, 2}, {7, 40, 0, 0},
                                            {300, 96, 64, 2}};

TEST(GemmBf16, Residuals) {
  for (Order b : {Order::kRows, Order::kColumns})
    for (tf_activation activation :
         {TINYFIN_ACTIVATION_NONE, TINYFIN_ACTIVATION_RELU, TINYFIN_ACTIVATION_GELU})
      for (const auto& [m, n, k, pad] : kWays)
        check({.m = m, .n = n, .k = k, .b = b, .pad = pad, .accumulate = n == 75, .bias = n != 40,
               .activation = activation, .residual = true});
}

TEST(GemmBf16, ThroughActivations) {
  for (Order b : {Order::kRows, Order::kColumns})
    for (tf_activation activation :
         {TINYFIN_ACTIVATION_RELU, TINYFIN_ACTIVATION_SIGMOID, TINYFIN_ACTIVATION_TANH})
      for (const auto& [m, n, k, pad] : kWays)
        check({.m = m, .n = n, .k = k, .b = b, .pad = pad, .accumulate = n == 75,
               .activation = activation, .through = true});
}

TEST(GemmBf16, RowSums) {
  for (Order a : kOrders)
    for (const auto& [m, n, k] : {std::array<int64_t, 3>{10, 64, 64}, {1, 9, 33}, {14, 1, 77},
                                  {29, 33, 1}, {61, 165, 1101}, {2050, 5, 33}, {20, 2100, 35},
                                  {13, 20, 0}})
      for (bool accumulate : {false, true})
        check({.m = m, .n = n, .k = k, .reduce = accumulate ? 2 : 1, .a = a,
               .accumulate = accumulate, .row_sums = true});
}

TEST(GemmBf16, Empty) {
  for (int64_t m : {0, 3})
    for (int64_t n : {0, 40})
      for (int64_t k : {0, 4})
        for (bool accumulate : {false, true})
          check({.m = m, .n = n, .k = k, .accumulate = accumulate, .bias = true});
  check({.m = 3, .n = 5, .k = 4, .reduce = 0, .bias = true,
         .activation = TINYFIN_ACTIVATION_RELU});
}

TEST(GemmBf16, NanAndInfinity) {
  const BFloat16 one = bfloat16(1.0);
  for (const Entry& entry : entries()) {
    for (int64_t k : {3, 4}) {
      std::vector<BFloat16> a(size_t(2 * k), one), b(size_t(k * 20), one), c(40);
      b[4] = {0x7fc0};
      b[5] = {0x7f80};
      b[size_t(20 * (k - 1) + 6)] = {0xff80};
      b[7] = {0x7f80};
      b[size_t(20 * (k - 1) + 7)] = {0xff80};
      Product g{2, 20, k, a.data(), k, 1, b.data(), 20, 1, c.data(), 20};
      g.activation = TINYFIN_ACTIVATION_RELU;
      ASSERT_EQ(entry.gemm(g, {}), TINYFIN_OK);
      EXPECT_TRUE(std::isnan(widened(c[4]))) << entry.isa;
      EXPECT_EQ(widened(c[25]), std::numeric_limits<float>::infinity()) << entry.isa;
      EXPECT_EQ(widened(c[26]), 0.0f) << entry.isa;
      EXPECT_TRUE(std::isnan(widened(c[27]))) << entry.isa;
      EXPECT_EQ(widened(c[8]), float(k)) << entry.isa;
    }
  }
}

// The cut into tiles changes no bit, whatever the number of threads.
TEST(GemmBf16, SameBitsForAnyThreads) {
  const int32_t before = num_threads();
  for (const Entry& entry : entries())
    for (Order a : {Order::kRows, Order::kColumns})
      for (Order b : {Order::kRows, Order::kColumns})
        for (const auto& [m, n, k] : {std::array<int64_t, 3>{64, 128, 784}, {700, 24, 130},
                                      {5, 900, 200}, {1, 2000, 300}, {330, 300, 1090}}) {
          std::vector<BFloat16> alone;
          for (int32_t threads : {1, 2, 3, 8}) {
            set_num_threads(threads);
            std::mt19937 rng(3);
            Problem p({.m = m, .n = n, .k = k, .a = a, .b = b, .bias = true, .residual = true,
                       .row_sums = n < 200}, rng);
            ASSERT_EQ(entry.gemm(p.g, {}), TINYFIN_OK);
            p.c.insert(p.c.end(), p.row_sums.begin(), p.row_sums.end());
            if (threads == 1) alone = p.c;
            EXPECT_EQ(0, std::memcmp(p.c.data(), alone.data(), alone.size() * sizeof(BFloat16)))
                << entry.isa << " " << threads << " threads, " << m << " " << n << " " << k;
          }
        }
  set_num_threads(before);
}

TEST(GemmBf16, Batch) {
  // Small products, several to a thread, and large ones, all threads on each.
  for (const auto& [m, n, k] : {std::array<int64_t, 3>{9, 20, 11}, {260, 260, 260}})
    for (const Entry& entry : entries()) {
      std::mt19937 rng(5);
      const Matrix a(m, k, 6, Order::kRows, 0, rng), b(k, n, 3, Order::kRows, 0, rng);
      std::vector<BFloat16> c(size_t(6 * m * n)), one(size_t(m * n));
      // (2, 3) products; B is the same for both of the first dimension.
      Product g{m, n, k, a.memory.data(), a.row, a.col, b.memory.data(), b.row, b.col,
                c.data(), n};
      const GemmBatch batch{2, {2, 3}, {3 * a.step, a.step}, {0, b.step}, {3 * m * n, m * n}};
      ASSERT_EQ(entry.gemm(g, batch), TINYFIN_OK);
      for (int64_t i = 0; i < 6; ++i) {
        Product single = g;
        single.a += i * a.step;
        single.b += i % 3 * b.step;
        single.c = one.data();
        ASSERT_EQ(entry.gemm(single, {}), TINYFIN_OK);
        EXPECT_EQ(0, std::memcmp(one.data(), &c[size_t(i * m * n)], one.size() * 2))
            << entry.isa << " product " << i;
      }
    }
}

}  // namespace
}  // namespace tf::cpu
