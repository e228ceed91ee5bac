// sum, mean, prod, amax, amin, sums of squares and of sizes over a mask of dimensions; argmax and
// argmin along one.
// SPDX-License-Identifier: MIT
#include "backends/cpu/reduce.h"

namespace tf::cpu::TF_ISA {
namespace {

// What a reduction joins partial results with: registers, scalars, and the result of no elements;
// and how it takes an element in, where that is something else.
struct Add {
  template <class V>
  static TF_INLINE V join(V a, V b) { return a + b; }
  template <class T>
  static T identity() { return T(0); }
};
struct Multiply {
  template <class V>
  static TF_INLINE V join(V a, V b) { return a * b; }
  template <class T>
  static T identity() { return T(1); }
};
struct AddSquares : Add {
  template <class T>
  static TF_INLINE Vec<T> take(Vec<T> sum, Vec<T> x) { return fma(x, x, sum); }
  template <class T>
  static TF_INLINE T take(T sum, T x) { return sum + x * x; }
};
struct AddSizes : Add {
  template <class T>
  static TF_INLINE Vec<T> take(Vec<T> sum, Vec<T> x) { return sum + abs(x); }
  template <class T>
  static TF_INLINE T take(T sum, T x) { return sum + (x < T(0) ? -x : x); }
};
template <class Op, class V>
TF_INLINE V take(V result, V x) {
  if constexpr (requires { Op::take(result, x); }) return Op::take(result, x);
  else return Op::join(result, x);
}
// Of partial results.
template <class Op>
struct JoinedBy { using type = Op; };
template <>
struct JoinedBy<AddSquares> { using type = Add; };
template <>
struct JoinedBy<AddSizes> { using type = Add; };

template <class T>
static inline T least() {
  if constexpr (std::is_floating_point_v<T>) return T(-__builtin_inf());
  else return sizeof(T) == 4 ? T(INT32_MIN) : T(INT64_MIN);
}
template <class T>
static inline T greatest() {
  if constexpr (std::is_floating_point_v<T>) return T(__builtin_inf());
  else return sizeof(T) == 4 ? T(INT32_MAX) : T(INT64_MAX);
}
// NaN wins.
struct Max {
  template <class T>
  static TF_INLINE Vec<T> join(Vec<T> a, Vec<T> b) { return select(a == a, max(a, b), a); }
  template <class T>
  static TF_INLINE T join(T a, T b) { return a != a || a > b ? a : b; }
  template <class T>
  static T identity() { return least<T>(); }
};
struct Min {
  template <class T>
  static TF_INLINE Vec<T> join(Vec<T> a, Vec<T> b) { return select(a == a, min(a, b), a); }
  template <class T>
  static TF_INLINE T join(T a, T b) { return a != a || a < b ? a : b; }
  template <class T>
  static T identity() { return greatest<T>(); }
};

// n elements in four registers of partial results.
template <class Op, class T>
static inline T reduce_row(const T* x, int64_t stride, int64_t n) {
  constexpr int w = Vec<T>::kWidth;
  const T nothing = Op::template identity<T>();
  if (stride == 1 && n < w) {
    T r = nothing;
    for (int64_t i = 0; i < n; ++i) r = take<Op>(r, x[i]);
    return r;
  }
  if (stride == 1) {
    Vec<T> s0(nothing), s1(nothing), s2(nothing), s3(nothing);
    int64_t i = 0;
    for (; i + 4 * w <= n; i += 4 * w) {
      s0 = take<Op>(s0, load(x + i));
      s1 = take<Op>(s1, load(x + i + w));
      s2 = take<Op>(s2, load(x + i + 2 * w));
      s3 = take<Op>(s3, load(x + i + 3 * w));
    }
    for (; i + w <= n; i += w) s0 = take<Op>(s0, load(x + i));
    if (i < n) {
      const auto in_row = iota<IntOf<T>>() < Vec<IntOf<T>>(IntOf<T>(n - i));
      s1 = take<Op>(s1, select(in_row, load_n(x + i, n - i), Vec<T>(nothing)));
    }
    return fold(Op::join(Op::join(s0, s1), Op::join(s2, s3)),
                [](Vec<T> a, Vec<T> b) TF_ALWAYS_INLINE { return Op::join(a, b); });
  }
  T s[4] = {nothing, nothing, nothing, nothing};
  int64_t i = 0;
  for (; i + 4 <= n; i += 4)
    for (int k = 0; k < 4; ++k) s[k] = take<Op>(s[k], x[(i + k) * stride]);
  for (; i < n; ++i) s[0] = take<Op>(s[0], x[i * stride]);
  return Op::join(Op::join(s[0], s[1]), Op::join(s[2], s[3]));
}

constexpr int64_t kReduceBlock = 16384;  // elements of one partial result

template <class Op, class T>
static T reduce_block(const Reduction& r, const T* x, int64_t begin, int64_t end) {
  if (r.reduced == 0) return take<Op>(Op::template identity<T>(), *x);
  const int last = r.reduced - 1;
  T total = Op::template identity<T>();
  while (begin < end) {
    const int64_t at = begin % r.shape[last];
    const int64_t left = r.shape[last] - at;
    const int64_t n = left < end - begin ? left : end - begin;
    total = Op::join(total, reduce_row<Op>(x + reduced_offset(r, begin), r.stride[last], n));
    begin += n;
  }
  return total;
}

// Columns: neighbouring outputs lie side by side in memory, so a register holds many outputs, and
// the input is read in order, a band of rows at a time. Their partial results stay in the cache.
constexpr int64_t kColumns = 1024;   // columns of one tile
constexpr int64_t kMaxBands = 32;    // of rows, each with partial results of its own

// to[j] = join of rows [begin, end) at column j, for n columns.
template <class Op, class T>
static inline void join_rows(const Reduction& r, const T* x, int64_t begin, int64_t end, int64_t n,
                             T* to) {
  constexpr int64_t w = Vec<T>::kWidth;
  const int inner = r.reduced - 1;
  const int64_t step = r.stride[inner];
  const Vec<T> nothing(Op::template identity<T>());
  for (int64_t j = 0; j < n; j += w) store(to + j, nothing);
  while (begin < end) {
    const T* p = x + reduced_offset(r, begin);
    int64_t left = r.shape[inner] - begin % r.shape[inner];
    if (left > end - begin) left = end - begin;
    begin += left;
    const auto add_rows = [&]<int kRows>(Index<kRows>) TF_ALWAYS_INLINE {
      const auto add = [&](int64_t j, const auto& get) TF_ALWAYS_INLINE {
        Vec<T> sums = load(to + j);
        unroll<kRows>([&](auto i)
                          TF_ALWAYS_INLINE { sums = take<Op>(sums, get(p + i * step + j)); });
        store(to + j, sums);
      };
      int64_t j = 0;
      for (; j + w <= n; j += w) add(j, [](const T* q) TF_ALWAYS_INLINE { return load(q); });
      if (j < n) add(j, [=](const T* q) TF_ALWAYS_INLINE { return load_n(q, n - j); });
      p += kRows * step;
    };
    // Rows that lie a multiple of 4 KiB apart share the eight places of a set of the first cache.
    for (; left >= 4; left -= 4) add_rows(Index<4>{});
    for (; left > 0; --left) add_rows(Index<1>{});
  }
}

// to[j] = join of to[j] and from[j].
template <class Op, class T>
static inline void join_row(T* to, const T* from, int64_t n) {
  constexpr int64_t w = Vec<T>::kWidth;
  int64_t j = 0;
  for (; j + w <= n; j += w) store(to + j, Op::join(load(to + j), load(from + j)));
  if (j < n) store_n(to + j, Op::join(load_n(to + j, n - j), load_n(from + j, n - j)), n - j);
}

template <class Op, class T>
static tf_status reduce_columns(const Reduction& r, const T* x, T* out, T divisor) {
  const int last = r.kept - 1;
  const int64_t cols = r.kept_shape[last], step = r.kept_out[last];
  const int64_t strips = (cols + kColumns - 1) / kColumns, tiles = r.outputs / cols * strips;
  // Bands of rows only where there is little else to deal out.
  int64_t bands = r.count * (cols < kColumns ? cols : kColumns) / kGrain;
  if (bands * tiles > kMaxBands) bands = kMaxBands / tiles;
  if (bands < 1) bands = 1;
  const size_t bytes = bands > 1 ? size_t(bands * r.outputs) * sizeof(T) : 0;
  T* const partial = bytes ? static_cast<T*>(host->host_alloc(bytes)) : nullptr;
  if (bytes && !partial) return error(TINYFIN_ERROR_MEMORY, "out of host memory for partial results");
  const auto finished = [=](T value) { return divisor == T(1) ? value : value / divisor; };
  const int64_t grain = kGrain / (r.count / bands * (cols < kColumns ? cols : kColumns) + 1) + 1;
  tf_status status = parallel_range(tiles * bands, grain, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const int64_t band = t % bands, strip = t / bands % strips, group = t / bands / strips;
      int64_t in_at, out_at;
      locate(r, group * cols, in_at, out_at);
      const int64_t c0 = strip * kColumns, n = cols - c0 < kColumns ? cols - c0 : kColumns;
      T total[kColumns];
      join_rows<Op>(r, x + in_at + c0, r.count * band / bands, r.count * (band + 1) / bands, n,
                    total);
      if (partial)
        memcpy(partial + band * r.outputs + group * cols + c0, total, size_t(n) * sizeof(T));
      else
        for (int64_t j = 0; j < n; ++j) out[out_at + (c0 + j) * step] = finished(total[j]);
    }
  });
  if (partial) {
    if (status == TINYFIN_OK)
      status = parallel_range(r.outputs, kGrain / bands, [&](int64_t begin, int64_t end) {
        for (int64_t b = 1; b < bands; ++b)
          join_row<Op>(partial + begin, partial + b * r.outputs + begin, end - begin);
        for (int64_t i = begin; i < end; ++i) {
          int64_t in_at, out_at;
          locate(r, i, in_at, out_at);
          out[out_at] = finished(partial[i]);
        }
      });
    host->host_free(partial, bytes);
  }
  return status;
}

