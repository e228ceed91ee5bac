// Functions of one element.
// SPDX-License-Identifier: MIT
#include "backends/cpu/elementwise.h"

namespace tf::cpu::TF_ISA {
namespace {

static tf_status neg_kernel(const tf_kernel_call* c, void*) {
  return with_number(c->out[0].dtype, [&](auto t) {
    return unary<decltype(t)>(c, [](auto a) TF_ALWAYS_INLINE { return -a; });
  });
}
TF_KERNEL(neg, TINYFIN_DTYPES_FLOAT | TINYFIN_DTYPES_INT, neg_kernel);

// max(x, 0) that keeps NaN.
static tf_status relu_kernel(const tf_kernel_call* c, void*) {
  return with_number(c->out[0].dtype, [&](auto t) {
    using T = decltype(t);
    return unary<T>(c, [](Vec<T> a) TF_ALWAYS_INLINE {
      return select(a < Vec<T>(T(0)), Vec<T>(T(0)), a);
    });
  });
}
TF_KERNEL(relu, TINYFIN_DTYPES_FLOAT | TINYFIN_DTYPES_INT, relu_kernel);

static tf_status relu_mask_kernel(const tf_kernel_call* c, void*) {
  return with_number(c->out[0].dtype, [&](auto t) {
    using T = decltype(t);
    return binary<T>(c, [](Vec<T> grad, Vec<T> out) TF_ALWAYS_INLINE {
      return select(out > Vec<T>(T(0)), grad, Vec<T>(T(0)));
    });
  });
}
TF_KERNEL(relu_mask, TINYFIN_DTYPES_FLOAT, relu_mask_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
