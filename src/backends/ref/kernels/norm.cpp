// Layer, RMS, batch and group normalisation and their gradients.
// SPDX-License-Identifier: MIT
#include <cmath>

#include "call.h"

namespace ref {
namespace {

double scale_of(const Array& weight, const Index& i) {
  return weight.present() ? weight.get(i) : 1;
}

// A set of elements that is normalised together, with the positions of its weights.
struct Group {
  std::vector<Index> at, affine;
};

struct Moments {
  double mean = 0, variance = 0;
};
Moments moments(const Array& x, const Group& group) {
  Moments m;
  const double n = double(group.at.size());
  for (const Index& i : group.at) m.mean += x.get(i) / n;
  for (const Index& i : group.at) m.variance += (x.get(i) - m.mean) * (x.get(i) - m.mean) / n;
  return m;
}

void normalise(const Array& x, const Array& weight, const Array& bias, const Array& out,
               const Group& group, double mean, double rstd) {
  for (size_t k = 0; k < group.at.size(); ++k) {
    const double unit = (x.get(group.at[k]) - mean) * rstd;
    out.set(group.at[k], unit * scale_of(weight, group.affine[k]) +
                             (bias.present() ? bias.get(group.affine[k]) : 0));
  }
}

size_t row_major(const Index& i, const Array& array) {
  int64_t at = 0;
  for (int d = 0; d < array.ndim; ++d) at = at * array.shape[d] + i[d];
  return size_t(at);
}

// With unit = (x - mean) rstd and g = grad weight:
// dx = [base +] rstd (g - mean(g) - unit mean(g unit)), dweight = sum(grad unit), dbias = sum(grad).
// grad_at(position): of the normalised values.
template <class GradAt>
void normalise_grad(const Call& c, const Group& group, double mean, double rstd,
                    std::vector<double>& dweight, std::vector<double>& dbias,
                    const GradAt& grad_at, const Array* base = nullptr) {
  const Array &x = c.in[1], &weight = c.in[2];
  const double n = double(group.at.size());
  double mean_g = 0, mean_gu = 0;
  for (size_t k = 0; k < group.at.size(); ++k) {
    const double unit = (x.get(group.at[k]) - mean) * rstd, here = grad_at(group.at[k]);
    const double g = here * scale_of(weight, group.affine[k]);
    mean_g += g / n;
    mean_gu += g * unit / n;
    if (!dweight.empty()) dweight[row_major(group.affine[k], c.out[1])] += here * unit;
    if (!dbias.empty()) dbias[row_major(group.affine[k], c.out[2])] += here;
  }
  if (c.out[0].numel() == 0) return;
  for (size_t k = 0; k < group.at.size(); ++k) {
    const double unit = (x.get(group.at[k]) - mean) * rstd;
    const double g = grad_at(group.at[k]) * scale_of(weight, group.affine[k]);
    const double there = base && base->present() ? base->get(group.at[k]) : 0;
    c.out[0].set(group.at[k], there + rstd * (g - mean_g - unit * mean_gu));
  }
}

auto plain(const Call& c) {
  return [&c](const Index& i) { return c.in[0].get(i); };
}

void store(const Array& out, const std::vector<double>& values) {
  if (!values.empty())
    for_each(out, [&](const Index& i) { out.set(i, values[row_major(i, out)]); });
}

// body(position of the group, group) for rows over the last `dims` dimensions.
template <class Body>
void for_rows(const Array& x, int dims, Body&& body) {
  const int lead = x.ndim - dims;
  for_each(lead, x.shape, [&](const Index& row) {
    Group group;
    for_each(dims, x.shape + lead, [&](const Index& i) {
      Index at = row;
      for (int d = 0; d < dims; ++d) at[lead + d] = i[d];
      group.at.push_back(at);
      group.affine.push_back(i);
    });
    body(row, group);
  });
}

// The same for channels: dimension 1.
template <class Body>
void for_channels(const Array& x, Body&& body) {
  for (int64_t channel = 0; channel < x.size(1); ++channel) {
    int64_t shape[8];
    for (int d = 0; d < x.ndim; ++d) shape[d] = d == 1 ? 1 : x.shape[d];
    Group group;
    for_each(x.ndim, shape, [&](Index at) {
      at[1] = channel;
      group.at.push_back(at);
      group.affine.push_back({{channel}});
    });
    body(Index{{channel}}, group);
  }
}

// x weight? bias?; dims, eps, … → result, mean, 1 / sqrt(variance + eps)
const Define layer_norm("layer_norm", [](const Call& c) {
  for_rows(c.in[0], int(c.i(0)), [&](const Index& row, const Group& group) {
    const Moments m = moments(c.in[0], group);
    const double rstd = 1 / std::sqrt(m.variance + c.f(1));
    normalise(c.in[0], c.in[1], c.in[2], c.out[0], group, m.mean, rstd);
    c.out[1].set(row, m.mean);
    c.out[2].set(row, rstd);
  });
}, TINYFIN_DTYPES_FLOAT);

// grad x weight? mean rstd base?; dims → gradients of x, weight, bias; no elements: not asked for
const Define layer_norm_grad("layer_norm_grad", [](const Call& c) {
  std::vector<double> dweight(size_t(c.out[1].numel()), 0.0), dbias(size_t(c.out[2].numel()), 0.0);
  for_rows(c.in[1], int(c.i(0)), [&](const Index& row, const Group& group) {
    normalise_grad(c, group, c.in[3].get(row), c.in[4].get(row), dweight, dbias, plain(c),
                   &c.in[5]);
  });
  store(c.out[1], dweight);
  store(c.out[2], dbias);
}, TINYFIN_DTYPES_FLOAT);

// x weight?; dims, eps, … → result, 1 / sqrt(mean of squares + eps)
const Define rms_norm("rms_norm", [](const Call& c) {
  for_rows(c.in[0], int(c.i(0)), [&](const Index& row, const Group& group) {
    double mean_square = 0;
    for (const Index& i : group.at)
      mean_square += c.in[0].get(i) * c.in[0].get(i) / double(group.at.size());
    const double rstd = 1 / std::sqrt(mean_square + c.f(1));
    normalise(c.in[0], c.in[1], Array(), c.out[0], group, 0, rstd);
    c.out[1].set(row, rstd);
  });
}, TINYFIN_DTYPES_FLOAT);

// grad x weight? rstd; dims → gradients of x and weight; no elements: not asked for.
// dx = rstd (g - unit mean(g unit)), where unit = x rstd and g = grad weight.
const Define rms_norm_grad("rms_norm_grad", [](const Call& c) {
  const Array &grad = c.in[0], &x = c.in[1], &weight = c.in[2];
  std::vector<double> dweight(size_t(c.out[1].numel()), 0.0);
  for_rows(x, int(c.i(0)), [&](const Index& row, const Group& group) {
    const double rstd = c.in[3].get(row);
    double mean_gu = 0;
    for (size_t k = 0; k < group.at.size(); ++k) {
      const double g = grad.get(group.at[k]), unit = x.get(group.at[k]) * rstd;
      mean_gu += g * scale_of(weight, group.affine[k]) * unit / double(group.at.size());
      if (!dweight.empty()) dweight[row_major(group.affine[k], c.out[1])] += g * unit;
    }
    for (size_t k = 0; k < group.at.size(); ++k) {
      const double g = grad.get(group.at[k]) * scale_of(weight, group.affine[k]);
      c.out[0].set(group.at[k], rstd * (g - x.get(group.at[k]) * rstd * mean_gu));
    }
  });
  store(c.out[1], dweight);
}, TINYFIN_DTYPES_FLOAT);

double relu(double x) { return x < 0 ? 0 : x; }

void batch_norm_of(const Call& c, bool with_relu) {
  for_channels(c.in[0], [&](const Index& channel, const Group& group) {
    const Moments m = moments(c.in[0], group);
    normalise(c.in[0], c.in[1], c.in[2], c.out[0], group, m.mean,
              1 / std::sqrt(m.variance + c.f(0)));
    if (with_relu)
      for (const Index& i : group.at) c.out[0].set(i, relu(c.out[0].get(i)));
    c.out[1].set(channel, m.mean);
    c.out[2].set(channel, m.variance);
  });
}

// x weight? bias?; eps, … → result, mean, variance
const Define batch_norm("batch_norm", [](const Call& c) { batch_norm_of(c, false); },
                        TINYFIN_DTYPES_FLOAT);
const Define batch_norm_relu("batch_norm_relu", [](const Call& c) { batch_norm_of(c, true); },
                             TINYFIN_DTYPES_FLOAT);

// grad x weight? bias? mean var; eps, relu → gradients of x, weight, bias
const Define batch_norm_grad("batch_norm_grad", [](const Call& c) {
  const Array &grad = c.in[0], &x = c.in[1], &weight = c.in[2], &bias = c.in[3];
  std::vector<double> dweight(size_t(c.out[1].numel()), 0.0), dbias(size_t(c.out[2].numel()), 0.0);
  for_channels(x, [&](const Index& channel, const Group& group) {
    const double mean = c.in[4].get(channel), rstd = 1 / std::sqrt(c.in[5].get(channel) + c.f(0));
    const auto passes = [&](const Index& i) {
      return !c.i(1) || (x.get(i) - mean) * rstd * scale_of(weight, channel) +
                                (bias.present() ? bias.get(channel) : 0) > 0;
    };
    normalise_grad(c, group, mean, rstd, dweight, dbias,
                   [&](const Index& i) { return passes(i) ? grad.get(i) : 0; });
  });
  store(c.out[1], dweight);
  store(c.out[2], dbias);
}, TINYFIN_DTYPES_FLOAT);

// x mean var weight? bias?; eps, relu
const Define batch_norm_eval("batch_norm_eval", [](const Call& c) {
  for_channels(c.in[0], [&](const Index& channel, const Group& group) {
    normalise(c.in[0], c.in[3], c.in[4], c.out[0], group, c.in[1].get(channel),
              1 / std::sqrt(c.in[2].get(channel) + c.f(0)));
    if (c.i(1))
      for (const Index& i : group.at) c.out[0].set(i, relu(c.out[0].get(i)));
  });
}, TINYFIN_DTYPES_FLOAT);

// body(position of the group, group) for groups of neighbouring channels of each image.
template <class Body>
void for_channel_groups(const Array& x, int64_t groups, Body&& body) {
  const int64_t size = groups ? x.size(1) / groups : 0;
  for (int64_t n = 0; n < x.size(0); ++n)
    for (int64_t g = 0; g < groups; ++g) {
      int64_t shape[8];
      for (int d = 0; d < x.ndim; ++d) shape[d] = d == 0 ? 1 : d == 1 ? size : x.shape[d];
      Group group;
      for_each(x.ndim, shape, [&](Index at) {
        at[0] = n;
        at[1] += g * size;
        group.at.push_back(at);
        group.affine.push_back({{at[1]}});
      });
      body(Index{{n, g}}, group);
    }
}

// x weight? bias?; groups, eps, … → result, mean, 1 / sqrt(variance + eps)
const Define group_norm("group_norm", [](const Call& c) {
  for_channel_groups(c.in[0], c.i(0), [&](const Index& at, const Group& group) {
    const Moments m = moments(c.in[0], group);
    const double rstd = 1 / std::sqrt(m.variance + c.f(1));
    normalise(c.in[0], c.in[1], c.in[2], c.out[0], group, m.mean, rstd);
    c.out[1].set(at, m.mean);
    c.out[2].set(at, rstd);
  });
}, TINYFIN_DTYPES_FLOAT);

// grad x weight? mean rstd; groups → gradients of x, weight, bias
const Define group_norm_grad("group_norm_grad", [](const Call& c) {
  std::vector<double> dweight(size_t(c.out[1].numel()), 0.0), dbias(size_t(c.out[2].numel()), 0.0);
  for_channel_groups(c.in[1], c.i(0), [&](const Index& at, const Group& group) {
    normalise_grad(c, group, c.in[3].get(at), c.in[4].get(at), dweight, dbias, plain(c));
  });
  store(c.out[1], dweight);
  store(c.out[2], dbias);
}, TINYFIN_DTYPES_FLOAT);

}  // namespace
}  // namespace ref
