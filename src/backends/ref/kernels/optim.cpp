// Optimiser steps: out[0] is the parameter, the other outputs the state, both updated in place;
// in[1] the gradient, which counts `scale`-fold.
// SPDX-License-Identifier: MIT
#include <cmath>

#include "call.h"

namespace ref {
namespace {

// body(parameter, gradient, first state, second state) on every element.
template <class Body>
void update(const Call& c, Body&& body) {
  const size_t states = c.out.size() - 1;
  for_each(c.out[0], [&](const Index& i) {
    double p = c.out[0].get(i), s[2] = {};
    for (size_t k = 0; k < states; ++k) s[k] = c.out[1 + k].get(i);
    body(p, c.f(2) * c.in[1].get(i), s[0], s[1]);
    c.out[0].set(i, p);
    for (size_t k = 0; k < states; ++k) c.out[1 + k].set(i, s[k]);
  });
}

// lr, weight_decay, scale
const Define sgd_step("sgd_step", [](const Call& c) {
  update(c, [&](double& p, double g, double&, double&) { p -= c.f(0) * (g + c.f(1) * p); });
}, TINYFIN_DTYPES_FLOAT);

// … momentum, nesterov, first; state: the momentum buffer
const Define sgd_momentum_step("sgd_momentum_step", [](const Call& c) {
  update(c, [&](double& p, double g, double& buffer, double&) {
    g += c.f(1) * p;
    buffer = c.i(5) ? g : c.f(3) * buffer + g;
    p -= c.f(0) * (c.i(4) ? g + c.f(3) * buffer : buffer);
  });
}, TINYFIN_DTYPES_FLOAT);

// lr, weight_decay, scale, beta1, beta2, eps, decoupled, lr / (1 - beta1^step),
// sqrt(1 - beta2^step); state: first and second moment. Kingma and Ba (2015); decoupled decay:
// Loshchilov and Hutter (2019).
const Define adam_step("adam_step", [](const Call& c) {
  update(c, [&](double& p, double g, double& mean, double& square) {
    if (c.i(6))
      p -= c.f(0) * c.f(1) * p;
    else
      g += c.f(1) * p;
    mean = c.f(3) * mean + (1 - c.f(3)) * g;
    square = c.f(4) * square + (1 - c.f(4)) * g * g;
    p -= c.f(7) * mean / (std::sqrt(square) / c.f(8) + c.f(5));
  });
}, TINYFIN_DTYPES_FLOAT);

// lr, weight_decay, scale, alpha, eps; state: the mean of squares
const Define rmsprop_step("rmsprop_step", [](const Call& c) {
  update(c, [&](double& p, double g, double& square, double&) {
    g += c.f(1) * p;
    square = c.f(3) * square + (1 - c.f(3)) * g * g;
    p -= c.f(0) * g / (std::sqrt(square) + c.f(4));
  });
}, TINYFIN_DTYPES_FLOAT);

// … momentum; state: the mean of squares, the momentum buffer
const Define rmsprop_momentum_step("rmsprop_momentum_step", [](const Call& c) {
  update(c, [&](double& p, double g, double& square, double& buffer) {
    g += c.f(1) * p;
    square = c.f(3) * square + (1 - c.f(3)) * g * g;
    buffer = c.f(5) * buffer + g / (std::sqrt(square) + c.f(4));
    p -= c.f(0) * buffer;
  });
}, TINYFIN_DTYPES_FLOAT);

}  // namespace
}  // namespace ref
