// Pooling over images (N, C, H, W). Attributes: kernel, stride, padding (h, w each), then what an
// op adds.
// SPDX-License-Identifier: MIT
#include <cmath>
#include <vector>

#include "call.h"

namespace ref {
namespace {

// body(position in the image) for every element of the window of output position o that lies in
// the image `shape`.
template <class Body>
void for_window(const Call& c, const Index& o, const Array& image, Body&& body) {
  const int64_t window[] = {c.i(0), c.i(1)};
  for_each(2, window, [&](const Index& k) {
    const int64_t y = o[2] * c.i(2) - c.i(4) + k[0], x = o[3] * c.i(3) - c.i(5) + k[1];
    if (y >= 0 && y < image.size(2) && x >= 0 && x < image.size(3))
      body(Index{{o[0], o[1], y, x}});
  });
}

// → the maxima, and h * W + w of where each lies: the last NaN of a window, else the first of
// equals.
const Define max_pool2d("max_pool2d", [](const Call& c) {
  const Array& x = c.in[0];
  for_each(c.out[0], [&](const Index& o) {
    bool any = false;
    double best = 0;
    int64_t where = 0;
    for_window(c, o, x, [&](const Index& i) {
      const double value = x.get(i);
      if (any && !std::isnan(value) && !(value > best)) return;
      any = true;
      best = value;
      where = i[2] * x.size(3) + i[3];
    });
    c.out[0].set(o, best);
    c.out[1].set_int(o, where);
  });
}, TINYFIN_DTYPES_FLOAT);

Index pointed_to(const Index& o, int64_t where, int64_t width) {
  return {{o[0], o[1], where / width, where % width}};
}

// grad indices result?; …: every grad whose result is above 0 added where its index points
const Define max_pool2d_scatter("max_pool2d_scatter", [](const Call& c) {
  const Array &grad = c.in[0], &indices = c.in[1], &result = c.in[2], &out = c.out[0];
  std::vector<double> sum(size_t(out.numel()), 0.0);
  const auto at = [&](const Index& i) -> double& {
    return sum[size_t(((i[0] * out.size(1) + i[1]) * out.size(2) + i[2]) * out.size(3) + i[3])];
  };
  for_each(grad, [&](const Index& o) {
    if (result.present() && !(result.get(o) > 0)) return;
    at(pointed_to(o, indices.get_int(o), out.size(3))) += grad.get(o);
  });
  for_each(out, [&](const Index& i) { out.set(i, at(i)); });
}, TINYFIN_DTYPES_FLOAT);

// x indices: x where each points
const Define max_pool2d_gather("max_pool2d_gather", [](const Call& c) {
  const Array &x = c.in[0], &indices = c.in[1];
  for_each(c.out[0], [&](const Index& o) {
    c.out[0].set(o, x.get(pointed_to(o, indices.get_int(o), x.size(3))));
  });
}, TINYFIN_DTYPES_FLOAT);

// What a window's sum is divided by: padding counts where attribute 6 says so.
double divisor(const Call& c, const Index& o, const Array& image) {
  if (c.i(6)) return double(c.i(0) * c.i(1));
  double inside = 0;
  for_window(c, o, image, [&](const Index&) { ++inside; });
  return inside;
}

const Define avg_pool2d("avg_pool2d", [](const Call& c) {
  const Array& x = c.in[0];
  for_each(c.out[0], [&](const Index& o) {
    double sum = 0;
    for_window(c, o, x, [&](const Index& i) { sum += x.get(i); });
    c.out[0].set(o, sum / divisor(c, o, x));
  });
}, TINYFIN_DTYPES_FLOAT);

const Define avg_pool2d_grad("avg_pool2d_grad", [](const Call& c) {
  const Array &grad = c.in[0], &out = c.out[0];
  std::vector<double> sum(size_t(out.numel()), 0.0);
  const auto at = [&](const Index& i) -> double& {
    return sum[size_t(((i[0] * out.size(1) + i[1]) * out.size(2) + i[2]) * out.size(3) + i[3])];
  };
  for_each(grad, [&](const Index& o) {
    const double share = grad.get(o) / divisor(c, o, out);
    for_window(c, o, out, [&](const Index& i) { at(i) += share; });
  });
  for_each(out, [&](const Index& i) { out.set(i, at(i)); });
}, TINYFIN_DTYPES_FLOAT);

}  // namespace
}  // namespace ref
