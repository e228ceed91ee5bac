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

// dh (rows, kUnits) = gradients of the gates, rows `row` apart, · w_hh. GRU: of r, z and of h's
// share of n.
template <int64_t kCell, class T>
void grad_of_h(const Sequence<T>& s, const Part& part, const T* gates, int64_t row,
               const T* panels, T* dh) {
  const int64_t n = s.hidden, first = kCell == kGru ? 2 : kGateGrads<kCell>;
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
  T* gates;          // (batch, kGateGrads * hidden), rows gates_row apart
  int64_t gates_row;
};

// dh: (kStepRows, kUnits) from the step after. Adds the sums over rows to dbias.
template <int64_t kCell, class T>
void run_cell_grad(const Sequence<T>& s, const Part& part, const T* dh, const Step<T>& step,
                   T* dbias) {
  using V = Vec<T>;
  constexpr int kD = int(kGateGrads<kCell>), kK = int(kKept<kCell>);
  const int64_t n = s.hidden;
  const V one(T(1));
  for_unit_vectors<T>(part, [&](int64_t first, auto side, auto lanes) TF_ALWAYS_INLINE {
    V sums[side][kD];
    const auto for_side = [&](const auto& body) TF_ALWAYS_INLINE {
      unroll<side>([&](auto v) TF_ALWAYS_INLINE { body(v, part.unit + first + v * V::kWidth); });
    };
    for_side([&](auto v, int64_t unit) TF_ALWAYS_INLINE {
      unroll<kD>([&](auto g) TF_ALWAYS_INLINE { sums[v][g] = get(dbias + g * n + unit, lanes); });
    });
    for (int64_t i = 0; i < part.rows; ++i) {
      const int64_t row = part.row + i;
      V d[side], kept[side][kK + 1], old[side], carried[side], out[side][kD];
      for_side([&](auto v, int64_t unit) TF_ALWAYS_INLINE {
        d[v] = load(dh + i * kUnits<T> + unit - part.unit) + get(step.grad + row * n + unit, lanes);
        unroll<kK>([&](auto g) TF_ALWAYS_INLINE {
          kept[v][g] = get(step.kept + (row * kK + g) * n + unit, lanes);
        });
        carried[v] = kK > 0 && step.carried ? get(step.carried + row * n + unit, lanes) : V(T(0));
        old[v] = kCell == kLstm ? get(step.c_before + row * step.c_step + unit, lanes)
                 : kCell == kGru ? get(step.h_before + row * n + unit, lanes)
                                 : get(step.h + row * n + unit, lanes);
      });
      for_side([&](auto v, int64_t) TF_ALWAYS_INLINE {
        if constexpr (kCell == kLstm) {
          const V in = kept[v][0], forget = kept[v][1], g = kept[v][2], o = kept[v][3];
          const V t = tanh(kept[v][4]), dc = fma(d[v] * o, one - t * t, carried[v]);
          out[v][0] = dc * g * in * (one - in);
          out[v][1] = dc * old[v] * forget * (one - forget);
          out[v][2] = dc * in * (one - g * g);
          out[v][3] = d[v] * t * o * (one - o);
          carried[v] = dc * forget;
        } else if constexpr (kCell == kGru) {
          const V r = kept[v][0], z = kept[v][1], candidate = kept[v][2], h_n = kept[v][3];
          const V dh_now = d[v] + carried[v];
          out[v][2] = dh_now * (one - z) * (one - candidate * candidate);
          out[v][3] = out[v][2] * r;
          out[v][0] = out[v][2] * h_n * r * (one - r);
          out[v][1] = dh_now * (old[v] - candidate) * z * (one - z);
          carried[v] = dh_now * z;
        } else {
          out[v][0] = kCell == kRnnTanh ? d[v] * (one - old[v] * old[v])
                                        : select(old[v] > V(T(0)), d[v], V(T(0)));
        }
      });
      for_side([&](auto v, int64_t unit) TF_ALWAYS_INLINE {
        if constexpr (kK > 0) put(step.carry + row * n + unit, carried[v], lanes);
        unroll<kD>([&](auto g) TF_ALWAYS_INLINE {
          put(step.gates + row * step.gates_row + g * n + unit, out[v][g], lanes);
          sums[v][g] += out[v][g];
        });
      });
    }
    for_side([&](auto v, int64_t unit) TF_ALWAYS_INLINE {
      unroll<kD>([&](auto g) TF_ALWAYS_INLINE { put(dbias + g * n + unit, sums[v][g], lanes); });
    });
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
        gates(data_of<T>(c->out[6])), gates_row(c->out[6].shape[2]),
        wants_dx(numel(c->out[0]) > 0) {}
  const T *grad, *grad_c, *x, *h0, *c0, *w_ih, *w_hh, *y, *kept;
  T *dx, *dh0, *dc0, *dw_ih, *dw_hh, *dbias;
  T* gates;  // gradients of each step's gates, rows gates_row apart
  int64_t gates_row;
  bool wants_dx;
};

// The gates' gradients of all steps, dh0, dc0 and those of the biases. Its scratch is given back
// before the products that follow ask for theirs.
template <int64_t kCell, class T>
tf_status back_through_time(const Sequence<T>& s, const GradArrays<T>& a) {
  constexpr int64_t kD = kGateGrads<kCell>, kK = kKept<kCell>, kBlock = kStepRows * kUnits<T>;
  const int64_t plane = s.batch * s.hidden, gates_plane = s.batch * a.gates_row;
  const int64_t work = plane * kGates<kCell> * s.hidden;
  const int64_t weights = s.unit_tiles() * kGates<kCell> * s.hidden * kUnits<T>;
  const int64_t sums_size = s.row_tiles() * kD * s.hidden;
  const HostArray<T> scratch(weights + sums_size);
  if (!scratch.data) return error(TINYFIN_ERROR_MEMORY, "out of host memory for packed weights");
  const T* const panels = scratch.data;
  T* const sums = scratch.data + weights;  // for the biases, per tile of rows
  memset(sums, 0, size_t(sums_size) * sizeof(T));
  T* const carry = kCell == kLstm ? a.dc0 : a.dh0;
  tf_status status = pack_weights(s, kGates<kCell>, a.w_hh, scratch.data);
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
    step.gates = a.gates + t * gates_plane;
    step.gates_row = a.gates_row;
    const T* later = last ? nullptr : a.gates + s.at(k + 1) * gates_plane;
    status = for_parts(s, work, [&](const Part& part) {
      alignas(64) T dh[kBlock];
      if (later) {
        grad_of_h<kCell>(s, part, later, a.gates_row, panels, dh);
      } else {
        memset(dh, 0, sizeof dh);
      }
      run_cell_grad<kCell>(s, part, dh, step, sums + part.row / kStepRows * kD * s.hidden);
    });
  }
  if (status != TINYFIN_OK) return status;
  for (int64_t j = 0; j < kD * s.hidden; ++j) {
    a.dbias[j] = sums[j];
    for (int64_t i = 1; i < s.row_tiles(); ++i) a.dbias[j] += sums[i * kD * s.hidden + j];
  }
  const T* first = a.gates + s.at(0) * gates_plane;
  return for_parts(s, work, [&](const Part& part) {
    alignas(64) T dh[kBlock];
    grad_of_h<kCell>(s, part, first, a.gates_row, panels, dh);
    for (int64_t i = 0; i < part.rows; ++i) {
      T* to = a.dh0 + (part.row + i) * s.hidden + part.unit;
      for_unit_vectors<T>(part, [&](int64_t unit, auto side, auto lanes) TF_ALWAYS_INLINE {
        unroll<side>([&](auto v) TF_ALWAYS_INLINE {
          const int64_t j = unit + v * Vec<T>::kWidth;
          Vec<T> d = load(dh + i * kUnits<T> + j);
          if (kCell == kGru) d += get(to + j, lanes);
          put(to + j, d, lanes);
        });
      });
    }
  });
}

// Rows [first, first + count) of dw_hh from the gates' gradients in columns [column, …).
template <class T>
tf_status grad_of_w_hh(const Sequence<T>& s, const GradArrays<T>& a, int64_t first, int64_t count,
                       int64_t column) {
  const int64_t row = a.gates_row, rest = (s.steps - 1) * s.batch;
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
  tf_status status = back_through_time<kCell>(s, a);
  constexpr bool kTwice = kCell == kGru;  // n: once with x, once with h
  if (status == TINYFIN_OK)
    status = grad_of_w_hh(s, a, 0, (kTwice ? 2 : kG) * n, 0);
  if (status == TINYFIN_OK && kTwice) status = grad_of_w_hh(s, a, 2 * n, n, 3 * n);
  if (status == TINYFIN_OK) {
    status = gemm_parallel(Gemm<T>{kG * n, s.width, rows, a.gates, 1, a.gates_row, a.x, s.width, 1,
                                   a.dw_ih, s.width});
  }
  if (status == TINYFIN_OK && a.wants_dx) {
    status = gemm_parallel(Gemm<T>{rows, s.width, kG * n, a.gates, a.gates_row, 1, a.w_ih, s.width,
                                   1, a.dx, s.width});
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
