// The inner part of bfloat16 products: packing into 32-bit units and register tiles of them.
//
// Where the processor has dot products of bfloat16, a unit is a pair of neighbours along k and a
// step of a tile is one such dot product per lane; else a unit is one element widened to float32,
// and a step is a multiply-add. Both have the shape of the float32 tiles of gemm_tile.h.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/bf16.h"
#include "backends/cpu/gemm_bf16.h"
#include "backends/cpu/gemm_panel.h"

namespace tf::cpu::TF_ISA {
namespace {

#if defined(__AVX512BF16__)
constexpr int64_t kPerUnit = 2;
// The instruction rounds a pair's products and their sum on its own, and takes denormals, in and
// out, for 0.
TF_INLINE F32 multiply_add(F32 a, F32 b, F32 sum) {
  return F32((F32::Raw)_mm512_dpbf16_ps((__m512)sum.v, (__m512bh)a.v, (__m512bh)b.v));
}
#else
constexpr int64_t kPerUnit = 1;
TF_INLINE F32 multiply_add(F32 a, F32 b, F32 sum) { return fma(a, b, sum); }
#endif

constexpr int64_t kUnits = F32::kWidth;                  // units in a register
constexpr int64_t kUnitPanel = kPanelWidth<float>;       // columns of C in a panel
constexpr int64_t kUnitRows = ceil_div(kMaxRows<kPanel>, kUnits) * kUnits;  // of a packed tile of A

inline int64_t units_of(int64_t k) { return ceil_div(k, kPerUnit); }

// A register of units along k, where `left` elements remain; zeros past them.
TF_INLINE F32 units_along(const BFloat16* p, int64_t left) {
#if defined(__AVX512BF16__)
  __m512i raw;
  if (left >= 2 * kUnits) {
    memcpy(&raw, p, sizeof raw);
  } else {
    raw = _mm512_maskz_loadu_epi16(__mmask32((uint64_t(1) << (left > 0 ? left : 0)) - 1), p);
  }
  return F32((F32::Raw)raw);
#else
  return left >= kUnits ? load_wide(p) : load_wide_n(p, left > 0 ? left : 0);
#endif
}

// One unit in each lane: element (0, j) and, as the other half of a pair, element (1, j) of rows
// `step` apart, if more than one is left along k. `n` lanes exist.
TF_INLINE F32 units_across(const BFloat16* p, int64_t step, int64_t left, int64_t n) {
  const auto row = [&](const BFloat16* from) TF_ALWAYS_INLINE {
    return n == kUnits ? load_wide(from) : load_wide_n(from, n);
  };
  const F32 first = row(p);
  if constexpr (kPerUnit == 1) return first;
  const I32 low = bit_cast<int32_t>(first);
  // >> copies the sign: what it leaves in the upper half is masked out.
  const I32 half = (low >> 16) & I32(0xffff);
  return bit_cast<float>(left > 1 ? half | bit_cast<int32_t>(row(p + step)) : half);
}

// A whole panel's units: units_across for both of its registers, of which the second has n lanes.
TF_INLINE void store_across(float* to, const BFloat16* p, int64_t step, int64_t left, int64_t n) {
#if defined(__AVX512BF16__)
  const __mmask32 there = __mmask32((uint64_t(1) << (kUnits + n)) - 1);
  const __m512i first = _mm512_maskz_loadu_epi16(there, p);
  const __m512i second = left > 1 ? _mm512_maskz_loadu_epi16(there, p + step) : __m512i{};
  // Element j of one and of the other, side by side.
  typedef int16_t Lanes __attribute__((vector_size(64)));
  const auto pairs = [&](auto from) TF_ALWAYS_INLINE {
    Lanes lane;
    for (int i = 0; i < 32; ++i) lane[i] = int16_t(from + i / 2 + i % 2 * 32);
    return F32((F32::Raw)_mm512_permutex2var_epi16(first, (__m512i)lane, second));
  };
  store(to, pairs(Index<0>{}));
  store(to + kUnits, pairs(Index<16>{}));
#else
  store(to, units_across(p, step, left, kUnits));
  store(to + kUnits, units_across(p + kUnits, step, left, n));
#endif
}

// A unit of elements `step` apart.
inline float unit_of(const BFloat16* p, int64_t step, int64_t left) {
  if constexpr (kPerUnit == 1) return tf::widened(*p);
  const uint32_t bits = p->bits | (left > 1 ? uint32_t(p[step].bits) << 16 : 0);
  float unit;
  memcpy(&unit, &bits, sizeof unit);
  return unit;
}

// to[p * ld + j]: the unit p along k of column j < n; columns n … ld become 0. Neighbours along k
// are `step` apart, columns `col`. ld is a multiple of kUnits.
inline void pack_units(float* to, int64_t ld, const BFloat16* from, int64_t step, int64_t col,
                       int64_t k, int64_t n) {
  const int64_t units = units_of(k);
  for (int64_t j = 0; j < ld; j += kUnits) {
    const int64_t columns = smaller(n - j, kUnits);
    const BFloat16* source = from + j * col;
    float* out = to + j;
    if (columns <= 0) {
      for (int64_t p = 0; p < units; ++p) store(out + p * ld, F32(0.f));
    } else if (col == 1 && n - j > kUnits && ld - j >= 2 * kUnits) {
      for (int64_t p = 0; p < units; ++p) {
        store_across(out + p * ld, source + p * kPerUnit * step, step, k - p * kPerUnit,
                     smaller(n - j - kUnits, kUnits));
      }
      j += kUnits;
    } else if (col == 1) {
      for (int64_t p = 0; p < units; ++p) {
        store(out + p * ld,
              units_across(source + p * kPerUnit * step, step, k - p * kPerUnit, columns));
      }
    } else if (step == 1) {
      for (int64_t p = 0; p < units; p += kUnits) {
        const int64_t left = k - p * kPerUnit;
        F32 r[kUnits];
        unroll<int(kUnits)>([&](auto i) TF_ALWAYS_INLINE {
          r[i] = i < columns ? units_along(source + i * col + p * kPerUnit, left) : F32(0.f);
        });
        transpose(r);
        unroll<int(kUnits)>([&](auto i) TF_ALWAYS_INLINE {
          if (p + i < units) store(out + (p + i) * ld, r[i]);
        });
      }
    } else {
      float row[kUnits] = {};
      for (int64_t p = 0; p < units; ++p) {
        for (int64_t i = 0; i < columns; ++i)
          row[i] = unit_of(source + p * kPerUnit * step + i * col, step, k - p * kPerUnit);
        store(out + p * ld, load(row));
      }
    }
  }
}

// Rows of an operand read in place that meet in one set of the nearest cache: a tile has more than
// the set has places.
inline bool rows_collide(int64_t stride) { return stride * int64_t(sizeof(BFloat16)) % 4096 == 0; }

// What follows sums and bias in a block of C at (i, j): residual, activation or its derivative, and
// rounding. Up to 64 columns.
inline void finish_sums(const Bf16Product& g, float* sums, int64_t ld, int64_t i, int64_t j,
                        int64_t rows, int64_t columns) {
  alignas(64) float wide[64];
  for (int64_t x = 0; x < rows; ++x) {
    float* sum = sums + x * ld;
    if (g.residual) {
      widen_row(wide, g.residual + (i + x) * g.residual_row + j, columns);
      map_block(sum, ld, wide, ld, 1, columns, [](F32 a, F32 b) TF_ALWAYS_INLINE { return a + b; });
    }
    if (g.result) {
      widen_row(wide, g.result + (i + x) * g.ldc + j, columns);
      through_activation(g.activation, sum, wide, ld, 1, columns);
    }
  }
  if (!g.result) activate(g.activation, sums, ld, rows, columns);
  for (int64_t x = 0; x < rows; ++x) round_row(g.c + (i + x) * g.ldc + j, sums + x * ld, columns);
}

// Sums of the rows of a packed tile: kUnitRows of them, added to `sums`.
inline void add_row_sums(float* sums, const float* tile, int64_t units) {
  for (int64_t j = 0; j < kUnitRows; j += kUnits) {
    F32 total[4] = {F32(0.f), F32(0.f), F32(0.f), F32(0.f)};
    const auto add = [&](int64_t p, F32* to) TF_ALWAYS_INLINE {
      const F32 unit = load(tile + p * kUnitRows + j);
      if constexpr (kPerUnit == 1) {
        to[0] = to[0] + unit;
      } else {
        const I32 pair = bit_cast<int32_t>(unit);
        to[0] = to[0] + bit_cast<float>(pair << 16);
        to[1] = to[1] + bit_cast<float>(pair & I32(int32_t(0xffff0000)));
      }
    };
    int64_t p = 0;
    for (; p + 2 <= units; p += 2) {
      add(p, total);
      add(p + 1, total + 2);
    }
    if (p < units) add(p, total);
    store(sums + j, load(sums + j) + ((total[0] + total[1]) + (total[2] + total[3])));
  }
}

// A tile of C: float32, whole registers wide.
struct UnitTile {
  int64_t units;
  int64_t a_row = 0;  // of A read in place, in elements
  int64_t b_row;      // of a packed panel, in units
  int64_t ldc;
  bool load_c;        // start from C, not from 0
  const float* bias;  // a panel of them, or null
  float floor;        // 0 for relu, -infinity for nothing
  BFloat16* rounded;  // where the tile goes instead of into C, if not null; its rows ld apart
  int64_t ld;
};

// kInPlace: A is read where it lies, its rows contiguous along an even k. Else it is packed.
template <int kRows, int kVectors, bool kInPlace>
void run_units(const UnitTile& t, const void* a, const float* b, float* c) {
  F32 acc[kRows * kVectors];
  if (t.load_c) {
    unroll<kRows * kVectors>([&](auto i) TF_ALWAYS_INLINE {
      acc[i] = load(c + i / kVectors * t.ldc + i % kVectors * kUnits);
    });
  } else {
    unroll<kRows * kVectors>([&](auto i) TF_ALWAYS_INLINE { acc[i] = F32(0.f); });
  }
  const char* from = static_cast<const char*>(a);
  const int64_t a_row = kInPlace ? t.a_row * int64_t(sizeof(BFloat16)) : int64_t(sizeof(float));
  constexpr int64_t kNext = kInPlace ? 4 : kUnitRows * int64_t(sizeof(float));
  const auto step = [&](const char* x, const float* y) TF_ALWAYS_INLINE {
    F32 row[kVectors];
    unroll<kVectors>([&](auto j) TF_ALWAYS_INLINE { row[j] = load(y + j * kUnits); });
    unroll<kRows>([&](auto i) TF_ALWAYS_INLINE {
      float unit;
      memcpy(&unit, x + i * a_row, sizeof unit);
      unroll<kVectors>([&](auto j) TF_ALWAYS_INLINE {
        acc[i * kVectors + j] = multiply_add(F32(unit), row[j], acc[i * kVectors + j]);
      });
    });
  };
  int64_t p = t.units;
  // Two steps at a time: addresses of rows are computed half as often.
  for (; p >= 2; p -= 2, from += 2 * kNext, b += 2 * t.b_row) {
    step(from, b);
    step(from + kNext, b + t.b_row);
  }
  if (p > 0) step(from, b);
  const F32 floor(t.floor);
  if (t.rounded) {
    F32 bias[kVectors];
    unroll<kVectors>([&](auto j) TF_ALWAYS_INLINE {
      bias[j] = t.bias ? load(t.bias + j * kUnits) : F32(0.f);
    });
    unroll<kRows>([&](auto i) TF_ALWAYS_INLINE {
      BFloat16* to = t.rounded + i * t.ld;
      const F32 first = max(floor, acc[i * kVectors] + bias[0]);
      if constexpr (kVectors == 1) {
        store_rounded(to, first);
      } else {
        store_rounded(to, first, max(floor, acc[i * kVectors + 1] + bias[1]));
      }
    });
    return;
  }
  unroll<kVectors>([&](auto j) TF_ALWAYS_INLINE {
    const F32 bias = t.bias ? load(t.bias + j * kUnits) : F32(0.f);
    unroll<kRows>([&](auto i) TF_ALWAYS_INLINE {
      store(c + i * t.ldc + j * kUnits, max(floor, acc[i * kVectors + j] + bias));
    });
  });
}

using UnitTileFn = void (*)(const UnitTile&, const void* a, const float* b, float* c);

template <int kVectors, bool kInPlace>
struct UnitTiles {
  UnitTileFn of_rows[kMaxRows<kPanel>];
  template <size_t... I>
  static constexpr UnitTiles make(std::index_sequence<I...>) {
    return {{run_units<int(I) + 1, kVectors, kInPlace>...}};
  }
};
template <int kVectors, bool kInPlace>
constexpr auto kUnitTiles = UnitTiles<kVectors, kInPlace>::make(
    std::make_index_sequence<size_t(kMaxRows<kPanel>)>{});

// Entry rows - 1 is the tile of `rows`. Only pairs can be read in place.
inline const UnitTileFn* unit_tiles(int vectors, bool in_place) {
  constexpr bool kPairs = kPerUnit == 2;
  if (in_place && kPairs)
    return vectors == 1 ? kUnitTiles<1, kPairs>.of_rows : kUnitTiles<kPanel, kPairs>.of_rows;
  return vectors == 1 ? kUnitTiles<1, false>.of_rows : kUnitTiles<kPanel, false>.of_rows;
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
