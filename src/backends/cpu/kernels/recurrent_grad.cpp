// The gradient of a recurrent layer: back through time one step gives the gradients of its gates,
// which are kept; weights, biases and x get theirs from all steps at once.
// SPDX-License-Identifier: MIT
#include "backends/cpu/recurrent.h"

namespace tf::cpu::TF_ISA {
namespace {

// w_hh (gates * hidden, hidden) as panels: for each tile of units (gates * hidden, kUnits).
template <class T>
tf_status pack_weights(const Sequence<T>& s, int64_t gates, const T* w, T* to) {
  const int64_t rows = gates * s.hidden;
  return parallel_range(s.unit_tiles(), 1 + 100000 / (rows * kUnits<T> + 1),
                        [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      pack(to + i * rows * kUnits<T>, kUnits<T>, w + i * kUnits<T>, s.hidden, int64_t(1), rows,
           smaller(kUnits<T>, s.hidden - i * kUnits<T>));
    }
  });
}

// dh (rows, kUnits) = gradients of the gates · w_hh. GRU: of r, z and of h's share of n.
template <int64_t kCell, class T>
void grad_of_h(const Sequence<T>& s, const Part& part, const T* gates, const T* panels, T* dh) {
  constexpr int64_t kD = kGateGrads<kCell>;
  const int64_t n = s.hidden, first = kCell == kGru ? 2 : kD, row = kD * n;
  const T* panel = panels + part.unit * kGates<kCell> * n;
  const T* a = gates + part.row * row;
  gemm(Gemm<T>{part.rows, kUnits<T>, first * n, a, row, 1, panel, kUnits<T>, 1, dh, kUnits<T>});
  if (kCell == kGru) {
    gemm(Gemm<T>{part.rows, kUnits<T>, n, a + 3 * n, row, 1, panel + 2 * n * kUnits<T>, kUnits<T>,
                 1, dh, kUnits<T>, true});
  }
}

// One step's memory; arrays (batch, …) at one place in time.
template <class T>
struct Step {
  const T *grad, *kept, *h, *h_before, *c_before;
  int64_t c_step;
  const T* carried;  // what later steps add: LSTM to dc, GRU to dh; null: nothing
  T* carry;          // the same for the step before
  T* gates;          // (batch, kGateGrads * hidden)
};

// dh: (kStepRows, kUnits) from the step after. Adds the sums over rows to dbias.
template <int64_t kCell, class T>
void run_cell_grad(const Sequence<T>& s, const Part& part, const T* dh, const Step<T>& step,
                   T* dbias) {
  using V = Vec<T>;
  constexpr int kD = int(kGateGrads<kCell>);
  const int64_t n = s.hidden;
  const V one(T(1));
  for_unit_vectors<T>(part, [&](int64_t j, int64_t lanes) TF_ALWAYS_INLINE {
    const int64_t unit = part.unit + j;
    V sums[kD];
    unroll<kD>([&](auto g) TF_ALWAYS_INLINE { sums[g] = get(dbias + g * n + unit, lanes); });
    for (int64_t i = 0; i < part.rows; ++i) {
      const int64_t row = part.row + i;
      const T* kept = step.kept + row * kKept<kCell> * n + unit;
      const auto gate = [&](int64_t g) TF_ALWAYS_INLINE { return get(kept + g * n, lanes); };
      V d = load(dh + i * kUnits<T> + j) + get(step.grad + row * n + unit, lanes);
      const V carried =
          step.carried ? get(step.carried + row * n + unit, lanes) : V(T(0));
      V out[kD];
      if constexpr (kCell == kLstm) {
        const V in = gate(0), forget = gate(1), g = gate(2), o = gate(3), t = tanh(gate(4));
        const V before = get(step.c_before + row * step.c_step + unit, lanes);
        const V dc = fma(d * o, one - t * t, carried);
        out[0] = dc * g * in * (one - in);
        out[1] = dc * before * forget * (one - forget);
        out[2] = dc * in * (one - g * g);
        out[3] = d * t * o * (one - o);
        put(step.carry + row * n + unit, dc * forget, lanes);
      } else if constexpr (kCell == kGru) {
        const V r = gate(0), z = gate(1), candidate = gate(2), h_n = gate(3);
        const V before = get(step.h_before + row * n + unit, lanes);
        d += carried;
        out[2] = d * (one - z) * (one - candidate * candidate);
        out[3] = out[2] * r;
        out[0] = out[2] * h_n * r * (one - r);
        out[1] = d * (before - candidate) * z * (one - z);
        put(step.carry + row * n + unit, d * z, lanes);
      } else {
        const V h = get(step.h + row * n + unit, lanes);
        out[0] = kCell == kRnnTanh ? d * (one - h * h) : select(h > V(T(0)), d, V(T(0)));
      }
      unroll<kD>([&](auto g) TF_ALWAYS_INLINE {
        put(step.gates + row * kD * n + g * n + unit, out[g], lanes);
        sums[g] += out[g];
      });
    }
    unroll<kD>([&](auto g) TF_ALWAYS_INLINE { put(dbias + g * n + unit, sums[g], lanes); });
  });
}

template <class T>
struct GradArrays {
  explicit GradArrays(const tf_kernel_call* c)
      : grad(data_of<T>(c->in[0])), grad_c(data_of<T>(c->in[1])), x(data_of<T>(c->in[2])),
        h0(data_of<T>(c->in[3])), c0(data_of<T>(c->in[4])), w_ih(data_of<T>(c->in[5])),
        w_hh(data_of<T>(c->in[6])), y(data_of<T>(c->in[7])), kept(data_of<T>(c->in[8])),
        dx(data_of<T>(c->out[0])), dh0(data_of<T>(c->out[1])), dc0(data_of<T>(c->out[2])),
        dw_ih(data_of<T>(c->out[3])), dw_hh(data_of<T>(c->out[4])), dbias(data_of<T>(c->out[5])),
        gates(data_of<T>(c->out[6])), wants_dx(numel(c->out[0]) > 0) {}
  const T *grad, *grad_c, *x, *h0, *c0, *w_ih, *w_hh, *y, *kept;
  T *dx, *dh0, *dc0, *dw_ih, *dw_hh, *dbias, *gates;
  bool wants_dx;
};

// The gates' gradients of all steps, dh0, dc0 and, per tile of rows, sums for the biases.
template <int64_t kCell, class T>
tf_status back_through_time(const Sequence<T>& s, const GradArrays<T>& a, const T* panels,
                            T* sums) {
  constexpr int64_t kD = kGateGrads<kCell>, kK = kKept<kCell>, kBlock = kStepRows * kUnits<T>;
  const int64_t plane = s.batch * s.hidden, work = plane * kGates<kCell> * s.hidden;
  T* const carry = kCell == kLstm ? a.dc0 : a.dh0;
  tf_status status = TINYFIN_OK;
  for (int64_t k = s.steps - 1; k >= 0 && status == TINYFIN_OK; --k) {
    const int64_t t = s.at(k), before = k > 0 ? s.at(k - 1) : 0;
    const bool last = k + 1 == s.steps;
    Step<T> step;
    step.grad = a.grad + t * plane;
    step.kept = a.kept + t * kK * plane;
    step.h = a.y + t * plane;
    step.h_before = k > 0 ? a.y + before * plane : a.h0;
    step.c_before = k > 0 ? a.kept + before * kK * plane + 4 * s.hidden : a.c0;
    step.c_step = k > 0 ? kK * s.hidden : s.hidden;
    step.carried = !last ? carry : kCell == kLstm ? a.grad_c : nullptr;
    step.carry = carry;
    step.gates = a.gates + t * kD * plane;
    const T* later = last ? nullptr : a.gates + s.at(k + 1) * kD * plane;
    status = for_parts(s, work, [&](const Part& part) {
      alignas(64) T dh[kBlock];
      if (later) {
        grad_of_h<kCell>(s, part, later, panels, dh);
      } else {
        memset(dh, 0, sizeof dh);
      }
      run_cell_grad<kCell>(s, part, dh, step, sums + part.row / kStepRows * kD * s.hidden);
    });
  }
  if (status != TINYFIN_OK) return status;
  const T* first = a.gates + s.at(0) * kD * plane;
  return for_parts(s, work, [&](const Part& part) {
    alignas(64) T dh[kBlock];
    grad_of_h<kCell>(s, part, first, panels, dh);
    for (int64_t i = 0; i < part.rows; ++i) {
      T* to = a.dh0 + (part.row + i) * s.hidden + part.unit;
      for_unit_vectors<T>(part, [&](int64_t j, int64_t lanes) TF_ALWAYS_INLINE {
        Vec<T> d = load(dh + i * kUnits<T> + j);
        if (kCell == kGru) d += get(to + j, lanes);
        put(to + j, d, lanes);
      });
    }
  });
}

// Rows [first, first + count) of dw_hh from the gates' gradients in columns [column, …).
template <int64_t kCell, class T>
tf_status grad_of_w_hh(const Sequence<T>& s, const GradArrays<T>& a, int64_t first, int64_t count,
                       int64_t column) {
  const int64_t row = kGateGrads<kCell> * s.hidden, rest = (s.steps - 1) * s.batch;
  const T* gates = a.gates + column;
  T* to = a.dw_hh + first * s.hidden;
  // A step sees the h of the step before; the first one sees h0.
  const int64_t gates_at = s.reverse ? 0 : s.batch, y_at = s.reverse ? s.batch : 0;
  Gemm<T> g{count, s.hidden, rest, gates + gates_at * row, 1, row, a.y + y_at * s.hidden, s.hidden,
            1, to, s.hidden};
  const tf_status status = gemm_parallel(g);
  if (status != TINYFIN_OK) return status;
  g.k = s.batch;
  g.a = gates + s.at(0) * s.batch * row;
  g.b = a.h0;
  g.accumulate = true;
  return gemm_parallel(g);
}

template <int64_t kCell, class T>
tf_status run_gradient(const Sequence<T>& s, const GradArrays<T>& a) {
  constexpr int64_t kG = kGates<kCell>, kD = kGateGrads<kCell>;
  const int64_t n = s.hidden, plane = s.batch * n, rows = s.steps * s.batch;
  const auto clear = [](T* to, int64_t count) { memset(to, 0, size_t(count) * sizeof(T)); };
  if (rows * n == 0) {  // no step: c_last is c0
    clear(a.dx, a.wants_dx ? rows * s.width : 0);
    clear(a.dh0, plane);
    if (kCell == kLstm && a.grad_c) memcpy(a.dc0, a.grad_c, size_t(plane) * sizeof(T));
    if (kCell == kLstm && !a.grad_c) clear(a.dc0, plane);
    clear(a.dw_ih, kG * n * s.width);
    clear(a.dw_hh, kG * n * n);
    clear(a.dbias, kD * n);
    return TINYFIN_OK;
  }
  const int64_t panels = s.unit_tiles() * kG * n * kUnits<T>;
  HostArray<T> scratch(panels + s.row_tiles() * kD * n);
  if (!scratch.data) return error(TINYFIN_ERROR_MEMORY, "out of host memory for packed weights");
  T* const sums = scratch.data + panels;
  clear(sums, s.row_tiles() * kD * n);
  tf_status status = pack_weights(s, kG, a.w_hh, scratch.data);
  if (status == TINYFIN_OK) status = back_through_time<kCell>(s, a, scratch.data, sums);
  for (int64_t j = 0; j < kD * n; ++j) {
    a.dbias[j] = sums[j];
    for (int64_t i = 1; i < s.row_tiles(); ++i) a.dbias[j] += sums[i * kD * n + j];
  }
  constexpr bool kTwice = kCell == kGru;  // n: once with x, once with h
  if (status == TINYFIN_OK)
    status = grad_of_w_hh<kCell>(s, a, 0, (kTwice ? 2 : kG) * n, 0);
  if (status == TINYFIN_OK && kTwice) status = grad_of_w_hh<kCell>(s, a, 2 * n, n, 3 * n);
  if (status == TINYFIN_OK) {
    status = gemm_parallel(Gemm<T>{kG * n, s.width, rows, a.gates, 1, kD * n, a.x, s.width, 1,
                                   a.dw_ih, s.width});
  }
  if (status == TINYFIN_OK && a.wants_dx) {
    status = gemm_parallel(Gemm<T>{rows, s.width, kG * n, a.gates, kD * n, 1, a.w_ih, s.width, 1,
                                   a.dx, s.width});
  }
  return status;
}

template <class T>
tf_status recurrent_grad_typed(const tf_kernel_call* c) {
  const tf_view &x = c->in[2], &h0 = c->in[3];
  const Sequence<T> s{x.shape[0], x.shape[1], x.shape[2], h0.shape[1], c->attr[1].i != 0};
  const GradArrays<T> arrays(c);
  return with_cell(c->attr[0].i, [&](auto cell) { return run_gradient<cell>(s, arrays); });
}

// "grad grad_c? x h0 c0? w_ih w_hh y kept; int cell, int reverse": all row-major.
tf_status recurrent_grad_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT64 ? recurrent_grad_typed<double>(c)
                                            : recurrent_grad_typed<float>(c);
}
TF_KERNEL(recurrent_grad, TINYFIN_DTYPES_FLOAT, recurrent_grad_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
