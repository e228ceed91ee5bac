// Products of bfloat16 matrices: sums in float32, each element of C rounded once. Compiled once
// more for processors with dot products of bfloat16 (cmake/engine.cmake).
//
// Both operands are packed, a block at a time, and all threads multiply pieces of the block. Sums
// that take more than one block of k wait in float32.
// SPDX-License-Identifier: MIT
#include "backends/cpu/gemm_bf16_few.h"

namespace tf::cpu::TF_ISA {
namespace {

// What is packed at a time, and C where it waits for more, stays in a shared cache of some MiB.
constexpr int64_t kBlockRows = 144 * kMaxRows<kPanel>, kBlockColumns = 2048, kBlockUnits = 512;
// A piece of C that one thread computes: its part of A (16 tiles of 32 KiB) stays in L2.
constexpr int64_t kPieceTiles = 16, kPiecePanels = 8;
constexpr int64_t kEnoughPieces = 16;
// Multiply-adds below which a hand-over to another thread costs more than it saves.
constexpr double kSmallPiece = 1e6, kSmall = 400e3;
// A packing job of at least that many elements.
constexpr int64_t kPackedPerJob = 32768;

using Product = Bf16Product;

template <class Body>
tf_status for_jobs(bool parallel, int64_t jobs, const Body& body) {
  if (parallel) return parallel_for(jobs, body);
  for (int64_t i = 0; i < jobs; ++i) body(i);
  return TINYFIN_OK;
}

// A block of C and of k, with its operands.
struct Block {
  const Product& g;
  bool parallel;
  float *packed_a, *packed_b, *sums;  // packed_a: null where A is read in place; sums: see below
  float* row_sums;  // of A, whole tiles, or null
  int64_t row, column, k, columns;
  const BFloat16 *a, *b;
  Rows rows;
  bool first, last;  // pass over the sums

  int64_t panels() const { return ceil_div(columns, kUnitPanel); }
  int64_t units() const { return units_of(k); }

  void pack_panel(int64_t p) const {
    const int64_t wide = smaller(kUnitPanel, columns - p * kUnitPanel);
    pack_units(packed_b + p * kUnitPanel * units(), wide > kUnits ? kUnitPanel : kUnits,
               b + p * kUnitPanel * g.b_col, g.b_row, g.b_col, k, wide);
  }
  // A column-major A is read along its columns, some steps of k at a time for all tiles.
  void pack_tiles(int64_t begin, int64_t end) const {
    const int64_t chunk = g.a_col == 1 ? k : 32;
    for (int64_t p = 0; p < k; p += chunk)
      for (int64_t i = begin; i < end; ++i)
        pack_units(packed_a + (i * units() + p / kPerUnit) * kUnitRows, kUnitRows,
                   a + rows.start(i) * g.a_row + p * g.a_col, g.a_col, g.a_row,
                   smaller(chunk, k - p), rows.size(i));
    if (!row_sums) return;
    for (int64_t i = begin; i < end; ++i)
      add_row_sums(row_sums + i * kUnitRows, packed_a + i * units() * kUnitRows, units());
  }

  tf_status pack(bool with_b) const {
    const int64_t panels_per_job = kPackedPerJob / (kUnitPanel * k + 1) + 1;
    const int64_t tiles_per_job = kPackedPerJob / (kUnitRows * k + 1) + 1;
    const int64_t b_jobs = with_b ? ceil_div(panels(), panels_per_job) : 0;
    const int64_t a_jobs = packed_a ? ceil_div(rows.tiles, tiles_per_job) : 0;
    return for_jobs(parallel, b_jobs + a_jobs, [&](int64_t job) {
      if (job < b_jobs) {
        const int64_t begin = job * panels_per_job;
        for (int64_t p = begin; p < smaller(begin + panels_per_job, panels()); ++p) pack_panel(p);
      } else {
        const int64_t begin = (job - b_jobs) * tiles_per_job;
        pack_tiles(begin, smaller(begin + tiles_per_job, rows.tiles));
      }
    });
  }

  // Bias and relu, which the tile does, are all that follows the sums.
  bool plain() const {
    return g.ends_in_relu() ||
           (g.activation == TINYFIN_ACTIVATION_NONE && !g.result && !g.residual);
  }

