// Recurrent layers over a sequence and their gradients.
// SPDX-License-Identifier: MIT
#include <cmath>

#include "call.h"

namespace ref {
namespace {

enum Cell { kRnnTanh, kRnnRelu, kLstm, kGru };

using Values = std::vector<double>;

Values values_of(const Array& x) {
  Values all;
  if (x.present()) for_each(x, [&](const Index& i) { all.push_back(x.get(i)); });
  return all;
}

void store(const Array& out, const Values& values) {
  size_t next = 0;
  for_each(out, [&](const Index& i) { out.set(i, values[next++]); });
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// The sizes of a call and the order of its steps.
struct Plan {
  Plan(const Call& c, const Array& x, const Array& h0)
      : cell(c.i(0)), steps(size_t(x.size(0))), batch(size_t(x.size(1))), width(size_t(x.size(2))),
        n(size_t(h0.size(1))), reverse(c.i(1) != 0),
        gates(cell == kLstm ? 4 : cell == kGru ? 3 : 1),
        kept(cell == kLstm ? 5 : cell == kGru ? 4 : 0),
        grads(cell == kLstm || cell == kGru ? 4 : 1) {}
  size_t at(size_t k) const { return reverse ? steps - 1 - k : k; }

  int64_t cell;
  size_t steps, batch, width, n;
  bool reverse;
  size_t gates, kept, grads;
};

// row of w · x + bias
double product(const Values& w, size_t row, const double* x, size_t n, const Values& bias) {
  double sum = bias.empty() ? 0 : bias[row];
  for (size_t j = 0; j < n; ++j) sum += w[row * n + j] * x[j];
  return sum;
}

// x h0 c0? w_ih w_hh b_ih? b_hh?; cell, reverse → h of each step, last c, what is kept
const Define recurrent("recurrent", [](const Call& c) {
  const Plan p(c, c.in[0], c.in[1]);
  const Values x = values_of(c.in[0]), w_ih = values_of(c.in[3]), w_hh = values_of(c.in[4]);
  const Values b_ih = values_of(c.in[5]), b_hh = values_of(c.in[6]);
  Values h = values_of(c.in[1]), cells = values_of(c.in[2]);
  Values y(p.steps * p.batch * p.n), kept(p.steps * p.batch * p.kept * p.n);
  for (size_t k = 0; k < p.steps; ++k) {
    Values now(h.size());
    for (size_t b = 0; b < p.batch; ++b)
      for (size_t u = 0; u < p.n; ++u) {
        const size_t step = p.at(k) * p.batch + b;
        const auto from_x = [&](size_t g) {
          return product(w_ih, g * p.n + u, &x[step * p.width], p.width, b_ih);
        };
        const auto from_h = [&](size_t g) {
          return product(w_hh, g * p.n + u, &h[b * p.n], p.n, b_hh);
        };
        const auto keep = [&](size_t g, double v) { kept[(step * p.kept + g) * p.n + u] = v; };
        double& out = now[b * p.n + u];
        if (p.cell == kLstm) {
          const double in = sigmoid(from_x(0) + from_h(0)), f = sigmoid(from_x(1) + from_h(1));
          const double g = std::tanh(from_x(2) + from_h(2)), o = sigmoid(from_x(3) + from_h(3));
          double& cell = cells[b * p.n + u];
          cell = f * cell + in * g;
          out = o * std::tanh(cell);
          keep(0, in), keep(1, f), keep(2, g), keep(3, o), keep(4, cell);
        } else if (p.cell == kGru) {
          const double r = sigmoid(from_x(0) + from_h(0)), z = sigmoid(from_x(1) + from_h(1));
          const double h_n = from_h(2), candidate = std::tanh(from_x(2) + r * h_n);
          out = candidate + z * (h[b * p.n + u] - candidate);
          keep(0, r), keep(1, z), keep(2, candidate), keep(3, h_n);
        } else {
          const double sum = from_x(0) + from_h(0);
          out = p.cell == kRnnTanh ? std::tanh(sum) : sum < 0 ? 0 : sum;
        }
        y[step * p.n + u] = out;
      }
    h = now;
  }
  store(c.out[0], y);
  store(c.out[1], cells);
  store(c.out[2], kept);
}, TINYFIN_DTYPES_FLOAT);

// grad grad_c? x h0 c0? w_ih w_hh y kept; cell, reverse → gradients of x, h0, c0, w_ih, w_hh,
// of the biases per gate; memory for the gates of each step, not needed here
const Define recurrent_grad("recurrent_grad", [](const Call& c) {
  const Plan p(c, c.in[2], c.in[3]);
  const Values grad = values_of(c.in[0]), x = values_of(c.in[2]), h0 = values_of(c.in[3]);
  const Values c0 = values_of(c.in[4]), w_ih = values_of(c.in[5]), w_hh = values_of(c.in[6]);
  const Values y = values_of(c.in[7]), kept = values_of(c.in[8]);
  Values dx(x.size()), dc = values_of(c.in[1]), dw_ih(w_ih.size()), dw_hh(w_hh.size());
  Values dh(h0.size()), dbias(p.grads * p.n);
  dc.resize(h0.size());
  for (size_t k = p.steps; k-- > 0;) {
    Values earlier(dh.size());
    for (size_t b = 0; b < p.batch; ++b) {
      const size_t step = p.at(k) * p.batch + b;
      const size_t last = k > 0 ? p.at(k - 1) * p.batch + b : 0;
      const double* before = k > 0 ? &y[last * p.n] : &h0[b * p.n];
      for (size_t u = 0; u < p.n; ++u) {
        const auto gate = [&](size_t g) { return kept[(step * p.kept + g) * p.n + u]; };
        const double d = dh[b * p.n + u] + grad[step * p.n + u];
        double out[4] = {};
        if (p.cell == kLstm) {
          const double in = gate(0), f = gate(1), g = gate(2), o = gate(3);
          const double t = std::tanh(gate(4));
          const double c_before =
              k > 0 ? kept[(last * p.kept + 4) * p.n + u] : c0[b * p.n + u];
          double& carry = dc[b * p.n + u];
          const double d_cell = carry + d * o * (1 - t * t);
          out[0] = d_cell * g * in * (1 - in);
          out[1] = d_cell * c_before * f * (1 - f);
          out[2] = d_cell * in * (1 - g * g);
          out[3] = d * t * o * (1 - o);
          carry = d_cell * f;
        } else if (p.cell == kGru) {
          const double r = gate(0), z = gate(1), candidate = gate(2), h_n = gate(3);
          out[2] = d * (1 - z) * (1 - candidate * candidate);
          out[3] = out[2] * r;
          out[0] = out[2] * h_n * r * (1 - r);
          out[1] = d * (before[u] - candidate) * z * (1 - z);
          earlier[b * p.n + u] += d * z;
        } else {
          const double h = y[step * p.n + u];
          out[0] = p.cell == kRnnTanh ? d * (1 - h * h) : h > 0 ? d : 0;
        }
        for (size_t g = 0; g < p.grads; ++g) {
          dbias[g * p.n + u] += out[g];
        }
        for (size_t g = 0; g < p.gates; ++g) {
          // GRU: the last gate sees h through its own share.
          const double to_x = out[g], to_h = p.cell == kGru && g == 2 ? out[3] : out[g];
          const size_t row = g * p.n + u;
          for (size_t j = 0; j < p.width; ++j) {
            dw_ih[row * p.width + j] += to_x * x[step * p.width + j];
            dx[step * p.width + j] += to_x * w_ih[row * p.width + j];
          }
          for (size_t j = 0; j < p.n; ++j) {
            dw_hh[row * p.n + j] += to_h * before[j];
            earlier[b * p.n + j] += to_h * w_hh[row * p.n + j];
          }
        }
      }
    }
    dh = earlier;
  }
  const Values* const results[] = {&dx, &dh, &dc, &dw_ih, &dw_hh, &dbias};
  for (size_t i = 0; i < 6; ++i) store(c.out[i], *results[i]);
}, TINYFIN_DTYPES_FLOAT);

}  // namespace
}  // namespace ref
