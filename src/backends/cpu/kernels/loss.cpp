// cross_entropy of logits (N, C, …) and class indices (N, …), and its gradient, one pass each over
// the line of a sample's classes. An index that is negative counts for nothing; the op has made sure
// that the others are in range.
// SPDX-License-Identifier: MIT
#include "backends/cpu/lines.h"
#include "backends/cpu/vmath.h"

namespace tf::cpu::TF_ISA {
namespace {

// A view of samples (N, …), or of one number for all, seen with a class dimension of stride 0.
struct PerSample {
  int64_t shape[8], strides[8];
  tf_view view;
  PerSample(const tf_view& v, const tf_view& logits, int dim) : view(v) {
    const bool scalar = v.ndim != logits.ndim - 1;
    for (int d = 0, s = 0; d < logits.ndim; ++d) {
      shape[d] = logits.shape[d];
      strides[d] = scalar || d == dim ? 0 : v.strides[s++];
    }
    view.ndim = logits.ndim;
    view.shape = shape;
    view.strides = strides;
  }
};

static inline int class_dim(const tf_view& logits) { return logits.ndim > 1 ? 1 : 0; }

template <class T>
static inline T weight_of(const tf_view& weight, int64_t target) {
  return target < 0      ? T(0)
         : absent(weight) ? T(1)
                          : static_cast<const T*>(weight.data)[target * weight.strides[0]];
}

template <class T>
static tf_status cross_entropy(const tf_kernel_call* c) {
  const tf_view &logits = c->in[0], &weight = c->in[2];
  const int dim = class_dim(logits);
  const bool each = c->attr[0].i == TINYFIN_REDUCTION_NONE;
  const PerSample target(c->in[1], logits, dim), lse(c->out[1], logits, dim);
  const PerSample result(c->out[0], logits, dim);
  const Lines<4> lines = make_lines<4>({&logits, &target.view, &lse.view, &result.view}, dim);
  const int64_t* indices = static_cast<const int64_t*>(c->in[1].data);
  T* lse_data = static_cast<T*>(c->out[1].data);
  T* out = static_cast<T*>(c->out[0].data);
  const size_t bytes = size_t(lines.count) * sizeof(T);
  T* losses = bytes ? static_cast<T*>(host->host_alloc(bytes)) : nullptr;
  if (bytes && !losses) return error(TINYFIN_ERROR_MEMORY, "out of host memory for the losses");
  T* const base[1] = {static_cast<T*>(logits.data)};
  const int64_t n = lines.length;
  const tf_status status = for_lines(lines, base, [&](T* const* line, int64_t i) {
    const T* x = line[0];
    const T top = row_max(x, n);
    const Vec<T> shift(top);
    const T total = row_sum<T>(n, [&](int64_t j, int64_t lanes) TF_ALWAYS_INLINE {
      return exp(load_lanes(x + j, lanes) - shift);
    });
    const T log_total = T(::log(double(total)));
    const int64_t t = indices[line_offset(lines, 1, i)];
    lse_data[line_offset(lines, 2, i)] = top + log_total;
    losses[i] = t < 0 ? T(0) : weight_of<T>(weight, t) * (log_total - (x[t] - top));
  }, /*writes=*/false);
  double sum = 0, used = 0;
  for (int64_t i = 0; i < lines.count; ++i) {
    sum += double(losses[i]);
    used += double(weight_of<T>(weight, indices[line_offset(lines, 1, i)]));
    if (each) out[line_offset(lines, 3, i)] = losses[i];
  }
  if (!each) *out = T(c->attr[0].i == TINYFIN_REDUCTION_MEAN ? sum / used : sum);
  *static_cast<T*>(c->out[2].data) = T(used);
  if (losses) host->host_free(losses, bytes);
  return status;
}

static tf_status cross_entropy_kernel(const tf_kernel_call* c, void*) {
  return c->in[0].dtype == TINYFIN_FLOAT32 ? cross_entropy<float>(c) : cross_entropy<double>(c);
}
TF_KERNEL(cross_entropy, TINYFIN_DTYPES_FLOAT, cross_entropy_kernel);

// (softmax - one-hot) * weight * grad, softmax = exp(x - lse).
template <class T>
static tf_status cross_entropy_backward(const tf_kernel_call* c) {
  const tf_view &out = c->out[0], &logits = c->in[1], &weight = c->in[3];
  const int dim = class_dim(logits);
  const PerSample grad(c->in[0], logits, dim), target(c->in[2], logits, dim);
  const PerSample lse(c->in[4], logits, dim);
  const Lines<5> lines =
      make_lines<5>({&out, &logits, &target.view, &lse.view, &grad.view}, dim);
  const int64_t* indices = static_cast<const int64_t*>(c->in[2].data);
  const T* grads = static_cast<const T*>(c->in[0].data);
  const T* lse_data = static_cast<const T*>(c->in[4].data);
  const T total = *static_cast<const T*>(c->in[5].data);
  const bool mean = c->attr[0].i == TINYFIN_REDUCTION_MEAN;
  T* const base[2] = {static_cast<T*>(out.data), static_cast<T*>(logits.data)};
  const int64_t n = lines.length;
  return for_lines(lines, base, [&](T* const* line, int64_t i) {
    const int64_t t = indices[line_offset(lines, 2, i)];
    const T g = grads[line_offset(lines, 4, i)];
    const T factor = weight_of<T>(weight, t) * (mean ? g / total : g);
    const Vec<T> shift(lse_data[line_offset(lines, 3, i)]), scale(factor);
    fill_row(line[0], n, [&](int64_t j, int64_t lanes) TF_ALWAYS_INLINE {
      return exp(load_lanes(line[1] + j, lanes) - shift) * scale;
    });
    if (t >= 0) line[0][t] -= factor;
  });
}

static tf_status cross_entropy_backward_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT32 ? cross_entropy_backward<float>(c)
                                            : cross_entropy_backward<double>(c);
}
TF_KERNEL(cross_entropy_backward, TINYFIN_DTYPES_FLOAT, cross_entropy_backward_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
