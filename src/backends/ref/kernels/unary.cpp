// Functions of one element, and the gradients of activations.
// SPDX-License-Identifier: MIT
#include <cmath>

#include "elementwise.h"

namespace ref {
namespace {

using I = int64_t;

#define REF_FUNCTION(name, op, formula)                                      \
  const Define name(op, [](const Call& c) {                                  \
    floats1(c, [](double x) { return formula; });                            \
  }, TINYFIN_DTYPES_FLOAT)

double sigmoid_of(double x) { return 1 / (1 + std::exp(-x)); }
double normal_below(double x) { return std::erfc(-x * M_SQRT1_2) / 2; }
// x p, 0 where p vanishes: it does so faster than any x of an activation grows.
double damped(double x, double p) { return p == 0 ? std::copysign(0.0, x) : x * p; }
double normal_density(double x) { return std::exp(-x * x / 2) / std::sqrt(2 * M_PI); }

REF_FUNCTION(exp, "exp", std::exp(x));
REF_FUNCTION(expm1, "expm1", std::expm1(x));
REF_FUNCTION(log, "log", std::log(x));
REF_FUNCTION(log1p, "log1p", std::log1p(x));
REF_FUNCTION(sqrt, "sqrt", std::sqrt(x));
REF_FUNCTION(rsqrt, "rsqrt", 1 / std::sqrt(x));
REF_FUNCTION(reciprocal, "reciprocal", 1 / x);
REF_FUNCTION(sin, "sin", std::sin(x));
REF_FUNCTION(cos, "cos", std::cos(x));
REF_FUNCTION(tanh, "tanh", std::tanh(x));
REF_FUNCTION(erf, "erf", std::erf(x));
REF_FUNCTION(sigmoid, "sigmoid", sigmoid_of(x));
REF_FUNCTION(silu, "silu", damped(x, sigmoid_of(x)));
#undef REF_FUNCTION

const Define neg("neg", [](const Call& c) {
  either1(c, [](double x) { return -x; }, [](I x) { return wrapping(-uint64_t(x)); });
});
const Define abs("abs", [](const Call& c) {
  either1(c, [](double x) { return std::fabs(x); },
          [](I x) { return x < 0 ? wrapping(-uint64_t(x)) : x; });
});
const Define square("square", [](const Call& c) {
  either1(c, [](double x) { return x * x; },
          [](I x) { return wrapping(uint64_t(x) * uint64_t(x)); });
});
const Define sign("sign", [](const Call& c) {
  either1(c, [](double x) { return x > 0 ? 1 : x < 0 ? -1 : x; },
          [](I x) { return I(x > 0) - I(x < 0); });
});
const Define floor("floor", [](const Call& c) {
  either1(c, [](double x) { return std::floor(x); }, [](I x) { return x; });
});
const Define ceil("ceil", [](const Call& c) {
  either1(c, [](double x) { return std::ceil(x); }, [](I x) { return x; });
});
// Halves to the even neighbour.
const Define round("round", [](const Call& c) {
  either1(c, [](double x) { return std::nearbyint(x); }, [](I x) { return x; });
});

const Define relu("relu", [](const Call& c) {
  either1(c, [](double x) { return x > 0 || std::isnan(x) ? x : 0; },
          [](I x) { return x > 0 ? x : 0; });
});
const Define relu_mask("relu_mask", [](const Call& c) {
  either2(c, [](double grad, double out) { return out > 0 ? grad : 0; },
          [](I grad, I out) { return out > 0 ? grad : 0; });
});

const Define leaky_relu("leaky_relu", [](const Call& c) {
  floats1(c, [slope = c.f(0)](double x) { return x > 0 ? x : slope * x; });
}, TINYFIN_DTYPES_FLOAT);
const Define leaky_relu_backward("leaky_relu_backward", [](const Call& c) {
  floats2(c, [slope = c.f(0)](double grad, double x) { return x > 0 ? grad : slope * grad; });
}, TINYFIN_DTYPES_FLOAT);

const Define elu("elu", [](const Call& c) {
  floats1(c, [alpha = c.f(0)](double x) { return x > 0 ? x : alpha * std::expm1(x); });
}, TINYFIN_DTYPES_FLOAT);
const Define elu_backward("elu_backward", [](const Call& c) {
  floats2(c, [alpha = c.f(0)](double grad, double x) {
    return x > 0 ? grad : grad * alpha * std::exp(x);
  });
}, TINYFIN_DTYPES_FLOAT);

// log(1 + exp(beta x)) / beta, without the exponential's overflow.
const Define softplus("softplus", [](const Call& c) {
  floats1(c, [beta = c.f(0)](double x) {
    const double t = beta * x;
    return (std::log1p(std::exp(-std::fabs(t))) + (t > 0 ? t : 0)) / beta;
  });
}, TINYFIN_DTYPES_FLOAT);

const Define sigmoid_backward("sigmoid_backward", [](const Call& c) {
  floats2(c, [](double grad, double out) { return grad * out * (1 - out); });
}, TINYFIN_DTYPES_FLOAT);
const Define tanh_backward("tanh_backward", [](const Call& c) {
  floats2(c, [](double grad, double out) { return grad * (1 - out * out); });
}, TINYFIN_DTYPES_FLOAT);
const Define silu_backward("silu_backward", [](const Call& c) {
  floats2(c, [](double grad, double x) {
    const double s = sigmoid_of(x);
    return grad * (s + damped(x, s * (1 - s)));
  });
}, TINYFIN_DTYPES_FLOAT);

// Hendrycks and Gimpel, "Gaussian error linear units" (2016): x Phi(x), and its approximation
// x (1 + tanh u) / 2 with u = k (x + 0.044715 x^3).
constexpr double kCubic = 0.044715;
const double kGelu = std::sqrt(2 / M_PI);

const Define gelu("gelu", [](const Call& c) {
  floats1(c, [tanh_form = c.i(0) != 0](double x) {
    if (!tanh_form) return damped(x, normal_below(x));
    return damped(x, (1 + std::tanh(kGelu * (x + kCubic * x * x * x))) / 2);
  });
}, TINYFIN_DTYPES_FLOAT);
const Define gelu_backward("gelu_backward", [](const Call& c) {
  floats2(c, [tanh_form = c.i(0) != 0](double grad, double x) {
    if (!tanh_form) return grad * (normal_below(x) + damped(x, normal_density(x)));
    const double t = std::tanh(kGelu * (x + kCubic * x * x * x));
    const double inner = kGelu * (1 + 3 * kCubic * x * x);
    return grad * ((1 + t) / 2 + damped(x * inner, (1 - t * t) / 2));
  });
}, TINYFIN_DTYPES_FLOAT);

}  // namespace
}  // namespace ref
