// Random numbers by Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy
// as 1, 2, 3", SC11). Attributes 0 and 1: the seed and the first block. Element i in row-major
// order takes word i of the stream, elements of 64 bits words 2i and 2i + 1.
// SPDX-License-Identifier: MIT
#include <cmath>

#include "call.h"

namespace ref {
namespace {

class Stream {
 public:
  explicit Stream(const Call& c) : seed_(uint64_t(c.i(0))), first_(uint64_t(c.i(1))) {}

  uint32_t word(int64_t i) const {
    uint32_t counter[4] = {}, key[2] = {uint32_t(seed_), uint32_t(seed_ >> 32)};
    const uint64_t block = first_ + uint64_t(i) / 4;
    counter[0] = uint32_t(block);
    counter[1] = uint32_t(block >> 32);
    for (int round = 0; round < 10; ++round) {
      const uint64_t a = 0xD2511F53ull * counter[0], b = 0xCD9E8D57ull * counter[2];
      const uint32_t next[4] = {uint32_t(b >> 32) ^ counter[1] ^ key[0], uint32_t(b),
                                uint32_t(a >> 32) ^ counter[3] ^ key[1], uint32_t(a)};
      for (int k = 0; k < 4; ++k) counter[k] = next[k];
      key[0] += 0x9E3779B9u;
      key[1] += 0xBB67AE85u;
    }
    return counter[i % 4];
  }
  uint64_t pair(int64_t i) const { return uint64_t(word(2 * i)) << 32 | word(2 * i + 1); }

  // In [0, range): the high half of a product (Lemire, 2019).
  int64_t below(int64_t i, uint64_t range) const {
    return int64_t(static_cast<unsigned __int128>(pair(i)) * range >> 64);
  }

 private:
  uint64_t seed_, first_;
};

// body(position, number of the element)
template <class Body>
void for_numbered(const Array& out, Body&& body) {
  int64_t n = 0;
  for_each(out, [&](const Index& i) { body(i, n++); });
}

// low, high
const Define uniform("uniform", [](const Call& c) {
  const Array& out = c.out[0];
  const Stream stream(c);
  for_numbered(out, [&](const Index& i, int64_t n) {
    const bool narrow = out.dtype != TINYFIN_FLOAT64;
    const double unit = narrow ? double(stream.word(n) >> 8) * 0x1p-24
                               : double(stream.pair(n) >> 11) * 0x1p-53;
    out.set(i, c.f(2) + unit * (c.f(3) - c.f(2)));
    if (out.get(i) >= c.f(3)) out.set(i, c.f(2));  // rounded up to what is not in the range
  });
}, TINYFIN_DTYPES_FLOAT);

// mu, sigma. Box and Muller (1958): pairs of elements from a radius and an angle.
const Define normal("normal", [](const Call& c) {
  const Array& out = c.out[0];
  const Stream stream(c);
  for_numbered(out, [&](const Index& i, int64_t n) {
    const int64_t first = n - n % 2;
    double unit, turn;  // in (0, 1], and in [0, 1) of a full one that starts at -45 degrees
    if (out.dtype != TINYFIN_FLOAT64) {
      unit = (double(stream.word(first) >> 8) + 1) * 0x1p-24;
      turn = double(stream.word(first + 1)) * 0x1p-32;
    } else {
      unit = (double(stream.pair(first) >> 11) + 1) * 0x1p-53;
      turn = double(stream.pair(first + 1)) * 0x1p-64;
    }
    const double radius = std::sqrt(-2 * std::log(unit));
    const double angle = (turn - 0.125) * 2 * M_PI;
    out.set(i, c.f(2) + c.f(3) * radius * (n % 2 ? std::sin(angle) : std::cos(angle)));
  });
}, TINYFIN_DTYPES_FLOAT);

// Words below this have probability p.
uint64_t threshold(double p) { return uint64_t(p * 0x1p32 + 0.5); }

// p
const Define bernoulli("bernoulli", [](const Call& c) {
  const Stream stream(c);
  for_numbered(c.out[0], [&](const Index& i, int64_t n) {
    c.out[0].set_int(i, stream.word(n) < threshold(c.f(2)));
  });
});

// low, high
const Define randint("randint", [](const Call& c) {
  const Stream stream(c);
  const uint64_t range = uint64_t(c.i(3)) - uint64_t(c.i(2));
  for_numbered(c.out[0], [&](const Index& i, int64_t n) {
    c.out[0].set_int(i, c.i(2) + stream.below(n, range));
  });
}, TINYFIN_DTYPES_INT);

// From the last element down, each is exchanged with one before it or itself.
const Define randperm("randperm", [](const Call& c) {
  const Array& out = c.out[0];
  const Stream stream(c);
  for_numbered(out, [&](const Index& i, int64_t n) { out.set_int(i, n); });
  for (int64_t i = out.numel() - 1; i > 0; --i) {
    const Index here{{i}}, there{{stream.below(i, uint64_t(i) + 1)}};
    const int64_t moved = out.get_int(here);
    out.set_int(here, out.get_int(there));
    out.set_int(there, moved);
  }
}, TINYFIN_DTYPES_INT);

// x; p: 0 with probability p, else x / (1 - p)
const Define dropout("dropout", [](const Call& c) {
  const Stream stream(c);
  const double p = c.f(2);
  for_numbered(c.out[0], [&](const Index& i, int64_t n) {
    c.out[0].set(i, stream.word(n) < threshold(p) ? 0 : c.in[0].get(i) / (1 - p));
  });
}, TINYFIN_DTYPES_FLOAT);

}  // namespace
}  // namespace ref
