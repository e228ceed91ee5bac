// Recurrent layers over a whole sequence. Each step multiplies a row per sequence, x and h side by
// side, by the weights, tile by tile, and goes through the cell while the sums are in the cache.
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

// Fewer sequences would read w_ih too often: what comes from x is one product for all steps then.
constexpr int64_t kJoinedBatch = 16;

// Sums of a step per unit: one per gate; GRU's n has those from x and from h apart.
template <int64_t kCell>
constexpr int64_t kSums = kCell == kGru ? 4 : kGates<kCell>;

// 1 / (1 + exp(-x)) as it stands: within 3 ulp where sigmoid() is within 2, and 0 where that is
// denormal.
TF_INLINE F32 gate(F32 x) { return F32(1.f) / (F32(1.f) + exp(-x)); }
TF_INLINE F64 gate(F64 x) { return sigmoid(x); }

template <int64_t kCell, class T>
class Forward {
 public:
  Forward(const Sequence<T>& s_, const tf_kernel_call* c)
      : s(s_), x(data_of<T>(c->in[0])), h0(data_of<T>(c->in[1])), c0(data_of<T>(c->in[2])),
        w_ih(data_of<T>(c->in[3])), w_hh(data_of<T>(c->in[4])), b_ih(data_of<T>(c->in[5])),
        b_hh(data_of<T>(c->in[6])), y(data_of<T>(c->out[0])), c_last(data_of<T>(c->out[1])),
        kept(numel(c->out[2]) > 0 ? data_of<T>(c->out[2]) : nullptr),
        joined(s.batch >= kJoinedBatch ? s.width : 0), depth(joined + s.hidden),
        pitch(Lines<T>{nullptr, 0, 0, depth}.pitch()), padded(s.unit_tiles() * kUnits<T>) {}

  tf_status run() {
    if (kCell == kLstm && s.steps == 0) memcpy(c_last, c0, size_t(s.batch * s.hidden) * sizeof(T));
    if (s.steps * s.batch * s.hidden == 0) return TINYFIN_OK;
    // Where x is multiplied at once, the result lies where the gates will, in RNN where h will.
    const bool apart = joined < s.width, own = apart && kK > 0 && !kept;
    const int64_t rows = s.steps * s.batch;
    x_row = (own ? kG : kK > 0 ? kK : 1) * s.hidden;
    const int64_t sizes[] = {padded * kG * depth, padded * kS, 2 * s.batch * pitch,
                             own ? rows * x_row : 0};
    const HostArray<T> scratch(sizes[0] + sizes[1] + sizes[2] + sizes[3]);
    if (!scratch.data) return error(TINYFIN_ERROR_MEMORY, "out of host memory for packed weights");
    panels = scratch.data;
    bias = panels + sizes[0];
    T* const states = bias + sizes[1];
    if (apart) from_x = own ? states + sizes[2] : kK > 0 ? kept : y;

    tf_status status = pack_weights();
    if (!b_ih) bias = nullptr;
    if (bias) pack_bias();
    if (status == TINYFIN_OK && apart) {
      status = gemm_parallel(Gemm<T>{rows, kG * s.hidden, s.width, x, s.width, 1, w_ih, 1, s.width,
                                     from_x, x_row});
    }
    for (int64_t i = 0; i < s.batch; ++i) {
      copy_x(i, 0, states);
      memcpy(states + i * pitch + joined, h0 + i * s.hidden, size_t(s.hidden) * sizeof(T));
    }
    for (int64_t k = 0; k < s.steps && status == TINYFIN_OK; ++k) {
      const T* state = states + k % 2 * s.batch * pitch;
      T* next = states + (k + 1) % 2 * s.batch * pitch;
      status = for_parts(s, s.batch * kG * s.hidden * depth, [&](const Part& part) {
        alignas(64) T sums[kS * kBlock];
        multiply(part, state, sums);
        run_cells(part, k, sums, state, next);
        // Each tile of units brings the x of some of the rows.
        if (k + 1 == s.steps) return;
        const int64_t tiles = s.unit_tiles(), tile = part.unit / kUnits<T>;
        const int64_t end = cut(part.rows, tiles, tile + 1);
        for (int64_t i = cut(part.rows, tiles, tile); i < end; ++i)
          copy_x(part.row + i, k + 1, next);
      });
    }
    return status;
  }

