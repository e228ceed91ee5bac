// Element types, NumPy-2 promotion, and dispatch from a tf_dtype to a C++ type.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "core/error.h"
#include "tinyfin/base.h"

namespace tf {

enum class DType : int32_t {
  none = TINYFIN_DEFAULT,
  f32 = TINYFIN_FLOAT32,
  f64 = TINYFIN_FLOAT64,
  i32 = TINYFIN_INT32,
  i64 = TINYFIN_INT64,
  b8 = TINYFIN_BOOL,
  bf16 = TINYFIN_BFLOAT16,
};

constexpr bool is_valid(DType t) {
  return (t >= DType::f32 && t <= DType::b8) || t == DType::bf16;
}
constexpr bool is_float(DType t) {
  return t == DType::f32 || t == DType::f64 || t == DType::bf16;
}
constexpr bool is_int(DType t) { return t == DType::i32 || t == DType::i64; }
constexpr bool is_bool(DType t) { return t == DType::b8; }

constexpr int64_t size_of(DType t) noexcept {
  switch (t) {
    case DType::f32:
    case DType::i32: return 4;
    case DType::f64:
    case DType::i64: return 8;
    case DType::bf16: return 2;
    case DType::b8: return 1;
    case DType::none: break;
  }
  return 0;
}

const char* name_of(DType t) noexcept;

// The type both operands are computed in: numpy.promote_types, for bfloat16 as ml_dtypes extends
// it but that integers go with it to float64, as they do with float32.
DType promote_types(DType a, DType b);

// What float functions (exp, mean, …) compute in: integers and bool become float32.
constexpr DType float_type(DType t) { return is_float(t) ? t : DType::f32; }

// What sum, prod and cumsum give: integers and bool become int64.
constexpr DType sum_type(DType t) { return is_float(t) ? t : DType::i64; }

// What statistics of a type's values, and averages over many steps, are kept in: rounded to the 8
// bits of bfloat16 they would spoil all that is computed from them.
constexpr DType kept_type(DType t) { return t == DType::bf16 ? DType::f32 : t; }

// The checked reading of a tf_dtype that came from outside; TINYFIN_DEFAULT gives `otherwise`.
DType dtype_from(tf_dtype t, DType otherwise = DType::none);

}  // namespace tf
