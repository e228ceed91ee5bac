// softmax, log_softmax and logsumexp along one dimension, their gradients, running sums.
//
// Where elements along the dimension are far apart and others lie side by side, a register holds
// neighbouring columns, and memory is read in order, a band of rows at a time.
// SPDX-License-Identifier: MIT
#include "backends/cpu/columns.h"
#include "backends/cpu/exponentials.h"

namespace tf::cpu::TF_ISA {
namespace {

template <class T>
static void softmax_row(T* out, const T* x, int64_t n) {
  const T total = exp_row(out, x, Vec<T>(row_max(x, n)), n);
  scale_row(out, out, Vec<T>(T(1) / total), n);
}

template <class T>
static void log_softmax_row(T* out, const T* x, int64_t n) {
  const Vec<T> shift(row_max(x, n));
  const T total = sum_exp_row(x, shift, n);
  const Vec<T> log_total = Vec<T>(static_cast<T>(::log(double(total))));
  fill_row(out, n, [&](int64_t i, int64_t lanes) TF_ALWAYS_INLINE {
    return (load_lanes(x + i, lanes) - shift) - log_total;
  });
}

// out * (grad - sum(grad * out))
template <class T>
static void softmax_backward_row(T* result, const T* grad, const T* out, int64_t n) {
  const Vec<T> total(row_sum<T>(n, [&](int64_t i, int64_t lanes) TF_ALWAYS_INLINE {
    return load_lanes(grad + i, lanes) * load_lanes(out + i, lanes);
  }));
  fill_row(result, n, [&](int64_t i, int64_t lanes) TF_ALWAYS_INLINE {
    return load_lanes(out + i, lanes) * (load_lanes(grad + i, lanes) - total);
  });
}

// grad - exp(out) * sum(grad)
template <class T>
static void log_softmax_backward_row(T* result, const T* grad, const T* out, int64_t n) {
  const Vec<T> total(row_sum<T>(
      n, [&](int64_t i, int64_t lanes) TF_ALWAYS_INLINE { return load_lanes(grad + i, lanes); }));
  fill_row(result, n, [&](int64_t i, int64_t lanes) TF_ALWAYS_INLINE {
    return load_lanes(grad + i, lanes) - exp(load_lanes(out + i, lanes)) * total;
  });
}

// Columns ------------------------------------------------------------------------------------

constexpr int kRowsAtOnce = 8;

// body(rows known to the compiler, first row): rows [begin, end) by eight, the rest one by one.
template <class Body>
TF_INLINE void for_row_groups(int64_t begin, int64_t end, const Body& body) {
  for (; begin + kRowsAtOnce <= end; begin += kRowsAtOnce) body(Index<kRowsAtOnce>{}, begin);
  for (; begin < end; ++begin) body(Index<1>{}, begin);
}

// What is subtracted for a maximum: 0 for an infinite one, so that sums of nothing are 0 and sums
// that hold an infinity are infinite.
template <class T>
TF_INLINE Vec<T> shift_of(Vec<T> top) {
  return select(abs(top) == Vec<T>(T(__builtin_inf())), Vec<T>(T(0)), top);
}

// The sums of exponentials of more elements, shifted by their maxima, join those so far.
template <class T>
TF_INLINE void join_exponentials(Vec<T>& top, Vec<T>& total, Vec<T> top2, Vec<T> total2) {
  const Vec<T> both = max(top2, top), shift = shift_of(both);
  total = total * exp(top - shift) + total2 * exp(top2 - shift);
  top = both;
}

// Of every column the maximum (shift_of it) and the sum of exponentials shifted by it, at of(0) and
// of(1) of the result, which has 2 * bands numbers per column.
template <class T, int N>
static tf_status column_exponentials(const Columns<N>& cols, const Bands& bands, int operand,
                                     T* base, const PerColumn<T>& found) {
  using V = Vec<T>;
  constexpr int64_t w = V::kWidth;
  const V nothing(T(-__builtin_inf()));
  const tf_status status = bands.run([&](int64_t matrix, int64_t c0, int64_t n, int64_t first,
                                         int64_t last, int64_t band) {
    T* const tops = found.of(2 * band) + matrix * cols.columns + c0;
    T* const totals = found.of(2 * band + 1) + matrix * cols.columns + c0;
    for_vectors<T>(n, [&](int64_t j, int64_t m) TF_ALWAYS_INLINE {
      store_lanes(tops + j, nothing, m);
      store_lanes(totals + j, V(T(0)), m);
    });
    const int64_t step = cols.lines.stride[operand];
    const T* const x = cols.at(operand, base, matrix, 0, c0);
    for_row_groups(first, last, [&]<int kRows>(Index<kRows>, int64_t row) TF_ALWAYS_INLINE {
      for_vectors<T>(n, [&](int64_t j, int64_t m) TF_ALWAYS_INLINE {
        const T* p = x + row * step + j;
        V v[kRows], top = load_lanes(tops + j, m), total = load_lanes(totals + j, m);
        const V before = top;
        unroll<kRows>([&](auto k) TF_ALWAYS_INLINE {
          v[k] = load_lanes(p + k * step, m);
          top = max(v[k], top);  // passes NaN over
        });
        const V shift = shift_of(top);
        total *= exp(before - shift);
        unroll<kRows>([&](auto k) TF_ALWAYS_INLINE { total += exp(v[k] - shift); });
        store_lanes(tops + j, top, m);
        store_lanes(totals + j, total, m);
      });
    });
  });
  if (status != TINYFIN_OK) return status;
  return parallel_range(found.all, (kGrain / (8 * bands.bands) / w + 1) * w,
                        [&](int64_t begin, int64_t end) {
    for_vectors<T>(end - begin, [&](int64_t i, int64_t m) TF_ALWAYS_INLINE {
      const int64_t j = begin + i;
      V top = load_lanes(found.of(0) + j, m), total = load_lanes(found.of(1) + j, m);
      for (int64_t b = 1; b < bands.bands; ++b)
        join_exponentials(top, total, load_lanes(found.of(2 * b) + j, m),
                          load_lanes(found.of(2 * b + 1) + j, m));
      store_lanes(found.of(0) + j, shift_of(top), m);
      store_lanes(found.of(1) + j, total, m);
    });
  });
}

// out = f(x, shift, number), number being finished(total) of its column: NaN where that is
// infinite, as in a row.
template <class T, class Finished, class F>
static tf_status softmax_columns(const Columns<2>& cols, T* const (&base)[2],
                                 const Finished& finished, const F& f) {
  const Bands bands(cols);
  const PerColumn<T> found(cols.lines.count, 2 * bands.bands);
  if (!found.data) return no_columns();
  const tf_status status = column_exponentials(cols, bands, 1, base[1], found);
  if (status != TINYFIN_OK) return status;
  for (int64_t j = 0; j < found.all; ++j) found.of(1)[j] = finished(found.of(1)[j]);
  return bands.run([&](int64_t matrix, int64_t c0, int64_t n, int64_t first, int64_t last,
                       int64_t) {
    const T* const shifts = found.of(0) + matrix * cols.columns + c0;
    const T* const numbers = found.of(1) + matrix * cols.columns + c0;
    T *to = cols.at(0, base[0], matrix, first, c0), *from = cols.at(1, base[1], matrix, first, c0);
    for (int64_t row = first; row < last; ++row) {
      fill_row(to, n, [&](int64_t j, int64_t m) TF_ALWAYS_INLINE {
        return f(load_lanes(from + j, m), load_lanes(shifts + j, m), load_lanes(numbers + j, m));
      });
      to += cols.lines.stride[0];
      from += cols.lines.stride[1];
    }
  });
}

// result = f(grad, out, the sum of term(grad, out) over their column).
template <class T, class Term, class F>
static tf_status backward_columns(const Columns<3>& cols, T* const (&base)[3], const Term& term,
                                  const F& f) {
  using V = Vec<T>;
  const Bands bands(cols);
  const PerColumn<T> sums(cols.lines.count, bands.bands);
  if (!sums.data) return no_columns();
  const int64_t *step = cols.lines.stride;
  tf_status status = bands.run([&](int64_t matrix, int64_t c0, int64_t n, int64_t first,
                                   int64_t last, int64_t band) {
    T* const to = sums.of(band) + matrix * cols.columns + c0;
    for (int64_t j = 0; j < n; ++j) to[j] = T(0);
    const T *g = cols.at(1, base[1], matrix, 0, c0), *y = cols.at(2, base[2], matrix, 0, c0);
    for_row_groups(first, last, [&]<int kRows>(Index<kRows>, int64_t row) TF_ALWAYS_INLINE {
      for_vectors<T>(n, [&](int64_t j, int64_t m) TF_ALWAYS_INLINE {
        V total = load_lanes(to + j, m);
        unroll<kRows>([&](auto k) TF_ALWAYS_INLINE {
          total += term(load_lanes(g + (row + k) * step[1] + j, m),
                        load_lanes(y + (row + k) * step[2] + j, m));
        });
        store_lanes(to + j, total, m);
      });
    });
  });
  if (status != TINYFIN_OK) return status;
  for (int64_t b = 1; b < bands.bands; ++b)
    for (int64_t j = 0; j < sums.all; ++j) sums.data[j] += sums.of(b)[j];
  return bands.run([&](int64_t matrix, int64_t c0, int64_t n, int64_t first, int64_t last,
                       int64_t) {
    const T* const totals = sums.data + matrix * cols.columns + c0;
    for (int64_t row = first; row < last; ++row) {
      const T *g = cols.at(1, base[1], matrix, row, c0), *y = cols.at(2, base[2], matrix, row, c0);
      fill_row(cols.at(0, base[0], matrix, row, c0), n, [&](int64_t j, int64_t m) TF_ALWAYS_INLINE {
        return f(load_lanes(g + j, m), load_lanes(y + j, m), load_lanes(totals + j, m));
      });
    }
  });
}

// Kernels ------------------------------------------------------------------------------------

template <class T>
static tf_status softmax(const tf_kernel_call* c) {
  using V = Vec<T>;
  const Lines<2> lines = make_lines<2>({&c->out[0], &c->in[0]}, int(c->attr[0].i));
  T* const base[2] = {static_cast<T*>(c->out[0].data), static_cast<T*>(c->in[0].data)};
  if (const Columns<2> cols(lines); cols.apply)
    return softmax_columns(cols, base, [](T total) { return T(1) / total + (total - total); },
                           [](V x, V shift, V scale)
                               TF_ALWAYS_INLINE { return exp(x - shift) * scale; });
  return for_lines(lines, base,
                   [&](T* const* p, int64_t) { softmax_row(p[0], p[1], lines.length); });
}
template <class T>
static tf_status log_softmax(const tf_kernel_call* c) {
  using V = Vec<T>;
  const Lines<2> lines = make_lines<2>({&c->out[0], &c->in[0]}, int(c->attr[0].i));
  T* const base[2] = {static_cast<T*>(c->out[0].data), static_cast<T*>(c->in[0].data)};
  if (const Columns<2> cols(lines); cols.apply)
    return softmax_columns(cols, base,
                           [](T total) { return T(::log(double(total))) + (total - total); },
                           [](V x, V shift, V log_total)
                               TF_ALWAYS_INLINE { return (x - shift) - log_total; });
  return for_lines(lines, base,
                   [&](T* const* p, int64_t) { log_softmax_row(p[0], p[1], lines.length); });
}

template <class T>
static tf_status softmax_backward(const tf_kernel_call* c) {
  using V = Vec<T>;
  const Lines<3> lines = make_lines<3>({&c->out[0], &c->in[0], &c->in[1]}, int(c->attr[0].i));
  T* const base[3] = {static_cast<T*>(c->out[0].data), static_cast<T*>(c->in[0].data),
                      static_cast<T*>(c->in[1].data)};
  if (const Columns<3> cols(lines); cols.apply)
    return backward_columns(cols, base, [](V g, V y) TF_ALWAYS_INLINE { return g * y; },
                            [](V g, V y, V total) TF_ALWAYS_INLINE { return y * (g - total); });
  return for_lines(lines, base, [&](T* const* p, int64_t) {
    softmax_backward_row(p[0], p[1], p[2], lines.length);
  });
}
template <class T>
static tf_status log_softmax_backward(const tf_kernel_call* c) {
  using V = Vec<T>;
  const Lines<3> lines = make_lines<3>({&c->out[0], &c->in[0], &c->in[1]}, int(c->attr[0].i));
  T* const base[3] = {static_cast<T*>(c->out[0].data), static_cast<T*>(c->in[0].data),
                      static_cast<T*>(c->in[1].data)};
  if (const Columns<3> cols(lines); cols.apply)
    return backward_columns(cols, base, [](V g, V) TF_ALWAYS_INLINE { return g; },
                            [](V g, V y, V total)
                                TF_ALWAYS_INLINE { return g - exp(y) * total; });
  return for_lines(lines, base, [&](T* const* p, int64_t) {
    log_softmax_backward_row(p[0], p[1], p[2], lines.length);
  });
}

#define TF_FLOAT_KERNEL(op)                                                        \
  static tf_status op##_kernel(const tf_kernel_call* c, void*) {                   \
    return c->out[0].dtype == TINYFIN_FLOAT32 ? op<float>(c) : op<double>(c);      \
  }                                                                                \
  TF_KERNEL(op, TINYFIN_DTYPES_FLOAT, op##_kernel)

TF_FLOAT_KERNEL(softmax);
TF_FLOAT_KERNEL(log_softmax);
TF_FLOAT_KERNEL(softmax_backward);
TF_FLOAT_KERNEL(log_softmax_backward);

// A reduction's result, seen with a dimension of stride 0 in place of the one that is gone.
struct Spread {
  int64_t strides[8];
  tf_view view;
  Spread(const tf_view& result, const tf_view& x, int dim) : view(result) {
    const bool keeps = result.ndim == x.ndim;
    for (int d = 0, o = 0; d < x.ndim; ++d) {
      strides[d] = d == dim ? 0 : result.strides[o];
      if (d != dim || keeps) ++o;
    }
    view.ndim = x.ndim;
    view.shape = x.shape;
    view.strides = strides;
  }
};

// The only dimension of a mask; -1 where there are none or several.
static inline int only_dim(int64_t mask, int ndim) {
  for (int d = 0; d < ndim; ++d)
    if (mask == int64_t(1) << d) return d;
  return -1;
}

// "x; mask, …" along one dimension; several are the decomposition's.
template <class T>
static tf_status logsumexp(const tf_kernel_call* c) {
  using V = Vec<T>;
  const tf_view& x = c->in[0];
  const int dim = only_dim(c->attr[0].i, x.ndim);
  if (dim < 0 || x.shape[dim] == 0) return TINYFIN_ERROR_UNSUPPORTED;
  const Spread result(c->out[0], x, dim);
  const Lines<2> lines = make_lines<2>({&x, &result.view}, dim);
  T* const from = static_cast<T*>(x.data);
  T* const out = static_cast<T*>(c->out[0].data);
  if (const Columns<1> cols(make_lines<1>({&x}, dim)); cols.apply) {
    const Bands bands(cols);
    const PerColumn<T> found(lines.count, 2 * bands.bands);
    if (!found.data) return no_columns();
    const tf_status status = column_exponentials(cols, bands, 0, from, found);
    for (int64_t j = 0; j < found.all && status == TINYFIN_OK; ++j)
      out[line_offset(lines, 1, j)] = found.of(0)[j] + T(::log(double(found.of(1)[j])));
    return status;
  }
  T* const base[1] = {from};
  return for_lines(lines, base, [&](T* const* line, int64_t i) {
    const V shift = shift_of(V(row_max(line[0], lines.length)));
    const T total = row_sum<T>(lines.length, [&](int64_t j, int64_t m) TF_ALWAYS_INLINE {
      return exp(load_lanes(line[0] + j, m) - shift);
    });
    out[line_offset(lines, 1, i)] = shift[0] + T(::log(double(total)));
  }, /*writes=*/false);
}
TF_FLOAT_KERNEL(logsumexp);

// Attributes: dim, reverse (sums from the end).
template <class T>
static tf_status cumsum(const tf_kernel_call* c) {
  const Lines<2> lines = make_lines<2>({&c->out[0], &c->in[0]}, int(c->attr[0].i));
  T* const base[2] = {static_cast<T*>(c->out[0].data), static_cast<T*>(c->in[0].data)};
  const bool reverse = c->attr[1].i != 0;
  const int64_t n = lines.length;
  if (const Columns<2> cols(lines); cols.apply) {
    constexpr int64_t kWide = 1024 / sizeof(T);
    const int64_t strips = (cols.columns + kWide - 1) / kWide;
    return parallel_range(cols.matrices * strips, kGrain / (n * kWide) + 1,
                          [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const int64_t c0 = t % strips * kWide;
        const int64_t m = cols.columns - c0 < kWide ? cols.columns - c0 : kWide;
        const int64_t first = reverse ? n - 1 : 0, sign = reverse ? -1 : 1;
        T* to = cols.at(0, base[0], t / strips, first, c0);
        const T* from = cols.at(1, base[1], t / strips, first, c0);
        T sums[kWide] = {};
        for (int64_t row = 0; row < n; ++row) {
          fill_row(to, m, [&](int64_t j, int64_t lanes) TF_ALWAYS_INLINE {
            const Vec<T> sum = load_lanes(sums + j, lanes) + load_lanes(from + j, lanes);
            store_lanes(sums + j, sum, lanes);
            return sum;
          });
          to += sign * lines.stride[0];
          from += sign * lines.stride[1];
        }
      }
    });
  }
  return for_lines(lines, base, [&](T* const* p, int64_t) {
    T s = 0;
    if (reverse)
      for (int64_t i = n - 1; i >= 0; --i) p[0][i] = s += p[1][i];
    else
      for (int64_t i = 0; i < n; ++i) p[0][i] = s += p[1][i];
  });
}
static tf_status cumsum_kernel(const tf_kernel_call* c, void*) {
  return with_number(c->out[0].dtype, [&](auto t) { return cumsum<decltype(t)>(c); });
}
TF_KERNEL(cumsum, TINYFIN_DTYPES_FLOAT | TINYFIN_DTYPES_INT, cumsum_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
