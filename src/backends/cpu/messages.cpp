// Texts of failures with numbers in them.
// SPDX-License-Identifier: MIT
#include "backends/cpu/messages.h"

#include "backends/cpu/kernel_list.h"
#include "core/error.h"

namespace tf::cpu {

tf_status index_error(int64_t index, int64_t axis, int64_t size) {
  const std::string text =
      size > 0 ? concat_text("received index ", index, " for axis ", axis, " of size ", size,
                             "; expected ", -size, " to ", size - 1)
               : concat_text("received index ", index, " for axis ", axis,
                             " of size 0; expected no index, there are no elements");
  host->set_error(text.c_str());
  return TINYFIN_ERROR_INDEX;
}

}  // namespace tf::cpu
