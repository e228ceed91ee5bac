// Reductions: attribute 0 is the mask of the dimensions that go; the output holds the others,
// or all of them with size 1 at those.
// SPDX-License-Identifier: MIT
#include "reduce.h"

#include <cmath>
#include <limits>

namespace ref {
namespace {

constexpr uint32_t kNumbers = TINYFIN_DTYPES_FLOAT | TINYFIN_DTYPES_INT;
using Positions = std::vector<Index>;

const Define sum("sum", [](const Call& c) {
  reduce(c, [](const Array& x, const Positions& at, const Array& out, const Index& o) {
    double total = 0;
    uint64_t whole = 0;  // integers wrap
    for (const Index& i : at) {
      if (x.holds_floats())
        total += x.get(i);
      else
        whole += uint64_t(x.get_int(i));
    }
    out.holds_floats() ? out.set(o, total) : out.set_int(o, int64_t(whole));
  });
});

const Define mean("mean", [](const Call& c) {
  reduce(c, [](const Array& x, const Positions& at, const Array& out, const Index& o) {
    double total = 0;
    for (const Index& i : at) total += x.get(i);
    out.set(o, total / double(at.size()));
  });
}, TINYFIN_DTYPES_FLOAT);

template <class Term>
void sum_of(const Call& c, Term&& term) {
  reduce(c, [&](const Array& x, const Positions& at, const Array& out, const Index& o) {
    double total = 0;
    for (const Index& i : at) total += term(x.get(i));
    out.set(o, total);
  });
}
const Define sum_squares("sum_squares", [](const Call& c) {
  sum_of(c, [](double x) { return x * x; });
}, TINYFIN_DTYPES_FLOAT);
const Define sum_sizes("sum_sizes", [](const Call& c) {
  sum_of(c, [](double x) { return std::fabs(x); });
}, TINYFIN_DTYPES_FLOAT);

const Define variance("variance", [](const Call& c) {
  reduce(c, [&](const Array& x, const Positions& at, const Array& out, const Index& o) {
    const double n = double(at.size());
    double mean = 0, square = 0;
    for (const Index& i : at) mean += x.get(i) / n;
    for (const Index& i : at) square += (x.get(i) - mean) * (x.get(i) - mean);
    out.set(o, square / std::fmax(n - c.f(2), 0));
    c.out[1].set(o, at.empty() ? std::numeric_limits<double>::quiet_NaN() : mean);
  });
}, TINYFIN_DTYPES_FLOAT);

const Define prod("prod", [](const Call& c) {
  reduce(c, [](const Array& x, const Positions& at, const Array& out, const Index& o) {
    double product = 1;
    uint64_t whole = 1;
    for (const Index& i : at) {
      if (x.holds_floats())
        product *= x.get(i);
      else
        whole *= uint64_t(x.get_int(i));
    }
    out.holds_floats() ? out.set(o, product) : out.set_int(o, int64_t(whole));
  });
}, kNumbers);

// The position, in `at`, of the first NaN, else of the first greatest (smallest) element.
size_t extreme(const Array& x, const Positions& at, bool greatest) {
  size_t best = 0;
  for (size_t k = 0; k < at.size(); ++k) {
    if (x.holds_floats()) {
      const double now = x.get(at[k]), top = x.get(at[best]);
      if (std::isnan(now)) return k;
      if (greatest ? now > top : now < top) best = k;
    } else {
      const int64_t now = x.get_int(at[k]), top = x.get_int(at[best]);
      if (greatest ? now > top : now < top) best = k;
    }
  }
  return best;
}

void put_extreme(const Call& c, bool greatest) {
  reduce(c, [&](const Array& x, const Positions& at, const Array& out, const Index& o) {
    const Index& i = at[extreme(x, at, greatest)];
    out.holds_floats() ? out.set(o, x.get(i)) : out.set_int(o, x.get_int(i));
  });
}
const Define amax("amax", [](const Call& c) { put_extreme(c, true); }, kNumbers);
const Define amin("amin", [](const Call& c) { put_extreme(c, false); }, kNumbers);

// Counted in row-major order among the elements that are reduced.
void put_position(const Call& c, bool greatest) {
  reduce(c, [&](const Array& x, const Positions& at, const Array& out, const Index& o) {
    out.set_int(o, int64_t(extreme(x, at, greatest)));
  });
}
const Define argmax("argmax", [](const Call& c) { put_position(c, true); }, kNumbers);
const Define argmin("argmin", [](const Call& c) { put_position(c, false); }, kNumbers);

const Define logsumexp("logsumexp", [](const Call& c) {
  reduce(c, [](const Array& x, const Positions& at, const Array& out, const Index& o) {
    double top = -std::numeric_limits<double>::infinity();
    for (const Index& i : at) top = std::fmax(top, x.get(i));
    const double shift = std::isfinite(top) ? top : 0;
    double total = 0;
    for (const Index& i : at) total += std::exp(x.get(i) - shift);
    out.set(o, std::log(total) + shift);
  });
}, TINYFIN_DTYPES_FLOAT);

}  // namespace
}  // namespace ref
