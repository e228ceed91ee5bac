// The float32 functions of the cpu backend against libm in double: a dense sample of all floats,
// NaN, infinities and denormals included, none further off than 2 ulp.
// SPDX-License-Identifier: MIT
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "ops/ops.h"

namespace {

using tf::Tensor;

// Every 1009th bit pattern, and the special ones.
const std::vector<float>& sample() {
  static const std::vector<float> values = [] {
    std::vector<float> v{0.0f, -0.0f, 1.0f, -1.0f, 0.5f, -0.5f, 2.0f, -2.0f};
    for (float edge : {INFINITY, NAN, 1e-45f, 1.17549435e-38f, 3.4028235e38f, 88.72284f, 103.97f,
                       0.625f, 0.70710677f, 1.5707964f, 33554432.0f, 8388609.0f}) {
      v.push_back(edge);
      v.push_back(-edge);
    }
    for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += 1009)
      v.push_back(std::bit_cast<float>(uint32_t(bits)));
    return v;
  }();
  return values;
}

Tensor tensor_of(const std::vector<float>& values) {
  Tensor t = tf::empty(tf::Dims{int64_t(values.size())}, tf::DType::f32, tf::cpu_device());
  tf::copy_from_host(t, values.data(), int64_t(values.size() * sizeof(float)));
  return t;
}

std::vector<float> values_of(const Tensor& t) {
  std::vector<float> values(static_cast<size_t>(t.numel()));
  tf::copy_to_host(t, values.data(), int64_t(values.size() * sizeof(float)));
  return values;
}

// Distance in units of the last place of the true value rounded to float; 0 where both are the same
// infinity or NaN, infinite where only one is.
double ulps(float got, double want) {
  const float rounded = float(want);
  if (std::isnan(got) || std::isnan(rounded))
    return std::isnan(got) && std::isnan(rounded) ? 0 : INFINITY;
  if (got == rounded) return 0;
  if (std::isinf(got) || std::isinf(rounded)) {
    // Rounding decides whether the greatest float or infinity comes out.
    const double greatest = std::numeric_limits<float>::max();
    return std::fabs(want) > greatest * (1 - 1e-7) && std::fabs(want) < greatest * (1 + 1e-6)
               ? 1 : INFINITY;
  }
  const float size = std::fabs(rounded);
  const double ulp = double(std::nextafter(size, INFINITY)) - double(size);
  return std::fabs(double(got) - want) / ulp;
}

template <class Op, class Reference>
void check(const Op& op, const Reference& reference) {
  const std::vector<float>& x = sample();
  const std::vector<float> got = values_of(op(tensor_of(x)));
  double worst = 0;
  float at = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double distance = ulps(got[i], reference(double(x[i])));
    if (distance > worst) worst = distance, at = x[i];
  }
  EXPECT_LE(worst, 2.0) << "at " << at << ": true value " << reference(double(at));
}

TEST(VectorMath, Exp) {
  check([](const Tensor& x) { return tf::exp(x); }, [](double x) { return std::exp(x); });
}
TEST(VectorMath, Expm1) {
  check([](const Tensor& x) { return tf::expm1(x); }, [](double x) { return std::expm1(x); });
}
TEST(VectorMath, Log) {
  check([](const Tensor& x) { return tf::log(x); }, [](double x) { return std::log(x); });
}
TEST(VectorMath, Log1p) {
  check([](const Tensor& x) { return tf::log1p(x); }, [](double x) { return std::log1p(x); });
}
TEST(VectorMath, Tanh) {
  check([](const Tensor& x) { return tf::tanh(x); }, [](double x) { return std::tanh(x); });
}
TEST(VectorMath, Sigmoid) {
  check([](const Tensor& x) { return tf::sigmoid(x); },
        [](double x) { return 1 / (1 + std::exp(-x)); });
}
TEST(VectorMath, Erf) {
  check([](const Tensor& x) { return tf::erf(x); }, [](double x) { return std::erf(x); });
}
TEST(VectorMath, Sin) {
  check([](const Tensor& x) { return tf::sin(x); }, [](double x) { return std::sin(x); });
}
TEST(VectorMath, Cos) {
  check([](const Tensor& x) { return tf::cos(x); }, [](double x) { return std::cos(x); });
}
TEST(VectorMath, Sqrt) {
  check([](const Tensor& x) { return tf::sqrt(x); }, [](double x) { return std::sqrt(x); });
}
TEST(VectorMath, Rounding) {
  check([](const Tensor& x) { return tf::round(x); }, [](double x) { return std::nearbyint(x); });
  check([](const Tensor& x) { return tf::floor(x); }, [](double x) { return std::floor(x); });
  check([](const Tensor& x) { return tf::ceil(x); }, [](double x) { return std::ceil(x); });
}

// Pairs: every base with exponents of all kinds, and special values with each other.
TEST(VectorMath, Pow) {
  std::vector<float> x, y;
  const float exponents[] = {0.0f, 1.0f,  -1.0f, 0.5f,      2.0f,      3.0f,     -3.0f,  0.333f,
                             17.0f, -0.1f, 1e-3f, INFINITY, -INFINITY, 16777215.0f, 1e30f, NAN};
  for (size_t i = 0; i < sample().size(); i += i < 64 ? 1 : 7) {
    x.push_back(sample()[i]);
    y.push_back(exponents[i % 16]);
  }
  for (size_t i = 0; i < 32; ++i)
    for (float e : exponents) {
      x.push_back(sample()[i]);
      y.push_back(e);
    }
  for (int i = 0; i < 100000; ++i) {  // results of moderate size
    x.push_back(0.1f + float(i % 317) * 0.03f);
    y.push_back(float(i % 1013) * 0.07f - 35.0f);
  }
  const std::vector<float> got = values_of(tf::pow(tensor_of(x), tensor_of(y)));
  double worst = 0;
  size_t at = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double distance = ulps(got[i], std::pow(double(x[i]), double(y[i])));
    if (distance > worst) worst = distance, at = i;
  }
  EXPECT_LE(worst, 2.0) << x[at] << " to the " << y[at] << " gave " << got[at];
}

}  // namespace
