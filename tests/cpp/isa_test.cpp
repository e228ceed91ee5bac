// Which instruction set the cpu backend takes. tests/CMakeLists.txt runs this on emulated
// processors that have less than this one.
// SPDX-License-Identifier: MIT
#include "backends/cpu/isa.h"

#include <gtest/gtest.h>

#include <cstdlib>
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
  if (isa == "avx512") {
    EXPECT_TRUE(__builtin_cpu_supports("avx512f"));
  }
  if (isa != "generic") {
    EXPECT_TRUE(__builtin_cpu_supports("avx2"));
  }
#else
  EXPECT_EQ(isa, "generic");
#endif
}

}  // namespace