// Each result is divided by `divisor` at the end (mean).
template <class Op, class T>
static tf_status reduce(const tf_kernel_call* c, const Reduction& r, T divisor) {
  const T* x = static_cast<const T*>(c->in[0].data);
  T* out = static_cast<T*>(c->out[0].data);
  if (r.outputs == 0) return TINYFIN_OK;
  const auto finished = [&](T v) { return divisor == T(1) ? v : v / divisor; };
  if (r.count == 0) {
    T nothing = Op::template identity<T>();
    if constexpr (std::is_floating_point_v<T>)
      if (divisor == 0) nothing = T(__builtin_nan(""));
    const Loop<1> loop = make_loop<1>({&c->out[0]});
    return for_rows(loop, [&](char* const* ptr, const int64_t* stride, int64_t n) {
      for (int64_t i = 0; i < n; ++i) reinterpret_cast<T*>(ptr[0])[i * stride[0]] = nothing;
    });
  }
  if (r.kept > 0 && r.reduced > 0 && r.kept_in[r.kept - 1] == 1 && r.stride[r.reduced - 1] != 1)
    return reduce_columns<Op>(r, x, out, divisor);
  if (r.outputs == 1 && r.count > kReduceBlock) {
    const int64_t blocks = (r.count + kReduceBlock - 1) / kReduceBlock;
    T* partial = static_cast<T*>(host->host_alloc(size_t(blocks) * sizeof(T)));
    if (!partial) return error(TINYFIN_ERROR_MEMORY, "out of host memory for partial results");
    const tf_status status = parallel_range(r.count, kReduceBlock, [&](int64_t begin, int64_t end) {
      partial[begin / kReduceBlock] = reduce_block<Op>(r, x, begin, end);
    });
    *out = finished(reduce_row<typename JoinedBy<Op>::type>(partial, 1, blocks));
    host->host_free(partial, size_t(blocks) * sizeof(T));
    return status;
  }
  return parallel_range(r.outputs, kGrain / r.count + 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      int64_t in_at, out_at;
      locate(r, i, in_at, out_at);
      T total = Op::template identity<T>();
      for (int64_t b = 0; b < r.count; b += kReduceBlock) {
        const int64_t e = b + kReduceBlock < r.count ? b + kReduceBlock : r.count;
        total = Op::join(total, reduce_block<Op>(r, x + in_at, b, e));
      }
      out[out_at] = finished(total);
    }
  });
}

