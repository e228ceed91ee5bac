// Optimiser updates: parameter, gradient and state in one pass, in place.
//
// out[0] is the parameter and in[0] the same array; in[1] the gradient, of any strides; then the
// state, which is among the outputs too. Every gradient counts `scale`-fold (clipping).
// SPDX-License-Identifier: MIT
#include "backends/cpu/elementwise.h"

namespace tf::cpu::TF_ISA {
namespace {

// update(Vec<T>& p, Vec<T> g, Vec<T>& s0, Vec<T>& s1), for one register of elements. kStates
// registers of state take part; the others hold nothing.
template <int kStates, class T, class Update>
static inline void update_row(T* p, const T* g, T* s0, T* s1, int64_t n, const Update& update) {
  constexpr int w = Vec<T>::kWidth;
  Vec<T> a(T(0)), b(T(0));
  int64_t i = 0;
  for (; i + w <= n; i += w) {
    Vec<T> x = load(p + i);
    if constexpr (kStates > 0) a = load(s0 + i);
    if constexpr (kStates > 1) b = load(s1 + i);
    update(x, load(g + i), a, b);
    store(p + i, x);
    if constexpr (kStates > 0) store(s0 + i, a);
    if constexpr (kStates > 1) store(s1 + i, b);
  }
  if (i < n) {
    const int64_t rest = n - i;
    Vec<T> x = load_n(p + i, rest);
    if constexpr (kStates > 0) a = load_n(s0 + i, rest);
    if constexpr (kStates > 1) b = load_n(s1 + i, rest);
    update(x, load_n(g + i, rest), a, b);
    store_n(p + i, x, rest);
    if constexpr (kStates > 0) store_n(s0 + i, a, rest);
    if constexpr (kStates > 1) store_n(s1 + i, b, rest);
  }
}

template <int kStates, class T, class Update>
static inline tf_status update_all(const tf_kernel_call* c, const Update& update) {
  // An absent state stands in as the parameter: its pointers are never followed.
  const tf_view* s0 = kStates > 0 ? &c->out[1] : &c->out[0];
  const tf_view* s1 = kStates > 1 ? &c->out[2] : &c->out[0];
  const Loop<4> loop = make_loop<4>({&c->out[0], &c->in[1], s0, s1});
  return for_rows(loop, [&](char* const* ptr, const int64_t* stride, int64_t n) {
    T* at[4];
    bool dense = true;
    for (int k = 0; k < 4; ++k) {
      at[k] = reinterpret_cast<T*>(ptr[k]);
      dense = dense && stride[k] == 1;
    }
    if (dense) return update_row<kStates>(at[0], at[1], at[2], at[3], n, update);
    T x[kBuffer], g[kBuffer], a[kBuffer], b[kBuffer];
    for (int64_t i = 0; i < n; i += kBuffer) {
      const int64_t m = n - i < kBuffer ? n - i : kBuffer;
      T* here[4];
      for (int k = 0; k < 4; ++k) here[k] = at[k] + i * stride[k];
      gather(here[0], stride[0], x, m);
      gather(here[1], stride[1], g, m);
      if (kStates > 0) gather(here[2], stride[2], a, m);
      if (kStates > 1) gather(here[3], stride[3], b, m);
      update_row<kStates>(x, g, a, b, m, update);
      scatter(x, here[0], stride[0], m);
      if (kStates > 0) scatter(a, here[2], stride[2], m);
      if (kStates > 1) scatter(b, here[3], stride[3], m);
    }
  });
}

template <class Body>
static inline tf_status with_float(tf_dtype t, const Body& body) {
  if (t == TINYFIN_FLOAT32) return body(float{});
  if (t == TINYFIN_FLOAT64) return body(double{});
  return TINYFIN_ERROR_UNSUPPORTED;
}

// lr, weight_decay, scale
static tf_status sgd_kernel(const tf_kernel_call* c, void*) {
  return with_float(c->out[0].dtype, [&](auto t) {
    using V = Vec<decltype(t)>;
    using T = decltype(t);
    const V lr(T(c->attr[0].f)), decay(T(c->attr[1].f)), scale(T(c->attr[2].f));
    return update_all<0, T>(c, [&](V& p, V g, V&, V&) TF_ALWAYS_INLINE {
      p = p - lr * fma(decay, p, scale * g);
    });
  });
}
TF_KERNEL(sgd_step, TINYFIN_DTYPES_FLOAT, sgd_kernel);

// lr, weight_decay, scale, momentum, nesterov, first; state: the momentum buffer
static tf_status sgd_momentum_kernel(const tf_kernel_call* c, void*) {
  return with_float(c->out[0].dtype, [&](auto t) {
    using V = Vec<decltype(t)>;
    using T = decltype(t);
    const V lr(T(c->attr[0].f)), decay(T(c->attr[1].f)), scale(T(c->attr[2].f));
    const V momentum(T(c->attr[3].f));
    const bool nesterov = c->attr[4].i != 0, first = c->attr[5].i != 0;
    return update_all<1, T>(c, [&](V& p, V g, V& buffer, V&) TF_ALWAYS_INLINE {
      g = fma(decay, p, scale * g);
      buffer = first ? g : fma(momentum, buffer, g);
      p = p - lr * (nesterov ? fma(momentum, buffer, g) : buffer);
    });
  });
}
TF_KERNEL(sgd_momentum_step, TINYFIN_DTYPES_FLOAT, sgd_momentum_kernel);

// lr, weight_decay, scale, beta1, beta2, eps, decoupled, step size (lr / (1 - beta1^step)), and
// sqrt(1 - beta2^step); state: first and second moment
static tf_status adam_kernel(const tf_kernel_call* c, void*) {
  return with_float(c->out[0].dtype, [&](auto t) {
    using V = Vec<decltype(t)>;
    using T = decltype(t);
    const bool decoupled = c->attr[6].i != 0;
    const double lr = c->attr[0].f, decay = c->attr[1].f;
    const V shrink(T(decoupled ? 1 - lr * decay : 1)), penalty(T(decoupled ? 0 : decay));
    const V scale(T(c->attr[2].f)), eps(T(c->attr[5].f)), step(T(c->attr[7].f));
    const V rest1(T(1 - c->attr[3].f)), beta2(T(c->attr[4].f)), rest2(T(1 - c->attr[4].f));
    const V correction(T(1 / c->attr[8].f));  // a division takes as long as ten products
    return update_all<2, T>(c, [&](V& p, V g, V& m, V& v) TF_ALWAYS_INLINE {
      p = p * shrink;
      g = fma(penalty, p, scale * g);
      m = fma(rest1, g - m, m);
      v = fma(rest2 * g, g, beta2 * v);
      p = p - step * m / fma(sqrt(v), correction, eps);
    });
  });
}
TF_KERNEL(adam_step, TINYFIN_DTYPES_FLOAT, adam_kernel);

// lr, weight_decay, scale, alpha, eps; state: the mean of squares
static tf_status rmsprop_kernel(const tf_kernel_call* c, void*) {
  return with_float(c->out[0].dtype, [&](auto t) {
    using V = Vec<decltype(t)>;
    using T = decltype(t);
    const V lr(T(c->attr[0].f)), decay(T(c->attr[1].f)), scale(T(c->attr[2].f));
    const V alpha(T(c->attr[3].f)), rest(T(1 - c->attr[3].f)), eps(T(c->attr[4].f));
    return update_all<1, T>(c, [&](V& p, V g, V& v, V&) TF_ALWAYS_INLINE {
      g = fma(decay, p, scale * g);
      v = fma(rest * g, g, alpha * v);
      p = p - lr * g / (sqrt(v) + eps);
    });
  });
}
TF_KERNEL(rmsprop_step, TINYFIN_DTYPES_FLOAT, rmsprop_kernel);

// … and momentum; state: the mean of squares, the momentum buffer
static tf_status rmsprop_momentum_kernel(const tf_kernel_call* c, void*) {
  return with_float(c->out[0].dtype, [&](auto t) {
    using V = Vec<decltype(t)>;
    using T = decltype(t);
    const V lr(T(c->attr[0].f)), decay(T(c->attr[1].f)), scale(T(c->attr[2].f));
    const V alpha(T(c->attr[3].f)), rest(T(1 - c->attr[3].f)), eps(T(c->attr[4].f));
    const V momentum(T(c->attr[5].f));
    return update_all<2, T>(c, [&](V& p, V g, V& v, V& buffer) TF_ALWAYS_INLINE {
      g = fma(decay, p, scale * g);
      v = fma(rest * g, g, alpha * v);
      buffer = fma(momentum, buffer, g / (sqrt(v) + eps));
      p = p - lr * buffer;
    });
  });
}
TF_KERNEL(rmsprop_momentum_step, TINYFIN_DTYPES_FLOAT, rmsprop_momentum_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
