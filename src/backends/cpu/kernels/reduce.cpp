// sum, mean, prod, amax, amin over a mask of dimensions; argmax and argmin along one.
// SPDX-License-Identifier: MIT
#include "backends/cpu/reduce.h"

namespace tf::cpu::TF_ISA {
namespace {

// What a reduction joins elements with: registers, scalars, and the result of no elements.
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
    for (int64_t i = 0; i < n; ++i) r = Op::join(r, x[i]);
    return r;
  }
  if (stride == 1) {
    Vec<T> s0(nothing), s1(nothing), s2(nothing), s3(nothing);
    int64_t i = 0;
    for (; i + 4 * w <= n; i += 4 * w) {
      s0 = Op::join(s0, load(x + i));
      s1 = Op::join(s1, load(x + i + w));
      s2 = Op::join(s2, load(x + i + 2 * w));
      s3 = Op::join(s3, load(x + i + 3 * w));
    }
    for (; i + w <= n; i += w) s0 = Op::join(s0, load(x + i));
    if (i < n) {
      const auto in_row = iota<IntOf<T>>() < Vec<IntOf<T>>(IntOf<T>(n - i));
      s1 = Op::join(s1, select(in_row, load_n(x + i, n - i), Vec<T>(nothing)));
    }
    return fold(Op::join(Op::join(s0, s1), Op::join(s2, s3)),
                [](Vec<T> a, Vec<T> b) TF_ALWAYS_INLINE { return Op::join(a, b); });
  }
  T s[4] = {nothing, nothing, nothing, nothing};
  int64_t i = 0;
  for (; i + 4 <= n; i += 4)
    for (int k = 0; k < 4; ++k) s[k] = Op::join(s[k], x[(i + k) * stride]);
  for (; i < n; ++i) s[0] = Op::join(s[0], x[i * stride]);
  return Op::join(Op::join(s[0], s[1]), Op::join(s[2], s[3]));
}

constexpr int64_t kReduceBlock = 16384;  // elements of one partial result

template <class Op, class T>
static T reduce_block(const Reduction& r, const T* x, int64_t begin, int64_t end) {
  if (r.reduced == 0) return *x;
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

// Columns: neighbouring outputs lie side by side in memory, so a register holds many outputs.
template <class Op, class T>
static tf_status reduce_columns(const Reduction& r, const T* x, T* out, T divisor) {
  constexpr int w = Vec<T>::kWidth;
  const int last = r.kept - 1, inner = r.reduced - 1;
  const int64_t cols = r.kept_shape[last], outer = r.outputs / cols;
  const int64_t strip = 4 * w;
  const int64_t strips = (cols + strip - 1) / strip;
  const int64_t grain = kGrain / (strip * r.count) + 1;
  return parallel_range(outer * strips, grain, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      int64_t in_at, out_at;
      locate(r, t / strips * cols, in_at, out_at);
      const int64_t c0 = t % strips * strip, n = cols - c0 < strip ? cols - c0 : strip;
      const Vec<T> nothing(Op::template identity<T>());
      Vec<T> s0 = nothing, s1 = nothing, s2 = nothing, s3 = nothing;
      for (int64_t i = 0; i < r.count; i += r.shape[inner]) {
        const T* p = x + in_at + c0 + reduced_offset(r, i);
        if (n == strip) {
          for (int64_t j = 0; j < r.shape[inner]; ++j, p += r.stride[inner]) {
            s0 = Op::join(s0, load(p));
            s1 = Op::join(s1, load(p + w));
            s2 = Op::join(s2, load(p + 2 * w));
            s3 = Op::join(s3, load(p + 3 * w));
          }
          continue;
        }
        const auto part = [&](int k) { return n - k * w < 0 ? 0 : n - k * w < w ? n - k * w : w; };
        for (int64_t j = 0; j < r.shape[inner]; ++j, p += r.stride[inner]) {
          s0 = Op::join(s0, load_n(p, part(0)));
          if (n > w) s1 = Op::join(s1, load_n(p + w, part(1)));
          if (n > 2 * w) s2 = Op::join(s2, load_n(p + 2 * w, part(2)));
          if (n > 3 * w) s3 = Op::join(s3, load_n(p + 3 * w, part(3)));
        }
      }
      T* o = out + out_at + c0 * r.kept_out[last];
      T row[4 * w];
      store(row, s0);
      store(row + w, s1);
      store(row + 2 * w, s2);
      store(row + 3 * w, s3);
      for (int64_t j = 0; j < n; ++j)
        o[j * r.kept_out[last]] = divisor == T(1) ? row[j] : row[j] / divisor;
    }
  });
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
    *out = finished(reduce_row<Op>(partial, 1, blocks));
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
static tf_status mean_kernel(const tf_kernel_call* c, void*) {
  const Reduction r = make_reduction(c->in[0], c->out[0], uint64_t(c->attr[0].i));
  return c->out[0].dtype == TINYFIN_FLOAT32 ? reduce<Add>(c, r, float(r.count))
                                            : reduce<Add>(c, r, double(r.count));
}

constexpr uint32_t kNumbers = TINYFIN_DTYPES_FLOAT | TINYFIN_DTYPES_INT;
TF_KERNEL(sum, kNumbers, reduce_kernel<Add>);
TF_KERNEL(mean, TINYFIN_DTYPES_FLOAT, mean_kernel);
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
