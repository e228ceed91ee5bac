// The gradient of a 3 × 3 convolution with respect to its weight, by Winograd's F(4×4, 3×3) turned
// around: tiles of the image and of the result's gradient are transformed to 36 points, of which
// each sums the products of its channels over all tiles, and the sums are transformed to 9 taps.
//
// A job keeps the sums of some channels by some out channels in the second cache while blocks of
// tiles pass by. Tiles are dealt out to partial sums by shape alone; these are added up in order.
// SPDX-License-Identifier: MIT
#include "backends/cpu/conv_winograd_tile.h"
#include "backends/cpu/transpose.h"

namespace tf::cpu::TF_ISA {
namespace {

// In and out channels of a job: its sums take 576 KiB.
constexpr int64_t kJobChannels = 64;
// Tiles of a block: sums are loaded and stored once per block.
constexpr int64_t kBlockTiles = 32;
// Partial sums do not take more than this many elements together.
constexpr int64_t kPartialElements = 4 << 20;
// Jobs that keep some threads busy.
constexpr int64_t kJobs = 8;

// How the work is cut, by shape alone.
struct Cut {
  TileGrid grid;
  int64_t tiles;                       // of all images
  int64_t in, in_cuts, out, out_cuts;  // channels of a job (at most), cuts of a group
  int64_t jobs, partials;
  int64_t v_step, m_step, u_step;  // from point to point: images, gradients, sums

  int64_t sums() const { return kWinogradPoints * u_step; }
};

static Cut cut_of(const WinogradGradient& c) {
  Cut p;
  p.grid = grid_of(c.grad.height, c.grad.width);
  p.tiles = c.x.count * p.grid.tiles;
  p.in_cuts = ceil_div(c.in, kJobChannels);
  p.in = ceil_div(ceil_div(c.in, p.in_cuts), kLanes) * kLanes;
  p.in_cuts = ceil_div(c.in, p.in);
  p.out_cuts = ceil_div(c.out, kJobChannels);
  p.out = ceil_div(ceil_div(c.out, p.out_cuts), kWide) * kWide;
  p.out_cuts = ceil_div(c.out, p.out);
  p.v_step = kBlockTiles * p.in + kGap;
  p.m_step = kBlockTiles * p.out + kGap;
  p.u_step = p.in * p.out + kGap;
  p.jobs = c.groups * p.in_cuts * p.out_cuts;
  const int64_t most = smaller(kPartialElements / (p.jobs * p.sums()), p.tiles / kBlockTiles);
  p.partials = larger(1, smaller(ceil_div(kJobs, p.jobs), most));
  return p;
}

// One job: channels of one group.
struct Job {
  int64_t group, c0, in, o0, out;
  Job(const WinogradGradient& c, const Cut& p, int64_t i)
      : group(i / (p.in_cuts * p.out_cuts)), c0(i / p.out_cuts % p.in_cuts * p.in),
        in(smaller(p.in, c.in - c0)), o0(i % p.out_cuts * p.out), out(smaller(p.out, c.out - o0)) {}
};

// A register of out channels of a tile of the gradient to its 36 points.
template <bool kTail>
static __attribute__((noinline)) void transform_grad(const Patch<kWinogradOut>& patch,
                                                     int64_t channel, int64_t lanes, float* m,
                                                     int64_t step) {
  F32 t[kWinogradSide * kWinogradOut];
  unroll<kWinogradOut>([&](auto j) TF_ALWAYS_INLINE {
    F32 column[kWinogradOut], out[kWinogradSide];
    unroll<kWinogradOut>([&](auto i) TF_ALWAYS_INLINE {
      column[i] = patch.load_from<kTail>(i, j, channel, lanes);
    });
    winograd_grad(column, out);
    unroll<kWinogradSide>([&](auto i) TF_ALWAYS_INLINE { t[i * kWinogradOut + j] = out[i]; });
  });
  unroll<kWinogradSide>([&](auto i) TF_ALWAYS_INLINE {
    F32 out[kWinogradSide];
    winograd_grad(t + i * kWinogradOut, out);
    unroll<kWinogradSide>([&](auto j) TF_ALWAYS_INLINE {
      store(m, out[j]);
      m += step;
    });
  });
}

struct Scratch {
  float *v, *m, *zeros, *sums;

