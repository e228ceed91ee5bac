// Along one dimension, attribute 0: softmax, its logarithm, their gradients, running sums.
// SPDX-License-Identifier: MIT
#include <cmath>
#include <limits>

#include "call.h"

namespace ref {
namespace {

// body(at) for each line along `dim`, where at(k) is the position of its element k.
template <class Body>
void for_lines(const Array& like, int dim, Body&& body) {
  int64_t starts[8];
  for (int d = 0; d < like.ndim; ++d) starts[d] = d == dim && like.shape[d] ? 1 : like.shape[d];
  for_each(like.ndim, starts, [&](const Index& start) {
    body([&](int64_t k) {
      Index i = start;
      i[dim] = k;
      return i;
    });
  });
}

// What is subtracted before exp: the greatest element, if there is a finite one.
template <class At>
double shift_of(const Array& x, int64_t n, const At& at) {
  double top = -std::numeric_limits<double>::infinity();
  for (int64_t k = 0; k < n; ++k) top = std::fmax(top, x.get(at(k)));
  return top;
}

void softmax_lines(const Call& c, bool logarithm) {
  const Array &x = c.in[0], &out = c.out[0];
  const int dim = int(c.i(0));
  const int64_t n = x.size(dim);
  for_lines(x, dim, [&](auto at) {
    const double shift = shift_of(x, n, at);
    double total = 0;
    for (int64_t k = 0; k < n; ++k) total += std::exp(x.get(at(k)) - shift);
    for (int64_t k = 0; k < n; ++k) {
      const double above = x.get(at(k)) - shift;
      out.set(at(k), logarithm ? above - std::log(total) : std::exp(above) / total);
    }
  });
}
const Define softmax("softmax", [](const Call& c) { softmax_lines(c, false); },
                     TINYFIN_DTYPES_FLOAT);
const Define log_softmax("log_softmax", [](const Call& c) { softmax_lines(c, true); },
                         TINYFIN_DTYPES_FLOAT);

// grad out; dim: out (grad - sum(grad out))
const Define softmax_backward("softmax_backward", [](const Call& c) {
  const Array &grad = c.in[0], &result = c.in[1], &out = c.out[0];
  const int64_t n = out.size(int(c.i(0)));
  for_lines(out, int(c.i(0)), [&](auto at) {
    double total = 0;
    for (int64_t k = 0; k < n; ++k) total += grad.get(at(k)) * result.get(at(k));
    for (int64_t k = 0; k < n; ++k)
      out.set(at(k), result.get(at(k)) * (grad.get(at(k)) - total));
  });
}, TINYFIN_DTYPES_FLOAT);

// grad out; dim: grad - exp(out) sum(grad)
const Define log_softmax_backward("log_softmax_backward", [](const Call& c) {
  const Array &grad = c.in[0], &result = c.in[1], &out = c.out[0];
  const int64_t n = out.size(int(c.i(0)));
  for_lines(out, int(c.i(0)), [&](auto at) {
    double total = 0;
    for (int64_t k = 0; k < n; ++k) total += grad.get(at(k));
    for (int64_t k = 0; k < n; ++k)
      out.set(at(k), grad.get(at(k)) - std::exp(result.get(at(k))) * total);
  });
}, TINYFIN_DTYPES_FLOAT);

// x; dim, reverse: from the first element on, or from the last
const Define cumsum("cumsum", [](const Call& c) {
  const Array &x = c.in[0], &out = c.out[0];
  const int64_t n = x.size(int(c.i(0)));
  for_lines(x, int(c.i(0)), [&](auto at) {
    double total = 0;
    uint64_t whole = 0;
    for (int64_t step = 0; step < n; ++step) {
      const Index i = at(c.i(1) ? n - 1 - step : step);
      if (x.holds_floats())
        out.set(i, total += x.get(i));
      else
        out.set_int(i, int64_t(whole += uint64_t(x.get_int(i))));
    }
  });
}, TINYFIN_DTYPES_FLOAT | TINYFIN_DTYPES_INT);

}  // namespace
}  // namespace ref
