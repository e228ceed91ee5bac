// Which instruction set the cpu backend takes. tests/CMakeLists.txt runs this on emulated
// processors that have less than this one.
// SPDX-License-Identifier: MIT
#include "backends/cpu/isa.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <string>

#include "core/device.h"

namespace {

TEST(InstructionSet, IsOneTheProcessorHas) {
  tf::cpu_device();  // chooses
  const std::string isa = tf::cpu::isa();
  if (const char* expected = std::getenv("TINYFIN_TEST_ISA")) {
    EXPECT_EQ(isa, expected);
    return;
  }
#if defined(__x86_64__)
  const char* const sets[] = {"generic", "avx2", "avx512", "avx512_bf16"};
  const auto rank = [&](const std::string& name) {
    return std::find(std::begin(sets), std::end(sets), name) - std::begin(sets);
  };
  ASSERT_LT(rank(isa), 4) << isa;
  const char* wanted = std::getenv("TINYFIN_ISA");
  if (wanted && rank(wanted) < 4) {
    EXPECT_LE(rank(isa), rank(wanted)) << "more than was asked for";
  }
  if (rank(isa) >= 1) {
    EXPECT_TRUE(__builtin_cpu_supports("avx2"));
  }
  if (rank(isa) >= 2) {
    EXPECT_TRUE(__builtin_cpu_supports("avx512f"));
  }
  if (rank(isa) >= 3) {
    EXPECT_TRUE(__builtin_cpu_supports("avx512bf16"));
  }
#else
  EXPECT_EQ(isa, "generic");
#endif
}

}  // namespace
