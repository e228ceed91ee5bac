// The cpu backend: host memory, one device, the kernels of the best instruction set.
// SPDX-License-Identifier: MIT
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#define TF_ISA generic
#include "backends/cpu/gemm_bf16.h"
#include "backends/cpu/isa.h"
#include "backends/cpu/kernel_list.h"
#include "core/env.h"
#include "core/pages.h"

namespace tf::cpu {

const tf_host_api* host = nullptr;
bool winograd_enabled = true;

// What is compiled for each instruction set. avx512_bf16 has the kernels of avx512 but for one.
#define DECLARE_ISA(isa)                                                  \
  namespace isa {                                                         \
  extern KernelEntry* kernel_list;                                        \
  tf_status gemm_bf16(const Gemm<BFloat16>& g, const GemmBatch& batch);   \
  }
DECLARE_ISA(generic)
DECLARE_ISA(avx2)
DECLARE_ISA(avx512)
DECLARE_ISA(avx512_bf16)
Bf16Gemm bf16_gemm = nullptr;

namespace {

const char* isa_name = "generic";

struct Isa {
  const char* name;
  bool supported;
  KernelEntry* const* kernels;
  Bf16Gemm bf16;
};

// From the least to the best.
std::vector<Isa> instruction_sets() {
  std::vector<Isa> list{{"generic", true, &generic::kernel_list, generic::gemm_bf16}};
#ifdef TF_HAVE_AVX2
  __builtin_cpu_init();
  list.push_back({"avx2",
                  __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"),
                  &avx2::kernel_list, avx2::gemm_bf16});
#endif
#ifdef TF_HAVE_AVX512
  const bool has_avx512 =
      __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("fma");
  list.push_back({"avx512", has_avx512, &avx512::kernel_list, avx512::gemm_bf16});
#endif
#ifdef TF_HAVE_AVX512_BF16
  list.push_back({"avx512_bf16", has_avx512 && __builtin_cpu_supports("avx512bf16"),
                  &avx512::kernel_list, avx512_bf16::gemm_bf16});
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
    host->log(1, "TINYFIN_ISA is ignored: expected avx512_bf16, avx512, avx2 or "
                 "generic, as compiled in");
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
    winograd_enabled = switch_of("TINYFIN_WINOGRAD", true);
    bf16_gemm = isa.bf16;
    for (const KernelEntry* e = *isa.kernels; e; e = e->next) kernels.push_back(e->kernel);
    table = {sizeof(tf_backend), TINYFIN_BACKEND_ABI_MAJOR, TINYFIN_BACKEND_ABI_MINOR, nullptr,
             "cpu", "the host's processors", device_count, device_description,
             /*host_accessible=*/1, 0, alloc, release, copy, copy, copy, nullptr, nullptr,
             int32_t(kernels.size()), kernels.data()};
  }
  *out = &table;
  return TINYFIN_OK;
}
