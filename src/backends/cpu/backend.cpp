// The cpu backend: host memory, one device, the kernels of the best instruction set.
// SPDX-License-Identifier: MIT
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "backends/cpu/isa.h"
#include "core/env.h"
#include "core/pages.h"

namespace tf::cpu {

const tf_host_api* host = nullptr;
bool winograd_enabled = true;
Bf16Gemm bf16_gemm = nullptr;

namespace {

const char* isa_name = "";

// 0, off, 1 or on.
bool switch_of(const char* name, bool otherwise) {
  const std::string text = env_text(name);
  if (text == "1" || text == "on") return true;
  if (text == "0" || text == "off") return false;
  if (!text.empty())
    host->log(1, (std::string(name) + " is ignored: expected 0, off, 1 or on").c_str());
  return otherwise;
}

tf_status device_count(int32_t* out) {
  *out = 1;
  return TINYFIN_OK;
}

tf_status device_description(int32_t, char* out, size_t size) {
  std::snprintf(out, size, "host processor (%s)", isa_name);
  return TINYFIN_OK;
}

tf_status alloc(int32_t, size_t bytes, void** out) {
  *out = alloc_pages(bytes);
  return *out ? TINYFIN_OK : TINYFIN_ERROR_MEMORY;
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
    bf16_gemm = set.bf16_gemm;
    winograd_enabled = switch_of("TINYFIN_WINOGRAD", true);
    for (const KernelEntry* e = *set.kernels; e; e = e->next) kernels.push_back(e->kernel);
    table = {sizeof(tf_backend), TINYFIN_BACKEND_ABI_MAJOR, TINYFIN_BACKEND_ABI_MINOR, nullptr,
             "cpu", "the host's processors", device_count, device_description,
             /*host_accessible=*/1, 0, alloc, release, copy, copy, copy, nullptr, nullptr,
             int32_t(kernels.size()), kernels.data()};
  }
  *out = &table;
  return TINYFIN_OK;
}
