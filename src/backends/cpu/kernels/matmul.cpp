// Primitives that are matrix products.
// SPDX-License-Identifier: MIT
#include "backends/cpu/elementwise_bf16.h"
#include "backends/cpu/gemm_bf16.h"

namespace tf::cpu::TF_ISA {
namespace {

// Batch dimensions of out, innermost last; sizes of 1 left out.
GemmBatch batch_of(const tf_view& a, const tf_view& b, const tf_view& c) {
  GemmBatch batch;
  for (int d = 0; d < c.ndim - 2; ++d) {
    if (c.shape[d] == 1) continue;
    const int at = batch.ndim++;
    batch.shape[at] = c.shape[d];
    batch.a[at] = a.strides[d];
    batch.b[at] = b.strides[d];
    batch.c[at] = c.strides[d];
  }
  return batch;
}

template <class T>
Gemm<T> product(const tf_view& a, const tf_view& b, const tf_view& c) {
  const int i = c.ndim - 2, j = c.ndim - 1;
  return {c.shape[i],      c.shape[j],   a.shape[j],   static_cast<const T*>(a.data),
          a.strides[i],    a.strides[j], static_cast<const T*>(b.data),
          b.strides[i],    b.strides[j], static_cast<T*>(c.data), c.shape[j]};
}

template <class T>
T* data_of(const tf_view& v) {
  return static_cast<T*>(v.data);
}

// Integers wrap around, as NumPy's do.
template <class T, class Unsigned>
tf_status integer_matmul(const Gemm<T>& g, const GemmBatch& batch) {
  int64_t count = g.m;
  for (int d = 0; d < batch.ndim; ++d) count *= batch.shape[d];
  const int64_t grain = 1 + 100000 / (g.n * g.k + 1);
  return parallel_range(count, grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      int64_t rest = row / g.m;
      const T* a = g.a + row % g.m * g.a_row;
      const T* b = g.b;
      T* c = g.c + row % g.m * g.ldc;
      for (int d = batch.ndim - 1; d >= 0; --d) {
        const int64_t at = rest % batch.shape[d];
        rest /= batch.shape[d];
        a += at * batch.a[d];
        b += at * batch.b[d];
        c += at * batch.c[d];
      }
      memset(c, 0, size_t(g.n) * sizeof(T));
      for (int64_t p = 0; p < g.k; ++p) {
        const Unsigned x = Unsigned(a[p * g.a_col]);
        for (int64_t j = 0; j < g.n; ++j)
          c[j] = T(Unsigned(c[j]) + x * Unsigned(b[p * g.b_row + j * g.b_col]));
      }
    }
  });
}

// "a b": a (…, m, k), b (…, k, n) with any strides, batch dimensions broadcast by strides of 0;
// out (…, m, n) row-major.
tf_status matmul_kernel(const tf_kernel_call* call, void*) {
  const tf_view &a = call->in[0], &b = call->in[1], &c = call->out[0];
  if (c.dtype == TINYFIN_BFLOAT16 && !all_bf16(call)) return TINYFIN_ERROR_UNSUPPORTED;
  const GemmBatch batch = batch_of(a, b, c);
  switch (c.dtype) {
    case TINYFIN_FLOAT32: return gemm_parallel(product<float>(a, b, c), batch);
    case TINYFIN_FLOAT64: return gemm_parallel(product<double>(a, b, c), batch);
    case TINYFIN_BFLOAT16: return bf16_gemm(product<BFloat16>(a, b, c), batch);
    case TINYFIN_INT32: return integer_matmul<int32_t, uint32_t>(product<int32_t>(a, b, c), batch);
    case TINYFIN_INT64: return integer_matmul<int64_t, uint64_t>(product<int64_t>(a, b, c), batch);
    default: return TINYFIN_ERROR_UNSUPPORTED;
  }
}
TF_KERNEL(matmul, TINYFIN_DTYPES_FLOAT | TINYFIN_DTYPES_INT | TINYFIN_DTYPES_BFLOAT16, matmul_kernel);

// A matrix whose rows are all dimensions of a view but the last, which are one of constant stride.
struct RowsInLine {
  int64_t count = 1, stride = 0;
  explicit RowsInLine(const tf_view& v) {
    for (int d = 0; d < v.ndim - 1; ++d) {
      count *= v.shape[d];
      if (v.shape[d] != 1) stride = v.strides[d];
    }
  }
};

template <class T>
Gemm<T> layer(const tf_kernel_call* call) {
  const tf_view &x = call->in[0], &weight = call->in[1], &bias = call->in[2];
  const tf_view& residual = call->in[3];
  const RowsInLine rows(x);
  // The weight is (out, in): its columns run along k.
  Gemm<T> g{rows.count, weight.shape[0], weight.shape[1],
            data_of<T>(x), rows.stride, x.strides[x.ndim - 1],
            data_of<T>(weight), weight.strides[1], weight.strides[0],
            data_of<T>(call->out[0]), weight.shape[0]};
  g.activation = tf_activation(call->attr[0].i);
  if (!absent(bias)) {
    g.bias = data_of<T>(bias);
    g.bias_step = bias.strides[0];
  }
  if (!absent(residual)) {
    g.residual = data_of<T>(residual);
    g.residual_row = RowsInLine(residual).stride;
  }
  return g;
}

