// index: rows of x named by integers. index_put: base with such rows overwritten or added to.
//
// The first k dimensions of the indexed array are named by k index arrays of one shape, which
// are first turned into row numbers and checked. index_put gives every tile a range of rows of
// the output and the entries that name one of them, in their order: no two tiles write one place,
// and sums have one order for any number of threads.
// SPDX-License-Identifier: MIT
#include "backends/cpu/copy.h"
#include "backends/cpu/messages.h"
#include "backends/cpu/walk.h"

namespace tf::cpu::TF_ISA {
namespace {

// Row numbers of all entries of the index arrays, in memory of the host's.
struct RowNumbers {
  int64_t count = 0;
  int64_t* row = nullptr;
  ~RowNumbers() {
    if (row) host->host_free(row, size_t(count) * sizeof(int64_t));
  }
};

static inline int64_t wrapped(int64_t i, int64_t size) { return i < 0 ? i + size : i; }

// x: the array that is indexed; in: k index arrays; axis: their numbers for messages.
static tf_status number_rows(const tf_view& x, const tf_view* in, int k, const tf_attr* axis,
                             RowNumbers& rows) {
  rows.count = numel(in[0]);
  if (rows.count == 0) return TINYFIN_OK;
  rows.row = static_cast<int64_t*>(host->host_alloc(size_t(rows.count) * sizeof(int64_t)));
  if (!rows.row) return error(TINYFIN_ERROR_MEMORY, "out of host memory for row numbers");
  for (int d = 0; d < k; ++d) {
    const Walk walk = make_walk(in[d]);
    const int64_t* index = static_cast<const int64_t*>(in[d].data);
    const int64_t size = x.shape[d];
    bool bad = false;
    const tf_status status = parallel_range(rows.count, kGrain, [&](int64_t begin, int64_t end) {
      for_runs(walk, begin, end, [&](int64_t offset, int64_t stride, int64_t n, int64_t first) {
        bool outside = false;
        for (int64_t i = 0; i < n; ++i) {
          const int64_t at = wrapped(index[offset + i * stride], size);
          outside |= uint64_t(at) >= uint64_t(size);
          const int64_t before = d > 0 ? rows.row[first + i] * size : 0;
          rows.row[first + i] = before + at;
        }
        if (outside) __atomic_store_n(&bad, true, __ATOMIC_RELAXED);
      });
    });
    if (status != TINYFIN_OK) return status;
    for (int64_t i = 0; bad; ++i) {  // the first of them is named
      const int64_t value = index[walk.at(i)];
      if (uint64_t(wrapped(value, size)) >= uint64_t(size))
        return index_error(value, axis[d].i, size);
    }
  }
  return TINYFIN_OK;
}

// The dimensions from `first` on: one row.
static inline tf_view row_of(const tf_view& v, int first) {
  tf_view row = v;
  row.shape += first;
  row.strides += first;
  row.ndim -= first;
  return row;
}

constexpr int64_t kSerial = int64_t(1) << 60;  // a grain that leaves all to one thread

// Rows lie anywhere in memory, and what the processor fetches ahead by itself ends with a row. So
// rows below a page are asked for, kAhead bytes before they are needed.
constexpr int64_t kAhead = 4096;
static inline void fetch(const void* row, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(static_cast<const char*>(row) + i);
}

template <class T>
static tf_status take(const tf_view& x, const tf_view& out, int k, const RowNumbers& rows) {
  const int lead = out.ndim - (x.ndim - k);
  const Walk from = make_walk(x.shape, x.strides, k), to = make_walk(out.shape, out.strides, lead);
  const tf_view to_row = row_of(out, lead), from_row = row_of(x, k);
  const Loop<2> loop = make_loop<2>({&to_row, &from_row});
  if (loop.total == 0) return TINYFIN_OK;
  const T* in = static_cast<const T*>(x.data);
  T* result = static_cast<T*>(out.data);
  const bool plain = loop.ndim == 1 && ((loop.stride[0][0] == 1 && loop.stride[1][0] == 1) ||
                                        loop.total == 1);
  const int64_t bytes = loop.total * int64_t(sizeof(T)), ahead = kAhead / bytes + 1;
  const bool asks = plain && bytes >= 64 && bytes < kAhead;
  return parallel_range(rows.count, kGrain / loop.total + 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      if (asks && b + ahead < end) fetch(in + from.at(rows.row[b + ahead]), bytes);
      T* o = result + to.at(b);
      const T* i = in + from.at(rows.row[b]);
      if (loop.total == 1) {
        *o = *i;
      } else if (plain) {
        memcpy(o, i, size_t(bytes));
      } else {
        Loop<2> row = loop;
        row.data[0] = reinterpret_cast<char*>(o);
        row.data[1] = reinterpret_cast<char*>(const_cast<T*>(i));
        for_rows(row, [](char* const* ptr, const int64_t* stride, int64_t n) {
          for (int64_t j = 0; j < n; ++j)
            reinterpret_cast<T*>(ptr[0])[j * stride[0]] =
                reinterpret_cast<const T*>(ptr[1])[j * stride[1]];
        }, kSerial);
      }
    }
  });
}

