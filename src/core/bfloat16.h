// bfloat16 is the upper half of a float32: 8 bits of precision, float32's range. Values are widened
// exactly and rounded to the nearest, ties to even; a NaN stays one.
//
// Integer arithmetic only, so that the bits are the same on every processor, denormals included.
// Functions have internal linkage, because kernel files, which are compiled for processors of
// several kinds, use them too.
// SPDX-License-Identifier: MIT
#pragma once

#include <stdint.h>
#include <string.h>

namespace tf {

struct BFloat16 {
  uint16_t bits;
};

static inline float widened(BFloat16 a) {
  const uint32_t bits = uint32_t(a.bits) << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static inline BFloat16 bfloat16(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  if ((bits & 0x7fffffff) > 0x7f800000) return {uint16_t(bits >> 16 | 0x40)};
  return {uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

// In one rounding: on the way through float32 what is cut off leaves a trace in the last bit,
// which lies far below the last one of the result.
static inline BFloat16 bfloat16(double value) {
  const float near = float(value);
  if (double(near) == value || value != value) return bfloat16(near);
  uint32_t bits;
  memcpy(&bits, &near, sizeof bits);
  const double size = value < 0 ? -value : value, near_size = near < 0 ? -double(near) : near;
  bits = (bits - (near_size > size)) | 1;
  float odd;
  memcpy(&odd, &bits, sizeof odd);
  return bfloat16(odd);
}

// The same for integers, of which float64 holds those below 2^53.
static inline BFloat16 bfloat16(int64_t value) {
  constexpr int64_t kExact = int64_t(1) << 53, kCut = 0x3ff;
  if (value > kExact || value < -kExact)
    value = (value & ~kCut) | ((value & kCut) != 0 ? kCut + 1 : 0);
  return bfloat16(double(value));
}
static inline BFloat16 bfloat16(int32_t value) { return bfloat16(double(value)); }

// The greatest finite number below a finite one.
static inline BFloat16 next_below(BFloat16 a) {
  if ((a.bits & 0x7fff) == 0) return {0x8001};
  return {uint16_t(a.bits & 0x8000 ? a.bits + 1 : a.bits - 1)};
}

}  // namespace tf