// "x weight bias? residual?; int activation": x (…, in), the leading dimensions in line, weight
// (out, in), bias (out), any strides; residual (…, out), in line, its last dimension of stride 1;
// out (…, out) row-major.
tf_status linear_kernel(const tf_kernel_call* call, void*) {
  if (call->out[0].dtype == TINYFIN_BFLOAT16 && !all_bf16(call)) return TINYFIN_ERROR_UNSUPPORTED;
  switch (call->out[0].dtype) {
    case TINYFIN_FLOAT32: return gemm_parallel(layer<float>(call));
    case TINYFIN_FLOAT64: return gemm_parallel(layer<double>(call));
    case TINYFIN_BFLOAT16: return bf16_gemm(layer<BFloat16>(call), {});
    default: return TINYFIN_ERROR_UNSUPPORTED;
  }
}
TF_KERNEL(linear, TINYFIN_DTYPES_FLOAT | TINYFIN_DTYPES_BFLOAT16, linear_kernel);

// "grad x": grad (rows, out) and x (rows, in), any strides; gradᵀ · x (out, in) row-major, and the
// sums of grad's columns (out).
template <class T>
Gemm<T> grad_weight(const tf_kernel_call* call) {
  const tf_view &grad = call->in[0], &x = call->in[1];
  Gemm<T> g{grad.shape[1], x.shape[1], x.shape[0],
            data_of<T>(grad), grad.strides[1], grad.strides[0],
            data_of<T>(x), x.strides[0], x.strides[1],
            data_of<T>(call->out[0]), x.shape[1]};
  g.row_sums = data_of<T>(call->out[1]);
  return g;
}
tf_status linear_grad_weight_kernel(const tf_kernel_call* call, void*) {
  if (call->out[0].dtype == TINYFIN_BFLOAT16 && !all_bf16(call)) return TINYFIN_ERROR_UNSUPPORTED;
  if (call->in[1].shape[1] == 0) return TINYFIN_ERROR_UNSUPPORTED;  // no product that could sum
  switch (call->out[0].dtype) {
    case TINYFIN_FLOAT32: return gemm_parallel(grad_weight<float>(call));
    case TINYFIN_FLOAT64: return gemm_parallel(grad_weight<double>(call));
    case TINYFIN_BFLOAT16: return bf16_gemm(grad_weight<BFloat16>(call), {});
    default: return TINYFIN_ERROR_UNSUPPORTED;
  }
}
TF_KERNEL(linear_grad_weight, TINYFIN_DTYPES_FLOAT | TINYFIN_DTYPES_BFLOAT16,
          linear_grad_weight_kernel);

// "a b base? result?; int activation": a (…, k), the leading dimensions in line, b (k, n), any
// strides; base, result and out (…, n) row-major. base may be out.
template <class T>
Gemm<T> through(const tf_kernel_call* call) {
  const tf_view &a = call->in[0], &b = call->in[1], &base = call->in[2], &result = call->in[3];
  const tf_view& out = call->out[0];
  const RowsInLine rows(a);
  Gemm<T> g{rows.count, b.shape[1], b.shape[0],
            data_of<T>(a), rows.stride, a.strides[a.ndim - 1],
            data_of<T>(b), b.strides[0], b.strides[1],
            data_of<T>(out), b.shape[1]};
  if (!absent(base)) {
    const int64_t elements = base.data == out.data ? 0 : numel(out);
    if (elements > 0) memcpy(out.data, base.data, size_t(elements) * sizeof(T));
    g.accumulate = true;
  }
  if (!absent(result)) {
    g.activation = tf_activation(call->attr[0].i);
    g.result = data_of<T>(result);
  }
  return g;
}
tf_status product_through_kernel(const tf_kernel_call* call, void*) {
  if (call->out[0].dtype == TINYFIN_BFLOAT16 && !all_bf16(call)) return TINYFIN_ERROR_UNSUPPORTED;
  switch (call->out[0].dtype) {
    case TINYFIN_FLOAT32: return gemm_parallel(through<float>(call));
    case TINYFIN_FLOAT64: return gemm_parallel(through<double>(call));
    case TINYFIN_BFLOAT16: return bf16_gemm(through<BFloat16>(call), {});
    default: return TINYFIN_ERROR_UNSUPPORTED;
  }
}
TF_KERNEL(product_through, TINYFIN_DTYPES_FLOAT | TINYFIN_DTYPES_BFLOAT16, product_through_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
