// Copies and what has no tensor arguments.
// SPDX-License-Identifier: MIT
#include <cmath>

#include "elementwise.h"

namespace ref {
namespace {

// int value, float value: the one that fits the dtype.
const Define fill("fill", [](const Call& c) {
  const Array& out = c.out[0];
  for_each(out, [&](const Index& i) {
    out.holds_floats() ? out.set(i, c.f(1)) : out.set_int(i, c.i(0));
  });
});

// int start, int step, float start, float step: element i is start + i * step.
const Define arange("arange", [](const Call& c) {
  const Array& out = c.out[0];
  for_each(out, [&](const Index& i) {
    if (out.holds_floats())
      out.set(i, c.f(2) + double(i[0]) * c.f(3));
    else
      out.set_int(i, wrapping(uint64_t(c.i(0)) + uint64_t(i[0]) * uint64_t(c.i(1))));
  });
}, TINYFIN_DTYPES_FLOAT | TINYFIN_DTYPES_INT);

// From any dtype to any other: floats towards zero and to the nearest end of an integer's range.
const Define copy("copy", [](const Call& c) {
  const Array &x = c.in[0], &out = c.out[0];
  for_each(out, [&](const Index& i) {
    x.holds_floats() ? out.set(i, x.get(i)) : out.set_int(i, x.get_int(i));
  });
});

}  // namespace
}  // namespace ref
