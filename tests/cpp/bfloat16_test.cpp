// bfloat16: all of its values, rounding to it from every type, and copies of tensors with the same
// bits.
// SPDX-License-Identifier: MIT
#include "core/bfloat16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "ops/op.h"
#include "ops/ops.h"

namespace tf {
namespace {

float float_of(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

bool is_nan(BFloat16 a) { return (a.bits & 0x7fff) > 0x7f80; }

// The definition: the nearer of the two neighbours, the even one of equally near ones. Past the
// greatest number, infinity counts as the next power of two.
BFloat16 nearest(long double value) {
  if (std::isnan(value)) return {0x7fc0};
  const long double size = std::abs(value);
  uint16_t low = 0, high = 0x7f80;
  const auto number = [](uint16_t bits) {
    return bits == 0x7f80 ? 0x1p128L : (long double)widened(BFloat16{bits});
  };
  while (high - low > 1) {
    const uint16_t middle = uint16_t((low + high) / 2);
    (number(middle) <= size ? low : high) = middle;
  }
  const long double below = size - number(low), above = number(high) - size;
  const uint16_t bits = below < above || (below == above && low % 2 == 0) ? low : high;
  return {uint16_t(bits | (std::signbit(value) ? 0x8000 : 0))};
}

void expect_same(BFloat16 got, BFloat16 want, long double from) {
  if (is_nan(want))
    EXPECT_TRUE(is_nan(got)) << double(from);
  else
    EXPECT_EQ(got.bits, want.bits) << double(from);
}

TEST(BFloat16, EveryValueComesBack) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const BFloat16 a{uint16_t(bits)};
    const float wide = widened(a);
    uint32_t all;
    std::memcpy(&all, &wide, sizeof all);
    EXPECT_EQ(all, bits << 16);
    if (is_nan(a)) {
      EXPECT_TRUE(is_nan(bfloat16(wide)) && is_nan(bfloat16(double(wide))));
    } else {
      EXPECT_EQ(bfloat16(wide).bits, bits);
      EXPECT_EQ(bfloat16(double(wide)).bits, bits);
    }
  }
}

// All upper halves of float32 with lower halves around the middle and the ends.
TEST(BFloat16, RoundsFloat32ToNearest) {
  for (uint32_t high = 0; high < 0x10000; ++high)
    for (uint32_t low : {0u, 1u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
      const float value = float_of(high << 16 | low);
      expect_same(bfloat16(value), nearest(value), value);
    }
}

// What float32 would round to the middle of two numbers, or away from it, before the second
// rounding.
TEST(BFloat16, RoundsFloat64AndIntegersOnce) {
  for (double scale : {1.0, 0x1p-120, 0x1p-126, 0x1p-130, 0x1p-133, 0x1p-140, 0x1p100, 0x1p127})
    for (double part : {0.0, 0x1p-8, 0x1p-7, 3 * 0x1p-8, 0.5, 1 - 0x1p-8, 1 - 0x1p-9})
      for (double nudge : {0.0, 0x1p-30, -0x1p-30, 0x1p-24, -0x1p-24, 0x1p-50, -0x1p-50})
        for (double sign : {1.0, -1.0}) {
          const double value = sign * scale * (1 + part + nudge);
          expect_same(bfloat16(value), nearest(value), value);
        }
  const double special[] = {0.0, -0.0, std::numeric_limits<double>::infinity(),
                            -std::numeric_limits<double>::infinity(), 1e300, -1e300, 1e-300,
                            std::numeric_limits<double>::quiet_NaN()};
  for (double v : special) expect_same(bfloat16(v), nearest(v), v);
  for (int shift = 0; shift < 63; ++shift)
    for (int64_t part : {int64_t(256), int64_t(257), int64_t(258), int64_t(259), int64_t(511)})
      for (int64_t nudge : {-1, 0, 1})
        for (int64_t sign : {1, -1}) {
          if (shift > 53) continue;
          const int64_t value = sign * ((part << shift) + nudge);
          expect_same(bfloat16(value), nearest((long double)value), (long double)value);
          const int32_t narrow = int32_t(value);
          expect_same(bfloat16(narrow), nearest((long double)narrow), (long double)narrow);
        }
  expect_same(bfloat16(INT64_MIN), nearest(-0x1p63L), -0x1p63L);
  expect_same(bfloat16(INT64_MAX), nearest((long double)INT64_MAX), 0x1p63L);
}

TEST(BFloat16, NextBelow) {
  EXPECT_EQ(widened(next_below(bfloat16(1.0))), 1.0f - 0x1p-8f);
  EXPECT_EQ(widened(next_below(bfloat16(-1.0))), -1.0f - 0x1p-7f);
  EXPECT_LT(widened(next_below(bfloat16(0.0))), 0.0f);
  EXPECT_EQ(next_below(BFloat16{0x8000}).bits, next_below(BFloat16{0}).bits);
}

Tensor tensor_of_bits(const std::vector<uint32_t>& bits) {
  Tensor x = empty(Dims{int64_t(bits.size())}, DType::f32, cpu_device());
  std::memcpy(x.data(), bits.data(), bits.size() * sizeof(float));
  return x;
}

// The kernels of this processor have the bits of the scalar functions, whatever the stride.
TEST(BFloat16, TensorsAreCastWithTheSameBits) {
  std::vector<uint32_t> bits;
  for (uint32_t high = 0; high < 0x10000; ++high)
    for (uint32_t low : {0u, 0x7fffu, 0x8000u}) bits.push_back(high << 16 | low);
  const Tensor wide = tensor_of_bits(bits);
  for (int64_t step : {1, 3}) {
    const Tensor x = alias(wide, Dims{(wide.numel() + step - 1) / step}, Dims{step}, 0);
    const Tensor narrow = cast(x, DType::bf16), back = cast(narrow, DType::f32);
    const auto* got = static_cast<const BFloat16*>(narrow.data());
    const auto* again = static_cast<const float*>(back.data());
    for (int64_t i = 0; i < x.numel(); ++i) {
      const BFloat16 want = bfloat16(float_of(bits[size_t(i * step)]));
      ASSERT_EQ(got[i].bits, want.bits);
      const float value = widened(want);
      ASSERT_EQ(0, std::memcmp(&again[i], &value, sizeof value));
    }
  }
}

TEST(BFloat16, TransposedCopies) {
  for (int64_t rows : {3, 64, 75})
    for (int64_t columns : {3, 31, 130}) {
      const Tensor x = cast(reshape(arange(0, double(rows * columns), 1, DType::i32, nullptr),
                                    as_list(Dims{rows, columns})), DType::bf16);
      const Tensor t = contiguous(swapaxes(x, 0, 1));
      const auto* from = static_cast<const BFloat16*>(x.data());
      const auto* to = static_cast<const BFloat16*>(t.data());
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < columns; ++j)
          ASSERT_EQ(to[j * rows + i].bits, from[i * columns + j].bits);
    }
}

}  // namespace
}  // namespace tf
