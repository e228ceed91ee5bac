// Sums per channel and maps with numbers per channel: batch and group normalisation.
//
// Memory is read in order, a chunk of pixels at a time, which stays in the cache while register
// after register of its channels is worked on. Where channels do not lie side by side, a chunk
// holds pixels of one channel instead.
// SPDX-License-Identifier: MIT
#pragma once

#include "backends/cpu/elementwise.h"
#include "backends/cpu/rows.h"

namespace tf::cpu::TF_ISA {
namespace {

// Up to three views of one shape, (N, C) or (N, C, H, W), as rows of pixels of channels. Row r
// starts at r / height * stride_n + r % height * stride_r. Pixels have numbers, row after row.
struct Images {
  int64_t channels, rows, height, columns;
  bool side_by_side;  // channels, in all views
  char* data[3];
  int64_t stride_n[3], stride_r[3], stride_w[3], stride_c[3];

  int64_t pixels() const { return rows * columns; }
  template <class T>
  T* at(int k, int64_t pixel, int64_t channel) const {
    const int64_t row = pixel / columns;
    return reinterpret_cast<T*>(data[k]) + row / height * stride_n[k] +
           row % height * stride_r[k] + pixel % columns * stride_w[k] + channel * stride_c[k];
  }
};

// Rows are merged into longer ones, images into one, where memory allows.
template <int kViews>
static Images images_of(const tf_view* const (&views)[kViews]) {
  const tf_view& first = *views[0];
  const bool flat = first.ndim == 2;
  const int64_t count = first.shape[0], rows = flat ? 1 : first.shape[2];
  Images im;
  im.channels = first.shape[1];
  im.columns = flat ? 1 : first.shape[3];
  im.side_by_side = im.channels > 1;
  bool rows_merge = true, images_merge = true;
  for (int k = 0; k < kViews; ++k) {
    const tf_view& v = *views[k];
    im.data[k] = static_cast<char*>(v.data);
    im.stride_n[k] = v.strides[0];
    im.stride_c[k] = v.strides[1];
    im.stride_r[k] = flat ? 0 : v.strides[2];
    im.stride_w[k] = flat || v.shape[3] == 1 ? im.stride_r[k] : v.strides[3];
    im.side_by_side = im.side_by_side && v.strides[1] == 1;
    rows_merge = rows_merge && (rows == 1 || im.stride_r[k] == im.columns * im.stride_w[k]);
  }
  const int64_t merged = rows_merge ? rows * im.columns : im.columns;
  for (int k = 0; k < kViews; ++k) {
    if (merged == 1) im.stride_w[k] = im.stride_n[k];
    images_merge = images_merge && (count == 1 || im.stride_n[k] == merged * im.stride_w[k]);
  }
  im.height = rows_merge ? 1 : rows;
  im.columns = merged;
  if (rows_merge && images_merge) im.columns *= count;
  im.rows = rows_merge && images_merge ? 1 : count * im.height;
  return im;
}

// How work on images is cut, by their shape: `parts` of equal length (one, or the images) into
// bands of pixels, and those into channels where these do not lie side by side.
struct Cut {
  int64_t parts, bands, lines, length;  // length: pixels of a part
  int64_t pieces() const { return parts * bands; }
  int64_t begin(int64_t piece) const {
    return piece / bands * length + length * (piece % bands) / bands;
  }
  int64_t end(int64_t piece) const {
    return piece / bands * length + length * (piece % bands + 1) / bands;
  }
};

static inline Cut cut_of(const Images& im, int64_t parts) {
  constexpr int64_t kMaxPieces = 32;
  Cut cut;
  cut.parts = parts;
  cut.length = im.pixels() / parts;
  cut.lines = im.side_by_side ? 1 : im.channels;
  cut.bands = im.pixels() * im.channels / (parts * cut.lines * kGrain);
  const int64_t most = kMaxPieces / (parts * cut.lines);
  if (cut.bands > most) cut.bands = most;
  if (cut.bands > cut.length) cut.bands = cut.length;
  if (cut.bands < 1) cut.bands = 1;
  return cut;
}

// Registers of channels that are worked on together.
constexpr int kGroup = kRegisters >= 32 ? 4 : 2;
// Pixels of one channel, or elements of many channels, that stay in the first cache.
constexpr int64_t kChunk = 4096;

// body(first pixel, pixels of a row from there on): chunks of pixels [begin, end).
template <class Body>
TF_INLINE void for_chunks(const Images& im, int64_t begin, int64_t end, const Body& body) {
  int64_t most = kChunk;
  if (im.side_by_side) {
    most = kChunk / im.channels;
    if (most < 32) most = 32;
  }
  while (begin < end) {
    int64_t n = im.columns - begin % im.columns;
    if (n > end - begin) n = end - begin;
    if (n > most) n = most;
    body(begin, n);
    begin += n;
  }
}

// body(registers, first channel, lanes of a register), over all channels; all lanes where there
// is more than one register.
template <class T, class Body>
TF_INLINE void for_groups(int64_t channels, const Body& body) {
  constexpr int64_t w = Vec<T>::kWidth;
  int64_t c = 0;
  for (; c + kGroup * w <= channels; c += kGroup * w) body(Index<kGroup>{}, c, w);
  for (; c < channels; c += w) body(Index<1>{}, c, channels - c < w ? channels - c : w);
}

// body(piece, line) over all pieces of a cut; lines are channels, or 0 for all of them.
template <class Body>
static tf_status for_pieces(const Images& im, const Cut& cut, const Body& body) {
  const int64_t work = im.pixels() * im.channels / (cut.pieces() * cut.lines);
  return parallel_range(cut.pieces() * cut.lines, kGrain / (work + 1) + 1,
                        [&](int64_t begin, int64_t end) {
                          for (int64_t i = begin; i < end; ++i) body(i / cut.lines, i % cut.lines);
                        });
}

// Elements of one channel, `stride` apart, where they are or in `buffer`.
template <class T>
TF_INLINE const T* in_order(const T* from, int64_t stride, T* buffer, int64_t n) {
  if (stride == 1) return from;
  gather(from, stride, buffer, n);
  return buffer;
}

// Moments of `n` more elements join those of `count`: Chan, Golub, LeVeque 1983. square: the sum
// of squared distances from the mean.
template <class V, class T>
TF_INLINE void join_moments(V& mean, V& square, T count, V mean2, V square2, T n) {
  const T total = count + n;
  const V distance = mean2 - mean;
  mean = mean + distance * V(n / total);
  square = square + square2 + distance * distance * V(count * (n / total));
}

// A mean of n elements that rounding has put a little off, and the sum of squared distances from
// it, are set right by the sum of those distances.
template <class V, class T>
TF_INLINE void settle_moments(V& mean, V& square, V rest, T n) {
  const V off = rest / V(n);
  mean = mean + off;
  square = square - rest * off;
}

// Per piece and channel the mean and the sum of squared distances from it, at
// to[(piece * 2 + 0 or 1) * channels + channel].
template <class T>
static tf_status piece_moments(const Images& im, const Cut& cut, T* to) {
  using V = Vec<T>;
  const int64_t channels = im.channels;
  if (!im.side_by_side)
    return for_pieces(im, cut, [&](int64_t piece, int64_t c) {
      T mean = 0, square = 0, count = 0, buffer[kChunk];
      for_chunks(im, cut.begin(piece), cut.end(piece), [&](int64_t pixel, int64_t n) {
        const T* x = in_order(im.at<const T>(0, pixel, c), im.stride_w[0], buffer, n);
        const auto row = [&](int64_t i, int64_t m)
                             TF_ALWAYS_INLINE { return load_lanes(x + i, m); };
        T here = row_sum<T>(n, row) / T(n);
        const V centre(here);
        T spread = row_sum<T>(n, [&](int64_t i, int64_t m) TF_ALWAYS_INLINE {
          const V d = row(i, m) - centre;
          return d * d;
        });
        const T rest = row_sum<T>(
            n, [&](int64_t i, int64_t m) TF_ALWAYS_INLINE { return row(i, m) - centre; });
        settle_moments(here, spread, rest, T(n));
        join_moments(mean, square, count, here, spread, T(n));
        count += T(n);
      });
      to[piece * 2 * channels + c] = mean;
      to[(piece * 2 + 1) * channels + c] = square;
    });
  return for_pieces(im, cut, [&](int64_t piece, int64_t) {
    T *means = to + piece * 2 * channels, *squares = means + channels;
    for (int64_t c = 0; c < 2 * channels; ++c) means[c] = T(0);
    T count = 0;
    for_chunks(im, cut.begin(piece), cut.end(piece), [&](int64_t pixel, int64_t n) {
      const T* x = im.at<const T>(0, pixel, 0);
      const int64_t step = im.stride_w[0];
      for_groups<T>(channels, [&]<int kN>(Index<kN>, int64_t c, int64_t m) TF_ALWAYS_INLINE {
        V s[kN], q[kN], rest[kN];
        unroll<kN>([&](auto k) TF_ALWAYS_INLINE { s[k] = q[k] = rest[k] = V(T(0)); });
        const T* p = x + c;
        for (int64_t i = 0; i < n; ++i, p += step)
          unroll<kN>([&](auto k) TF_ALWAYS_INLINE { s[k] += load_lanes(p + k * V::kWidth, m); });
        const V share(T(1) / T(n));
        unroll<kN>([&](auto k) TF_ALWAYS_INLINE { s[k] *= share; });
        p = x + c;
        for (int64_t i = 0; i < n; ++i, p += step)
          unroll<kN>([&](auto k) TF_ALWAYS_INLINE {
            const V d = load_lanes(p + k * V::kWidth, m) - s[k];
            q[k] = fma(d, d, q[k]);
            rest[k] += d;
          });
        unroll<kN>([&](auto k) TF_ALWAYS_INLINE {
          const int64_t at = c + k * V::kWidth;
          V mean = load_lanes(means + at, m), square = load_lanes(squares + at, m);
          settle_moments(s[k], q[k], rest[k], T(n));
          join_moments(mean, square, count, s[k], q[k], T(n));
          store_lanes(means + at, mean, m);
          store_lanes(squares + at, square, m);
        });
      });
      count += T(n);
    });
  });
}

// The moments of a part's pieces joined in their order, in place of those of its first piece.
template <class T>
static void join_pieces(const Cut& cut, int64_t channels, T* moments) {
  for (int64_t part = 0; part < cut.parts; ++part) {
    const int64_t first = part * cut.bands;
    T *mean = moments + first * 2 * channels, *square = mean + channels;
    T count = T(cut.end(first) - cut.begin(first));
    for (int64_t piece = first + 1; piece < first + cut.bands; ++piece) {
      const T *mean2 = moments + piece * 2 * channels, *square2 = mean2 + channels;
      const T n = T(cut.end(piece) - cut.begin(piece));
      for (int64_t c = 0; c < channels; ++c)
        join_moments(mean[c], square[c], count, mean2[c], square2[c], n);
      count += n;
    }
  }
}

// Numbers per part and channel, absent ones being 0: number k of part p and channel c is
// of[k][p * channels + c].
constexpr int kParams = 5;
template <class T>
struct Params {
  const T* of[kParams];
  template <bool kChannels>
  TF_INLINE void load_at(int64_t at, int64_t m, Vec<T>* out) const {
    for (int k = 0; k < kParams; ++k)
      out[k] = !of[k] ? Vec<T>(T(0)) : kChannels ? load_lanes(of[k] + at, m) : Vec<T>(of[k][at]);
  }
};

// Per piece and channel two sums over its pixels, at to[(piece * 2 + 0 or 1) * channels + channel],
// of what f(x, g, params) gives in its last argument; x and g: the first two views' elements.
template <class T, class F>
static tf_status piece_sums(const Images& im, const Cut& cut, const Params<T>& params, T* to,
                            const F& f) {
  using V = Vec<T>;
  constexpr int64_t w = V::kWidth;
  const int64_t channels = im.channels;
  if (!im.side_by_side)
    return for_pieces(im, cut, [&](int64_t piece, int64_t c) {
      T sums[2] = {0, 0}, x_buffer[kChunk], g_buffer[kChunk];
      V p[kParams];
      params.template load_at<false>(piece / cut.bands * channels + c, w, p);
      for_chunks(im, cut.begin(piece), cut.end(piece), [&](int64_t pixel, int64_t n) {
        const T* x = in_order(im.at<const T>(0, pixel, c), im.stride_w[0], x_buffer, n);
        const T* g = in_order(im.at<const T>(1, pixel, c), im.stride_w[1], g_buffer, n);
        V s[2][2];
        for (auto& row : s) row[0] = row[1] = V(T(0));
        int64_t i = 0;
        for (; i + 2 * w <= n; i += 2 * w)
          unroll<2>([&](auto k) TF_ALWAYS_INLINE {
            V value[2];
            f(load(x + i + k * w), load(g + i + k * w), p, value);
            s[0][k] += value[0];
            s[1][k] += value[1];
          });
        for (; i < n; i += w) {
          const int64_t m = n - i < w ? n - i : w;
          V value[2];
          f(load_lanes(x + i, m), load_lanes(g + i, m), p, value);
          s[0][0] += only(value[0], m);
          s[1][0] += only(value[1], m);
        }
        for (int k = 0; k < 2; ++k) sums[k] += sum(s[k][0] + s[k][1]);
      });
      for (int k = 0; k < 2; ++k) to[(piece * 2 + k) * channels + c] = sums[k];
    });
  return for_pieces(im, cut, [&](int64_t piece, int64_t) {
    T* sums = to + piece * 2 * channels;
    for (int64_t c = 0; c < 2 * channels; ++c) sums[c] = T(0);
    for_chunks(im, cut.begin(piece), cut.end(piece), [&](int64_t pixel, int64_t n) {
      const T *x = im.at<const T>(0, pixel, 0), *g = im.at<const T>(1, pixel, 0);
      for_groups<T>(channels, [&]<int kN>(Index<kN>, int64_t c, int64_t m) TF_ALWAYS_INLINE {
        V p[kN][kParams], s[kN][2];
        unroll<kN>([&](auto k) TF_ALWAYS_INLINE {
          params.template load_at<true>(piece / cut.bands * channels + c + k * w, m, p[k]);
          s[k][0] = s[k][1] = V(T(0));
        });
        const T *px = x + c, *pg = g + c;
        for (int64_t i = 0; i < n; ++i, px += im.stride_w[0], pg += im.stride_w[1])
          unroll<kN>([&](auto k) TF_ALWAYS_INLINE {
            V value[2];
            f(load_lanes(px + k * w, m), load_lanes(pg + k * w, m), p[k], value);
            s[k][0] += value[0];
            s[k][1] += value[1];
          });
        unroll<kN>([&](auto k) TF_ALWAYS_INLINE {
          for (int j = 0; j < 2; ++j) {
            T* at = sums + j * channels + c + k * w;
            store_lanes(at, load_lanes(at, m) + s[k][j], m);
          }
        });
      });
    });
  });
}

// The sums of a part's pieces, in place of those of its first piece.
template <class T>
static void add_pieces(const Cut& cut, int64_t channels, T* sums) {
  for (int64_t part = 0; part < cut.parts; ++part) {
    T* total = sums + part * cut.bands * 2 * channels;
    for (int64_t band = 1; band < cut.bands; ++band)
      for (int64_t c = 0; c < 2 * channels; ++c) total[c] += total[band * 2 * channels + c];
  }
}

// The last of kViews views becomes f(x, g, params); with two views g is x again.
template <int kViews, class T, class F>
static tf_status map_channels(const Images& im, const Cut& cut, const Params<T>& params,
                              const F& f) {
  using V = Vec<T>;
  constexpr int64_t w = V::kWidth;
  constexpr int second = kViews > 2 ? 1 : 0, last = kViews - 1;
  const int64_t channels = im.channels;
  if (!im.side_by_side)
    return for_pieces(im, cut, [&](int64_t piece, int64_t c) {
      T x_buffer[kChunk], g_buffer[kChunk], y_buffer[kChunk];
      V p[kParams];
      params.template load_at<false>(piece / cut.bands * channels + c, w, p);
      for_chunks(im, cut.begin(piece), cut.end(piece), [&](int64_t pixel, int64_t n) {
        const T* x = in_order(im.at<const T>(0, pixel, c), im.stride_w[0], x_buffer, n);
        const T* g = x;
        if (second)
          g = in_order(im.at<const T>(second, pixel, c), im.stride_w[second], g_buffer, n);
        T* const y = im.at<T>(last, pixel, c);
        const bool dense = im.stride_w[last] == 1;
        fill_row(dense ? y : y_buffer, n, [&](int64_t i, int64_t m) TF_ALWAYS_INLINE {
          return f(load_lanes(x + i, m), load_lanes(g + i, m), p);
        });
        if (!dense) scatter(y_buffer, y, im.stride_w[last], n);
      });
    });
  return for_pieces(im, cut, [&](int64_t piece, int64_t) {
    for_chunks(im, cut.begin(piece), cut.end(piece), [&](int64_t pixel, int64_t n) {
      const T *x = im.at<const T>(0, pixel, 0), *g = im.at<const T>(second, pixel, 0);
      T* const y = im.at<T>(last, pixel, 0);
      for_groups<T>(channels, [&]<int kN>(Index<kN>, int64_t c, int64_t m) TF_ALWAYS_INLINE {
        V p[kN][kParams];
        unroll<kN>([&](auto k) TF_ALWAYS_INLINE {
          params.template load_at<true>(piece / cut.bands * channels + c + k * w, m, p[k]);
        });
        const T *px = x + c, *pg = g + c;
        T* py = y + c;
        for (int64_t i = 0; i < n; ++i) {
          unroll<kN>([&](auto k) TF_ALWAYS_INLINE {
            const V value = f(load_lanes(px + k * w, m), load_lanes(pg + k * w, m), p[k]);
            store_lanes(py + k * w, value, m);
          });
          px += im.stride_w[0];
          pg += im.stride_w[second];
          py += im.stride_w[last];
        }
      });
    });
  });
}

}  // namespace
}  // namespace tf::cpu::TF_ISA
