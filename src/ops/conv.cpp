// Convolution over images. Three primitives, closed under differentiation: each one's gradient
// is made of the other two, so gradients of any order exist.
//
// Results have channels-last strides: that is the order the kernels compute in, and the one that
// pooling, normalisation and elementwise ops keep.
// SPDX-License-Identifier: MIT
#include <algorithm>

#include "ops/ops.h"
#include "ops/pool.h"
#include "tinyfin/ops.h"

namespace tf {
namespace {

// One convolution's numbers, in the order of the attributes. Padding: top, left, bottom, right.
struct Geometry {
  int64_t stride[2], pad[4], dilation[2], groups;

  explicit Geometry(const Attrs& a) {
    for (int k = 0; k < 2; ++k) stride[k] = a.i(k);
    for (int k = 0; k < 4; ++k) pad[k] = a.i(2 + k);
    for (int k = 0; k < 2; ++k) dilation[k] = a.i(6 + k);
    groups = a.i(8);
  }
  Geometry(const Pair& s, IntList p, const Pair& d, int64_t g)
      : stride{s[0], s[1]}, pad{p[0], p[1], p[2], p[3]}, dilation{d[0], d[1]}, groups(g) {}

  // With the numbers that a primitive adds.
  template <class... More>
  Attrs attrs(More... more) const {
    return Attrs(stride[0], stride[1], pad[0], pad[1], pad[2], pad[3], dilation[0], dilation[1],
                 groups, more...);
  }
};

Meta channels_last(const Dims& shape, const Tensor& like, DType dtype) {
  checked_numel(shape);
  return {shape, channels_last_strides(shape), dtype, &like.device()};
}
Meta channels_last(const Dims& shape, const Tensor& like) {
  return channels_last(shape, like, like.dtype());
}

Tensor grad_input(const Tensor& grad, const Tensor& weight, const Geometry& g, int64_t height,
                  int64_t width);
Tensor grad_weight(const Tensor& x, const Tensor& grad, const Geometry& g, int64_t kernel_h,
                   int64_t kernel_w);
Tensor forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Geometry& g,
               tf_activation activation);

// Output pixels along one side; `side` is 0 for the height, 1 for the width.
int64_t output_size(int64_t size, int64_t kernel, const Geometry& g, int side) {
  const int64_t span = g.dilation[side] * (kernel - 1) + 1;
  const int64_t padded = size + g.pad[side] + g.pad[side + 2];
  TF_CHECK(kernel > 0 && span <= padded, TINYFIN_ERROR_SHAPE, "received ",
           side ? "width " : "height ", size, " with padding ", g.pad[side], " and ",
           g.pad[side + 2], " for a kernel that spans ", span,
           "; expected an input at least as large as the kernel");
  return (padded - span) / g.stride[side] + 1;
}

// Sets the gradients of x, weight and bias from that of the convolution's result.
void set_gradients(Vjp& v, const Geometry& g, const Tensor& grad) {
  if (v.needs(0)) {
    const Dims& x = v.in_shape(0);
    v.set(0, grad_input(grad, v.in(1), g, x[2], x[3]));
  }
  if (v.needs(1)) {
    const Dims& w = v.in_shape(1);
    v.set(1, grad_weight(v.in(0), grad, g, w[2], w[3]));
  }
  if (v.needs(2)) {
    const int64_t all_but_channels[] = {0, 2, 3};
    v.set(2, sum(grad, all_but_channels));
  }
}

void conv2d_vjp(Vjp& v) {
  const bool relu = v.i(9) == TINYFIN_ACTIVATION_RELU;
  set_gradients(v, Geometry(v.attrs()), relu ? relu_mask(v.grad(), v.out()) : v.grad());
}
// x (N, C, H, W), weight (O, C / groups, kH, kW), bias (O); out (N, O, OH, OW), channels last.
// activation: none or relu.
const Primitive conv2d_p{
    {.name = "conv2d",
     .signature = "x weight bias?; int stride_h, int stride_w, int top, int left, int bottom, "
                  "int right, int dilation_h, int dilation_w, int groups, int activation",
     .vjp = conv2d_vjp,
     .save_in = bits({0, 1}),
     .save_out = bits({0})}};

PoolWindows side_by_side(const Attrs& a) {
  const Pair window{a.i(10), a.i(11)};
  return {window, window, {0, 0}};
}

void conv2d_max_pool_vjp(Vjp& v) {
  const Geometry g(v.attrs());
  const Dims &x = v.in_shape(0), &w = v.in_shape(1);
  // A maximum is above 0 exactly where relu let it through.
  const Tensor result = v.i(9) == TINYFIN_ACTIVATION_RELU ? v.out(0) : Tensor();
  set_gradients(v, g,
                scatter_windows(v.grad(), v.out(1), side_by_side(v.attrs()),
                                output_size(x[2], w[2], g, 0), output_size(x[3], w[3], g, 1),
                                result));
}
void conv2d_max_pool_decompose(const Call& call, Tensor* out) {
  const Tensor y = forward(call.in[0], call.in[1], call.in[2], Geometry(call.attrs),
                           tf_activation(call.attrs.i(9)));
  std::tie(out[0], out[1]) = max_of_windows(y, side_by_side(call.attrs));
}
// As conv2d, then the maxima of windows side by side, a rest left out; out (N, O, OH / pool_h,
// OW / pool_w), and int32 oh * OW + ow of where each maximum lies, both channels last.
const Primitive conv2d_max_pool_p{
    {.name = "conv2d_max_pool",
     .signature = "x weight bias?; int stride_h, int stride_w, int top, int left, int bottom, "
                  "int right, int dilation_h, int dilation_w, int groups, int activation, "
                  "int pool_h, int pool_w",
     .vjp = conv2d_max_pool_vjp,
     .save_in = bits({0, 1}),
     .save_out = bits({0, 1}),
     .flags = kKeepShapes,
     .n_out = 2,
     .decompose = conv2d_max_pool_decompose}};

void grad_input_vjp(Vjp& v) {
  const Geometry g(v.attrs());
  if (v.needs(0)) v.set(0, forward(v.grad(), v.in(1), {}, g, TINYFIN_ACTIVATION_NONE));
  if (v.needs(1)) {
    const Dims& w = v.in_shape(1);
    v.set(1, grad_weight(v.grad(), v.in(0), g, w[2], w[3]));
  }
}
// grad (N, O, OH, OW), weight as above; out (N, C, height, width), channels last.
const Primitive grad_input_p{
    {.name = "conv2d_grad_input",
     .signature = "grad weight; int stride_h, int stride_w, int top, int left, int bottom, "
                  "int right, int dilation_h, int dilation_w, int groups, int height, int width",
     .vjp = grad_input_vjp,
     .save_in = bits({0, 1})}};

void grad_weight_vjp(Vjp& v) {
  const Geometry g(v.attrs());
  if (v.needs(0)) {
    const Dims& x = v.in_shape(0);
    v.set(0, grad_input(v.in(1), v.grad(), g, x[2], x[3]));
  }
  if (v.needs(1)) v.set(1, forward(v.in(0), v.grad(), {}, g, TINYFIN_ACTIVATION_NONE));
}
// x (N, C, H, W), grad (N, O, OH, OW); out (O, C / groups, kernel_h, kernel_w) row-major.
const Primitive grad_weight_p{
    {.name = "conv2d_grad_weight",
     .signature = "x grad; int stride_h, int stride_w, int top, int left, int bottom, int right, "
                  "int dilation_h, int dilation_w, int groups, int kernel_h, int kernel_w",
     .vjp = grad_weight_vjp,
     .save_in = bits({0, 1})}};

Tensor forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Geometry& g,
               tf_activation activation) {
  const Dims shape{x.size(0), weight.size(0), output_size(x.size(2), weight.size(2), g, 0),
                   output_size(x.size(3), weight.size(3), g, 1)};
  return run(conv2d_p, {&x, &weight, &bias}, g.attrs(int64_t(activation)), channels_last(shape, x));
}

