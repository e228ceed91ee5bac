// sum over a mask of dimensions.
// SPDX-License-Identifier: MIT
#include "backends/cpu/reduce.h"

namespace tf::cpu::TF_ISA {
namespace {

// Sum of n elements: four registers of partial sums over blocks of kBlock elements, the blocks'
// sums added up pairwise by the caller's order of blocks.
template <class T>
static inline T sum_row(const T* x, int64_t stride, int64_t n) {
  constexpr int w = Vec<T>::kWidth;
  if (stride == 1) {
    Vec<T> s0(T(0)), s1(T(0)), s2(T(0)), s3(T(0));
    int64_t i = 0;
    for (; i + 4 * w <= n; i += 4 * w) {
      s0 += load(x + i);
      s1 += load(x + i + w);
      s2 += load(x + i + 2 * w);
      s3 += load(x + i + 3 * w);
    }
    for (; i + w <= n; i += w) s0 += load(x + i);
    if (i < n) s1 += load_n(x + i, n - i);
    return sum((s0 + s1) + (s2 + s3));
  }
  T s[4] = {};
  int64_t i = 0;
  for (; i + 4 <= n; i += 4)
    for (int k = 0; k < 4; ++k) s[k] += x[(i + k) * stride];
  for (; i < n; ++i) s[0] += x[i * stride];
  return (s[0] + s[1]) + (s[2] + s[3]);
}

constexpr int64_t kSumBlock = 16384;  // elements of one partial sum

template <class T>
static T sum_block(const Reduction& r, const T* x, int64_t begin, int64_t end) {
  if (r.reduced == 0) return *x;
  const int last = r.reduced - 1;
  T total = 0;
  while (begin < end) {
    const int64_t at = begin % r.shape[last];
    const int64_t left = r.shape[last] - at;
    const int64_t n = left < end - begin ? left : end - begin;
    total += sum_row(x + reduced_offset(r, begin), r.stride[last], n);
    begin += n;
  }
  return total;
}

// Columns: neighbouring outputs lie side by side in memory, so a register holds many outputs.
template <class T>
static tf_status sum_columns(const Reduction& r, const T* x, T* out) {
  constexpr int w = Vec<T>::kWidth;
  const int last = r.kept - 1;
  const int64_t cols = r.kept_shape[last], outer = r.outputs / cols;
  const int64_t strip = 4 * w;
  const int64_t strips = (cols + strip - 1) / strip;
  const int64_t grain = kGrain / (strip * (r.count > 0 ? r.count : 1)) + 1;
  return parallel_range(outer * strips, grain, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      int64_t in_at, out_at;
      locate(r, t / strips * cols, in_at, out_at);
      const int64_t c0 = t % strips * strip, n = cols - c0 < strip ? cols - c0 : strip;
      Vec<T> s[4] = {Vec<T>(T(0)), Vec<T>(T(0)), Vec<T>(T(0)), Vec<T>(T(0))};
      for (int64_t i = 0; i < r.count; ++i) {
        const T* p = x + in_at + c0 + reduced_offset(r, i);
        for (int k = 0; k < 4; ++k) {
          const int64_t left = n - k * w;
          if (left >= w) s[k] += load(p + k * w);
          else if (left > 0) s[k] += load_n(p + k * w, left);
        }
      }
      T* o = out + out_at + c0 * r.kept_out[last];
      T row[4 * w];
      for (int k = 0; k < 4; ++k) store(row + k * w, s[k]);
      for (int64_t j = 0; j < n; ++j) o[j * r.kept_out[last]] = row[j];
    }
  });
}

template <class T>
static tf_status sum_typed(const tf_kernel_call* c) {
  const Reduction r = make_reduction(c->in[0], c->out[0], uint64_t(c->attr[0].i));
  const T* x = static_cast<const T*>(c->in[0].data);
  T* out = static_cast<T*>(c->out[0].data);
  if (r.outputs == 0) return TINYFIN_OK;
  if (r.count == 0) {
    const Loop<1> loop = make_loop<1>({&c->out[0]});
    return for_rows(loop, [](char* const* ptr, const int64_t* stride, int64_t n) {
      for (int64_t i = 0; i < n; ++i) reinterpret_cast<T*>(ptr[0])[i * stride[0]] = T(0);
    });
  }
  if (r.kept > 0 && r.reduced > 0 && r.kept_in[r.kept - 1] == 1 && r.stride[r.reduced - 1] != 1)
    return sum_columns(r, x, out);
  if (r.outputs == 1 && r.count > kSumBlock) {
    const int64_t blocks = (r.count + kSumBlock - 1) / kSumBlock;
    T* partial = static_cast<T*>(host->host_alloc(size_t(blocks) * sizeof(T)));
    if (!partial) return error(TINYFIN_ERROR_MEMORY, "out of host memory for partial sums");
    const tf_status status = parallel_range(r.count, kSumBlock, [&](int64_t begin, int64_t end) {
      partial[begin / kSumBlock] = sum_block(r, x, begin, end);
    });
    *out = sum_row(partial, 1, blocks);
    host->host_free(partial, size_t(blocks) * sizeof(T));
    return status;
  }
  return parallel_range(r.outputs, kGrain / r.count + 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      int64_t in_at, out_at;
      locate(r, i, in_at, out_at);
      T total = 0;
      for (int64_t b = 0; b < r.count; b += kSumBlock)
        total += sum_block(r, x + in_at, b, b + kSumBlock < r.count ? b + kSumBlock : r.count);
      out[out_at] = total;
    }
  });
}

static tf_status sum_kernel(const tf_kernel_call* c, void*) {
  return with_number(c->out[0].dtype, [&](auto t) { return sum_typed<decltype(t)>(c); });
}
TF_KERNEL(sum, TINYFIN_DTYPES_FLOAT | TINYFIN_DTYPES_INT, sum_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
