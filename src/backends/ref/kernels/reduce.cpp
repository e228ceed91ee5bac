// Reductions: attribute 0 is the mask of the dimensions that go; the output holds the others,
// or all of them with size 1 at those.
// SPDX-License-Identifier: MIT
#include <cmath>

#include "reduce.h"

namespace ref {
namespace {

const Define sum("sum", [](const Call& c) {
  reduce(c, [](const Array& x, const std::vector<Index>& at, const Array& out, const Index& o) {
    double total = 0;
    uint64_t whole = 0;  // integers wrap
    for (const Index& i : at) x.holds_floats() ? void(total += x.get(i)) : void(whole += uint64_t(x.get_int(i)));
    out.holds_floats() ? out.set(o, total) : out.set_int(o, int64_t(whole));
  });
});

}  // namespace
}  // namespace ref
