// Environment variables.
// SPDX-License-Identifier: MIT
#include "core/env.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace tf {

std::string env_text(const char* name) {
  const char* value = secure_getenv(name);
  return value ? value : "";
}

int64_t env_int(const char* name, int64_t low, int64_t high, int64_t otherwise) {
  const std::string text = env_text(name);
  if (text.empty()) return otherwise;
  char* end = nullptr;
  errno = 0;
  const long long value = std::strtoll(text.c_str(), &end, 10);
  if (errno == 0 && *end == '\0' && value >= low && value <= high) return value;
  std::fprintf(stderr, "tinyfin: %s=%s is ignored: expected a whole number from %lld to %lld\n",
               name, text.c_str(), static_cast<long long>(low), static_cast<long long>(high));
  return otherwise;
}

bool env_flag(const char* name) {
  const std::string text = env_text(name);
  return !text.empty() && text != "0" && text != "false" && text != "off";
}

}  // namespace tf
