// Rows named by integers, parts of arrays, positions of elements.
// SPDX-License-Identifier: MIT
#include "call.h"

namespace ref {
namespace {

void copy_element(const Array& to, const Index& t, const Array& from, const Index& f) {
  to.holds_floats() ? to.set(t, from.get(f)) : to.set_int(t, from.get_int(f));
}

void add_element(const Array& to, const Index& t, const Array& from, const Index& f) {
  if (to.holds_floats())
    to.set(t, to.get(t) + from.get(f));
  else
    to.set_int(t, int64_t(uint64_t(to.get_int(t)) + uint64_t(from.get_int(f))));
}

void set_zero(const Array& out) {
  for_each(out, [&](const Index& i) { out.set_int(i, 0); });
}

void copy_all(const Array& to, const Array& from) {
  for_each(to, [&](const Index& i) { copy_element(to, i, from, i); });
}

// The k index arrays of a call name positions in the first k dimensions of an array.
struct Rows {
  const Call& call;
  size_t first;    // input that holds the first index array
  int axis_attr;   // attribute with its dimension's number, for messages

  int count() const { return int(call.in.size() - first); }
  int lead() const { return call.in[first].ndim; }

  // Where position `i` of the gathered array (the indices' dimensions, then the array's others)
  // lies in `x`.
  Index position(const Array& x, const Index& i) const {
    Index at;
    for (int d = 0; d < count(); ++d) {
      const int64_t value = call.in[first + size_t(d)].get_int(i), size = x.size(d);
      if (value < -size || value >= size)
        fail(TINYFIN_ERROR_INDEX, "received index ", value, " for axis ",
             call.i(axis_attr + d), " of size ", size, "; expected ", -size, " to ", size - 1);
      at[d] = value < 0 ? value + size : value;
    }
    for (int d = count(); d < x.ndim; ++d) at[d] = i[lead() + d - count()];
    return at;
  }
};

// x indices…; the axis of each index array
const Define index("index", [](const Call& c) {
  const Rows rows{c, 1, 0};
  for_each(c.out[0], [&](const Index& i) {
    copy_element(c.out[0], i, c.in[0], rows.position(c.in[0], i));
  });
});

// base? value indices…; how (0: the last stays, 1: added, 2: no row twice), axes
const Define index_put("index_put", [](const Call& c) {
  const Array &base = c.in[0], &value = c.in[1], &out = c.out[0];
  const Rows rows{c, 2, 1};
  if (!base.present())
    set_zero(out);
  else if (base.data != out.data)
    copy_all(out, base);
  for_each(value, [&](const Index& i) {
    const Index at = rows.position(out, i);
    c.i(0) == 1 ? add_element(out, at, value, i) : copy_element(out, at, value, i);
  });
});

// xs…; dim
const Define concat("concat", [](const Call& c) {
  int64_t start = 0;
  const int dim = int(c.i(0));
  for (const Array& x : c.in) {
    for_each(x, [&](const Index& i) {
      Index at = i;
      at[dim] += start;
      copy_element(c.out[0], at, x, i);
    });
    start += x.size(dim);
  }
});

// base? value; (dim, start, step, length)…: step 0 takes one element and drops the dimension
const Define slice_put("slice_put", [](const Call& c) {
  const Array &base = c.in[0], &value = c.in[1], &out = c.out[0];
  if (!base.present())
    set_zero(out);
  else if (base.data != out.data)
    copy_all(out, base);
  for_each(value, [&](const Index& i) {
    Index at;
    size_t cut = 0;
    for (int d = 0, next = 0; d < out.ndim; ++d) {
      if (cut < c.attr.size() && c.attr[cut].i == d) {
        const int64_t start = c.attr[cut + 1].i, step = c.attr[cut + 2].i;
        at[d] = step == 0 ? start : start + step * i[next++];
        cut += 4;
      } else {
        at[d] = i[next++];
      }
    }
    copy_element(out, at, value, i);
  });
});

bool is_nonzero(const Array& x, const Index& i) {
  return x.holds_floats() ? x.get(i) != 0 : x.get_int(i) != 0;
}

const Define count_nonzero("count_nonzero", [](const Call& c) {
  int64_t count = 0;
  for_each(c.in[0], [&](const Index& i) { count += is_nonzero(c.in[0], i); });
  c.out[0].set_int({}, count);
});

// Row by row the indices of an element, in row-major order of the elements.
const Define nonzero("nonzero", [](const Call& c) {
  int64_t row = 0;
  for_each(c.in[0], [&](const Index& i) {
    if (!is_nonzero(c.in[0], i)) return;
    for (int d = 0; d < c.in[0].ndim; ++d) c.out[0].set_int({{row, d}}, i[d]);
    ++row;
  });
});

// x; diagonal, upper: zeros below (above) the diagonal of the last two dimensions
const Define triangle("triangle", [](const Call& c) {
  const Array &x = c.in[0], &out = c.out[0];
  for_each(out, [&](const Index& i) {
    const int64_t above = i[out.ndim - 1] - i[out.ndim - 2] - c.i(0);
    if (c.i(1) ? above >= 0 : above <= 0)
      copy_element(out, i, x, i);
    else
      out.set_int(i, 0);
  });
});

}  // namespace
}  // namespace ref
