// Texts of failures with numbers in them: made outside the kernel files, which are compiled once
// per instruction set and keep clear of the C++ library.
// SPDX-License-Identifier: MIT
#pragma once

#include <stdint.h>

#include "tinyfin/backend.h"

namespace tf::cpu {

// Sets the text of an index out of range and returns TINYFIN_ERROR_INDEX.
tf_status index_error(int64_t index, int64_t axis, int64_t size);

}  // namespace tf::cpu