Tensor grad_input(const Tensor& grad, const Tensor& weight, const Geometry& g, int64_t height,
                  int64_t width) {
  const Dims shape{grad.size(0), weight.size(1) * g.groups, height, width};
  return run(grad_input_p, {&grad, &weight}, g.attrs(height, width), channels_last(shape, grad));
}

Tensor grad_weight(const Tensor& x, const Tensor& grad, const Geometry& g, int64_t kernel_h,
                   int64_t kernel_w) {
  const Dims shape{grad.size(1), x.size(1) / g.groups, kernel_h, kernel_w};
  return run(grad_weight_p, {&x, &grad}, g.attrs(kernel_h, kernel_w),
             meta_of_shape(shape, x.dtype(), x.device()));
}

// No padding, stride or dilation beyond this: products with sizes stay far from overflow.
constexpr int64_t kMost = 1 << 30;

void check_geometry(const Geometry& g) {
  for (int64_t s : g.stride)
    TF_CHECK(s >= 1 && s <= kMost, TINYFIN_ERROR_ARGUMENT, "received stride ", s,
             "; expected 1 or more");
  for (int64_t d : g.dilation)
    TF_CHECK(d >= 1 && d <= kMost, TINYFIN_ERROR_ARGUMENT, "received dilation ", d,
             "; expected 1 or more");
  for (int64_t p : g.pad)
    TF_CHECK(p >= 0 && p <= kMost, TINYFIN_ERROR_ARGUMENT, "received padding ", p,
             "; expected 0 or more");
  TF_CHECK(g.groups >= 1, TINYFIN_ERROR_ARGUMENT, "received groups = ", g.groups,
           "; expected 1 or more");
}

