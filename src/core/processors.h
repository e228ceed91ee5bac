// How many processors this process may use.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

namespace tf {

// What the scheduler's affinity mask and the limits of the control groups allow, at least 1.
int32_t processors();

// Processors in the calling thread's affinity mask (taskset, cpusets), at least 1.
int32_t affinity_processors();

// The least CPU quota on the way from a process's control group to the root, in whole processors,
// rounded up; 0 where there is none. `groups`: text of /proc/self/cgroup; `mount`: of /sys/fs/cgroup.
int32_t cgroup_processors(const std::string& groups, const std::string& mount);

}  // namespace tf
