// CPU limits of containers, affinity, numbers in environment variables.
// SPDX-License-Identifier: MIT
#include "core/processors.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "core/env.h"

namespace {

namespace fs = std::filesystem;

class Cgroups : public testing::Test {
 protected:
  Cgroups() : root_(fs::temp_directory_path() / ("tinyfin_cgroups_" + std::to_string(getpid()))) {}
  ~Cgroups() override { fs::remove_all(root_); }
  void write(const std::string& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  int32_t limit(const std::string& groups) {
    return tf::cgroup_processors(groups, root_.string());
  }
  const fs::path root_;
};

TEST_F(Cgroups, VersionTwo) {
  EXPECT_EQ(limit("0::/\n"), 0) << "no files";
  write("cpu.max", "max 100000\n");
  EXPECT_EQ(limit("0::/\n"), 0);
  write("cpu.max", "150000 100000\n");
  EXPECT_EQ(limit("0::/\n"), 2) << "a processor and a half: two threads";
  write("cpu.max", "20000 100000\n");
  EXPECT_EQ(limit("0::/\n"), 1);
}

TEST_F(Cgroups, TheLeastOnTheWayUp) {
  write("a/cpu.max", "300000 100000\n");
  write("a/b/cpu.max", "max 100000\n");
  write("a/b/c/cpu.max", "800000 100000\n");
  EXPECT_EQ(limit("0::/a/b/c\n"), 3);
  EXPECT_EQ(limit("0::/elsewhere\n"), 0);
}

TEST_F(Cgroups, VersionOne) {
  write("cpu/docker/cpu.cfs_quota_us", "400000\n");
  write("cpu/docker/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(limit("12:cpuset:/docker\n4:cpu,cpuacct:/docker\n1:name=systemd:/docker\n"), 4);
  write("cpu/docker/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(limit("4:cpuacct,cpu:/docker\n"), 0);
}

TEST_F(Cgroups, NonsenseIsNoLimit) {
  write("cpu.max", "lots\n");
  for (const char* groups : {"", "\n", "0", "0:", "0::", "::::", "0::relative\n"})
    EXPECT_EQ(limit(groups), 0) << groups;
}

TEST_F(Cgroups, QuotasThatMakeNoSense) {
  for (const char* text : {"0 100000", "-1 100000", "100000 0", "100000", "", "max", "nan nan",
                           "100000 -100000", "\n", "100000\n100000 max"}) {
    write("cpu.max", text);
    const int32_t n = limit("0::/\n");
    EXPECT_TRUE(n == 0 || n == 1) << text << " " << n;
  }
  write("cpu.max", "1e300 1\n");
  EXPECT_EQ(limit("0::/\n"), 1000000) << "no overflow";
}

TEST_F(Cgroups, BothVersionsAtOnce) {
  write("cpu/a/cpu.cfs_quota_us", "300000\n");
  write("cpu/a/cpu.cfs_period_us", "100000\n");
  write("b/cpu.max", "200000 100000\n");
  EXPECT_EQ(limit("4:cpu,cpuacct:/a\n0::/b\n"), 2);
  EXPECT_EQ(limit("4:cpu,cpuacct:/a\n0::/\n"), 3);
}

// A container without a name space of its own: the path is the host's, the files are the
// container's, at the root of what is mounted.
TEST_F(Cgroups, PathsOfTheHostInsideAContainer) {
  write("cpu.max", "100000 100000\n");
  EXPECT_EQ(limit("0::/system.slice/docker-0123.scope\n"), 1);
  EXPECT_EQ(limit("0::/../../docker/0123\n"), 1);
}

TEST(Processors, AtLeastOne) { EXPECT_GE(tf::processors(), 1); }

TEST(Processors, NoMoreThanTheAffinityMaskHas) {
  std::thread([] {  // masks belong to threads
    cpu_set_t all, one;
    CPU_ZERO(&one);
    ASSERT_EQ(sched_getaffinity(0, sizeof all, &all), 0);
    EXPECT_EQ(tf::affinity_processors(), CPU_COUNT(&all));
    int first = 0;
    while (!CPU_ISSET(first, &all)) ++first;
    CPU_SET(first, &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    EXPECT_EQ(tf::affinity_processors(), 1);
    EXPECT_EQ(tf::processors(), 1);
  }).join();
}

// What a variable with this text counts as, read by a process of its own.
int32_t number_of(const char* value) {
  const pid_t child = fork();
  if (child == 0) {
    value ? setenv("TINYFIN_TEST_COUNT", value, 1) : unsetenv("TINYFIN_TEST_COUNT");
    _exit(int(tf::env_int("TINYFIN_TEST_COUNT", 1, 64, 77)));
  }
  int result = 0;
  waitpid(child, &result, 0);
  return WIFEXITED(result) ? WEXITSTATUS(result) : -1;
}

TEST(Environment, NumbersThatMakeNoSenseCountAsUnset) {
  EXPECT_EQ(number_of("1"), 1);
  EXPECT_EQ(number_of("64"), 64);
  for (const char* value :
       {static_cast<const char*>(nullptr), "", " ", "abc", "-1", "0", "65", "1e1", "1e9", "2.5",
        "0x4", "4 ", "4,4", "99999999999999999999", "-99999999999999999999", "%s%n", "\n"})
    EXPECT_EQ(number_of(value), 77) << (value ? value : "unset");
}

}  // namespace
