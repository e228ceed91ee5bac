// Random numbers: element i, in row-major order, is a function of (seed, offset, i) alone, so that
// the numbers are the same for any number of threads and a call can be run again bit for bit.
// SPDX-License-Identifier: MIT
#include "core/rng.h"

#include <cmath>

#include "core/bfloat16.h"
#include "ops/op.h"
#include "ops/ops.h"

namespace tf {
namespace {

// A block of the generator has four words: four numbers of 32 bits or two of 64. Element i of a
// tensor takes word i (or words 2i and 2i + 1), counted from block `offset`.
const Primitive uniform_p{{.name = "uniform",
                           .signature = "; int seed, int offset, float low, float high"}};
const Primitive normal_p{{.name = "normal",
                          .signature = "; int seed, int offset, float mu, float sigma"}};
const Primitive bernoulli_p{{.name = "bernoulli", .signature = "; int seed, int offset, float p"}};
const Primitive randint_p{{.name = "randint",
                           .signature = "; int seed, int offset, int low, int high"}};
const Primitive randperm_p{{.name = "randperm", .signature = "; int seed, int offset"}};

// The mask is drawn again from the same numbers: none is kept for the gradient.
void dropout_vjp(Vjp& v);
const Primitive dropout_p{{.name = "dropout", .signature = "x; int seed, int offset, float p",
                           .vjp = dropout_vjp}};
void dropout_vjp(Vjp& v) {
  const Tensor grad = v.grad();
  v.set(0, run(dropout_p, {&grad}, v.attrs(), meta_like(grad)));
}

Device& on(Device* device) { return device ? *device : default_device(); }

RngState draw(int64_t numel, bool wide) {
  return reserve_random(uint64_t(wide ? numel / 2 + numel % 2 : numel / 4 + (numel % 4 != 0)));
}

DType float_or_default(DType dtype) {
  if (dtype == DType::none) return DType::f32;
  TF_CHECK(is_float(dtype), TINYFIN_ERROR_DTYPE, "received ", name_of(dtype),
           "; expected a float dtype; cast afterwards");
  return dtype;
}

void check_probability(double p) {
  TF_CHECK(p >= 0 && p <= 1, TINYFIN_ERROR_ARGUMENT, "received p = ", p,
           "; expected a probability, 0 to 1");
}

void check_range(double low, double high) {
  TF_CHECK(std::isfinite(low) && std::isfinite(high) && low <= high, TINYFIN_ERROR_ARGUMENT,
           "received low = ", low, " and high = ", high, "; expected finite numbers, low first");
}

void check_normal(double mu, double sigma) {
  TF_CHECK(std::isfinite(mu) && std::isfinite(sigma) && sigma >= 0, TINYFIN_ERROR_ARGUMENT,
           "received mu = ", mu, " and sigma = ", sigma,
           "; expected finite numbers, sigma not negative");
}

// Numbers of [low, high) are drawn in float32. Rounding them to bfloat16 must not reach the end that
// does not belong to the range: the greatest number below it is as far as they go.
Tensor bfloat16_uniforms(const Dims& shape, const RngState& s, double low, double high,
                         Device& device) {
  const Tensor wide = run(uniform_p, {}, Attrs(s.seed, s.offset, low, high),
                          meta_of_shape(shape, DType::f32, device));
  BFloat16 most = bfloat16(high);
  if (double(widened(most)) >= high) most = next_below(most);
  return cast(clamp_max(wide, std::fmax(widened(most), widened(bfloat16(low)))), DType::bf16);
}

Tensor floats(const Primitive& prim, IntList size, double a, double b, DType dtype,
              Device* device) {
  const Meta meta = meta_of_shape(as_dims(size), float_or_default(dtype), on(device));
  const RngState s = draw(checked_numel(meta.shape), meta.dtype == DType::f64);
  if (&prim == &uniform_p && meta.dtype == DType::bf16)
    return bfloat16_uniforms(meta.shape, s, a, b, *meta.device);
  return run(prim, {}, Attrs(s.seed, s.offset, a, b), meta);
}

void floats_(const char* op, const Primitive& prim, Tensor& x, double a, double b) {
  check_float(x, "tensor");
  TF_CHECK(!(grad_enabled() && x.requires_grad()), TINYFIN_ERROR_GRAPH,
           "received a tensor that takes part in a gradient; do it under no_grad");
  const RngState s = draw(x.numel(), x.dtype() == DType::f64);
  if (&prim == &uniform_p && x.dtype() == DType::bf16)
    return copy_(x, bfloat16_uniforms(x.shape(), s, a, b, x.device()));
  run_inplace(op, prim, x, {}, Attrs(s.seed, s.offset, a, b));
}

}  // namespace

//@op rand(shape size, dtype dtype=None, device device=None) -> Tensor
//@ since: 0.1
//@ grad: no, it has no tensor arguments
//@ python: private
//@ doc: Numbers evenly distributed in [0, 1). dtype: float32 where not given.
Tensor rand(IntList size, DType dtype, Device* device) {
  return floats(uniform_p, size, 0, 1, dtype, device);
}

//@op randn(int[] size, float mu=0, float sigma=1, dtype dtype=None, device device=None) -> Tensor
//@ since: 0.1
//@ grad: no, it has no tensor arguments
//@ python: private
//@ doc: Normally distributed numbers of mean mu and standard deviation sigma. The same bits on
//@   every processor (Box and Muller, A note on the generation of random normal deviates, 1958).
Tensor randn(IntList size, double mu, double sigma, DType dtype, Device* device) {
  check_normal(mu, sigma);
  return floats(normal_p, size, mu, sigma, dtype, device);
}

//@op randint(int low, int high, int[] size, dtype dtype=None, device device=None) -> Tensor
//@ since: 0.1
//@ grad: no, it has no tensor arguments
//@ python: private
//@ doc: Integers evenly distributed in low … high - 1. dtype: int64 where not given.
//@   Errors: argument if there is no such integer.
Tensor randint(int64_t low, int64_t high, IntList size, DType dtype, Device* device) {
  TF_CHECK(low < high, TINYFIN_ERROR_ARGUMENT, "received low = ", low, " and high = ", high,
           "; expected low < high");
  const Meta meta = meta_of_shape(as_dims(size), DType::i64, on(device));
  const RngState s = draw(checked_numel(meta.shape), true);
  const Tensor out = run(randint_p, {}, Attrs(s.seed, s.offset, low, high), meta);
  return dtype == DType::none ? out : cast_to(out, dtype);
}

//@op bernoulli(float p, int[] size, dtype dtype=None, device device=None) -> Tensor
//@ since: 0.1
//@ grad: no, it has no tensor arguments
//@ python: private
//@ doc: 1 with probability p, else 0. dtype: float32 where not given.
//@   Errors: argument if p lies outside 0 to 1.
Tensor bernoulli(double p, IntList size, DType dtype, Device* device) {
  check_probability(p);
  const Meta meta = meta_of_shape(as_dims(size), dtype == DType::none ? DType::f32 : dtype,
                                  on(device));
  const RngState s = draw(checked_numel(meta.shape), false);
  return run(bernoulli_p, {}, Attrs(s.seed, s.offset, p), meta);
}

//@op randperm(int n, device device=None) -> Tensor
//@ since: 0.1
//@ grad: no, it has no tensor arguments
//@ python: private
//@ doc: 0 … n - 1 in random order, int64 (Durstenfeld's shuffle, CACM 7, 1964).
Tensor randperm(int64_t n, Device* device) {
  TF_CHECK(n >= 0, TINYFIN_ERROR_ARGUMENT, "received n = ", n,
           "; expected a number that is not negative");
  const RngState s = draw(n, true);
  return run(randperm_p, {}, Attrs(s.seed, s.offset), meta_of_shape({n}, DType::i64, on(device)));
}

//@op uniform_(Tensor! x, float low=0, float high=1)
//@ since: 0.1
//@ grad: no, it is refused on tensors that take part in a gradient
//@ python: method
//@ doc: Overwrites x with numbers evenly distributed in [low, high).
void uniform_(Tensor& x, double low, double high) {
  check_range(low, high);
  floats_("uniform_", uniform_p, x, low, high);
}

//@op normal_(Tensor! x, float mu=0, float sigma=1)
//@ since: 0.1
//@ grad: no, it is refused on tensors that take part in a gradient
//@ python: method
//@ doc: Overwrites x with normally distributed numbers of mean mu and standard deviation sigma.
void normal_(Tensor& x, double mu, double sigma) {
  check_normal(mu, sigma);
  floats_("normal_", normal_p, x, mu, sigma);
}

//@op dropout(Tensor x, float p=0.5, bool training=True) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method
//@ doc: While training each element is 0 with probability p, else x / (1 - p) (Srivastava et al.,
//@   JMLR 15, 2014); otherwise x itself. No mask is stored: the gradient draws it again.
//@   Errors: argument if p lies outside 0 to 1.
Tensor dropout(const Tensor& x, double p, bool training) {
  check_probability(p);
  const Tensor value = as_float(x);
  if (!training || p == 0) return value;
  const RngState s = draw(value.numel(), false);
  return run(dropout_p, {&value}, Attrs(s.seed, s.offset, p), meta_like(value));
}

}  // namespace tf
