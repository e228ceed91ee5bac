// The inner part of the matrix product: tiles of C held in registers.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/simd.h"

namespace tf::cpu::TF_ISA {
namespace {

// A tile is rows × (2 or 1) vectors of C held in registers: per step of k it loads one row of B
// (kNR vectors) and multiplies it by one broadcast element of A per row. 14 × 2 of 32 registers
// (6 × 2 of 16) leaves two for B and one for A: 28 independent chains hide the latency of the
// multiply-add, and 16 loads per 28 of them stay below what the load ports give. NEON takes
// elements of A four at a time and needs registers for them: 12 × 2.
constexpr int kPanel = 2;
template <int kVectors>
constexpr int kMaxRows = kRegisters == 16 ? 12 / kVectors : kMultipliesByLane ? 12 : 14;

template <class T>
constexpr int64_t kLine = 64 / int64_t(sizeof(T));  // elements of a cache line

template <class T>
constexpr int64_t kPanelWidth = kPanel* int64_t(Vec<T>::kWidth);

// A step of k of a packed tile of A: whole vectors, so that no store crosses a line.
template <class T>
constexpr int64_t kPackedRows =
    (kMaxRows<kPanel> + Vec<T>::kWidth - 1) / Vec<T>::kWidth * Vec<T>::kWidth;

template <class T>
struct Tile {
  int64_t k, reduce;
  int64_t a_row, a_col, a_step;
  int64_t b_row, b_step;
  int64_t ldc;
  int64_t tail;    // valid columns of the last vector
  bool load_c;     // start from C, not from 0
  const T* bias;   // may be null
  T floor;         // 0 for relu, -infinity for nothing
  const T* next = nullptr;  // C of the tile that comes next, or null
  // What is read next, or null: A of the next tile if A is row-major, else rows of a later B.
  const T* ahead = nullptr;
  T* sums = nullptr;        // kPackedRows sums of A's rows, for the tiles that add to them
};

// Rows become columns: r[i][j] <-> r[j][i], by exchanging off-diagonal squares of 1, 2, 4, …; in
// each group of kSize lanes.
template <int kS, class T, size_t... L>
TF_INLINE void exchange(Vec<T>& a, Vec<T>& b, std::index_sequence<L...>) {
  constexpr int kW = Vec<T>::kWidth;
  const Vec<T> low(__builtin_shufflevector(a.v, b.v, (L & kS ? kW + int(L) - kS : int(L))...));
  const Vec<T> high(__builtin_shufflevector(a.v, b.v, (L & kS ? kW + int(L) : int(L) + kS)...));
  a = low;
  b = high;
}
template <class T, int kS = 1, int kSize = Vec<T>::kWidth>
TF_INLINE void transpose(Vec<T>* r) {
  if constexpr (kS < kSize) {
    unroll<kSize>([&](auto i) TF_ALWAYS_INLINE {
      if constexpr ((i & kS) == 0) {
        exchange<kS>(r[i], r[i + kS], std::make_index_sequence<size_t(Vec<T>::kWidth)>{});
      }
    });
    transpose<T, kS * 2, kSize>(r);
  }
}

// How A lies: one of its strides is 1, known to the compiler. Summed: column-major, and steps of k
// are added to `sums`. Turned: row-major, and the rows of the tile become columns of C; `tail` then
// counts rows of C, `bias` runs along the tile's rows and `load_c` is not heeded.
enum class Layout { kRowMajor, kColumnMajor, kSummed, kTurned };
// Small registers would turn a tile in too many steps: nothing asks for it there.
constexpr bool kTurns = kVectorBytes > 16;

// The rows of a tile, which are columns of C, with what follows the sums.
template <class T, int kRows, int kVectors>
TF_INLINE void store_turned(const Tile<T>& t, const Vec<T>* acc, T* c) {
  using V = Vec<T>;
  constexpr int kW = V::kWidth;
  const V floor(t.floor);
  unroll<(kRows + kW - 1) / kW>([&](auto block) TF_ALWAYS_INLINE {
    constexpr int kFirst = block * kW;
    constexpr int kCount = kRows - kFirst < kW ? kRows - kFirst : kW;
    const V bias = t.bias ? load_n(t.bias + kFirst, kCount) : V(T(0));
    unroll<kVectors>([&](auto j) TF_ALWAYS_INLINE {
      V r[kW];
      unroll<kW>([&](auto i) TF_ALWAYS_INLINE {
        if constexpr (i < kCount) {
          r[i] = acc[(kFirst + i) * kVectors + j];
        } else {
          r[i] = V(T(0));
        }
      });
      transpose(r);
      const int64_t rows = j == kVectors - 1 ? t.tail : kW;
      unroll<kW>([&](auto i) TF_ALWAYS_INLINE {
        if (i < rows) store_n(c + (j * kW + i) * t.ldc + kFirst, max(floor, r[i] + bias), kCount);
      });
    });
  });
}

// Adds steps of k of a column-major A to sums of its rows. They stay in memory: the tile takes all
// registers, and leaves loads and additions to spare.
template <int kRows, int kSteps, class T>
TF_INLINE void add_steps(T* sums, const T* a, int64_t a_col) {
  constexpr int kW = Vec<T>::kWidth;
  unroll<(kRows + kW - 1) / kW>([&](auto block) TF_ALWAYS_INLINE {
    constexpr int kFirst = block * kW;
    constexpr int kCount = kRows - kFirst < kW ? kRows - kFirst : kW;
    const auto rows = [&](const T* from) TF_ALWAYS_INLINE {
      return kCount == kW ? load(from + kFirst) : load_n(from + kFirst, kCount);
    };
    Vec<T> more = rows(a);
    if constexpr (kSteps == 2) more = more + rows(a + a_col);
    store(sums + kFirst, load(sums + kFirst) + more);
  });
}

// B is read in whole vectors: its rows must be padded to them.
template <class T, int kRows, int kVectors, Layout kLayout>
void run_tile(const Tile<T>& t, const T* a0, const T* b0, T* c) {
  using V = Vec<T>;
  constexpr int kW = V::kWidth;
  V acc[kRows * kVectors];
  constexpr bool kTurn = kLayout == Layout::kTurned;
  // What comes next is asked for between the multiply-adds: two lines per two steps of k, where
  // the tile has loads to spare. A row-major tile begins with C, which is written in one burst at
  // the end, or, if C is read, that of the next tile; then, as others do, it asks for `ahead`.
  constexpr bool kAsks = !kTurn && kVectors == kPanel && kRows >= 4;
  constexpr bool kByRows = kLayout == Layout::kRowMajor;
  const T* lines = t.load_c ? t.next : c;
  if (!kTurn && t.load_c) {
    unroll<kRows>([&](auto i) TF_ALWAYS_INLINE {
      unroll<kVectors>([&](auto j) TF_ALWAYS_INLINE {
        const T* p = c + i * t.ldc + j * kW;
        acc[i * kVectors + j] = j == kVectors - 1 && t.tail < kW ? load_n(p, t.tail) : load(p);
      });
    });
  } else {
    unroll<kRows * kVectors>([&](auto i) TF_ALWAYS_INLINE { acc[i] = V(T(0)); });
  }
  if (!kTurn && !(kAsks && kByRows) && lines && t.k >= 64) {
    unroll<kRows>([&](auto i) TF_ALWAYS_INLINE {
      __builtin_prefetch(lines + i * t.ldc, 1);
      __builtin_prefetch(lines + i * t.ldc + kVectors * kW - 1, 1);
    });
  }
  constexpr bool kByColumns = kLayout == Layout::kColumnMajor || kLayout == Layout::kSummed;
  const int64_t a_row = kByColumns ? 1 : t.a_row;
  const int64_t a_col = kByColumns ? t.a_col : 1;
  const auto step = [&](const T* a, const T* b) TF_ALWAYS_INLINE {
    V row[kVectors], lanes;
    unroll<kVectors>([&](auto j) TF_ALWAYS_INLINE { row[j] = load(b + j * kW); });
    unroll<kRows>([&](auto i) TF_ALWAYS_INLINE {
      constexpr bool kLane = kMultipliesByLane && kByColumns && i < kRows / kW * kW;
      if constexpr (kLane && i % kW == 0) lanes = load(a + i);
      const V x(kLane ? lanes[i % kW] : a[i * a_row]);
      unroll<kVectors>([&](auto j) TF_ALWAYS_INLINE {
        acc[i * kVectors + j] = fma(x, row[j], acc[i * kVectors + j]);
      });
    });
  };
  const T* ahead = t.ahead;
  int64_t apart = t.ldc, asks = kAsks && kByRows && lines ? kRows : 0;
  for (int64_t r = 0; r < t.reduce; ++r) {
    const T* a = a0 + r * t.a_step;
    const T* b = b0 + r * t.b_step;
    // Two steps at a time: addresses of rows are computed half as often.
    for (int64_t pairs = t.k / 2; pairs > 0;) {
      if (kAsks && asks == 0) {
        // The next piece of each row of A, or all rows of B. Without any the same line again and
        // again, one that is in L1 and that no operand evicts.
        lines = ahead ? ahead : reinterpret_cast<const T*>(&t);
        apart = !ahead ? 0 : kByRows ? t.a_row : t.b_row;
        asks = ahead && kByRows ? kRows : pairs;
        if (ahead) ahead += kByRows ? 2 * kLine<T> : pairs * t.b_row;
      }
      int64_t n = kAsks && asks < pairs ? asks : pairs;
      pairs -= n;
      asks -= n;
      for (; n > 0; --n, a += 2 * a_col, b += 2 * t.b_row) {
        if constexpr (kAsks) {
          __builtin_prefetch(lines);
          __builtin_prefetch(lines + kLine<T>);
          lines += apart;
        }
        step(a, b);
        step(a + a_col, b + t.b_row);
        if constexpr (kLayout == Layout::kSummed) add_steps<kRows, 2>(t.sums, a, a_col);
      }
    }
    if (t.k % 2 > 0) {
      step(a, b);
      if constexpr (kLayout == Layout::kSummed) add_steps<kRows, 1>(t.sums, a, a_col);
    }
  }
  if constexpr (kTurn) return store_turned<T, kRows, kVectors>(t, acc, c);
  // Bias and relu cost nothing worth a branch: without them 0 is added and -infinity is the
  // floor. max() hands a NaN in its second operand on.
  V bias[kVectors];
  unroll<kVectors>([&](auto j) TF_ALWAYS_INLINE {
    bias[j] = !t.bias ? V(T(0))
              : j == kVectors - 1 && t.tail < kW ? load_n(t.bias + j * kW, t.tail)
                                                 : load(t.bias + j * kW);
  });
  const V floor(t.floor);
  unroll<kRows>([&](auto i) TF_ALWAYS_INLINE {
    unroll<kVectors>([&](auto j) TF_ALWAYS_INLINE {
      T* p = c + i * t.ldc + j * kW;
      const V v = max(floor, acc[i * kVectors + j] + bias[j]);
      if (j == kVectors - 1 && t.tail < kW) {
        store_n(p, v, t.tail);
      } else {
        store(p, v);
      }
    });
  });
}

template <class T>
using TileFn = void (*)(const Tile<T>&, const T* a, const T* b, T* c);

template <class T, int kVectors, Layout kLayout>
struct TileTable {
  TileFn<T> of_rows[kMaxRows<kVectors>];
  template <size_t... I>
  static constexpr TileTable make(std::index_sequence<I...>) {
    return {{run_tile<T, int(I) + 1, kVectors, kLayout>...}};
  }
};
template <class T, int kVectors, Layout kLayout>
constexpr auto kTiles = TileTable<T, kVectors, kLayout>::make(
    std::make_index_sequence<size_t(kMaxRows<kVectors>)>{});

// The micro-kernels for panels of `vectors` (1 or kPanel): entry rows - 1 is the tile of `rows`.
template <class T, int kVectors>
inline const TileFn<T>* tiles_of(Layout layout) {
  switch (layout) {
    case Layout::kRowMajor: return kTiles<T, kVectors, Layout::kRowMajor>.of_rows;
    case Layout::kColumnMajor: return kTiles<T, kVectors, Layout::kColumnMajor>.of_rows;
    default: return kTiles<T, kVectors, kTurns ? Layout::kTurned : Layout::kRowMajor>.of_rows;
  }
}
template <class T>
inline const TileFn<T>* tiles_for(int vectors, Layout layout) {
  return vectors == 1 ? tiles_of<T, 1>(layout) : tiles_of<T, kPanel>(layout);
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
