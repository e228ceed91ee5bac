// Failures inside the engine are exceptions; src/capi turns them into statuses.
// SPDX-License-Identifier: MIT
#pragma once

#include <exception>
#include <sstream>
#include <string>

#include "tinyfin/base.h"

namespace tf {

// A failure with the status the caller will see. `what()` is one line: what was
// received, what was expected, what to try. The public entry adds the "[op]".
class Error : public std::exception {
 public:
  Error(tf_status status, std::string message) : status_(status), message_(std::move(message)) {}
  tf_status status() const noexcept { return status_; }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  tf_status status_;
  std::string message_;
};

template <class... Parts>
std::string concat_text(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  return text.str();
}

template <class... Parts>
[[noreturn]] __attribute__((noinline, cold)) void fail(tf_status status, const Parts&... parts) {
  throw Error(status, concat_text(parts...));
}

// TF_CHECK(n > 0, TINYFIN_ERROR_SHAPE, "received n = ", n, "; expected …")
#define TF_CHECK(condition, status, ...)                              \
  do {                                                                \
    if (!(condition)) [[unlikely]] ::tf::fail((status), __VA_ARGS__); \
  } while (0)

}  // namespace tf
