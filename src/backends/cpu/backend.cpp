// The cpu backend: host memory, one device, the kernels of the best instruction set.
// SPDX-License-Identifier: MIT
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "backends/cpu/isa.h"
#include "backends/cpu/kernel_list.h"
#include "core/env.h"
#include "core/pages.h"

namespace tf::cpu {

const tf_host_api* host = nullptr;

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
    const std::vector<Isa> list = instruction_sets();
    const Isa& isa = choose(list);
    isa_name = isa.name;
    for (const KernelEntry* e = *isa.kernels; e; e = e->next) kernels.push_back(e->kernel);
    table = {sizeof(tf_backend), TINYFIN_BACKEND_ABI_MAJOR, TINYFIN_BACKEND_ABI_MINOR, nullptr,
             "cpu", "the host's processors", device_count, device_description,
             /*host_accessible=*/1, 0, alloc, release, copy, copy, copy, nullptr, nullptr,
             int32_t(kernels.size()), kernels.data()};
  }
  *out = &table;
  return TINYFIN_OK;
}
