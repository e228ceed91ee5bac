// Arithmetic of two operands.
// SPDX-License-Identifier: MIT
#include "backends/cpu/elementwise.h"

namespace tf::cpu::TF_ISA {
namespace {

// Bytes that are 0 or 1, eight and more at a time by the compiler.
template <class Op>
static inline tf_status logical(const tf_kernel_call* c, const Op& op) {
  const Loop<3> loop = make_loop<3>({&c->out[0], &c->in[0], &c->in[1]});
  return for_rows(loop, [&](char* const* ptr, const int64_t* stride, int64_t n) {
    uint8_t* out = reinterpret_cast<uint8_t*>(ptr[0]);
    const uint8_t* a = reinterpret_cast<const uint8_t*>(ptr[1]);
    const uint8_t* b = reinterpret_cast<const uint8_t*>(ptr[2]);
    for (int64_t i = 0; i < n; ++i) out[i * stride[0]] = op(a[i * stride[1]], b[i * stride[2]]);
  });
}

static tf_status add_kernel(const tf_kernel_call* c, void*) {
  if (c->out[0].dtype == TINYFIN_BOOL)
    return logical(c, [](uint8_t a, uint8_t b) { return uint8_t(a | b); });
  return with_number(c->out[0].dtype, [&](auto t) {
    return binary<decltype(t)>(c, [](auto a, auto b) TF_ALWAYS_INLINE { return a + b; });
  });
}
TF_KERNEL(add, TINYFIN_DTYPES_ALL, add_kernel);

static tf_status mul_kernel(const tf_kernel_call* c, void*) {
  if (c->out[0].dtype == TINYFIN_BOOL)
    return logical(c, [](uint8_t a, uint8_t b) { return uint8_t(a & b); });
  return with_number(c->out[0].dtype, [&](auto t) {
    return binary<decltype(t)>(c, [](auto a, auto b) TF_ALWAYS_INLINE { return a * b; });
  });
}
TF_KERNEL(mul, TINYFIN_DTYPES_ALL, mul_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
