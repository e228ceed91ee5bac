// The gradient of a convolution with respect to its weight: for each tap of the kernel the product
// of the image's channels, transposed, with the output's gradient, summed over pixels.
//
// Pixels are taken in chunks whose channels, cut into blocks of one register tile's height, lie
// side by side in scratch memory: one block and one panel of the gradient stay in the first cache
// while every tap goes over them. Chunks are dealt out to partial sums by shape alone, and these
// are added up in order.
// SPDX-License-Identifier: MIT
#include "backends/cpu/conv_winograd_call.h"
#include "backends/cpu/gemm.h"

namespace tf::cpu::TF_ISA {
namespace {

// Pixels of a chunk: a block of the image and a panel of the gradient fill 3/4 of the first cache.
constexpr int64_t kChunkPixels = 192;
// Up to here pixels lie close enough together for the first cache without being cut into blocks.
constexpr int64_t kFewChannels = 16;
// Partial sums do not take more than this many elements together.
constexpr int64_t kPartialElements = 4 << 20;
// One job keeps sums of at most this many bytes, where a single panel has not more.
constexpr int64_t kJobBytes = 512 * 1024;

// How one group's gradient is cut. A chunk is `images` bands of `band` output rows each. Its part
// of the image lies in scratch as (block, parity, row / stride, image, column, lane): rows that
// one tap reads for neighbouring output rows are neighbours, whatever the stride, so that the
// whole chunk is one sum over evenly spaced rows.
template <class T>
struct Chunks {
  Window w;
  int64_t channels, out, taps;
  // Few channels: a row's kernel_w * channels elements are contiguous and serve as one block of
  // full tiles.
  bool runs;
  int64_t blocks, lanes;     // lanes: elements between pixels of a block
  int64_t band, bands, images, count;
  int64_t columns;           // of a scratch row, in pixels
  int64_t row_step;          // elements between neighbouring scratch rows
  int64_t parity_rows;       // scratch rows per parity
  int64_t block_elements;    // elements of a block
  int64_t panels;

