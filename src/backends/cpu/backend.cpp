// The cpu backend: host memory, one device, the kernels of the best instruction set.
// SPDX-License-Identifier: MIT
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <sys/mman.h>

#include "backends/cpu/isa.h"
#include "backends/cpu/kernel_list.h"
#include "core/env.h"

namespace tf::cpu {

const tf_host_api* host = nullptr;
bool winograd_enabled = true;

namespace generic { extern KernelEntry* kernel_list; }
#ifdef TF_HAVE_AVX2
namespace avx2 { extern KernelEntry* kernel_list; }
#endif
#ifdef TF_HAVE_AVX512
namespace avx512 { extern KernelEntry* kernel_list; }
#endif

namespace {

const char* isa_name = "generic";

struct Isa {
  const char* name;
  bool supported;
  KernelEntry* const* kernels;
};

// From the least to the best.
std::vector<Isa> instruction_sets() {
  std::vector<Isa> list{{"generic", true, &generic::kernel_list}};
#ifdef TF_HAVE_AVX2
  __builtin_cpu_init();
  list.push_back({"avx2",
                  __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"),
                  &avx2::kernel_list});
#endif
#ifdef TF_HAVE_AVX512
  list.push_back({"avx512",
                  __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("fma"),
                  &avx512::kernel_list});
#endif
  return list;
}

const Isa& choose(const std::vector<Isa>& list) {
  const std::string wanted = env_text("TINYFIN_ISA");
  const Isa* best = &list[0];
  bool known = wanted.empty();
  for (const Isa& isa : list) {
    known = known || wanted == isa.name;
    if (isa.supported) best = &isa;
    if (wanted == isa.name) break;  // no better one than was asked for
  }
  if (!known)
    host->log(1, "TINYFIN_ISA is ignored: expected avx512, avx2 or generic, as compiled in");
  return *best;
}

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
    const std::vector<Isa> list = instruction_sets();
    const Isa& isa = choose(list);
    isa_name = isa.name;
    winograd_enabled = switch_of("TINYFIN_WINOGRAD", true);
    for (const KernelEntry* e = *isa.kernels; e; e = e->next) kernels.push_back(e->kernel);
    table = {sizeof(tf_backend), TINYFIN_BACKEND_ABI_MAJOR, TINYFIN_BACKEND_ABI_MINOR, nullptr,
             "cpu", "the host's processors", device_count, device_description,
             /*host_accessible=*/1, 0, alloc, release, copy, copy, copy, nullptr, nullptr,
             int32_t(kernels.size()), kernels.data()};
  }
  *out = &table;
  return TINYFIN_OK;
}
