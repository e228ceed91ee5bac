// Arithmetic of two operands.
// SPDX-License-Identifier: MIT
#include <cmath>

#include "elementwise.h"

namespace ref {
namespace {

using I = int64_t;

constexpr uint32_t kNumbers = TINYFIN_DTYPES_FLOAT | TINYFIN_DTYPES_INT;

const Define add("add", [](const Call& c) {
  either2(c, [](double a, double b) { return a + b; },
          [](I a, I b) { return wrapping(uint64_t(a) + uint64_t(b)); });  // bool: or
});

const Define sub("sub", [](const Call& c) {
  either2(c, [](double a, double b) { return a - b; },
          [](I a, I b) { return wrapping(uint64_t(a) - uint64_t(b)); });
}, kNumbers);

const Define mul("mul", [](const Call& c) {
  either2(c, [](double a, double b) { return a * b; },
          [](I a, I b) { return wrapping(uint64_t(a) * uint64_t(b)); });  // bool: and
});

const Define div("div", [](const Call& c) {
  floats2(c, [](double a, double b) { return a / b; });
}, TINYFIN_DTYPES_FLOAT);

// Python's: the quotient is rounded down; integers by 0 give 0.
double floor_divided(double a, double b) {
  if (b == 0) return a / b;
  double rest = std::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0 && (b < 0) != (rest < 0)) quotient -= 1;
  if (quotient == 0) return std::copysign(0.0, a / b);
  const double down = std::floor(quotient);
  return quotient - down > 0.5 ? down + 1 : down;
}
I floor_divided(I a, I b) {
  if (b == 0) return 0;
  if (b == -1) return wrapping(-uint64_t(a));
  return a / b - (a % b != 0 && (a < 0) != (b < 0));
}
const Define floor_divide("floor_divide", [](const Call& c) {
  either2(c, [](double a, double b) { return floor_divided(a, b); },
          [](I a, I b) { return floor_divided(a, b); });
}, kNumbers);

// a - b * floor(a / b): has the divisor's sign.
double remainder_of(double a, double b) {
  const double rest = std::fmod(a, b);
  if (rest == 0) return b == 0 ? rest : std::copysign(0.0, b);
  return (rest < 0) != (b < 0) ? rest + b : rest;
}
I remainder_of(I a, I b) {
  if (b == 0 || b == -1) return 0;
  const I rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}
const Define remainder("remainder", [](const Call& c) {
  either2(c, [](double a, double b) { return remainder_of(a, b); },
          [](I a, I b) { return remainder_of(a, b); });
}, kNumbers);

I int_power(I base, I exponent) {
  if (exponent < 0) return base == 1 ? 1 : base == -1 ? (exponent % 2 ? -1 : 1) : 0;
  uint64_t result = 1, factor = uint64_t(base);
  for (uint64_t e = uint64_t(exponent); e; e /= 2, factor *= factor)
    if (e % 2) result *= factor;
  return wrapping(result);
}
const Define power("pow", [](const Call& c) {
  either2(c, [](double a, double b) { return std::pow(a, b); }, int_power);
}, kNumbers);

// NaN where an operand is NaN.
const Define maximum("maximum", [](const Call& c) {
  either2(c, [](double a, double b) { return std::isnan(a) || a > b ? a : b; },
          [](I a, I b) { return a > b ? a : b; });
});
const Define minimum("minimum", [](const Call& c) {
  either2(c, [](double a, double b) { return std::isnan(a) || a < b ? a : b; },
          [](I a, I b) { return a < b ? a : b; });
});

}  // namespace
}  // namespace ref
