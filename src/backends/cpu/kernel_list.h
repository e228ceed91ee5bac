// The list that kernel files of one instruction set form by static initialisation.
// SPDX-License-Identifier: MIT
#pragma once

#include "tinyfin/backend.h"

namespace tf::cpu {

// The host's functions, set before the first kernel runs.
extern const tf_host_api* host;

struct KernelEntry {
  tf_kernel kernel;
  KernelEntry* next;
};

}  // namespace tf::cpu
