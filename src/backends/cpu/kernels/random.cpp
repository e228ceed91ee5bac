// Random numbers. Element i, in row-major order, comes from word i of the generator's stream that
// starts at block `offset`; 64-bit elements take words 2i and 2i + 1. Tiles hold whole blocks.
//
// This file is compiled without contraction of a * b + c, and uses only +, -, *, / and sqrt, which
// IEEE 754 rounds in one way: normal numbers have the same bits on every instruction set.
// SPDX-License-Identifier: MIT
#include "backends/cpu/walk.h"
#include "core/philox.h"

namespace tf::cpu::TF_ISA {
namespace {

// Blocks at a time, generated lane by lane.
constexpr int kLanes = 64;
constexpr int kWords = 4 * kLanes;

static void fill_words(uint64_t seed, uint64_t first_block, uint32_t* word) {
  for (int b = 0; b < kLanes; ++b) {
    const PhiloxBlock block = philox(seed, first_block + uint64_t(b));
    for (int k = 0; k < 4; ++k) word[4 * b + k] = block.word[k];
  }
}

// Logarithm of u in (0, 1], by the series of the inverse hyperbolic tangent:
// ln m = 2 (s + s³/3 + s⁵/5 + …) with s = (m - 1)/(m + 1) and m in [√½, √2).
static inline float log_unit(float u) {
  int32_t bits;
  memcpy(&bits, &u, 4);
  const int32_t shifted = bits - 0x3f3504f3;  // √½
  const int32_t exponent = shifted >> 23;
  bits -= exponent * (1 << 23);
  float m;
  memcpy(&m, &bits, 4);
  const float s = (m - 1.0f) / (m + 1.0f), t = s * s;
  float r = 1.0f / 11;
  r = r * t + 1.0f / 9;
  r = r * t + 1.0f / 7;
  r = r * t + 1.0f / 5;
  r = r * t + 1.0f / 3;
  return 2 * (s + s * (t * r)) + float(exponent) * 0.693147180559945309417f;
}
static inline double log_unit(double u) {
  int64_t bits;
  memcpy(&bits, &u, 8);
  const int64_t shifted = bits - 0x3fe6a09e667f3bcd;
  const int64_t exponent = shifted >> 52;
  bits -= exponent * (int64_t(1) << 52);
  double m;
  memcpy(&m, &bits, 8);
  const double s = (m - 1.0) / (m + 1.0), t = s * s;
  double r = 0;
  for (int k = 23; k >= 3; k -= 2) r = r * t + 1.0 / k;
  return 2 * (s + s * (t * r)) + double(exponent) * 0.693147180559945309417;
}

// cos and sin of x in [-π/4, π/4): Taylor's polynomials, whose errors lie below the last bit.
static inline void cos_sin(float x, float& c, float& s) {
  const float t = x * x;
  c = 1 + t * (-1.0f / 2 + t * (1.0f / 24 + t * (-1.0f / 720 + t * (1.0f / 40320))));
  s = x + x * t * (-1.0f / 6 + t * (1.0f / 120 + t * (-1.0f / 5040 + t * (1.0f / 362880))));
}
static inline void cos_sin(double x, double& c, double& s) {
  const double t = x * x;
  c = s = 0;
  for (int k = 18; k >= 2; k -= 2) {  // Horner's scheme, nested from the last term
    c = 1 - t * (1.0 / (k * (k - 1))) * (k == 18 ? 1 : c);
    s = 1 - t * (1.0 / (k * (k + 1))) * (k == 18 ? 1 : s);
  }
  s *= x;
}

// Two normal numbers from two uniform ones: u in (0, 1], and an angle of `quarter` right angles
// plus x in [-π/4, π/4).
template <class T>
static inline void box_muller(T u, uint32_t quarter, T x, T& a, T& b) {
  const T square = -2 * log_unit(u);
  const T r = sizeof(T) == 4 ? T(__builtin_sqrtf(float(square))) : T(__builtin_sqrt(square));
  T c, s;
  cos_sin(x, c, s);
  const T c2 = quarter & 1 ? -s : c, s2 = quarter & 1 ? c : s;
  a = r * (quarter & 2 ? -c2 : c2);
  b = r * (quarter & 2 ? -s2 : s2);
}

constexpr double kPi = 3.14159265358979323846;

static inline void normals(const uint32_t* word, float* out) {
  for (int i = 0; i < kWords; i += 2) {
    const float u = (float(word[i] >> 8) + 1.0f) * 0x1p-24f;
    const uint32_t angle = word[i + 1] & 0x3fffffff;
    const float x = (float(angle) * 0x1p-30f - 0.5f) * float(kPi / 2);
    box_muller(u, word[i + 1] >> 30, x, out[i], out[i + 1]);
  }
}
static inline void normals(const uint32_t* word, double* out) {
  for (int i = 0; i < kWords; i += 4) {
    const uint64_t high = (uint64_t(word[i]) << 32) | word[i + 1];
    const uint64_t low = (uint64_t(word[i + 2]) << 32) | word[i + 3];
    const double u = (double(high >> 11) + 1.0) * 0x1p-53;
    const uint64_t angle = low & 0x3fffffffffffffff;
    const double x = (double(angle) * 0x1p-62 - 0.5) * (kPi / 2);
    box_muller(u, uint32_t(low >> 62), x, out[i / 2], out[i / 2 + 1]);
  }
}

static inline void uniforms(const uint32_t* word, float* out) {
  for (int i = 0; i < kWords; ++i) out[i] = uniform_f32(word[i]);
}
static inline void uniforms(const uint32_t* word, double* out) {
  for (int i = 0; i < kWords / 2; ++i) out[i] = uniform_f64(word[2 * i], word[2 * i + 1]);
}

// Fills an array piece by piece: make(words, numbers) turns kWords words into kPerPiece numbers.
template <class T, int kPerPiece, class Make>
static tf_status generate(const tf_kernel_call* c, const Make& make) {
  const tf_view& out = c->out[0];
  const uint64_t seed = uint64_t(c->attr[0].i), offset = uint64_t(c->attr[1].i);
  const Walk walk = make_walk(out);
  T* to = static_cast<T*>(out.data);
  constexpr int64_t kGrainOfPieces = 8192 / kPerPiece * kPerPiece;
  return parallel_range(numel(out), kGrainOfPieces, [&](int64_t begin, int64_t end) {
    uint32_t word[kWords];
    T piece[kPerPiece];
    for (int64_t at = begin; at < end; at += kPerPiece) {
      fill_words(seed, offset + uint64_t(at / kPerPiece) * kLanes, word);
      make(word, piece);
      const int64_t stop = at + kPerPiece < end ? at + kPerPiece : end;
      for_runs(walk, at, stop, [&](int64_t o, int64_t stride, int64_t n, int64_t first) {
        for (int64_t i = 0; i < n; ++i) to[o + i * stride] = piece[first - at + i];
      });
    }
  });
}

template <class T, class Make>
static tf_status generate_floats(const tf_kernel_call* c, const Make& make) {
  constexpr int kPerPiece = kWords * 4 / int(sizeof(T));
  const T a = T(c->attr[2].f), b = T(c->attr[3].f);
  return generate<T, kPerPiece>(c, [&](const uint32_t* word, T* piece) {
    make(word, piece, a, b);
  });
}

static tf_status uniform_kernel(const tf_kernel_call* c, void*) {
  const auto make = [](const uint32_t* word, auto* piece, auto low, auto high) {
    uniforms(word, piece);
    if (low == 0 && high == 1) return;
    const auto span = high - low;
    for (int i = 0; i < kWords * 4 / int(sizeof *piece); ++i) {
      // Rounding must not reach the end that does not belong to the range.
      const auto v = low + piece[i] * span;
      piece[i] = v < high ? v : low;
    }
  };
  return c->out[0].dtype == TINYFIN_FLOAT32 ? generate_floats<float>(c, make)
                                            : generate_floats<double>(c, make);
}
TF_KERNEL(uniform, TINYFIN_DTYPES_FLOAT, uniform_kernel);

static tf_status normal_kernel(const tf_kernel_call* c, void*) {
  const auto make = [](const uint32_t* word, auto* piece, auto mu, auto sigma) {
    normals(word, piece);
    for (int i = 0; i < kWords * 4 / int(sizeof *piece); ++i) piece[i] = mu + sigma * piece[i];
  };
  return c->out[0].dtype == TINYFIN_FLOAT32 ? generate_floats<float>(c, make)
                                            : generate_floats<double>(c, make);
}
TF_KERNEL(normal, TINYFIN_DTYPES_FLOAT, normal_kernel);

// A word lies below this with probability p; 2^32 for p = 1.
static inline uint64_t threshold(double p) { return uint64_t(p * 0x1p32 + 0.5); }

static tf_status bernoulli_kernel(const tf_kernel_call* c, void*) {
  const uint64_t below = threshold(c->attr[2].f);
  const auto fill = [&](auto t) {
    using T = decltype(t);
    return generate<T, kWords>(c, [&](const uint32_t* word, T* piece) {
      for (int i = 0; i < kWords; ++i) piece[i] = T(word[i] < below);
    });
  };
  return c->out[0].dtype == TINYFIN_BOOL ? fill(uint8_t{}) : with_number(c->out[0].dtype, fill);
}
TF_KERNEL(bernoulli, TINYFIN_DTYPES_ALL, bernoulli_kernel);

// Number i of [0, range): the high half of a 128-bit product (Lemire, Fast random integer
// generation in an interval, 2019); the bias is below range / 2^64.
static inline uint64_t below_range(uint32_t high, uint32_t low, uint64_t range) {
  const uint64_t word = (uint64_t(high) << 32) | low;
  return uint64_t((static_cast<unsigned __int128>(word) * range) >> 64);
}

static tf_status randint_kernel(const tf_kernel_call* c, void*) {
  const uint64_t low = uint64_t(c->attr[2].i), range = uint64_t(c->attr[3].i) - low;
  return generate<int64_t, kWords / 2>(c, [&](const uint32_t* word, int64_t* piece) {
    for (int i = 0; i < kWords / 2; ++i)
      piece[i] = int64_t(low + below_range(word[2 * i], word[2 * i + 1], range));
  });
}
TF_KERNEL(randint, TINYFIN_DTYPES_INT, randint_kernel);

// From the last element down, each is exchanged with one before it or itself: one after another.
static tf_status randperm_kernel(const tf_kernel_call* c, void*) {
  const tf_view& out = c->out[0];
  int64_t* p = static_cast<int64_t*>(out.data);
  const int64_t n = out.shape[0], stride = out.strides[0];
  const uint64_t seed = uint64_t(c->attr[0].i), offset = uint64_t(c->attr[1].i);
  for (int64_t i = 0; i < n; ++i) p[i * stride] = i;
  for (int64_t i = n - 1; i > 0; --i) {
    const PhiloxBlock block = philox(seed, offset + uint64_t(i) / 2);
    const int k = int(i % 2) * 2;
    const int64_t j = int64_t(below_range(block.word[k], block.word[k + 1], uint64_t(i) + 1));
    const int64_t moved = p[i * stride];
    p[i * stride] = p[j * stride];
    p[j * stride] = moved;
  }
  return TINYFIN_OK;
}
TF_KERNEL(randperm, TINYFIN_DTYPES_INT, randperm_kernel);

template <class T>
static tf_status dropout(const tf_kernel_call* c) {
  const tf_view &in = c->in[0], &out = c->out[0];
  const uint64_t seed = uint64_t(c->attr[0].i), offset = uint64_t(c->attr[1].i);
  const double p = c->attr[2].f;
  const uint64_t below = threshold(p);
  const T scale = p < 1 ? T(1 / (1 - p)) : T(0);
  const Walk from = make_walk(in), to = make_walk(out);
  const T* x = static_cast<const T*>(in.data);
  T* o = static_cast<T*>(out.data);
  return parallel_range(numel(out), 8192, [&](int64_t begin, int64_t end) {
    uint32_t word[kWords];
    T piece[kWords];
    for (int64_t at = begin; at < end; at += kWords) {
      fill_words(seed, offset + uint64_t(at / 4), word);
      const int64_t stop = at + kWords < end ? at + kWords : end;
      for_runs(from, at, stop, [&](int64_t start, int64_t stride, int64_t n, int64_t first) {
        T* y = piece + (first - at);
        const uint32_t* w = word + (first - at);
        for (int64_t i = 0; i < n; ++i)
          y[i] = w[i] < below ? T(0) : x[start + i * stride] * scale;
      });
      for_runs(to, at, stop, [&](int64_t start, int64_t stride, int64_t n, int64_t first) {
        for (int64_t i = 0; i < n; ++i) o[start + i * stride] = piece[first - at + i];
      });
    }
  });
}

// Attributes: seed, offset, the probability of a 0.
static tf_status dropout_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT32 ? dropout<float>(c) : dropout<double>(c);
}
TF_KERNEL(dropout, TINYFIN_DTYPES_FLOAT, dropout_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
