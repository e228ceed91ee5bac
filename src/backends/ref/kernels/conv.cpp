// Convolution over images and its two gradients. Attributes: stride (h, w), padding (top, left,
// bottom, right), dilation (h, w), groups, and what each adds.
// SPDX-License-Identifier: MIT
#include <cmath>

#include "call.h"

namespace ref {
namespace {

// Every product of the convolution: x[n, ci, iy, ix] * weight[co, ci in group, ky, kx] goes into
// out[n, co, oy, ox]. body(position in out, position in x, position in weight).
template <class Body>
void for_products(const Call& c, const int64_t* out_shape, const int64_t* x_shape,
                  const int64_t* weight_shape, Body&& body) {
  const int64_t groups = c.i(8), out_per_group = out_shape[1] / (groups ? groups : 1);
  for_each(4, out_shape, [&](const Index& o) {
    const int64_t first_in = out_per_group ? o[1] / out_per_group * weight_shape[1] : 0;
    const int64_t window[] = {weight_shape[1], weight_shape[2], weight_shape[3]};
    for_each(3, window, [&](const Index& k) {
      const int64_t y = o[2] * c.i(0) - c.i(2) + k[1] * c.i(6);
      const int64_t x = o[3] * c.i(1) - c.i(3) + k[2] * c.i(7);
      if (y < 0 || y >= x_shape[2] || x < 0 || x >= x_shape[3]) return;  // padding: zeros
      body(o, Index{{o[0], first_in + k[0], y, x}}, Index{{o[1], k[0], k[1], k[2]}});
    });
  });
}

// Sums of products by position of the result, rounded once at the end.
class Sums {
 public:
  explicit Sums(const Array& out) : out_(out), sum_(size_t(out.numel()), 0.0) {}
  double& operator[](const Index& i) {
    int64_t at = 0;
    for (int d = 0; d < out_.ndim; ++d) at = at * out_.shape[d] + i[d];
    return sum_[size_t(at)];
  }
  void store() {
    for_each(out_, [&](const Index& i) { out_.set(i, (*this)[i]); });
  }

 private:
  const Array& out_;
  std::vector<double> sum_;
};

const Define conv2d("conv2d", [](const Call& c) {
  const Array &x = c.in[0], &weight = c.in[1], &bias = c.in[2], &out = c.out[0];
  Sums sums(out);
  if (bias.present()) for_each(out, [&](const Index& i) { sums[i] = bias.get({{i[1]}}); });
  for_products(c, out.shape, x.shape, weight.shape,
               [&](const Index& o, const Index& i, const Index& w) {
                 sums[o] += x.get(i) * weight.get(w);
               });
  if (c.i(9) == TINYFIN_ACTIVATION_RELU)
    for_each(out, [&](const Index& i) { sums[i] = sums[i] > 0 ? sums[i] : 0; });
  sums.store();
}, TINYFIN_DTYPES_FLOAT);

const Define conv2d_grad_input("conv2d_grad_input", [](const Call& c) {
  const Array &grad = c.in[0], &weight = c.in[1], &out = c.out[0];
  Sums sums(out);
  for_products(c, grad.shape, out.shape, weight.shape,
               [&](const Index& o, const Index& i, const Index& w) {
                 sums[i] += grad.get(o) * weight.get(w);
               });
  sums.store();
}, TINYFIN_DTYPES_FLOAT);

const Define conv2d_grad_weight("conv2d_grad_weight", [](const Call& c) {
  const Array &x = c.in[0], &grad = c.in[1], &out = c.out[0];
  Sums sums(out);
  for_products(c, grad.shape, x.shape, out.shape,
               [&](const Index& o, const Index& i, const Index& w) {
                 sums[w] += x.get(i) * grad.get(o);
               });
  sums.store();
}, TINYFIN_DTYPES_FLOAT);

}  // namespace
}  // namespace ref