// Attributes: the axis of each index array.
static tf_status index_kernel(const tf_kernel_call* c, void*) {
  const int k = c->n_in - 1;
  RowNumbers rows;
  if (const tf_status status = number_rows(c->in[0], c->in + 1, k, c->attr, rows)) return status;
  switch (bytes_of(c->in[0].dtype)) {
    case 1: return take<uint8_t>(c->in[0], c->out[0], k, rows);
    case 2: return take<uint16_t>(c->in[0], c->out[0], k, rows);
    case 4: return take<uint32_t>(c->in[0], c->out[0], k, rows);
    default: return take<uint64_t>(c->in[0], c->out[0], k, rows);
  }
}
TF_KERNEL(index, TINYFIN_DTYPES_ALL | TINYFIN_DTYPES_BFLOAT16, index_kernel);

// The entries of `rows` by tile of 2^shift rows of the output, in their own order within each:
// those of tile t are at[first[t]] … at[first[t + 1] - 1].
struct Buckets {
  int64_t tiles, count;
  int64_t* first = nullptr;
  int64_t* at = nullptr;
  ~Buckets() {
    if (first) host->host_free(first, bytes());
  }
  size_t bytes() const { return size_t(tiles + 1 + count) * sizeof(int64_t); }
};
static tf_status make_buckets(const RowNumbers& rows, int64_t outputs, int shift, Buckets& b) {
  b.tiles = ((outputs - 1) >> shift) + 1;
  b.count = rows.count;
  b.first = static_cast<int64_t*>(host->host_alloc(b.bytes()));
  if (!b.first) return error(TINYFIN_ERROR_MEMORY, "out of host memory for row numbers");
  b.at = b.first + b.tiles + 1;
  for (int64_t t = 0; t <= b.tiles; ++t) b.first[t] = 0;
  for (int64_t i = 0; i < rows.count; ++i) ++b.first[(rows.row[i] >> shift) + 1];
  for (int64_t t = 0; t < b.tiles; ++t) b.first[t + 1] += b.first[t];
  for (int64_t i = 0; i < rows.count; ++i) b.at[b.first[rows.row[i] >> shift]++] = i;
  for (int64_t t = b.tiles; t > 0; --t) b.first[t] = b.first[t - 1];  // each had moved to its end
  b.first[0] = 0;
  return TINYFIN_OK;
}

constexpr int64_t kMaxBuckets = 4096;

