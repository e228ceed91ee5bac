// The cpu backend: host memory, one device, the kernels of the best instruction set.
// SPDX-License-Identifier: MIT
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <sys/mman.h>

#include "backends/cpu/isa.h"
#include "core/env.h"

namespace tf::cpu {

const tf_host_api* host = nullptr;

namespace {

const char* isa_name = "";

tf_status device_count(int32_t* out) {
  *out = 1;
  return TINYFIN_OK;
}

tf_status device_description(int32_t, char* out, size_t size) {
  std::snprintf(out, size, "host processor (%s)", isa_name);
  return TINYFIN_OK;
}

// Large blocks on huge pages where the system offers them: a first touch then costs a tenth.
constexpr size_t kHuge = size_t{2} << 20;

tf_status alloc(int32_t, size_t bytes, void** out) {
  const bool large = bytes >= 2 * kHuge;
  const size_t alignment = large ? kHuge : 64;
  *out = bytes > SIZE_MAX - alignment
             ? nullptr
             : std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (!*out) return TINYFIN_ERROR_MEMORY;
#ifdef MADV_HUGEPAGE
  if (large) madvise(*out, bytes, MADV_HUGEPAGE);
#endif
  return TINYFIN_OK;
}

void release(int32_t, void* memory, size_t) { std::free(memory); }

tf_status copy(int32_t, void* to, const void* from, size_t bytes) {
  std::memmove(to, from, bytes);
  return TINYFIN_OK;
}

}  // namespace

const char* isa() { return isa_name; }

}  // namespace tf::cpu

extern "C" tf_status tf_cpu_backend_init(const tf_host_api* host, const tf_backend** out) {
  using namespace tf::cpu;
  tf::cpu::host = host;
  static tf_backend table;
  static std::vector<tf_kernel> kernels;
  if (kernels.empty()) {
    std::string complaint;
    const InstructionSet& set = choose(instruction_sets(), tf::env_text("TINYFIN_ISA"), complaint);
    if (!complaint.empty()) host->log(1, complaint.c_str());
    isa_name = set.name;
    for (const KernelEntry* e = *set.kernels; e; e = e->next) kernels.push_back(e->kernel);
    table = {sizeof(tf_backend), TINYFIN_BACKEND_ABI_MAJOR, TINYFIN_BACKEND_ABI_MINOR, nullptr,
             "cpu", "the host's processors", device_count, device_description,
             /*host_accessible=*/1, 0, alloc, release, copy, copy, copy, nullptr, nullptr,
             int32_t(kernels.size()), kernels.data()};
  }
  *out = &table;
  return TINYFIN_OK;
}
