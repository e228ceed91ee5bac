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
  explicit Sums(const Array& out) : Sums(out.shape) { out_ = &out; }
  explicit Sums(const int64_t (&shape)[4]) : Sums(&shape[0]) {}
  double& operator[](const Index& i) {
    int64_t at = 0;
    for (int d = 0; d < 4; ++d) at = at * shape_[d] + i[d];
    return sum_[size_t(at)];
  }
  void store() {
    for_each(*out_, [&](const Index& i) { out_->set(i, (*this)[i]); });
  }

 private:
  explicit Sums(const int64_t* shape)
      : shape_(shape), sum_(size_t(shape[0] * shape[1] * shape[2] * shape[3]), 0.0) {}

  const Array* out_ = nullptr;
  const int64_t* shape_;
  std::vector<double> sum_;
};

// bias + the products, through the activation.
void convolve(const Call& c, const int64_t* shape, Sums& sums) {
  const Array &x = c.in[0], &weight = c.in[1], &bias = c.in[2];
  if (bias.present()) for_each(4, shape, [&](const Index& i) { sums[i] = bias.get({{i[1]}}); });
  for_products(c, shape, x.shape, weight.shape,
               [&](const Index& o, const Index& i, const Index& w) {
                 sums[o] += x.get(i) * weight.get(w);
               });
  if (c.i(9) == TINYFIN_ACTIVATION_RELU)
    for_each(4, shape, [&](const Index& i) { sums[i] = sums[i] > 0 ? sums[i] : 0; });
}

const Define conv2d("conv2d", [](const Call& c) {
  Sums sums(c.out[0]);
  convolve(c, c.out[0].shape, sums);
  sums.store();
}, TINYFIN_DTYPES_FLOAT);

// … pool_h pool_w → the maxima of windows side by side of the above, and oh * OW + ow of the first
// of equals.
const Define conv2d_max_pool("conv2d_max_pool", [](const Call& c) {
  const Array &x = c.in[0], &weight = c.in[1], &out = c.out[0];
  int64_t shape[4] = {out.shape[0], out.shape[1]};
  for (int d = 0; d < 2; ++d) {
    const int64_t span = c.i(6 + d) * (weight.size(2 + d) - 1) + 1;
    shape[2 + d] = (x.size(2 + d) + c.i(2 + d) + c.i(4 + d) - span) / c.i(d) + 1;
  }
  Sums sums(shape);
  convolve(c, shape, sums);
  const int64_t window[] = {c.i(10), c.i(11)};
  for_each(out, [&](const Index& o) {
    Index best{{o[0], o[1], o[2] * window[0], o[3] * window[1]}};
    for_each(2, window, [&](const Index& k) {
      const Index i{{o[0], o[1], o[2] * window[0] + k[0], o[3] * window[1] + k[1]}};
      if (sums[i] > sums[best] || std::isnan(sums[i])) best = i;
    });
    out.set(o, sums[best]);
    c.out[1].set_int(o, best[2] * shape[3] + best[3]);
  });
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
