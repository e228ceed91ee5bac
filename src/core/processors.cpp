// Affinity masks and control groups, versions 2 and 1 (docs.kernel.org, admin-guide/cgroup-v2.rst,
// "CPU Interface Files", and scheduler/sched-bwc.rst).
// SPDX-License-Identifier: MIT
#include "core/processors.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <fstream>
#include <sstream>
#include <vector>

namespace tf {
namespace {

// Quota and period in the same unit, as whole processors; 0 for no limit.
int32_t whole(double quota, double period) {
  return quota > 0 && period > 0 ? int32_t(std::clamp(std::ceil(quota / period), 1.0, 1e6)) : 0;
}

int32_t lesser_limit(int32_t a, int32_t b) { return a == 0 ? b : b == 0 ? a : std::min(a, b); }

int32_t limit_in(const std::string& directory) {
  double quota = 0, period = 0;
  // "max 100000" is no number and leaves quota at 0.
  if (std::ifstream file(directory + "/cpu.max"); file >> quota >> period)
    return whole(quota, period);
  std::ifstream quota_file(directory + "/cpu.cfs_quota_us");
  std::ifstream period_file(directory + "/cpu.cfs_period_us");
  return quota_file >> quota && period_file >> period ? whole(quota, period) : 0;
}

// The limits of a group and of all groups around it.
int32_t limit_above(const std::string& mount, std::string path) {
  int32_t limit = limit_in(mount);
  while (!path.empty() && path != "/") {
    limit = lesser_limit(limit, limit_in(mount + path));
    path.erase(path.rfind('/'));
  }
  return limit;
}

std::string text_of(const char* path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

int32_t cgroup_processors(const std::string& groups, const std::string& mount) {
  int32_t limit = 0;
  std::istringstream lines(groups);
  // "0::/path" in version 2, "4:cpu,cpuacct:/path" in version 1.
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos || line.compare(second + 1, 1, "/") != 0) continue;
    const std::string path = line.substr(second + 1);
    std::istringstream controllers(line.substr(first + 1, second - first - 1));
    if (second == first + 1) limit = lesser_limit(limit, limit_above(mount, path));
    for (std::string name; std::getline(controllers, name, ',');)
      if (name == "cpu") limit = lesser_limit(limit, limit_above(mount + "/cpu", path));
  }
  return limit;
}

int32_t affinity_processors() {
  // The kernel refuses a mask that is shorter than its own, whose length it does not tell.
  for (size_t words = 1024 / (8 * sizeof(unsigned long)); words <= (1 << 16); words *= 2) {
    std::vector<unsigned long> mask(words);
    const size_t bytes = words * sizeof(unsigned long);
    if (sched_getaffinity(0, bytes, reinterpret_cast<cpu_set_t*>(mask.data())) == 0)
      return std::max(1, CPU_COUNT_S(bytes, reinterpret_cast<cpu_set_t*>(mask.data())));
    if (errno != EINVAL) break;
  }
  return 1;
}

int32_t processors() {
  const int32_t n = affinity_processors();
  const int32_t limit = cgroup_processors(text_of("/proc/self/cgroup"), "/sys/fs/cgroup");
  return limit > 0 ? std::min(n, limit) : n;
}

}  // namespace tf
