// Environment variables, read in one place.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

namespace tf {

// The variable's value, or "" where it is unset (or the process runs with raised privileges).
std::string env_text(const char* name);
// A whole number in [low, high]; `otherwise` where unset. A value that is no such number is
// reported once on standard error and counts as unset.
int64_t env_int(const char* name, int64_t low, int64_t high, int64_t otherwise);
bool env_flag(const char* name);

}  // namespace tf
