// Pooling over images: maxima and means of windows. Results keep the order of the input's
// strides.
// SPDX-License-Identifier: MIT
#include "ops/pool.h"

#include "ops/ops.h"

namespace tf {
namespace {

Meta in_order_of(const Dims& shape, const Tensor& like, DType dtype) {
  checked_numel(shape);
  return {shape, strides_in_order_of(shape, like.shape(), like.strides()), dtype, &like.device()};
}

// The two linear maps between an image and its pooled form that the indices of maxima describe
// are each other's transpose: this one and scatter_windows().
Tensor gather_windows(const Tensor& x, const Tensor& indices, const PoolWindows& w);

void max_pool2d_vjp(Vjp& v) {
  const Dims& x = v.in_shape(0);
  v.set(0, scatter_windows(v.grad(), v.out(1), PoolWindows(v.attrs()), x[2], x[3]));
}
// x (N, C, H, W); out: the maxima (N, C, OH, OW), and int32 h * W + w of where each lies. The
// last NaN of a window counts as its maximum, else the first of equals.
const Primitive max_pool2d_p{
    {.name = "max_pool2d",
     .signature = "x; int kernel_h, int kernel_w, int stride_h, int stride_w, int pad_h, int pad_w",
     .vjp = max_pool2d_vjp,
     .save_out = bits({1}),
     .n_out = 2}};

void scatter_vjp(Vjp& v) {
  const Tensor g = gather_windows(v.grad(), v.in(1), PoolWindows(v.attrs()));
  v.set(0, v.i(8) ? relu_mask(g, v.in(2)) : g);
}
// grad, indices and result (N, C, OH, OW); out (N, C, height, width): every grad whose result is
// above 0, if there is one, added where its index points.
const Primitive scatter_p{
    {.name = "max_pool2d_scatter",
     .signature = "grad indices result?; int kernel_h, int kernel_w, int stride_h, "
                  "int stride_w, int pad_h, int pad_w, int height, int width, int with_result",
     .vjp = scatter_vjp,
     .save_in = bits({1, 2})}};

void gather_vjp(Vjp& v) {
  const Dims& x = v.in_shape(0);
  v.set(0, scatter_windows(v.grad(), v.in(1), PoolWindows(v.attrs()), x[2], x[3]));
}
// x (N, C, H, W), indices (N, C, OH, OW); out like indices: x where each points.
const Primitive gather_p{
    {.name = "max_pool2d_gather",
     .signature = "x indices; int kernel_h, int kernel_w, int stride_h, int stride_w, int pad_h, "
                  "int pad_w",
     .vjp = gather_vjp,
     .save_in = bits({1})}};

Tensor gather_windows(const Tensor& x, const Tensor& indices, const PoolWindows& w) {
  return run(gather_p, {&x, &indices}, w.attrs(), meta_like(indices, x.dtype()));
}

Tensor mean_of_windows(const Tensor& x, const PoolWindows& w, bool count_pad);
Tensor spread_over_windows(const Tensor& grad, const PoolWindows& w, bool count_pad, int64_t height,
                           int64_t width);

void avg_pool2d_vjp(Vjp& v) {
  const Dims& x = v.in_shape(0);
  v.set(0, spread_over_windows(v.grad(), PoolWindows(v.attrs()), v.i(6) != 0, x[2], x[3]));
}
// x (N, C, H, W); out (N, C, OH, OW). count_pad: padding counts as elements of value 0.
const Primitive avg_pool2d_p{
    {.name = "avg_pool2d",
     .signature = "x; int kernel_h, int kernel_w, int stride_h, int stride_w, int pad_h, "
                  "int pad_w, int count_pad",
     .vjp = avg_pool2d_vjp}};

void avg_grad_vjp(Vjp& v) {
  v.set(0, mean_of_windows(v.grad(), PoolWindows(v.attrs()), v.i(6) != 0));
}
// grad (N, C, OH, OW); out (N, C, height, width).
const Primitive avg_grad_p{
    {.name = "avg_pool2d_grad",
     .signature = "grad; int kernel_h, int kernel_w, int stride_h, int stride_w, int pad_h, "
                  "int pad_w, int count_pad, int height, int width",
     .vjp = avg_grad_vjp}};

Tensor mean_of_windows(const Tensor& x, const PoolWindows& w, bool count_pad) {
  const Dims shape{x.size(0), x.size(1), w.out(x.size(2), 0), w.out(x.size(3), 1)};
  return run(avg_pool2d_p, {&x}, w.attrs(count_pad), in_order_of(shape, x, x.dtype()));
}

Tensor spread_over_windows(const Tensor& grad, const PoolWindows& w, bool count_pad, int64_t height,
                           int64_t width) {
  return run(avg_grad_p, {&grad}, w.attrs(count_pad, height, width),
             in_order_of({grad.size(0), grad.size(1), height, width}, grad, grad.dtype()));
}

// PoolWindows of these sizes: far from overflow.
constexpr int64_t kMost = 1 << 30;

void check_images(const Tensor& x) {
  TF_CHECK(x.ndim() == 4, TINYFIN_ERROR_SHAPE, "received input of shape ", to_string(x.shape()),
           "; expected four dimensions (N, C, H, W)");
}

PoolWindows windows_of(const Tensor& x, const Pair& kernel, OptIntList stride, const Pair& pad) {
  check_images(x);
  Pair step = kernel;
  if (stride) {
    TF_CHECK(stride->size() == 1 || stride->size() == 2, TINYFIN_ERROR_ARGUMENT, "received ",
             stride->size(), " strides; expected one, or two: height and width");
    step = {stride->front(), stride->back()};
  }
  for (int k = 0; k < 2; ++k) {
    TF_CHECK(kernel[k] >= 1 && kernel[k] <= kMost, TINYFIN_ERROR_ARGUMENT, "received kernel_size ",
             kernel[k], "; expected 1 or more");
    TF_CHECK(step[k] >= 1 && step[k] <= kMost, TINYFIN_ERROR_ARGUMENT, "received stride ", step[k],
             "; expected 1 or more");
    TF_CHECK(pad[k] >= 0 && pad[k] <= kernel[k] / 2, TINYFIN_ERROR_ARGUMENT, "received padding ",
             pad[k], " for kernel_size ", kernel[k], "; expected 0 to half of it");
    TF_CHECK(x.size(2 + k) + 2 * pad[k] >= kernel[k], TINYFIN_ERROR_SHAPE,
             "received input of shape ", to_string(x.shape()), " with padding ", pad[k],
             " for kernel_size ", kernel[k], "; expected an input at least as large as the kernel");
  }
  return {kernel, step, pad};
}

// The strict form: windows side by side that cover the image.
void check_divisible(const Tensor& x, const Pair& kernel) {
  check_images(x);
  for (int k = 0; k < 2; ++k)
    TF_CHECK(kernel[k] >= 1 && x.size(2 + k) % kernel[k] == 0, TINYFIN_ERROR_SHAPE,
             "received input of shape ", to_string(x.shape()), " for windows of (", kernel[0], ", ",
             kernel[1],
             "); expected height and width that they divide; max_pool2d and avg_pool2d "
             "leave a rest out");
}

}  // namespace

Tensor scatter_windows(const Tensor& grad, const Tensor& indices, const PoolWindows& w,
                       int64_t height, int64_t width, const Tensor& result) {
  return run(scatter_p, {&grad, &indices, &result}, w.attrs(height, width, result.defined()),
             in_order_of({grad.size(0), grad.size(1), height, width}, indices, grad.dtype()));
}

std::pair<Tensor, Tensor> max_of_windows(const Tensor& x, const PoolWindows& w) {
  const Dims shape{x.size(0), x.size(1), w.out(x.size(2), 0), w.out(x.size(3), 1)};
  const Meta metas[] = {in_order_of(shape, x, x.dtype()), in_order_of(shape, x, DType::i32)};
  Tensor out[2];
  run_multi(max_pool2d_p, {&x}, w.attrs(), metas, out);
  return {std::move(out[0]), std::move(out[1])};
}

//@op max_pool2d(Tensor x, int[2] kernel_size, int[]? stride=None, int[2] padding=0) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: The greatest element of each window. stride: kernel_size where not given. Padding never
//@   wins; NaN does. The gradient goes to the first of equals.
//@   x: (N, C, H, W); result (N, C, OH, OW), OH = (H + 2 padding - kernel_size) / stride + 1.
//@   Errors: argument for padding above half of the kernel; shape for a kernel that does not fit.
Tensor max_pool2d(const Tensor& input, Pair kernel_size, OptIntList stride, Pair padding) {
  const Tensor x = as_float(input);
  const PoolWindows w = windows_of(x, kernel_size, stride, padding);
  TF_CHECK(x.size(3) == 0 || x.size(2) <= INT32_MAX / x.size(3), TINYFIN_ERROR_SHAPE,
           "received input of shape ", to_string(x.shape()),
           "; expected images of fewer than 2^31 pixels");
  return max_of_windows(x, w).first;
}

//@op avg_pool2d(Tensor x, int[2] kernel_size, int[]? stride=None, int[2] padding=0, bool
//@     count_include_pad=True) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: The mean of each window. stride: kernel_size where not given. count_include_pad: whether
//@   padding counts as zeros or not at all.
//@   x: (N, C, H, W); result (N, C, OH, OW), OH = (H + 2 padding - kernel_size) / stride + 1.
//@   Errors: argument for padding above half of the kernel; shape for a kernel that does not fit.
Tensor avg_pool2d(const Tensor& input, Pair kernel_size, OptIntList stride, Pair padding,
                  bool count_include_pad) {
  const Tensor x = as_float(input);
  return mean_of_windows(x, windows_of(x, kernel_size, stride, padding), count_include_pad);
}

//@op maxpool2d(Tensor x, int[2] kernel_size) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: max_pool2d of windows side by side that must cover the image.
//@   Errors: shape unless x is (N, C, H, W) with H and W that kernel_size divides.
Tensor maxpool2d(const Tensor& x, Pair kernel_size) {
  check_divisible(x, kernel_size);
  return max_pool2d(x, kernel_size);
}

//@op avgpool2d(Tensor x, int[2] kernel_size) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: avg_pool2d of windows side by side that must cover the image.
//@   Errors: shape unless x is (N, C, H, W) with H and W that kernel_size divides.
Tensor avgpool2d(const Tensor& x, Pair kernel_size) {
  check_divisible(x, kernel_size);
  return avg_pool2d(x, kernel_size);
}

}  // namespace tf