  void multiply_panel(int64_t p, int64_t begin, int64_t end) const {
    alignas(64) float here[kMaxRows<kPanel> * kUnitPanel], bias[kUnitPanel] = {};
    const int64_t wide = smaller(kUnitPanel, columns - p * kUnitPanel);
    const int vectors = wide > kUnits ? kPanel : 1;
    const int64_t j = column + p * kUnitPanel;
    UnitTile t;
    t.units = units();
    t.a_row = g.a_row;
    t.b_row = vectors * kUnits;
    t.ldc = sums ? panels() * kUnitPanel : kUnitPanel;
    t.load_c = !first;
    t.bias = last && g.bias ? bias : nullptr;
    t.floor = last && g.ends_in_relu() ? 0.f : -INFINITY;
    for (int64_t i = 0; t.bias && i < wide; ++i)
      bias[i] = tf::widened(g.bias[(j + i) * g.bias_step]);
    const bool straight = last && plain() && wide == vectors * kUnits;
    t.rounded = nullptr;
    t.ld = g.ldc;
    const UnitTileFn* run = unit_tiles(vectors, !packed_a);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t top = rows.start(i), height = rows.size(i);
      float* sum = sums ? sums + top * t.ldc + p * kUnitPanel : here;
      BFloat16* c = g.c + (row + top) * g.ldc + j;
      if (last)
        for (int64_t x = 0; x < height; ++x) __builtin_prefetch(c + x * g.ldc, 1);
      if (straight) t.rounded = c;
      run[height - 1](t,
                      packed_a ? static_cast<const void*>(packed_a + i * units() * kUnitRows)
                               : a + top * g.a_row,
                      packed_b + p * kUnitPanel * units(), sum);
      if (last && !straight) finish_sums(g, sum, t.ldc, row + top, j, height, wide);
    }
  }

  tf_status multiply() const {
    int64_t down = ceil_div(rows.tiles, kPieceTiles), across = ceil_div(panels(), kPiecePanels);
    const double work = double(rows.start(rows.tiles)) * double(columns) * double(k);
    while (parallel && down * across < kEnoughPieces &&
           work >= kSmallPiece * double(2 * down * across)) {
      if (across < panels() && (across <= down || down >= rows.tiles)) {
        across = smaller(2 * across, panels());
      } else if (down < rows.tiles) {
        down = smaller(2 * down, rows.tiles);
      } else {
        break;
      }
    }
    return for_jobs(parallel, down * across, [&](int64_t piece) {
      const int64_t i = piece / across, q = piece % across;
      for (int64_t p = cut(panels(), across, q); p < cut(panels(), across, q + 1); ++p)
        multiply_panel(p, cut(rows.tiles, down, i), cut(rows.tiles, down, i + 1));
    });
  }

  // The sums of A's rows, tile by tile.
  void load_row_sums() const {
    memset(row_sums, 0, size_t(rows.tiles * kUnitRows) * sizeof(float));
    for (int64_t i = 0; g.accumulate && i < rows.tiles; ++i)
      widen_row(row_sums + i * kUnitRows, g.row_sums + row + rows.start(i), rows.size(i));
  }
  void store_row_sums() const {
    for (int64_t i = 0; i < rows.tiles; ++i)
      round_row(g.row_sums + row + rows.start(i), row_sums + i * kUnitRows, rows.size(i));
  }

