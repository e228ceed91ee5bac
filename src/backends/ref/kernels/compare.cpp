// Comparisons, logic, choice.
// SPDX-License-Identifier: MIT
#include <cmath>

#include "elementwise.h"

namespace ref {
namespace {

using I = int64_t;
constexpr uint32_t kWhole = TINYFIN_DTYPES_INT | TINYFIN_DTYPE_BIT(TINYFIN_BOOL);

const Define eq("eq", [](const Call& c) {
  either2(c, [](double a, double b) { return a == b; }, [](I a, I b) { return a == b; });
});
const Define ne("ne", [](const Call& c) {
  either2(c, [](double a, double b) { return a != b; }, [](I a, I b) { return a != b; });
});
const Define lt("lt", [](const Call& c) {
  either2(c, [](double a, double b) { return a < b; }, [](I a, I b) { return a < b; });
});
const Define le("le", [](const Call& c) {
  either2(c, [](double a, double b) { return a <= b; }, [](I a, I b) { return a <= b; });
});

const Define bitwise_and("bitwise_and", [](const Call& c) {
  ints2(c, [](I a, I b) { return a & b; });
}, kWhole);
const Define bitwise_or("bitwise_or", [](const Call& c) {
  ints2(c, [](I a, I b) { return a | b; });
}, kWhole);
const Define bitwise_xor("bitwise_xor", [](const Call& c) {
  ints2(c, [](I a, I b) { return a ^ b; });
}, kWhole);
const Define bitwise_not("bitwise_not", [](const Call& c) {
  const bool logical = c.in[0].dtype == TINYFIN_BOOL;
  ints1(c, [logical](I a) { return logical ? I(!a) : ~a; });
}, kWhole);

// condition a b: a where the condition holds.
const Define where("where", [](const Call& c) {
  const Array &condition = c.in[0], &out = c.out[0];
  for_each(out, [&](const Index& i) {
    const Array& chosen = condition.get_int(i) ? c.in[1] : c.in[2];
    out.holds_floats() ? out.set(i, chosen.get(i)) : out.set_int(i, chosen.get_int(i));
  });
});

// x; min, max. NaN stays NaN.
const Define clamp("clamp", [](const Call& c) {
  const double low = c.f(0), high = c.f(1);
  const auto clamped = [&](double x) { return x < low ? low : x; };
  either1(c, [&](double x) { return clamped(x) > high ? high : clamped(x); },
          [&](I x) {
            if (double(x) < low) x = I(low);
            return double(x) > high ? I(high) : x;
          });
});
// grad x; min, max: grad where x lies within the bounds, which belong to it.
const Define clamp_backward("clamp_backward", [](const Call& c) {
  const double low = c.f(0), high = c.f(1);
  floats2(c, [&](double grad, double x) { return x >= low && x <= high ? grad : 0; });
}, TINYFIN_DTYPES_FLOAT);

}  // namespace
}  // namespace ref
