// How reductions go through their input.
// SPDX-License-Identifier: MIT
#pragma once

#include "call.h"

namespace ref {

// body(x, positions, out, position of the result): once per result, with the positions of the
// elements that go into it in row-major order.
template <class Body>
void reduce(const Call& c, Body&& body) {
  const Array &x = c.in[0], &out = c.out[0];
  const auto goes = [&](int d) { return (c.i(0) >> d) & 1; };
  for_each(out, [&](const Index& o) {
    std::vector<Index> positions;
    int64_t inner[8];
    Index base;
    for (int d = 0, next = 0; d < x.ndim; ++d) {
      inner[d] = goes(d) ? x.size(d) : 1;
      if (out.ndim == x.ndim)
        base[d] = goes(d) ? 0 : o[d];
      else if (!goes(d))
        base[d] = o[next++];
    }
    for_each(x.ndim, inner, [&](const Index& i) {
      Index at = base;
      for (int d = 0; d < x.ndim; ++d) at[d] += i[d];
      positions.push_back(at);
    });
    body(x, positions, out, o);
  });
}

}  // namespace ref
