// cross_entropy of logits (N, C, …) and class indices (N, …), one pass over the line of a sample's
// classes, which writes the gradient by the logits as well where one will be asked for: it needs the
// same exponentials. An index that is negative counts for nothing; the op has made sure that the
// others are in range.
// SPDX-License-Identifier: MIT
#include "backends/cpu/exponentials.h"
#include "backends/cpu/lines.h"

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
  const int64_t reduction = c->attr[0].i;
  const bool sloped = c->attr[1].i != 0;
  const tf_view& slope = sloped ? c->out[1] : logits;
  const PerSample target(c->in[1], logits, dim), result(c->out[0], logits, dim);
  const Lines<4> lines = make_lines<4>({&slope, &logits, &target.view, &result.view}, dim);
  const int64_t* indices = static_cast<const int64_t*>(c->in[1].data);
  const auto index_of = [&](int64_t i) { return indices[line_offset(lines, 2, i)]; };
  T* out = static_cast<T*>(c->out[0].data);
  const int64_t count = lines.count, n = lines.length;
  const size_t bytes = size_t(2 * count) * sizeof(T);
  // Per sample: the sum of its exponentials, and how far the target's logit is below the greatest.
  T* const totals = bytes ? static_cast<T*>(host->host_alloc(bytes)) : nullptr;
  T* const gaps = totals + count;
  if (bytes && !totals) return error(TINYFIN_ERROR_MEMORY, "out of host memory for the losses");
  double used = 0;  // the weights of all samples
  for (int64_t i = 0; i < count; ++i) used += double(weight_of<T>(weight, index_of(i)));
  const T share = reduction == TINYFIN_REDUCTION_MEAN ? T(1 / used) : T(1);
  T* const base[2] = {static_cast<T*>(slope.data), static_cast<T*>(logits.data)};
  const tf_status status = for_lines(lines, base, [&](T* const* line, int64_t i) {
    const T* const x = line[1];
    const Vec<T> top(row_max(x, n));
    totals[i] = sloped ? exp_row(line[0], x, top, n) : sum_exp_row(x, top, n);
    const int64_t t = index_of(i);
    gaps[i] = t < 0 ? T(0) : top[0] - x[t];
    if (!sloped) return;
    const T factor = weight_of<T>(weight, t) * share;
    scale_row(line[0], line[0], Vec<T>(factor / totals[i]), n);
    if (t >= 0) line[0][t] -= factor;
  }, /*writes=*/sloped);
  fill_row(totals, count, [&](int64_t i, int64_t lanes) TF_ALWAYS_INLINE {
    return log(load_lanes(totals + i, lanes)) + load_lanes(gaps + i, lanes);
  });
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t t = index_of(i);
    const T loss = t < 0 ? T(0) : weight_of<T>(weight, t) * totals[i];
    sum += double(loss);
    if (reduction == TINYFIN_REDUCTION_NONE) out[line_offset(lines, 3, i)] = loss;
  }
  if (reduction == TINYFIN_REDUCTION_MEAN) sum /= used;
  if (reduction != TINYFIN_REDUCTION_NONE) *out = T(sum);
  if (totals) host->host_free(totals, bytes);
  return status;
}

static tf_status cross_entropy_kernel(const tf_kernel_call* c, void*) {
  return c->in[0].dtype == TINYFIN_FLOAT32 ? cross_entropy<float>(c) : cross_entropy<double>(c);
}
TF_KERNEL(cross_entropy, TINYFIN_DTYPES_FLOAT, cross_entropy_kernel);

// The slope times the gradient of the loss, one number or one per sample. In place there is nothing
// to do for a gradient of 1, which is what backward begins with.
template <class T>
static tf_status cross_entropy_backward(const tf_kernel_call* c) {
  const tf_view &out = c->out[0], &slope = c->in[1];
  const int dim = class_dim(slope);
  const PerSample grad(c->in[0], slope, dim);
  const T* grads = static_cast<const T*>(c->in[0].data);
  const bool in_place = out.data == slope.data;
  if (in_place && c->in[0].ndim == 0 && *grads == T(1)) return TINYFIN_OK;
  const Lines<3> lines = make_lines<3>({&out, &slope, &grad.view}, dim);
  T* const base[2] = {static_cast<T*>(out.data), static_cast<T*>(slope.data)};
  return for_lines(lines, base, [&](T* const* line, int64_t i) {
    scale_row(line[0], line[1], Vec<T>(grads[line_offset(lines, 2, i)]), lines.length);
  });
}

static tf_status cross_entropy_backward_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT32 ? cross_entropy_backward<float>(c)
                                            : cross_entropy_backward<double>(c);
}
TF_KERNEL(cross_entropy_backward, TINYFIN_DTYPES_FLOAT, cross_entropy_backward_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
