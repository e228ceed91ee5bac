// The instruction sets that were compiled, and which of them this processor has.
// SPDX-License-Identifier: MIT
#include "backends/cpu/isa.h"

#define TF_TEXT_OF(x) #x
#define TF_TEXT(x) TF_TEXT_OF(x)

namespace tf::cpu {

#define DECLARE_ISA(isa)                                              \
  namespace isa {                                                     \
  extern KernelEntry* kernel_list;                                    \
  tf_status gemm_bf16(const Gemm<BFloat16>& g, const GemmBatch& batch); \
  }
// The set that every processor of the architecture has: neon on 64-bit ARM, generic elsewhere.
DECLARE_ISA(TF_BASE_ISA)
DECLARE_ISA(avx2)
DECLARE_ISA(avx512)
DECLARE_ISA(avx512_bf16)

// The questions are those of cmake/engine.cmake's flags, one for one. The compiler's library also
// asks whether the system saves the registers.
const std::vector<InstructionSet>& instruction_sets() {
  static const std::vector<InstructionSet> sets = [] {
    std::vector<InstructionSet> list{
        {TF_TEXT(TF_BASE_ISA), true, &TF_BASE_ISA::kernel_list, TF_BASE_ISA::gemm_bf16}};
#if defined(TF_HAVE_AVX2) || defined(TF_HAVE_AVX512)
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
#ifdef TF_HAVE_AVX2
    list.push_back({"avx2", avx2, &avx2::kernel_list, avx2::gemm_bf16});
#endif
#ifdef TF_HAVE_AVX512
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                        __builtin_cpu_supports("avx512vl");
    list.push_back({"avx512", avx512, &avx512::kernel_list, avx512::gemm_bf16});
#endif
#ifdef TF_HAVE_AVX512_BF16
    // The kernels of avx512 but for the products of bfloat16.
    list.push_back({"avx512_bf16", avx512 && __builtin_cpu_supports("avx512bf16"),
                    &avx512::kernel_list, avx512_bf16::gemm_bf16});
#endif
    return list;
  }();
  return sets;
}

const InstructionSet& choose(const std::vector<InstructionSet>& sets, const std::string& wanted,
                             std::string& complaint) {
  const InstructionSet* best = &sets[0];
  bool fulfilled = wanted.empty(), reached = false;
  std::string available;
  for (const InstructionSet& set : sets) {
    if (set.available) {
      available += (available.empty() ? "" : ", ") + std::string(set.name);
      if (!reached) best = &set;
    }
    reached = reached || wanted == set.name;  // no better one than was asked for
    fulfilled = fulfilled || (set.available && wanted == set.name);
  }
  if (!fulfilled)
    complaint = "TINYFIN_ISA=" + wanted + " is not available: expected one of " + available +
                "; going on with " + best->name;
  return *best;
}

}  // namespace tf::cpu
