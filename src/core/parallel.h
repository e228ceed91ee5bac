// The one thread pool: tiles are taken from a counter as threads come free.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <type_traits>

#include "tinyfin/backend.h"

namespace tf {

int32_t num_threads() noexcept;
void set_num_threads(int32_t n);

// See tf_host_api::parallel_for. Runs on the caller alone when there is one tile, one
// thread, or when called from inside a tile.
tf_status parallel_for_raw(int64_t tiles, tf_tile_fn fn, void* user) noexcept;

[[noreturn]] void throw_fork_error();

// Body: void(int64_t tile), noexcept in effect. Throws only TINYFIN_ERROR_FORK.
template <class Body>
void parallel_for(int64_t tiles, Body&& body) {
  using B = std::remove_reference_t<Body>;
  const tf_status status = parallel_for_raw(
      tiles, [](int64_t tile, void* user) { (*static_cast<B*>(user))(tile); },
      const_cast<void*>(static_cast<const void*>(&body)));
  if (status != TINYFIN_OK) [[unlikely]] throw_fork_error();
}

}  // namespace tf