void check_shapes(const Tensor& x, const Tensor& weight, const Tensor& bias,
                  const Geometry& g) {
  TF_CHECK(x.ndim() == 4, TINYFIN_ERROR_SHAPE, "received input of shape ", to_string(x.shape()),
           "; expected four dimensions (N, C, H, W)");
  TF_CHECK(weight.ndim() == 4, TINYFIN_ERROR_SHAPE, "received weight of shape ",
           to_string(weight.shape()), "; expected four dimensions (O, C / groups, kH, kW)");
  TF_CHECK(x.size(1) == weight.size(1) * g.groups, TINYFIN_ERROR_SHAPE, "received input of shape ",
           to_string(x.shape()), " and weight of shape ", to_string(weight.shape()), " with ",
           g.groups, " groups; expected input with ", weight.size(1) * g.groups, " channels");
  TF_CHECK(weight.size(0) % g.groups == 0, TINYFIN_ERROR_SHAPE, "received weight of shape ",
           to_string(weight.shape()), " with ", g.groups,
           " groups; expected a number of output channels that groups divides");
  TF_CHECK(!bias.defined() || (bias.ndim() == 1 && bias.size(0) == weight.size(0)),
           TINYFIN_ERROR_SHAPE, "received bias of shape ",
           bias.defined() ? to_string(bias.shape()) : "", "; expected (", weight.size(0),
           ",): one per output channel");
}

// What a convolution takes, checked and of one float dtype.
struct Operands {
  Tensor x, weight, bias;

  Operands(const Tensor& input, const Tensor& kernel, const Tensor& shift, const Geometry& g) {
    check_geometry(g);
    const auto [promoted, other] = promote(input, kernel);
    x = as_float(promoted);
    weight = as_float(other);
    check_shapes(x, weight, shift, g);
    bias = shift.defined() ? cast_to(shift, x.dtype()) : shift;
  }
};

// Only relu costs nothing in the kernel's stores; the others are passes of their own anyway.
bool in_kernel(tf_activation activation) {
  return activation == TINYFIN_ACTIVATION_NONE || activation == TINYFIN_ACTIVATION_RELU;
}

Tensor convolve(const Tensor& input, const Tensor& kernel, const Tensor& shift,
                const Geometry& g, tf_activation activation) {
  const Operands in(input, kernel, shift, g);
  if (in_kernel(activation)) return forward(in.x, in.weight, in.bias, g, activation);
  return activate(forward(in.x, in.weight, in.bias, g, TINYFIN_ACTIVATION_NONE), activation);
}

}  // namespace