template <class Op>
static tf_status reduce_kernel(const tf_kernel_call* c, void*) {
  const Reduction r = make_reduction(c->in[0], c->out[0], uint64_t(c->attr[0].i));
  return with_number(c->out[0].dtype, [&](auto t) { return reduce<Op>(c, r, decltype(t)(1)); });
}
// Of floats.
template <class Op>
static tf_status reduce_floats(const tf_kernel_call* c, void*) {
  const Reduction r = make_reduction(c->in[0], c->out[0], uint64_t(c->attr[0].i));
  return c->out[0].dtype == TINYFIN_FLOAT32 ? reduce<Op>(c, r, 1.f) : reduce<Op>(c, r, 1.0);
}
static tf_status mean_kernel(const tf_kernel_call* c, void*) {
  const Reduction r = make_reduction(c->in[0], c->out[0], uint64_t(c->attr[0].i));
  return c->out[0].dtype == TINYFIN_FLOAT32 ? reduce<Add>(c, r, float(r.count))
                                            : reduce<Add>(c, r, double(r.count));
}

constexpr uint32_t kNumbers = TINYFIN_DTYPES_FLOAT | TINYFIN_DTYPES_INT;
TF_KERNEL(sum, kNumbers, reduce_kernel<Add>);
TF_KERNEL(mean, TINYFIN_DTYPES_FLOAT, mean_kernel);
TF_KERNEL(sum_squares, TINYFIN_DTYPES_FLOAT, reduce_floats<AddSquares>);
TF_KERNEL(sum_sizes, TINYFIN_DTYPES_FLOAT, reduce_floats<AddSizes>);
TF_KERNEL(prod, kNumbers, reduce_kernel<Multiply>);
TF_KERNEL(amax, kNumbers, reduce_kernel<Max>);
TF_KERNEL(amin, kNumbers, reduce_kernel<Min>);