  // C itself as the first of the sums.
  void load_sums() const {
    for (int64_t i = 0; i < rows.start(rows.tiles); ++i)
      widen_row(sums + i * panels() * kUnitPanel, g.c + (row + i) * g.ldc + column, columns);
  }
};

// Whether A is read where it lies: by few panels, or a copy pays.
bool reads_a_in_place(const Product& g) {
  return kPerUnit == 2 && g.a_col == 1 && !g.row_sums && g.k % 2 == 0 &&
         g.n <= (rows_collide(g.a_row) ? 64 : 1024);
}

tf_status multiply_blocks(const Product& g, bool parallel) {
  const int64_t products = g.k > 0 && g.reduce > 0 ? g.reduce : 0;
  const int64_t k_blocks = larger(1, ceil_div(units_of(g.k), kBlockUnits));
  const int64_t step = ceil_div(units_of(g.k), k_blocks) * kPerUnit;
  const int64_t passes = larger(1, products * k_blocks);
  const int64_t row_blocks = ceil_div(g.m, kBlockRows), column_blocks = ceil_div(g.n, kBlockColumns);
  const int64_t high = ceil_div(g.m, row_blocks);
  const int64_t wide = ceil_div(ceil_div(g.n, column_blocks), kUnitPanel) * kUnitPanel;
  const bool waits = passes > 1 || g.accumulate;
  const int64_t a_size =
      reads_a_in_place(g) ? 0 : ceil_div(high, kMaxRows<kPanel>) * kUnitRows * units_of(step);
  const int64_t b_size = wide * units_of(step), sum_size = waits ? high * wide : 0;
  const int64_t row_sum_size = g.row_sums ? ceil_div(high, kMaxRows<kPanel>) * kUnitRows : 0;
  const size_t bytes = size_t(a_size + b_size + sum_size + row_sum_size) * sizeof(float);
  float* memory = static_cast<float*>(host->host_alloc(bytes + 64));
  if (!memory) return error(TINYFIN_ERROR_MEMORY, "out of host memory for packed matrices");
  tf_status status = TINYFIN_OK;
  for (int64_t column = 0; column < g.n; column += wide) {
    for (int64_t i = 0; i < row_blocks; ++i) {
      const int64_t row = cut(g.m, row_blocks, i);
      for (int64_t pass = 0; pass < passes && status == TINYFIN_OK; ++pass) {
        const int64_t r = pass / k_blocks, p = pass % k_blocks * step;
        const Block block{g,
                          parallel,
                          a_size ? memory : nullptr,
                          memory + a_size,
                          waits ? memory + a_size + b_size : nullptr,
                          g.row_sums && column == 0 ? memory + a_size + b_size + sum_size : nullptr,
                          row,
                          column,
                          products ? smaller(step, g.k - p) : 0,
                          smaller(wide, g.n - column),
                          g.a + r * g.a_step + p * g.a_col + row * g.a_row,
                          g.b + r * g.b_step + p * g.b_row + column * g.b_col,
                          Rows(cut(g.m, row_blocks, i + 1) - row, kMaxRows<kPanel>),
                          pass == 0 && !g.accumulate,
                          pass + 1 == passes};
        if (pass == 0 && g.accumulate) block.load_sums();
        if (pass == 0 && block.row_sums) block.load_row_sums();
        // With one pass, what is packed of B serves all blocks of rows.
        status = block.pack(i == 0 || passes > 1);
        if (status == TINYFIN_OK) status = block.multiply();
        if (block.last && block.row_sums) block.store_row_sums();
      }
    }
  }
  host->host_free(memory, bytes + 64);
  return status;
}

// Which way a product goes is a matter of its shape and strides alone.
tf_status multiply(const Product& whole, bool parallel) {
  const Product g = with_column_as_row(whole);
  if (few_rows(g)) {
    const double column = double(g.m) * double(g.k);
    return parallel_range(g.n, parallel ? int64_t(kSmall / column) + 1 : g.n,
                          [&](int64_t begin, int64_t end) { gemm_by_dots(g, begin, end); });
  }
  tf_status turned;
  if (worth_turning(g) && gemm_turned(g, parallel, kSmall, &turned)) return turned;
  return multiply_blocks(g, parallel);
}

Product product_of(Product g, const GemmBatch& batch, int64_t index) {
  for (int d = batch.ndim - 1; d >= 0; --d) {
    const int64_t at = index % batch.shape[d];
    index /= batch.shape[d];
    g.a += at * batch.a[d];
    g.b += at * batch.b[d];
    g.c += at * batch.c[d];
  }
  return g;
}

}  // namespace

tf_status gemm_bf16(const Bf16Product& g, const GemmBatch& batch) {
  int64_t count = 1;
  for (int d = 0; d < batch.ndim; ++d) count *= batch.shape[d];
  if (count <= 0 || g.m <= 0 || g.n <= 0) return TINYFIN_OK;
  const double work = double(g.m) * double(g.n) * double(g.k) * double(g.reduce) + 16;
  if (count == 1) return multiply(g, work > kSmall);
  if (work > kEnoughPieces * kSmallPiece) {
    for (int64_t i = 0; i < count; ++i)
      if (const tf_status status = multiply(product_of(g, batch, i), true)) return status;
    return TINYFIN_OK;
  }
  tf_status failure = TINYFIN_OK;
  const int64_t grain = work > kSmall ? 1 : int64_t(kSmall / work) + 1;
  const tf_status status = parallel_range(count, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      if (const tf_status s = multiply(product_of(g, batch, i), false))
        __atomic_store_n(&failure, s, __ATOMIC_RELAXED);
  });
  return status != TINYFIN_OK ? status : failure;
}

}  // namespace tf::cpu::TF_ISA
