// count_nonzero and nonzero: where elements are not zero. triangle: zeros on one side of a
// diagonal.
// SPDX-License-Identifier: MIT
#include "backends/cpu/walk.h"

namespace tf::cpu::TF_ISA {
namespace {

constexpr int64_t kCountBlock = 32768;

// Calls body with a pointer of an element type whose comparison with 0 is the dtype's.
template <class Body>
static inline tf_status with_pointer(const tf_view& x, const Body& body) {
  if (x.dtype == TINYFIN_BOOL) return body(static_cast<const uint8_t*>(x.data));
  return with_number(x.dtype,
                     [&](auto t) { return body(static_cast<const decltype(t)*>(x.data)); });
}

template <class T>
static int64_t count_range(const Walk& walk, const T* x, int64_t begin, int64_t end) {
  int64_t count = 0;
  for_runs(walk, begin, end, [&](int64_t offset, int64_t stride, int64_t n, int64_t) {
    for (int64_t i = 0; i < n; ++i) count += x[offset + i * stride] != T(0);
  });
  return count;
}

// Calls body(partial, total): the number of nonzero elements in each block, and whose sum.
template <class T, class Body>
static tf_status count_blocks(const tf_view& view, const T* x, const Body& body) {
  const int64_t total = numel(view), blocks = (total + kCountBlock - 1) / kCountBlock;
  const size_t bytes = size_t(blocks + 1) * sizeof(int64_t);
  int64_t* partial = static_cast<int64_t*>(host->host_alloc(bytes));
  if (!partial) return error(TINYFIN_ERROR_MEMORY, "out of host memory for partial counts");
  const Walk walk = make_walk(view);
  tf_status status = parallel_range(total, kCountBlock, [&](int64_t begin, int64_t end) {
    partial[begin / kCountBlock] = count_range(walk, x, begin, end);
  });
  if (status == TINYFIN_OK) status = body(walk, partial, blocks);
  host->host_free(partial, bytes);
  return status;
}

static tf_status count_nonzero_kernel(const tf_kernel_call* c, void*) {
  return with_pointer(c->in[0], [&](auto* x) {
    return count_blocks(c->in[0], x, [&](const Walk&, const int64_t* partial, int64_t blocks) {
      int64_t sum = 0;
      for (int64_t b = 0; b < blocks; ++b) sum += partial[b];
      *static_cast<int64_t*>(c->out[0].data) = sum;
      return TINYFIN_OK;
    });
  });
}
TF_KERNEL(count_nonzero, TINYFIN_DTYPES_ALL, count_nonzero_kernel);

static tf_status nonzero_kernel(const tf_kernel_call* c, void*) {
  const tf_view &in = c->in[0], &out = c->out[0];
  return with_pointer(in, [&](auto* x) {
    return count_blocks(in, x, [&](const Walk& walk, int64_t* partial, int64_t blocks) {
      int64_t before = 0;
      for (int64_t b = 0; b < blocks; ++b) {
        const int64_t here = partial[b];
        partial[b] = before;
        before += here;
      }
      int64_t* rows = static_cast<int64_t*>(out.data);
      return parallel_range(numel(in), kCountBlock, [&](int64_t begin, int64_t end) {
        int64_t* row = rows + partial[begin / kCountBlock] * out.strides[0];
        for_runs(walk, begin, end, [&](int64_t offset, int64_t stride, int64_t n, int64_t first) {
          for (int64_t i = 0; i < n; ++i) {
            if (x[offset + i * stride] == 0) continue;
            int64_t rest = first + i;
            for (int d = in.ndim - 1; d >= 0; --d) {
              row[d * out.strides[1]] = rest % in.shape[d];
              rest /= in.shape[d];
            }
            row += out.strides[0];
          }
        });
      });
    });
  });
}
TF_KERNEL(nonzero, TINYFIN_DTYPES_ALL, nonzero_kernel);

template <class T>
static tf_status triangle(const tf_view& x, const tf_view& out, int64_t diagonal, bool upper) {
  const int row_dim = out.ndim - 2;
  const int64_t rows = out.shape[row_dim], cols = out.shape[row_dim + 1];
  const int64_t in_step = x.strides[row_dim + 1], out_step = out.strides[row_dim + 1];
  const Walk from = make_walk(x.shape, x.strides, row_dim + 1);
  const Walk to = make_walk(out.shape, out.strides, row_dim + 1);
  const int64_t total = numel(out);
  if (total == 0) return TINYFIN_OK;
  return parallel_range(total / cols, kGrain / cols + 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T* in = static_cast<const T*>(x.data) + from.at(r);
      T* o = static_cast<T*>(out.data) + to.at(r);
      // Columns [first, last) are kept: up to the diagonal, or from it on.
      int64_t edge = r % rows + diagonal + (upper ? 0 : 1);
      edge = edge < 0 ? 0 : edge > cols ? cols : edge;
      const int64_t first = upper ? edge : 0, last = upper ? cols : edge;
      for (int64_t j = 0; j < first; ++j) o[j * out_step] = 0;
      for (int64_t j = first; j < last; ++j) o[j * out_step] = in[j * in_step];
      for (int64_t j = last; j < cols; ++j) o[j * out_step] = 0;
    }
  });
}

// Attributes: the diagonal; 1 to keep what is on and above it, 0 for on and below.
static tf_status triangle_kernel(const tf_kernel_call* c, void*) {
  const int64_t diagonal = c->attr[0].i;
  const bool upper = c->attr[1].i != 0;
  switch (bytes_of(c->in[0].dtype)) {
    case 1: return triangle<uint8_t>(c->in[0], c->out[0], diagonal, upper);
    case 4: return triangle<uint32_t>(c->in[0], c->out[0], diagonal, upper);
    default: return triangle<uint64_t>(c->in[0], c->out[0], diagonal, upper);
  }
}
TF_KERNEL(triangle, TINYFIN_DTYPES_ALL, triangle_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