  static int64_t elements(const Cut& p) {
    return kWinogradPoints * (p.v_step + p.m_step) + larger(p.in, p.out) +
           (p.partials == 1 ? p.sums() : 0);
  }
  Scratch(const Cut& p, void* memory) {
    v = static_cast<float*>(memory);
    m = v + kWinogradPoints * p.v_step;
    zeros = m + kWinogradPoints * p.m_step;
    sums = zeros + larger(p.in, p.out);
    memset(zeros, 0, size_t(larger(p.in, p.out)) * sizeof(float));
  }
};

// sums (point, in, out) [+]= the products of a block's `tiles`.
static void add_products(const Cut& p, const Job& job, int64_t tiles, bool first, const Scratch& s,
                         float* sums) {
  Tile<float> t;
  t.k = tiles;
  t.reduce = 1;
  t.a_row = 1;
  t.a_col = p.in;
  t.a_step = t.b_step = 0;
  t.b_row = t.ldc = p.out;
  t.tail = kLanes;
  t.load_c = !first;
  t.bias = nullptr;
  t.floor = -INFINITY;
  for (int point = 0; point < kWinogradPoints; ++point)
    for (int64_t j = 0; j < job.out; j += kWide) {
      const int vectors = job.out - j > kLanes ? kPanel : 1;
      const Rows rows(job.in, vectors == 1 ? kMaxRows<1> : kMaxRows<kPanel>);
      const TileFn<float>* const tile = tiles_for<float>(vectors, Layout::kColumnMajor);
      for (int64_t i = 0, row = 0; i < rows.tiles; row += rows.size(i++))
        tile[rows.size(i) - 1](t, s.v + point * p.v_step + row, s.m + point * p.m_step + j,
                               sums + point * p.u_step + row * p.out + j);
    }
}

// The sums of a job over tiles t0 … t1 - 1.
static void sum_tiles(const WinogradGradient& c, const Cut& p, const Job& job, int64_t t0,
                      int64_t t1, const Scratch& s, float* sums) {
  const int64_t in0 = job.group * c.in + job.c0, out0 = job.group * c.out + job.o0;
  const int64_t blocks = ceil_div(t1 - t0, kBlockTiles);
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t begin = t0 + cut(t1 - t0, blocks, b), end = t0 + cut(t1 - t0, blocks, b + 1);
    transform_images(c.x, p.grid, c.top, c.left, in0, job.in, begin, end, s.zeros, s.v, p.in,
                     p.v_step);
    float* m = s.m;
    for (int64_t t = begin; t < end; ++t, m += p.out) {
      const Corner at(p.grid, t);
      const Patch<kWinogradOut> patch(c.grad, at.n, at.h, at.w, out0, s.zeros);
      int64_t i = 0;
      for (; i + kLanes <= job.out; i += kLanes)
        transform_grad<false>(patch, i, kLanes, m + i, p.m_step);
      if (i < job.out) transform_grad<true>(patch, i, job.out - i, m + i, p.m_step);
    }
    add_products(p, job, end - begin, b == 0, s, sums);
  }
}

// Channels i0 … i1 - 1 of a job from its sums, `apart` elements from one partial sum to the next.
// Answers whether all of dw is finite.
static bool finish_job(const WinogradGradient& c, const Cut& p, const Job& job, int64_t i0,
                       int64_t i1, const float* sums, int64_t apart) {
  constexpr int64_t kChannels = 16;
  float taps[kChannels * kTaps * kLanes];
  F32 check(0.f);
  for (int64_t o = 0; o < job.out; o += kLanes)
    for (int64_t i = i0; i < i1; i += kChannels) {
      const int64_t n = smaller(kChannels, i1 - i);
      for (int64_t k = 0; k < n; ++k) {
        const float* const from = sums + (i + k) * p.out + o;
        F32 t[kWinogradTaps * kWinogradSide];
        unroll<kWinogradSide>([&](auto w) TF_ALWAYS_INLINE {
          F32 u[kWinogradSide], g[kWinogradTaps];
          unroll<kWinogradSide>([&](auto h) TF_ALWAYS_INLINE {
            const float* at = from + (h * kWinogradSide + w) * p.u_step;
            u[h] = load(at);
            for (int64_t q = 1; q < p.partials; ++q) u[h] += load(at + q * apart);
          });
          winograd_taps(u, g);
          unroll<kWinogradTaps>([&](auto h) TF_ALWAYS_INLINE { t[h * kWinogradSide + w] = g[h]; });
        });
        unroll<kWinogradTaps>([&](auto h) TF_ALWAYS_INLINE {
          F32 g[kWinogradTaps];
          winograd_taps(t + h * kWinogradSide, g);
          unroll<kWinogradTaps>([&](auto w) TF_ALWAYS_INLINE {
            check = fma(g[w], F32(0.f), check);
            store(taps + ((k * kWinogradTaps + h) * kWinogradTaps + w) * kLanes, g[w]);
          });
        });
      }
      float* const to =
          c.dw + ((job.group * c.out + job.o0 + o) * c.in + job.c0 + i) * kTaps;
      transpose_block(reinterpret_cast<const uint32_t*>(taps), kLanes,
                      reinterpret_cast<uint32_t*>(to), c.in * kTaps, n * kTaps,
                      smaller(kLanes, job.out - o));
    }
  // Lanes behind the last out channel are zeros.
  return !any(check != check);
}

}  // namespace

