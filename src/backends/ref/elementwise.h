// Definitions of one element at a time. Inputs come in the output's shape, broadcast by strides.
// SPDX-License-Identifier: MIT
#pragma once

#include "call.h"

namespace ref {

// out = f(inputs…) in double.
template <class F>
void floats1(const Call& c, F f) {
  for_each(c.out[0], [&](const Index& i) { c.out[0].set(i, f(c.in[0].get(i))); });
}
template <class F>
void floats2(const Call& c, F f) {
  for_each(c.out[0], [&](const Index& i) {
    c.out[0].set(i, f(c.in[0].get(i), c.in[1].get(i)));
  });
}

// The same in int64. Sums and products wrap, as two's complement does.
template <class F>
void ints1(const Call& c, F f) {
  for_each(c.out[0], [&](const Index& i) { c.out[0].set_int(i, f(c.in[0].get_int(i))); });
}
template <class F>
void ints2(const Call& c, F f) {
  for_each(c.out[0], [&](const Index& i) {
    c.out[0].set_int(i, f(c.in[0].get_int(i), c.in[1].get_int(i)));
  });
}

inline int64_t wrapping(uint64_t value) { return int64_t(value); }

// f for floats, g for integers and bool.
template <class F, class G>
void either1(const Call& c, F f, G g) {
  c.in_floats() ? floats1(c, f) : ints1(c, g);
}
template <class F, class G>
void either2(const Call& c, F f, G g) {
  c.in_floats() ? floats2(c, f) : ints2(c, g);
}

}  // namespace ref
