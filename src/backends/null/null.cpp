// The null backend: the least a plugin may be. Memory and copies, no kernels: every op takes the
// way through its decomposition or through the cpu.
// SPDX-License-Identifier: MIT
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tinyfin/backend.h"

namespace {

tf_status device_count(int32_t* out) {
  *out = 1;
  return TINYFIN_OK;
}

tf_status device_description(int32_t, char* out, size_t out_size) {
  std::snprintf(out, out_size, "memory without kernels");
  return TINYFIN_OK;
}

tf_status alloc(int32_t, size_t bytes, void** out) {
  *out = bytes > SIZE_MAX - 63 ? nullptr : std::aligned_alloc(64, (bytes + 63) / 64 * 64);
  return *out ? TINYFIN_OK : TINYFIN_ERROR_MEMORY;
}

void release(int32_t, void* memory, size_t) { std::free(memory); }

// One function for all directions: this memory is the host's.
tf_status copy(int32_t, void* to, const void* from, size_t bytes) {
  std::memmove(to, from, bytes);
  return TINYFIN_OK;
}

constexpr tf_backend table = {
    .struct_size = sizeof(tf_backend),
    .abi_major = TINYFIN_BACKEND_ABI_MAJOR,
    .abi_minor = TINYFIN_BACKEND_ABI_MINOR,
    .destroy = nullptr,
    .name = "null",
    .description = "memory and copies, no kernels, for tests",
    .device_count = device_count,
    .device_description = device_description,
    .host_accessible = 0,
    .reserved = 0,
    .alloc = alloc,
    .free = release,
    .copy_from_host = copy,
    .copy_to_host = copy,
    .copy_on_device = copy,
    .stream_current = nullptr,
    .synchronize = nullptr,
    .kernel_count = 0,
    .kernels = nullptr,
};

}  // namespace

extern "C" __attribute__((visibility("default"))) tf_status tf_backend_init_v1(
    const tf_host_api*, const tf_backend** out) {
  *out = &table;
  return TINYFIN_OK;
}
