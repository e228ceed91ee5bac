// The functions of the cpu backend against libm in long double, none further off than 2 ulp: a dense
// sample of all floats and doubles, NaN, infinities and denormals included, and, apart from the
// default run (make test-vmath), every float there is.
// SPDX-License-Identifier: MIT
#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdio>
#include <limits>
#include <thread>
#include <type_traits>
#include <vector>

#include <gtest/gtest.h>

#include "ops/ops.h"

namespace {

using tf::Tensor;
using Long = long double;

template <class T>
using BitsOf = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;

// Random bits, the same in every run.
struct Random {
  uint64_t state = 1;
  uint64_t operator()() {
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  // Between -1 and 1.
  double uniform() { return double(int64_t((*this)() >> 10) - (int64_t{1} << 53)) * 0x1p-53; }
};

// Where formulas, tables and ranges of the kernels end, and the special values; then every binade
// alike; then where functions have their curves.
template <class T>
const std::vector<T>& sample() {
  static const std::vector<T> values = [] {
    using Limits = std::numeric_limits<T>;
    std::vector<T> v;
    for (double edge : {0.0, 1.0, 0.5, 2.0, double(Limits::infinity()), double(Limits::quiet_NaN()),
                        double(Limits::denorm_min()), double(Limits::min()), double(Limits::max()),
                        2.9802322e-8, 0.0625, 0.34657359, 1.0397208, 3.8125, 3.9, 18.0, 88.72284,
                        103.97, 709.782712893384, 709.79, 745.13, 745.14, 0.625,
                        0.70710677, 1.4142135623730951, 1.5707963267948966, 3.141592653589793, 4.0,
                        5.95, 19.06, 37.5, 131072.0, 131073.0, 33554432.0, 8388609.0,
                        1099511627776.0, 1099511627777.0, 1e22, 5.319372648326541e+255}) {
      for (T x : {T(edge), std::nextafter(T(edge), T(0)), std::nextafter(T(edge), Limits::max())}) {
        v.push_back(x);
        v.push_back(-x);
      }
    }
    Random random;
    constexpr int kMantissa = Limits::digits - 1, kExponents = sizeof(T) == 4 ? 256 : 2048;
    for (int e = 0; e < kExponents; ++e)
      for (int i = 0; i < (1 << 20) / kExponents; ++i) {
        const uint64_t bits = random(), mantissa = bits & ((uint64_t{1} << kMantissa) - 1);
        const uint64_t sign = bits >> 63 << (8 * sizeof(T) - 1);
        v.push_back(std::bit_cast<T>(BitsOf<T>(sign | uint64_t(e) << kMantissa | mantissa)));
      }
    for (double scale : {1.0, 4.0, 20.0, 110.0, 760.0, 1e6, 1e13})
      for (int i = 0; i < (1 << 16); ++i) v.push_back(T(random.uniform() * scale));
    for (int i = 0; i < (1 << 16); ++i) {  // zeros of log, sin and cos
      const double near = std::exp2(random.uniform() * 25 - 27);
      v.push_back(T(1 + random.uniform() * near));
      v.push_back(T(double(random() % 100000) * 1.5707963267948966 + random.uniform() * near));
    }
    return v;
  }();
  return values;
}

template <class T>
Tensor tensor_of(const std::vector<T>& values) {
  constexpr tf::DType dtype = sizeof(T) == 4 ? tf::DType::f32 : tf::DType::f64;
  Tensor t = tf::empty(tf::Dims{int64_t(values.size())}, dtype, tf::cpu_device());
  tf::copy_from_host(t, values.data(), int64_t(values.size() * sizeof(T)));
  return t;
}

template <class T>
std::vector<T> values_of(const Tensor& t) {
  std::vector<T> values(static_cast<size_t>(t.numel()));
  tf::copy_to_host(t, values.data(), int64_t(values.size() * sizeof(T)));
  return values;
}

// Distance in units of the last place of the true value rounded to T; 0 where both are the same
// infinity or NaN, infinite where only one is, or where a zero has the wrong sign.
template <class T, class Wide>
double ulps(T got, Wide want) {
  const T rounded = T(want);
  if (std::isnan(got) || std::isnan(rounded))
    return std::isnan(got) && std::isnan(rounded) ? 0 : INFINITY;
  if (got == rounded && (got == 0 || std::isinf(got)))
    return std::signbit(got) == std::signbit(rounded) ? 0 : INFINITY;
  if (std::isinf(got) || std::isinf(rounded)) {
    // Rounding decides whether the greatest number or infinity comes out.
    const Wide greatest = std::numeric_limits<T>::max();
    const Wide little = 2 * Wide(std::numeric_limits<T>::epsilon());
    return std::signbit(got) == std::signbit(rounded) && std::fabs(Wide(got)) >= greatest &&
                   std::fabs(want) > greatest * (1 - little) &&
                   std::fabs(want) < greatest * (1 + little)
               ? 1 : INFINITY;
  }
  const T size = std::fabs(rounded), below = std::nextafter(size, T(0));
  const T above = std::nextafter(size, std::numeric_limits<T>::infinity());
  const Wide ulp = std::isinf(above) ? Wide(size) - Wide(below) : Wide(above) - Wide(size);
  return double(std::fabs(Wide(got) - want) / ulp);
}

template <class T>
struct Worst {
  double distance = 0;
  T at = 0;
};

// For floats, libm in double says which values are candidates for the record; what is recorded is
// the distance from long double.
template <class T, class Reference>
void update(Worst<T>& worst, T x, T got, const Reference& reference) {
  if constexpr (sizeof(T) == 4) {
    if (ulps(got, reference(double(x))) < worst.distance - 1e-6) return;
  }
  const double distance = ulps(got, reference(Long(x)));
  if (distance > worst.distance) worst = {distance, x};
}

template <class T, class Op, class Reference>
void check_sample(const Op& op, const Reference& reference) {
  const std::vector<T>& x = sample<T>();
  const std::vector<T> got = values_of<T>(op(tensor_of(x)));
  Worst<T> worst;
  for (size_t i = 0; i < x.size(); ++i) update(worst, x[i], got[i], reference);
  EXPECT_LE(worst.distance, 2.0) << (sizeof(T) == 4 ? "float " : "double ") << worst.at
                                 << ": true value " << reference(Long(worst.at));
}

template <class Op, class Reference>
void check_every_float(const char* name, const Op& op, const Reference& reference) {
  constexpr uint64_t kPiece = uint64_t{1} << 20, kPieces = (uint64_t{1} << 32) / kPiece;
  Worst<float> worst;
  std::vector<float> x(kPiece);
  const unsigned threads = std::max(1u, std::thread::hardware_concurrency());
  for (uint64_t piece = 0; piece < kPieces; ++piece) {
    for (uint64_t i = 0; i < kPiece; ++i)
      x[i] = std::bit_cast<float>(uint32_t(piece * kPiece + i));
    const std::vector<float> got = values_of<float>(op(tensor_of(x)));
    std::vector<Worst<float>> worsts(threads, worst);
    std::vector<std::thread> workers;
    for (unsigned t = 0; t < threads; ++t)
      workers.emplace_back([&, t] {
        for (uint64_t i = t; i < kPiece; i += threads) update(worsts[t], x[i], got[i], reference);
      });
    for (std::thread& worker : workers) worker.join();
    for (const Worst<float>& w : worsts)
      if (w.distance > worst.distance) worst = w;
  }
  std::printf("%-8s %.3f ulp at %.9g\n", name, worst.distance, double(worst.at));
  EXPECT_LE(worst.distance, 2.0);
}

// The reference is a function of a double or long double x.
#define TF_FUNCTION_TEST(Name, op, formula)                                                   \
  TEST(VectorMath, Name) {                                                                    \
    check_sample<float>([](const Tensor& x) { return tf::op(x); }, [](auto x) { return formula; }); \
    check_sample<double>([](const Tensor& x) { return tf::op(x); }, [](auto x) { return formula; }); \
  }                                                                                           \
  TEST(EveryFloat, DISABLED_##Name) {                                                         \
    check_every_float(#op, [](const Tensor& x) { return tf::op(x); },                         \
                      [](auto x) { return formula; });                                        \
  }

TF_FUNCTION_TEST(Exp, exp, std::exp(x))
TF_FUNCTION_TEST(Expm1, expm1, std::expm1(x))
TF_FUNCTION_TEST(Log, log, std::log(x))
TF_FUNCTION_TEST(Log1p, log1p, std::log1p(x))
TF_FUNCTION_TEST(Tanh, tanh, std::tanh(x))
TF_FUNCTION_TEST(Sigmoid, sigmoid, 1 / (1 + std::exp(-x)))
TF_FUNCTION_TEST(Erf, erf, std::erf(x))
TF_FUNCTION_TEST(Sin, sin, std::sin(x))
TF_FUNCTION_TEST(Cos, cos, std::cos(x))
TF_FUNCTION_TEST(Sqrt, sqrt, std::sqrt(x))
TF_FUNCTION_TEST(Round, round, std::nearbyint(x))
TF_FUNCTION_TEST(Floor, floor, std::floor(x))
TF_FUNCTION_TEST(Ceil, ceil, std::ceil(x))

// Pairs: bases of all kinds with exponents of all kinds, special values with each other, and
// results spread over the whole range of T, where y log(x) needs the most digits.
template <class T>
void check_pow() {
  std::vector<T> x, y;
  const auto add = [&](T base, T exponent) {
    x.push_back(base);
    y.push_back(exponent);
  };
  const std::vector<T>& s = sample<T>();
  const T infinity = std::numeric_limits<T>::infinity();
  const T exponents[] = {T(0.0),  T(-0.0), T(1.0),  T(-1.0),   T(0.5),     T(2.0),
                         T(3.0),  T(-3.0), T(-2.0), T(0.333),  T(17.0),    T(-0.1),
                         T(1e-3), infinity, -infinity, T(16777215.0), T(9007199254740991.0),
                         T(1e30), T(-1e30), std::numeric_limits<T>::quiet_NaN()};
  constexpr size_t kEdges = 192;
  for (size_t i = 0; i < kEdges; ++i) {
    for (T e : exponents) add(s[i], e);
    for (size_t j = 0; j < kEdges; j += 2) add(s[i], s[j]);
  }
  for (size_t i = kEdges; i < s.size(); i += 5) add(s[i], exponents[i % std::size(exponents)]);
  for (int i = 0; i < 400; ++i)  // a dense grid
    for (int j = 0; j < 400; ++j) add(T(0.01) + T(i) * T(0.03), T(j) * T(0.07) - T(14));
  Random random;
  for (int i = 0; i < 300000; ++i) {
    const T base = std::fabs(s[kEdges + random() % (s.size() - kEdges)]);
    const Long log = std::log(Long(base)), range = sizeof(T) == 4 ? 104 : 746;
    if (log != 0 && std::isfinite(log)) add(base, T(Long(random.uniform()) * range / log));
  }
  const std::vector<T> got = values_of<T>(tf::pow(tensor_of(x), tensor_of(y)));
  double worst = 0;
  size_t at = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double distance = ulps(got[i], std::pow(Long(x[i]), Long(y[i])));
    if (distance > worst) worst = distance, at = i;
  }
  EXPECT_LE(worst, 2.0) << x[at] << " to the " << y[at] << " gave " << got[at];
}
TEST(VectorMath, Pow) {
  check_pow<float>();
  check_pow<double>();
}

}  // namespace