 private:
  using V = Vec<T>;
  static constexpr int64_t kG = kGates<kCell>, kK = kKept<kCell>, kS = kSums<kCell>;
  static constexpr int64_t kBlock = kStepRows * kUnits<T>;

  // For each tile of units and each gate a panel (depth, kUnits): of w_ih if joined, then of w_hh.
  tf_status pack_weights() const {
    const int64_t panel = depth * kUnits<T>;
    return parallel_range(s.unit_tiles() * kG, 1 + 100000 / (panel + 1),
                          [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t unit = i / kG * kUnits<T>, units = smaller(kUnits<T>, s.hidden - unit);
        const int64_t row = i % kG * s.hidden + unit;
        const auto add = [&](const T* w, int64_t size, int64_t at) {
          pack(panels + i * panel + at * kUnits<T>, kUnits<T>, w + row * size, int64_t(1), size,
               size, units);
        };
        if (joined > 0) add(w_ih, joined, 0);
        add(w_hh, s.hidden, joined);
      }
    });
  }

  // For each sum its bias, rows padded to whole tiles of units.
  void pack_bias() const {
    memset(bias, 0, size_t(kS * padded) * sizeof(T));
    for (int64_t sum = 0; sum < kS; ++sum) {
      for (int64_t i = 0; i < s.hidden; ++i) {
        const T of_x = b_ih[smaller(sum, kG - 1) * s.hidden + i];
        const T of_h = b_hh[smaller(sum, kG - 1) * s.hidden + i];
        bias[sum * padded + i] = kCell != kGru || sum < 2 ? of_x + of_h : sum == 2 ? of_x : of_h;
      }
    }
  }

  void copy_x(int64_t row, int64_t k, T* states) const {
    if (joined == 0) return;
    memcpy(states + row * pitch, x + (s.at(k) * s.batch + row) * s.width,
           size_t(s.width) * sizeof(T));
  }

  // sums: kSums blocks of (kStepRows, kUnits).
  void multiply(const Part& part, const T* state, T* sums) const {
    const auto product = [&](int64_t gate, int64_t sum, int64_t from, int64_t to) {
      gemm(Gemm<T>{part.rows, kUnits<T>, to - from, state + part.row * pitch + from, pitch, 1,
                   panels + (part.unit * kG + gate * kUnits<T>) * depth + from * kUnits<T>,
                   kUnits<T>, 1, sums + sum * kBlock, kUnits<T>, false,
                   bias ? bias + sum * padded + part.unit : nullptr});
    };
    for (int64_t g = 0; g < (kCell == kGru ? 2 : kG); ++g) product(g, g, 0, depth);
    if (kCell != kGru) return;
    product(2, 2, 0, joined);
    product(2, 3, joined, depth);
  }

  void run_cells(const Part& part, int64_t k, const T* sums, const T* state, T* next) const {
    const int64_t n = s.hidden;
    for (int64_t i = 0; i < part.rows; ++i) {
      const int64_t row = part.row + i, line = s.at(k) * s.batch + row;
      const T* add = sums + i * kUnits<T>;
      const T* given = from_x ? from_x + line * x_row + part.unit : nullptr;
      T* keep = kept ? kept + line * kK * n + part.unit : nullptr;
      T* out = y + line * n + part.unit;
      T* after = next + row * pitch + joined + part.unit;
      const T* before = state + row * pitch + joined + part.unit;
      T* c = kCell == kLstm ? c_last + row * n + part.unit : nullptr;
      const T* c_before = k > 0 ? c : c0 + row * n + part.unit;
      for_unit_vectors<T>(part, [&](int64_t unit, auto side, auto lanes) TF_ALWAYS_INLINE {
        V sum[side][kS], h[side], keeps[side][kK + 1], old[side];
        unroll<side>([&](auto v) TF_ALWAYS_INLINE {
          const int64_t j = unit + v * V::kWidth;
          unroll<kS>([&](auto g) TF_ALWAYS_INLINE { sum[v][g] = load(add + g * kBlock + j); });
          if (given) {
            unroll<kG>([&](auto g) TF_ALWAYS_INLINE {
              sum[v][g] += get(given + g * n + j, lanes);
            });
          }
          if constexpr (kCell == kLstm) old[v] = get(c_before + j, lanes);
          if constexpr (kCell == kGru) old[v] = get(before + j, lanes);
        });
        unroll<side>([&](auto v) TF_ALWAYS_INLINE { h[v] = cell(sum[v], old[v], keeps[v]); });
        unroll<side>([&](auto v) TF_ALWAYS_INLINE {
          const int64_t j = unit + v * V::kWidth;
          put(out + j, h[v], lanes);
          put(after + j, h[v], lanes);
          if constexpr (kCell == kLstm) put(c + j, keeps[v][4], lanes);
          if (keep) {
            unroll<kK>([&](auto g) TF_ALWAYS_INLINE { put(keep + g * n + j, keeps[v][g], lanes); });
          }
        });
      });
    }
  }

  // h of one vector of units. old: LSTM's c, GRU's h of the step before.
  static TF_INLINE V cell(const V* sum, V old, V* keeps) {
    if constexpr (kCell == kLstm) {
      keeps[0] = gate(sum[0]);
      keeps[1] = gate(sum[1]);
      keeps[2] = tanh(sum[2]);
      keeps[3] = gate(sum[3]);
      keeps[4] = fma(keeps[1], old, keeps[0] * keeps[2]);
      return keeps[3] * tanh(keeps[4]);
    } else if constexpr (kCell == kGru) {
      keeps[0] = gate(sum[0]);
      keeps[1] = gate(sum[1]);
      keeps[2] = tanh(fma(keeps[0], sum[3], sum[2]));
      keeps[3] = sum[3];
      return fma(keeps[1], old - keeps[2], keeps[2]);
    } else {
      return kCell == kRnnTanh ? tanh(sum[0]) : max(V(T(0)), sum[0]);
    }
  }

  const Sequence<T>& s;
  const T *x, *h0, *c0, *w_ih, *w_hh, *b_ih, *b_hh;
  T *y, *c_last;
  T* kept;  // null: no gradient will be asked for
  int64_t joined;  // leading columns of a step's rows that come from x: all or none
  int64_t depth, pitch;  // columns of such a row, distance of rows
  int64_t padded;        // units of whole tiles
  T *panels, *bias, *from_x = nullptr;  // from_x: rows x_row apart, or null: in the sums already
  int64_t x_row;
};

template <class T>
tf_status recurrent_typed(const tf_kernel_call* c) {
  const tf_view &x = c->in[0], &h0 = c->in[1];
  const Sequence<T> s{x.shape[0], x.shape[1], x.shape[2], h0.shape[1], c->attr[1].i != 0};
  return with_cell(c->attr[0].i, [&](auto cell) { return Forward<cell, T>(s, c).run(); });
}

// "x h0 c0? w_ih w_hh b_ih? b_hh?; int cell, int reverse, …": all row-major.
tf_status recurrent_kernel(const tf_kernel_call* c, void*) {
  return c->out[0].dtype == TINYFIN_FLOAT64 ? recurrent_typed<double>(c)
                                            : recurrent_typed<float>(c);
}
TF_KERNEL(recurrent, TINYFIN_DTYPES_FLOAT, recurrent_kernel);

}  // namespace
}  // namespace tf::cpu::TF_ISA
