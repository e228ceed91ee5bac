// CPU limits of containers.
// SPDX-License-Identifier: MIT
#include "core/processors.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

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

TEST(Processors, AtLeastOne) { EXPECT_GE(tf::processors(), 1); }

}  // namespace
