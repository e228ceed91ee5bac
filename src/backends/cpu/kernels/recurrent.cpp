// Recurrent layers over a whole sequence: what comes from x is one product for all steps; each
// step adds h · w_hhᵀ, tile by tile, and goes through the cell while that is in the cache.
//
//   LSTM  i, f, o = sigmoid(…), g = tanh(…), c = f c' + i g, h = o tanh(c)
//   GRU   r, z = sigmoid(…), n = tanh(xₙ + r hₙ), h = n + z (h' - n)
//   RNN   h = tanh(…) or relu(…)
//
// Hochreiter & Schmidhuber 1997, Cho et al. 2014 with the gates where PyTorch has them.
// SPDX-License-Identifier: MIT
#include "backends/cpu/recurrent.h"

namespace tf::cpu::TF_ISA {
namespace {

// w_hh (gates * hidden, hidden) as panels: for each tile of units and each gate (hidden, kUnits).
template <class T>
tf_status pack_weights(const Sequence<T>& s, int64_t gates, const T* w, T* to) {
  const int64_t panel = s.hidden * kUnits<T>;
  return parallel_range(s.unit_tiles() * gates, 1 + 100000 / (panel + 1),
                        [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t unit = i / gates * kUnits<T>, gate = i % gates;
      pack(to + i * panel, kUnits<T>, w + (gate * s.hidden + unit) * s.hidden, int64_t(1), s.hidden,
           s.hidden, smaller(kUnits<T>, s.hidden - unit));
    }
  });
}

// One step's memory: rows of a batch at one place in time.
template <class T>
struct Step {
  const T* h_before;  // (batch, hidden)
  const T* c_before;  // LSTM: rows c_step apart
  int64_t c_step;
  T* kept;  // (batch, kKept * hidden); gates hold what comes from x
  T* h;     // (batch, hidden); RNN: holds what comes from x
  T* c_last;  // LSTM: where the last step also leaves c, or null
};

// from_h: kGates blocks of (kStepRows, kUnits), h_before · w_hhᵀ. b_n: GRU's second bias of n.
template <int64_t kCell, class T>
void run_cell(const Sequence<T>& s, const Part& part, const T* from_h, const T* b_n,
              const Step<T>& step) {
  using V = Vec<T>;
  const int64_t n = s.hidden;
  constexpr int64_t kBlock = kStepRows * kUnits<T>;
  for (int64_t i = 0; i < part.rows; ++i) {
    const int64_t row = part.row + i;
    const T* add = from_h + i * kUnits<T>;
    T* kept = step.kept + row * kKept<kCell> * n + part.unit;
    T* h = step.h + row * n + part.unit;
    for_unit_vectors<T>(part, [&](int64_t j, int64_t lanes) TF_ALWAYS_INLINE {
      const auto gate = [&](int64_t g) TF_ALWAYS_INLINE {
        return get(kept + g * n + j, lanes) + load(add + g * kBlock + j);
      };
      if constexpr (kCell == kLstm) {
        const V in = sigmoid(gate(0)), forget = sigmoid(gate(1)), g = tanh(gate(2));
        const V out = sigmoid(gate(3));
        const V before = get(step.c_before + row * step.c_step + part.unit + j, lanes);
        const V c = fma(forget, before, in * g);
        put(kept + j, in, lanes);
        put(kept + n + j, forget, lanes);
        put(kept + 2 * n + j, g, lanes);
        put(kept + 3 * n + j, out, lanes);
        put(kept + 4 * n + j, c, lanes);
        put(h + j, out * tanh(c), lanes);
        if (step.c_last) put(step.c_last + row * n + part.unit + j, c, lanes);
      } else if constexpr (kCell == kGru) {
        const V r = sigmoid(gate(0)), z = sigmoid(gate(1));
        V h_n = load(add + 2 * kBlock + j);
        if (b_n) h_n += get(b_n + part.unit + j, lanes);
        const V x_n = get(kept + 2 * n + j, lanes), candidate = tanh(fma(r, h_n, x_n));
        const V before = get(step.h_before + row * n + part.unit + j, lanes);
        put(kept + j, r, lanes);
        put(kept + n + j, z, lanes);
        put(kept + 2 * n + j, candidate, lanes);
        put(kept + 3 * n + j, h_n, lanes);
        put(h + j, fma(z, before - candidate, candidate), lanes);
      } else {
        const V sum = get(h + j, lanes) + load(add + j);
        put(h + j, kCell == kRnnTanh ? tanh(sum) : max(V(T(0)), sum), lanes);
      }
    });
  }
}

// The bias of the product with x: both where they are added anyhow, for GRU's n the first only.
template <int64_t kCell, class T>
void joint_bias(const T* b_ih, const T* b_hh, int64_t hidden, T* to) {
  for (int64_t i = 0; i < kGates<kCell> * hidden; ++i)
    to[i] = b_ih[i] + (kCell == kGru && i >= 2 * hidden ? T(0) : b_hh[i]);
}

template <int64_t kCell, class T>
tf_status run_sequence(const Sequence<T>& s, const tf_kernel_call* c) {
  constexpr int64_t kG = kGates<kCell>, kK = kKept<kCell>, kBlock = kStepRows * kUnits<T>;
  const T *x = data_of<T>(c->in[0]), *h0 = data_of<T>(c->in[1]), *c0 = data_of<T>(c->in[2]);
  const T *w_ih = data_of<T>(c->in[3]), *w_hh = data_of<T>(c->in[4]);
  const T *b_ih = data_of<T>(c->in[5]), *b_hh = data_of<T>(c->in[6]);
  T *y = data_of<T>(c->out[0]), *c_last = data_of<T>(c->out[1]), *kept = data_of<T>(c->out[2]);
  if (kCell == kLstm && s.steps == 0) memcpy(c_last, c0, size_t(s.batch * s.hidden) * sizeof(T));
  if (s.steps * s.batch * s.hidden == 0) return TINYFIN_OK;

  const int64_t panels = s.unit_tiles() * kG * s.hidden * kUnits<T>;
  HostArray<T> scratch(panels + kG * s.hidden);
  if (!scratch.data) return error(TINYFIN_ERROR_MEMORY, "out of host memory for packed weights");
  T* const bias = scratch.data + panels;
  if (b_ih) joint_bias<kCell>(b_ih, b_hh, s.hidden, bias);
  // What comes from x lies where the gates will, in RNN where h will.
  Gemm<T> from_x{s.steps * s.batch, kG * s.hidden, s.width, x, s.width, 1, w_ih, 1, s.width,
                 kK > 0 ? kept : y, (kK > 0 ? kK : 1) * s.hidden, false, b_ih ? bias : nullptr};
  tf_status status = gemm_parallel(from_x);
  if (status == TINYFIN_OK) status = pack_weights(s, kG, w_hh, scratch.data);

  const int64_t plane = s.batch * s.hidden, work = plane * kG * s.hidden;
  const T* b_n = b_hh ? b_hh + 2 * s.hidden : nullptr;
  for (int64_t k = 0; k < s.steps && status == TINYFIN_OK; ++k) {
    const int64_t t = s.at(k), before = k > 0 ? s.at(k - 1) : 0;
    Step<T> step;
    step.h_before = k > 0 ? y + before * plane : h0;
    step.c_before = k > 0 ? kept + before * kK * plane + 4 * s.hidden : c0;
    step.c_step = k > 0 ? kK * s.hidden : s.hidden;
    step.kept = kept + t * kK * plane;
    step.h = y + t * plane;
    step.c_last = k + 1 == s.steps ? c_last : nullptr;
    status = for_parts(s, work, [&](const Part& part) {
      alignas(64) T from_h[kG * kBlock];
      for (int64_t g = 0; g < kG; ++g) {
        gemm(Gemm<T>{part.rows, kUnits<T>, s.hidden, step.h_before + part.row * s.hidden, s.hidden,
                     1, scratch.data + (part.unit * kG + g * kUnits<T>) * s.hidden, kUnits<T>, 1,
                     from_h + g * kBlock, kUnits<T>});
      }
      run_cell<kCell>(s, part, from_h, b_n, step);
    });
  }
  return status;
}

template <class T>
tf_status recurrent_typed(const tf_kernel_call* c) {
  const tf_view &x = c->in[0], &h0 = c->in[1];
  const Sequence<T> s{x.shape[0], x.shape[1], x.shape[2], h0.shape[1], c->attr[1].i != 0};
  return with_cell(c->attr[0].i, [&](auto cell) { return run_sequence<cell>(s, c); });
}

// "x h0 c0? w_ih w_hh b_ih? b_hh?; int cell, int reverse, …": all row-major.
tf_status recurrent_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT64 ? recurrent_typed<double>(c)
                                            : recurrent_typed<float>(c);
}
TF_KERNEL(recurrent, TINYFIN_DTYPES_FLOAT, recurrent_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