// out: `base`, or zeros where that is absent, or as it is where it is that array; then the rows.
template <class T, bool kAdd>
static tf_status put(const tf_view& base, const tf_view& value, const tf_view& out, int k,
                     const RowNumbers& rows) {
  const int lead = value.ndim - (out.ndim - k);
  const Walk to = make_walk(out.shape, out.strides, k);
  const Walk from = make_walk(value.shape, value.strides, lead);
  const tf_view to_row = row_of(out, k), from_row = row_of(value, lead);
  const Loop<2> loop = make_loop<2>({&to_row, &from_row});
  int64_t n = 1;
  for (int d = 0; d < k; ++d) n *= out.shape[d];
  if (n == 0 || loop.total == 0) return TINYFIN_OK;
  T* result = static_cast<T*>(out.data);
  const T* in = static_cast<const T*>(value.data);
  // A tile starts with its own rows, while they are in its cache, where memory allows.
  const bool fresh = absent(base) || base.data != out.data;
  const bool own = fresh && contiguous(out) && (absent(base) || contiguous(base));
  if (fresh && !own) {
    const tf_status status = absent(base) ? zero_view(out) : copy_view(out, base);
    if (status != TINYFIN_OK) return status;
  }
  int shift = 0;
  while ((n >> shift) > kMaxBuckets || (loop.total << shift) < kGrain / 2) ++shift;
  Buckets buckets;
  if (const tf_status status = make_buckets(rows, n, shift, buckets)) return status;
  const bool plain = loop.ndim == 1 && loop.stride[0][0] == 1 && loop.stride[1][0] == 1;
  return parallel_range(buckets.tiles, 1, [&](int64_t first, int64_t last) {
    const int64_t begin = first << shift, end = (last << shift) < n ? last << shift : n;
    const size_t bytes = size_t((end - begin) * loop.total) * sizeof(T);
    T* const mine = result + begin * loop.total;
    if (own && absent(base)) memset(mine, 0, bytes);
    else if (own) memcpy(mine, static_cast<const T*>(base.data) + begin * loop.total, bytes);
    for (int64_t b = buckets.first[first]; b < buckets.first[last]; ++b) {
      T* row_to = result + to.at(rows.row[buckets.at[b]]);
      const T* row_from = in + from.at(buckets.at[b]);
      if (plain) {
        for (int64_t j = 0; j < loop.total; ++j)
          row_to[j] = kAdd ? T(row_to[j] + row_from[j]) : row_from[j];
        continue;
      }
      Loop<2> row = loop;
      row.data[0] = reinterpret_cast<char*>(row_to);
      row.data[1] = reinterpret_cast<char*>(const_cast<T*>(row_from));
      for_rows(row, [](char* const* ptr, const int64_t* stride, int64_t m) {
        T* o = reinterpret_cast<T*>(ptr[0]);
        const T* v = reinterpret_cast<const T*>(ptr[1]);
        for (int64_t j = 0; j < m; ++j)
          o[j * stride[0]] = kAdd ? T(o[j * stride[0]] + v[j * stride[1]]) : v[j * stride[1]];
      }, kSerial);
    }
  });
}

// Attributes: 1 to add values up, else they are assigned, the last one staying; then the axis of
// each index array.
static tf_status index_put_kernel(const tf_kernel_call* c, void*) {
  const tf_view &base = c->in[0], &value = c->in[1], &out = c->out[0];
  const int k = c->n_in - 2;
  const bool adds = c->attr[0].i == 1;
  if (adds && (out.dtype == TINYFIN_BOOL || out.dtype == TINYFIN_BFLOAT16))
    return TINYFIN_ERROR_UNSUPPORTED;
  RowNumbers rows;
  if (const tf_status status = number_rows(out, c->in + 2, k, c->attr + 1, rows)) return status;
  if (adds)
    return with_number(out.dtype,
                       [&](auto t) { return put<decltype(t), true>(base, value, out, k, rows); });
  switch (bytes_of(out.dtype)) {
    case 1: return put<uint8_t, false>(base, value, out, k, rows);
    case 2: return put<uint16_t, false>(base, value, out, k, rows);
    case 4: return put<uint32_t, false>(base, value, out, k, rows);
    default: return put<uint64_t, false>(base, value, out, k, rows);
  }
}
TF_KERNEL(index_put, TINYFIN_DTYPES_ALL | TINYFIN_DTYPES_BFLOAT16, index_put_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
