// Which instruction set the cpu backend takes. tests/CMakeLists.txt runs this on emulated
// processors that have less than this one.
// SPDX-License-Identifier: MIT
#include "backends/cpu/isa.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <string>
#include <vector>

#include "core/device.h"

namespace tf::cpu {
namespace {

TEST(InstructionSet, IsOneTheProcessorHas) {
  cpu_device();  // chooses
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
#elif defined(__aarch64__)
  EXPECT_EQ(isa, "neon");
#else
  EXPECT_EQ(isa, "generic");
#endif
}

TEST(InstructionSet, TheFirstIsAlwaysAvailable) {
  ASSERT_FALSE(instruction_sets().empty());
  EXPECT_TRUE(instruction_sets()[0].available);
}

// What a processor that has (true) or lacks each set gets, and whether anything is said about it.
struct Choice {
  bool avx2, avx512;
  const char *wanted, *got;
  bool complains;
};

TEST(InstructionSet, IsTheBestUpToTheWish) {
  const Choice choices[] = {
      {true, true, "", "avx512", false},        {true, true, "avx512", "avx512", false},
      {true, true, "avx2", "avx2", false},      {true, true, "generic", "generic", false},
      {true, false, "", "avx2", false},         {true, false, "avx512", "avx2", true},
      {false, false, "", "generic", false},     {false, false, "avx2", "generic", true},
      {false, false, "avx512", "generic", true}, {false, true, "avx2", "generic", true},
      {true, true, "neon", "avx512", true},     {true, false, "AVX2", "avx2", true},
      {true, true, " ", "avx512", true},        {false, false, "%s%n", "generic", true},
  };
  for (const Choice& c : choices) {
    const std::vector<InstructionSet> sets{
        {"generic", true, nullptr}, {"avx2", c.avx2, nullptr}, {"avx512", c.avx512, nullptr}};
    std::string complaint;
    EXPECT_STREQ(choose(sets, c.wanted, complaint).name, c.got) << c.wanted;
    EXPECT_EQ(!complaint.empty(), c.complains) << complaint;
    for (const InstructionSet& set : sets) {
      if (!complaint.empty() && set.available) {
        EXPECT_NE(complaint.find(set.name), std::string::npos) << complaint;
      }
    }
  }
}

TEST(InstructionSet, WhatIsSaidNamesWhatThereIs) {
  const std::vector<InstructionSet> sets{{"generic", true, nullptr}, {"avx2", true, nullptr},
                                         {"avx512", false, nullptr}};
  std::string complaint;
  choose(sets, "avx512", complaint);
  EXPECT_EQ(complaint, "TINYFIN_ISA=avx512 is not available: expected one of generic, avx2; going "
                       "on with avx2");
}

}  // namespace
}  // namespace tf::cpu
