// Names and promotion of element types.
// SPDX-License-Identifier: MIT
#include "core/dtype.h"

namespace tf {

const char* name_of(DType t) noexcept {
  switch (t) {
    case DType::f32: return "float32";
    case DType::f64: return "float64";
    case DType::i32: return "int32";
    case DType::i64: return "int64";
    case DType::b8: return "bool";
    case DType::bf16: return "bfloat16";
    case DType::none: break;
  }
  return "invalid";
}

DType promote_types(DType a, DType b) {
  if (a == b) return a;
  if (is_bool(a)) return b;
  if (is_bool(b)) return a;
  // float32 holds every bfloat16.
  if (is_float(a) && is_float(b) && a != DType::f64 && b != DType::f64) return DType::f32;
  // Equal types are gone, so two integers are int32 and int64; an integer and a float, or floats
  // of which one is float64, need the 53 bits of float64, as NumPy has it.
  return is_int(a) && is_int(b) ? DType::i64 : DType::f64;
}

DType dtype_from(tf_dtype t, DType otherwise) {
  if (t == TINYFIN_DEFAULT) return otherwise;
  const DType type = static_cast<DType>(t);
  TF_CHECK(is_valid(type), TINYFIN_ERROR_DTYPE, "received dtype number ", t,
           "; expected TINYFIN_FLOAT32, FLOAT64, BFLOAT16, INT32, INT64 or BOOL");
  return type;
}

}  // namespace tf

extern "C" {

const char* tf_dtype_name(tf_dtype dtype) { return tf::name_of(static_cast<tf::DType>(dtype)); }

size_t tf_dtype_size(tf_dtype dtype) {
  return size_t(tf::size_of(static_cast<tf::DType>(dtype)));
}

}