// Positions -----------------------------------------------------------------------------------

// Whether a comes before b as the extremum: strictly, so that the first of equal ones stays.
template <class Op, class T>
static inline bool beats(T a, T b) {
  if (a != a) return b == b;
  return std::is_same_v<Op, Max> ? a > b : a < b;
}

// Outputs that lie side by side are walked together, row by row of the input.
constexpr int64_t kStrip = 64;

template <class Op, class T>
static tf_status find(const tf_kernel_call* c) {
  const Reduction r = make_reduction(c->in[0], c->out[0], uint64_t(c->attr[0].i));
  const T* x = static_cast<const T*>(c->in[0].data);
  int64_t* out = static_cast<int64_t*>(c->out[0].data);
  if (r.outputs == 0) return TINYFIN_OK;
  const int64_t step = r.reduced ? r.stride[0] : 0;
  const int last = r.kept - 1;
  if (r.kept > 0 && r.kept_in[last] == 1 && step != 1) {
    const int64_t cols = r.kept_shape[last], strips = (cols + kStrip - 1) / kStrip;
    const int64_t grain = kGrain / (kStrip * r.count) + 1;
    return parallel_range(r.outputs / cols * strips, grain, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        int64_t in_at, out_at;
        locate(r, t / strips * cols, in_at, out_at);
        const int64_t c0 = t % strips * kStrip, n = cols - c0 < kStrip ? cols - c0 : kStrip;
        const T* p = x + in_at + c0;
        T best[kStrip];
        int64_t at[kStrip];
        for (int64_t j = 0; j < n; ++j) best[j] = p[j], at[j] = 0;
        for (int64_t i = 1; i < r.count; ++i) {
          p += step;
          for (int64_t j = 0; j < n; ++j) {
            const bool better = beats<Op>(p[j], best[j]);
            best[j] = better ? p[j] : best[j];
            at[j] = better ? i : at[j];
          }
        }
        for (int64_t j = 0; j < n; ++j) out[out_at + (c0 + j) * r.kept_out[last]] = at[j];
      }
    });
  }
  return parallel_range(r.outputs, kGrain / r.count + 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      int64_t in_at, out_at;
      locate(r, i, in_at, out_at);
      const T* p = x + in_at;
      const T best = reduce_row<Op>(p, step, r.count);
      int64_t at = 0;
      while (!(p[at * step] == best || (best != best && p[at * step] != p[at * step]))) ++at;
      out[out_at] = at;
    }
  });
}

template <class Op>
static tf_status find_kernel(const tf_kernel_call* c, void*) {
  return with_number(c->in[0].dtype, [&](auto t) { return find<Op, decltype(t)>(c); });
}
TF_KERNEL(argmax, kNumbers, find_kernel<Max>);
TF_KERNEL(argmin, kNumbers, find_kernel<Min>);

}  // namespace
}  // namespace tf::cpu::TF_ISA
