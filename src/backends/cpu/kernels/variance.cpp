// Variance and mean over a mask of dimensions: the moments of channels.h, of which the dimensions
// that stay are the channels and those that go the pixels.
// SPDX-License-Identifier: MIT
#include "backends/cpu/channels.h"
#include "backends/cpu/reduce.h"

namespace tf::cpu::TF_ISA {
namespace {

// The input of a reduction with at most one dimension that stays and three that go.
static Images images_of(const Reduction& r, const tf_view& x) {
  Images im;
  im.data[0] = static_cast<char*>(x.data);
  im.channels = r.outputs;
  im.stride_c[0] = r.kept ? r.kept_in[0] : 0;
  // From the innermost on; those that are missing have one element.
  const int last = r.reduced - 1;
  const auto shape = [&](int k) { return k <= last ? r.shape[last - k] : int64_t(1); };
  const auto stride = [&](int k) { return k <= last ? r.stride[last - k] : int64_t(0); };
  im.columns = shape(0);
  im.height = shape(1);
  im.rows = shape(2) * shape(1);
  im.stride_w[0] = stride(0);
  im.stride_r[0] = stride(1);
  im.stride_n[0] = stride(2);
  im.side_by_side = im.channels > 1 && im.stride_c[0] == 1 && im.stride_w[0] != 1;
  return im;
}

// "x; mask, keepdim, correction" to the variance, divided by the number of elements less the
// correction, and the mean.
template <class T>
static tf_status variance(const tf_kernel_call* c) {
  const Reduction r = make_reduction(c->in[0], c->out[0], uint64_t(c->attr[0].i));
  if (r.kept > 1 || r.reduced > 3 || r.count == 0) return TINYFIN_ERROR_UNSUPPORTED;
  if (r.outputs == 0) return TINYFIN_OK;
  const Images im = images_of(r, c->in[0]);
  const Cut cut = cut_of(im, 1);
  const size_t bytes = size_t(cut.pieces() * 2 * im.channels) * sizeof(T);
  T* const moments = static_cast<T*>(host->host_alloc(bytes));
  if (!moments) return error(TINYFIN_ERROR_MEMORY, "out of host memory for moments");
  const tf_status status = piece_moments<T>(im, cut, moments);
  if (status == TINYFIN_OK) {
    join_pieces(cut, im.channels, moments);
    const double rest = double(r.count) - c->attr[2].f;
    const T divisor = T(rest > 0 ? rest : 0);
    T* const var = static_cast<T*>(c->out[0].data);
    T* const mean = static_cast<T*>(c->out[1].data);
    const int64_t step = r.kept ? r.kept_out[0] : 0;
    for (int64_t i = 0; i < im.channels; ++i) {
      var[i * step] = moments[im.channels + i] / divisor;
      mean[i * step] = moments[i];
    }
  }
  host->host_free(moments, bytes);
  return status;
}
static tf_status variance_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT32 ? variance<float>(c) : variance<double>(c);
}
TF_KERNEL(variance, TINYFIN_DTYPES_FLOAT, variance_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