//@op conv2d(Tensor x, Tensor weight, Tensor? bias=None, int[2] stride=1, padding padding=0, int[2]
//@     dilation=1, int groups=1, activation activation=None) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: Cross-correlation of images with a kernel, plus bias, through an activation.
//@   x: (N, C, H, W); weight: (O, C / groups, kH, kW); bias: (O,); result (N, O, OH, OW) with
//@   OH = (H + 2 padding - dilation (kH - 1) - 1) / stride + 1, in channels-last strides. Padding
//@   "same" gives OH = H, with the odd pixel below and right; stride must be 1 then.
//@   On the cpu, float32 kernels of 3 × 3 with stride 1 and 16 or more channels go by Winograd's
//@   products, whose rounding errors are one to four times those of the definition;
//@   $TINYFIN_WINOGRAD=0 keeps the definition.
//@   Errors: shape where these do not fit or the kernel is larger than the padded input; argument
//@   for "same" with a stride.
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, Pair stride, Pair padding,
              Pair dilation, int64_t groups, tf_activation activation) {
  int64_t sides[] = {padding[0], padding[1], padding[0], padding[1]};
  if (padding[0] == TINYFIN_PADDING_SAME && padding[1] == TINYFIN_PADDING_SAME) {
    TF_CHECK(stride[0] == 1 && stride[1] == 1, TINYFIN_ERROR_ARGUMENT, "received stride (",
             stride[0], ", ", stride[1], ") with padding \"same\"; expected stride 1");
    for (int k = 0; k < 2; ++k) {
      // Other shapes and dilations are refused below.
      const bool fits = weight.ndim() == 4 && dilation[k] >= 1 && dilation[k] <= kMost;
      const int64_t total = fits ? dilation[k] * (weight.size(2 + k) - 1) : 0;
      sides[k] = std::max<int64_t>(total, 0) / 2;
      sides[k + 2] = std::max<int64_t>(total, 0) - sides[k];
    }
  }
  return convolve(x, weight, bias, Geometry(stride, sides, dilation, groups), activation);
}

//@op conv2d_padded(Tensor x, Tensor weight, Tensor? bias, int[2] stride, int[] padding, int[2]
//@     dilation, int groups, activation activation=None) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: private
//@ doc: conv2d with padding of its own for each side: (top, left, bottom, right).
Tensor conv2d_padded(const Tensor& x, const Tensor& weight, const Tensor& bias, Pair stride,
                     IntList padding, Pair dilation, int64_t groups, tf_activation activation) {
  TF_CHECK(padding.size() == 4, TINYFIN_ERROR_ARGUMENT, "received ", padding.size(),
           " values of padding; expected 4: top, left, bottom, right");
  return convolve(x, weight, bias, Geometry(stride, padding, dilation, groups), activation);
}

//@op conv2d_max_pool(Tensor x, Tensor weight, Tensor? bias, int[2] stride, int[2] padding, int[2]
//@     dilation, int groups, activation activation, int[2] pool_size) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: private
//@ doc: max_pool2d(conv2d(…), pool_size) in one pass, with the same bits: what the pooling leaves
//@   of the convolution's result is all that goes to memory.
//@   Shapes and errors as of these two.
Tensor conv2d_max_pool(const Tensor& input, const Tensor& kernel, const Tensor& shift, Pair stride,
                       Pair padding, Pair dilation, int64_t groups, tf_activation activation,
                       Pair pool_size) {
  const int64_t sides[] = {padding[0], padding[1], padding[0], padding[1]};
  const Geometry g(stride, sides, dilation, groups);
  const Operands in(input, kernel, shift, g);
  const int64_t height = output_size(in.x.size(2), in.weight.size(2), g, 0);
  const int64_t width = output_size(in.x.size(3), in.weight.size(3), g, 1);
  const bool fits = pool_size[0] >= 1 && pool_size[0] <= height && pool_size[1] >= 1 &&
                    pool_size[1] <= width && height <= INT32_MAX / width;
  if (!fits || !in_kernel(activation))
    return max_pool2d(convolve(input, kernel, shift, g, activation), pool_size);
  const Dims shape{in.x.size(0), in.weight.size(0), height / pool_size[0], width / pool_size[1]};
  const Meta metas[] = {channels_last(shape, in.x, in.x.dtype()),
                        channels_last(shape, in.x, DType::i32)};
  Tensor out[2];
  run_multi(conv2d_max_pool_p, {&in.x, &in.weight, &in.bias},
            g.attrs(int64_t(activation), pool_size[0], pool_size[1]), metas, out);
  return out[0];
}

}  // namespace tf