tf_status winograd_grad_weight(const WinogradGradient& c, bool* finite) {
  const Cut p = cut_of(c);
  const bool whole = p.partials == 1;
  const size_t bytes = whole ? 0 : size_t(p.partials * p.jobs * p.sums()) * sizeof(float);
  float* const sums = whole ? nullptr : static_cast<float*>(host->host_alloc(bytes));
  if (!whole && !sums) return error(TINYFIN_ERROR_MEMORY, "out of host memory for partial sums");
  bool all_finite = true;
  const auto finish = [&](const Job& job, int64_t i0, int64_t i1, const float* from) {
    if (!finish_job(c, p, job, i0, i1, from, p.jobs * p.sums()))
      __atomic_store_n(&all_finite, false, __ATOMIC_RELAXED);
  };
  const int64_t work = kWinogradPoints * p.tiles / p.partials * p.in * p.out;
  tf_status status = parallel_with_memory(
      p.partials * p.jobs, 1 + kTileWork / (work + 1),
      size_t(Scratch::elements(p)) * sizeof(float),
      [&](int64_t begin, int64_t end, void* memory) {
        const Scratch scratch(p, memory);
        for (int64_t i = begin; i < end; ++i) {
          const int64_t q = i / p.jobs;
          const Job job(c, p, i % p.jobs);
          float* const to = whole ? scratch.sums : sums + i * p.sums();
          sum_tiles(c, p, job, cut(p.tiles, p.partials, q), cut(p.tiles, p.partials, q + 1),
                    scratch, to);
          if (whole) finish(job, 0, job.in, to);
        }
      });
  if (!whole) {
    constexpr int64_t kPiece = 16;  // channels
    const int64_t pieces = p.in / kPiece + (p.in % kPiece != 0);
    if (status == TINYFIN_OK)
      status = parallel_range(p.jobs * pieces, 1 + 64 / (p.partials * p.out / kWide),
                              [&](int64_t begin, int64_t end) {
                                for (int64_t i = begin; i < end; ++i) {
                                  const Job job(c, p, i / pieces);
                                  const int64_t i0 = i % pieces * kPiece;
                                  finish(job, i0, smaller(i0 + kPiece, job.in),
                                         sums + i / pieces * p.sums());
                                }
                              });
    host->host_free(sums, bytes);
  }
  *finite = all_finite;
  return status;
}

}  // namespace tf::cpu::TF_ISA