  int64_t grad_elements() const { return band * images * w.out_w * kPanelWidth<T>; }
  int64_t elements() const { return blocks * block_elements; }
  // Rows of sums: one per weight of an output channel.
  int64_t steps() const { return channels * taps; }
};

// Channels of block i: nearly equal shares.
template <class T>
static inline int64_t block_begin(const Chunks<T>& p, int64_t i) {
  return p.channels * i / p.blocks;
}

template <class T>
static Chunks<T> plan_chunks(const Window& w, int64_t count, int64_t channels, int64_t out) {
  constexpr int64_t kRows = kMaxRows<kPanel>, kW = Vec<T>::kWidth;
  Chunks<T> p;
  p.w = w;
  p.channels = channels;
  p.out = out;
  p.taps = w.kernel_h * w.kernel_w;
  p.runs = channels <= kFewChannels && w.dilation_w == 1 && w.kernel_w > 1;
  p.blocks = p.runs ? 1 : ceil_div(channels, kRows);
  p.lanes = p.runs ? channels : ceil_div(ceil_div(channels, p.blocks), kW) * kW;
  p.band = smaller(w.out_h, larger(1, kChunkPixels / w.out_w));
  p.bands = ceil_div(w.out_h, p.band);
  p.band = ceil_div(w.out_h, p.bands);
  p.images = p.bands > 1 ? 1 : larger(1, smaller(count, kChunkPixels / (p.band * w.out_w)));
  p.count = p.bands * ceil_div(count, p.images);
  p.columns = (w.out_w - 1) * w.stride_w + (w.kernel_w - 1) * w.dilation_w + 1;
  p.row_step = p.columns * p.lanes;
  p.parity_rows = ceil_div(rows_read(w, p.band), w.stride_h);
  p.block_elements = smaller(w.stride_h, rows_read(w, p.band)) * p.parity_rows * p.images *
                     p.row_step;
  p.panels = ceil_div(out, kPanelWidth<T>);
  return p;
}

// Whether any tap of an output row reads scratch row r: steps longer than the kernel skip some.
static inline bool read_by_tap(const Window& w, int64_t r) {
  for (int64_t h = 0; h < w.kernel_h; ++h)
    if ((r - h * w.dilation_h) % w.stride_h == 0) return true;
  return false;
}

// The part of the image that chunk output rows oh0 … oh0 + band - 1 of `images` images from n0 on
// read; channels from c0 on.
template <class T>
static void load_chunk(const Chunks<T>& p, const Image& x, int64_t n0, int64_t images, int64_t c0,
                       int64_t oh0, int64_t band, T* scratch) {
  const Window& w = p.w;
  const int64_t first = oh0 * w.stride_h - w.top, rows = rows_read(w, band);
  const int64_t left = smaller(w.left, p.columns), inside = smaller(p.columns - left, x.width);
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t u = first + r;
    const bool outside = u < 0 || u >= x.height || inside == 0;
    if (!read_by_tap(w, r)) continue;
    T* row = scratch + (r % w.stride_h * p.parity_rows + r / w.stride_h) * p.images * p.row_step;
    for (int64_t i = 0; i < images; ++i, row += p.row_step) {
      const T* from = static_cast<const T*>(x.data) + (n0 + i) * x.stride_n + c0 * x.stride_c +
                      u * x.stride_h;
      T* to = row;
      for (int64_t b = 0; b < p.blocks; ++b, to += p.block_elements) {
        if (outside) {
          memset(to, 0, size_t(p.row_step) * sizeof(T));
          continue;
        }
        memset(to, 0, size_t(left * p.lanes) * sizeof(T));
        memset(to + (left + inside) * p.lanes, 0,
               size_t((p.columns - left - inside) * p.lanes) * sizeof(T));
        T* const inner = to + left * p.lanes;
        if (p.runs) {
          copy_channels(inner, p.lanes, from, x.stride_w, x.stride_c, inside, p.channels);
        } else {
          const int64_t begin = block_begin(p, b), n = block_begin(p, b + 1) - begin;
          pack(inner, p.lanes, from + begin * x.stride_c, x.stride_w, x.stride_c, inside, n);
        }
      }
    }
  }
}

// sums (channels, taps, width) += patches^T · grad over a loaded chunk.
template <class T>
static void add_chunk(const Chunks<T>& p, const T* x, const T* grad, int64_t images, int64_t band,
                      int vectors, bool first, Ahead& ahead, T* sums) {
  constexpr int64_t kW = Vec<T>::kWidth;
  const Window& w = p.w;
  const int64_t width = vectors * kW;
  Tile<T> t;
  t.k = w.out_w;
  t.a_row = 1;
  t.a_col = w.stride_w * p.lanes;
  t.b_row = width;
  t.tail = kW;
  t.load_c = !first;
  t.bias = nullptr;
  t.floor = -T(INFINITY);
  // All images of a row, then the next row: even distances only where every place is taken.
  const bool even = images == p.images;
  t.reduce = even ? band * images : band;
  t.a_step = even ? p.row_step : p.images * p.row_step;
  t.b_step = (even ? 1 : images) * w.out_w * width;
  const TileFn<T>* tile = tiles_for<T>(vectors, Layout::kColumnMajor);
  const auto tap_row = [&](int64_t h) {
    const int64_t r = h * w.dilation_h;
    return (r % w.stride_h * p.parity_rows + r / w.stride_h) * p.images * p.row_step;
  };
  const auto add = [&](int64_t rows, const T* a, T* c) {
    ahead.ask(32);
    if (even) return tile[rows - 1](t, a, grad, c);
    for (int64_t i = 0; i < images; ++i) {
      t.load_c = !first || i > 0;
      tile[rows - 1](t, a + i * p.row_step, grad + i * w.out_w * width, c);
    }
  };
  if (is_gray(w, p.channels)) {
    const auto add_gray = vectors == 1 ? gray_sums<1, T> : gray_sums<kPanel, T>;
    for (int64_t i = 0; i < (even ? 1 : images); ++i) {
      const T* const from = x + i * p.row_step;
      add_gray(from + tap_row(0), from + tap_row(1), from + tap_row(2), t.a_col, t.a_step,
               grad + i * w.out_w * width, t.b_step, t.reduce, t.k, first && i == 0, sums);
    }
    return;
  }
  if (p.runs) {
    const int64_t run = w.kernel_w * p.channels;
    const int64_t pieces = ceil_div(run, vectors == 1 ? kMaxRows<1> : kMaxRows<kPanel>);
    t.ldc = width;
    for (int64_t h = 0; h < w.kernel_h; ++h)
      for (int64_t i = 0, m = 0, done = 0; i < pieces; ++i, done += m) {
        m = (run - done) / (pieces - i);
        add(m, x + tap_row(h) + done, sums + (h * run + done) * width);
      }
    return;
  }
  t.ldc = p.taps * width;
  for (int64_t b = 0; b < p.blocks; ++b, x += p.block_elements) {
    const int64_t begin = block_begin(p, b), rows = block_begin(p, b + 1) - begin;
    for (int64_t h = 0; h < w.kernel_h; ++h)
      for (int64_t v = 0; v < w.kernel_w; ++v)
        add(rows, x + tap_row(h) + v * w.dilation_w * p.lanes,
            sums + (begin * p.taps + h * w.kernel_w + v) * width);
  }
}

// The gradient's rows of a chunk as (row, image, column, width), zeros behind the last channel.
template <class T>
static void load_grad(const Chunks<T>& p, const tf_view& g, int64_t n0, int64_t images, int64_t c0,
                      int64_t columns, int64_t width, int64_t oh0, int64_t band, T* to) {
  for (int64_t r = 0; r < band; ++r)
    for (int64_t i = 0; i < images; ++i, to += p.w.out_w * width)
      pack(to, width,
           static_cast<const T*>(g.data) + (n0 + i) * g.strides[0] + c0 * g.strides[1] +
               (oh0 + r) * g.strides[2],
           g.strides[3], g.strides[1], p.w.out_w, columns);
}

// Where in sums the row of weight number i (channel, tap) of an output channel is.
template <class T>
static inline int64_t sum_row(const Chunks<T>& p, int64_t i) {
  return p.runs ? i % p.taps * p.channels + i / p.taps : i;
}

// Weights i0 … i1 - 1 of output channels `first` … first + kW - 1 from `partials` sums, `apart`
// elements from each other, in which one row per weight holds `width` output channels.
template <class T>
static void store_gradient(const Chunks<T>& p, const T* sums, int64_t width, int64_t partials,
                           int64_t apart, int64_t i0, int64_t i1, int64_t out, T* to) {
  using V = Vec<T>;
  constexpr int64_t kW = V::kWidth;
  for (int64_t i = i0; i < i1; i += kW) {
    V r[kW];
    const int64_t n = smaller(kW, i1 - i);
    unroll<V::kWidth>([&](auto k) TF_ALWAYS_INLINE {
      r[k] = V(T(0));
      if (k < n) {
        const T* from = sums + sum_row(p, i + k) * width;
        r[k] = load(from);
        for (int64_t q = 1; q < partials; ++q) r[k] += load(from + q * apart);
      }
    });
    transpose(r);
    unroll<V::kWidth>([&](auto k) TF_ALWAYS_INLINE {
      if (k < out) store_n(to + k * p.steps() + i, r[k], n);
    });
  }
}

// Longer sums than this are cut into partial ones, whose rounding errors are smaller.
constexpr int64_t kLongestSum = 1 << 14;

// Pixels, channels side by side, follow each other without gaps.
static bool evenly_spaced(const Image& x) {
  return x.stride_c == 1 && x.stride_w >= x.channels && x.stride_h == x.width * x.stride_w &&
         x.stride_n == x.height * x.stride_h;
}

// One tap that reads every pixel once: a single product, summed over all pixels.
static bool pointwise(const Image& x, const Image& grad, const Window& w) {
  return w.kernel_h == 1 && w.kernel_w == 1 && w.stride_h == 1 && w.stride_w == 1 && w.top == 0 &&
         w.left == 0 && w.out_h == x.height && w.out_w == x.width &&
         x.count * x.height * x.width <= kLongestSum && evenly_spaced(x) && evenly_spaced(grad);
}
template <class T>
static tf_status pointwise_grad_weight(const Image& x, const Image& grad, T* result) {
  return gemm_parallel(Gemm<T>{grad.channels, x.channels, x.count * x.height * x.width,
                               static_cast<const T*>(grad.data), 1, grad.stride_w,
                               static_cast<const T*>(x.data), x.stride_w, 1, result, x.channels});
}

template <class T>
static tf_status grad_weight_typed(const tf_kernel_call* c) {
  const tf_view &grad = c->in[1], &dw = c->out[0];
  if (numel(dw) == 0) return TINYFIN_OK;
  T* const result = static_cast<T*>(dw.data);
  if (numel(grad) == 0) {
    memset(result, 0, size_t(numel(dw)) * sizeof(T));
    return TINYFIN_OK;
  }
  constexpr int64_t kW = Vec<T>::kWidth, kWidth = kPanelWidth<T>;
  const Image x = image_of(c->in[0]);
  const int64_t groups = groups_of(c->attr), out = dw.shape[0] / groups;
  const Window w =
      window_of(c->attr, dw.shape[2], dw.shape[3], grad.shape[2], grad.shape[3]);
  if (groups > 1 && dw.shape[1] == 1 && out == 1)
    return depthwise_grad_weight(x, image_of(grad), w, result);
  if (groups == 1 && pointwise(x, image_of(grad), w))
    return pointwise_grad_weight<T>(x, image_of(grad), result);
  if (by_winograd<T>(x, w, dw.shape[1], out)) {
    bool finite;
    const tf_status status =
        grad_weight_by_winograd<T>(x, image_of(grad), w, groups, result, &finite);
    if (status != TINYFIN_OK || finite) return status;
  }
  const Chunks<T> p = plan_chunks<T>(w, x.count, dw.shape[1], out);
  const int64_t steps = p.steps();
  // A job is a few panels of one group and one share of the chunks.
  const int64_t share =
      larger(1, smaller(p.panels, kJobBytes / (steps * kWidth * int64_t(sizeof(T)))));
  const int64_t shares = ceil_div(p.panels, share), jobs = groups * shares;
  const int64_t part = groups * p.panels * steps * kWidth;  // elements of one partial sum
  const int64_t work = p.band * p.images * w.out_w * steps * smaller(out, share * kWidth);
  int64_t partials = smaller(ceil_div(16, jobs), kPartialElements / part);
  partials = larger(1, smaller(partials, smaller(p.count, p.count * work / kTileWork)));
  const size_t bytes = size_t(partials * part) * sizeof(T);
  T* const sums = static_cast<T*>(host->host_alloc(bytes));
  if (!sums) return error(TINYFIN_ERROR_MEMORY, "out of host memory for partial sums");
  const size_t scratch_bytes = size_t(p.elements() + p.grad_elements()) * sizeof(T);
  // Chunks of the gradient follow each other in memory.
  const bool follow = groups == 1 && contiguous(image_of(grad));
  const auto work_on = [&](int64_t job, int64_t, void* memory) {
    const int64_t partial = job / jobs, g = job % jobs / shares, p0 = job % shares * share;
    const int64_t p1 = smaller(p.panels, p0 + share);
    T* const scratch = static_cast<T*>(memory);
    T* const grad_scratch = scratch + p.elements();
    const int64_t begin = p.count * partial / partials, end = p.count * (partial + 1) / partials;
    for (int64_t u = begin; u < end; ++u) {
      const int64_t n = u / p.bands * p.images, oh = u % p.bands * p.band;
      const int64_t images = smaller(p.images, x.count - n), band = smaller(p.band, w.out_h - oh);
      load_chunk(p, x, n, images, g * p.channels, oh, band, scratch);
      Ahead ahead{};
      if (follow)
        ahead = Ahead::behind(static_cast<const T*>(grad.data) + n * grad.strides[0] +
                                  oh * grad.strides[2],
                              images * band * w.out_w * out);
      for (int64_t panel = p0; panel < p1; ++panel) {
        const int64_t columns = smaller(kWidth, out - panel * kWidth);
        const int vectors = columns > kW ? kPanel : 1;
        load_grad(p, grad, n, images, g * out + panel * kWidth, columns, vectors * kW, oh, band,
                  grad_scratch);
        add_chunk(p, scratch, grad_scratch, images, band, vectors, u == begin,
                  ahead, sums + partial * part + (g * p.panels + panel) * steps * kWidth);
      }
    }
  };
  tf_status status = parallel_with_memory(partials * jobs, 1, scratch_bytes, work_on);
  if (status == TINYFIN_OK) {
    // From (panel, weight, output channel) to (output channel, weight).
    constexpr int64_t kPiece = 256;
    const int64_t pieces = ceil_div(steps, kPiece), vectors = ceil_div(out, kW);
    const int64_t grain = 1 + 32768 / (smaller(steps, kPiece) * kW * partials);
    status = parallel_range(groups * vectors * pieces, grain, [&](int64_t b, int64_t e) {
      for (int64_t i = b; i < e; ++i) {
        const int64_t i0 = i % pieces * kPiece, g = i / pieces / vectors;
        const int64_t o = i / pieces % vectors * kW, panel = o / kWidth;
        const int64_t width = out - panel * kWidth > kW ? kWidth : kW;
        store_gradient(p, sums + (g * p.panels + panel) * steps * kWidth + o % kWidth, width,
                       partials, part, i0, smaller(i0 + kPiece, steps), out - o,
                       result + (g * out + o) * steps);
      }
    });
  }
  host->host_free(sums, bytes);
  return status;
}

// x (N, C, H, W) and grad (N, O, OH, OW) of any strides; out (O, C / groups, kH, kW) row-major.
static tf_status conv2d_grad_weight_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT64 ? grad_weight_typed<double>(c)
                                            : grad_weight_typed<float>(c);
}
TF_KERNEL(conv2d_grad_weight, TINYFIN_DTYPES_FLOAT, conv2d_grad_weight_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
