// Recurrent layers: one primitive per layer and direction runs the whole sequence; layers,
// directions and dropout between layers are put together from it. Gradients of gradients go
// through the decomposition into steps.
// SPDX-License-Identifier: MIT
#include "ops/op.h"
#include "ops/ops.h"

namespace tf {
namespace {

enum Cell : int64_t { kRnnTanh, kRnnRelu, kLstm, kGru };

// Rows of w_ih and w_hh per unit; what is kept per unit and step; gradients of gates.
int64_t gates_of(int64_t cell) { return cell == kLstm ? 4 : cell == kGru ? 3 : 1; }
int64_t kept_of(int64_t cell) { return cell == kLstm ? 5 : cell == kGru ? 4 : 0; }
int64_t gate_grads_of(int64_t cell) { return cell == kLstm || cell == kGru ? 4 : 1; }

Tensor part(const Tensor& x, int64_t k, int64_t size) { return narrow(x, -1, k * size, size); }

// grad like y, grad_c like c0, the others as below; out: the gradients of x (no elements where
// not asked for), h0, c0 (none without c0), w_ih, w_hh, then per gate (LSTM i f g o, GRU r z n and
// h's share of n, RNN one) of the biases; at last memory that a backend may use as it likes for the
// gates' gradients of each step (T, B, gates H), its rows an odd number of cache lines long.
const Primitive recurrent_grad_p{{.name = "recurrent_grad",
                                  .signature = "grad grad_c? x h0 c0? w_ih w_hh y kept; "
                                               "int cell, int reverse",
                                  .n_out = 7,
                                  .diff_out = 0}};

void recurrent_vjp(Vjp& v) {
  const int64_t cell = v.i(0);
  const Tensor grad = contiguous(v.grad()), x = v.in(0), h0 = v.in(1), w_ih = v.in(3);
  const Tensor c0 = cell == kLstm ? v.in(2) : Tensor(), w_hh = v.in(4), y = v.out(0);
  const Tensor grad_c = v.has_grad(1) ? contiguous(v.grad(1)) : Tensor(), kept = v.out(2);
  const int64_t size = h0.size(1), all = gate_grads_of(cell) * size;
  const int64_t line = 64 / size_of(x.dtype()), row = ((all + line - 1) / line | 1) * line;
  const auto shape = [&](const Dims& dims) { return meta_of_shape(dims, x.dtype(), x.device()); };
  const Meta metas[] = {shape(v.needs(0) ? x.shape() : Dims{0}),
                        shape(h0.shape()),
                        shape(cell == kLstm ? c0.shape() : Dims{0}),
                        shape(w_ih.shape()),
                        shape(w_hh.shape()),
                        shape({all}),
                        shape({x.size(0), x.size(1), row})};
  Tensor out[7];
  run_multi(recurrent_grad_p, {&grad, &grad_c, &x, &h0, &c0, &w_ih, &w_hh, &y, &kept},
            Attrs(cell, v.i(1)), metas, out);
  for (int i = 0; i < 5; ++i)
    if (v.needs(i)) v.set(i, out[i]);
  if (v.needs(5)) v.set(5, cell == kGru ? narrow(out[5], 0, 0, 3 * size) : out[5]);
  if (v.needs(6) && cell != kGru) v.set(6, out[5]);
  if (v.needs(6) && cell == kGru) {
    const Tensor parts[] = {narrow(out[5], 0, 0, 2 * size), narrow(out[5], 0, 3 * size, size)};
    v.set(6, concat(parts));
  }
}

// One step by smaller ops: h and what is kept, (B, kept H).
struct StepResult {
  Tensor h, c, kept;
};
StepResult step_by_parts(int64_t cell, const Tensor& from_x, const Tensor& from_h, const Tensor& h,
                         const Tensor& c) {
  const int64_t n = h.size(1);
  const auto sum = [&](int64_t k) { return add(part(from_x, k, n), part(from_h, k, n)); };
  if (cell == kLstm) {
    const Tensor in = sigmoid(sum(0)), forget = sigmoid(sum(1)), g = tanh(sum(2));
    const Tensor out = sigmoid(sum(3)), now = add(mul(forget, c), mul(in, g));
    const Tensor kept[] = {in, forget, g, out, now};
    return {mul(out, tanh(now)), now, concat(kept, 1)};
  }
  if (cell == kGru) {
    const Tensor r = sigmoid(sum(0)), z = sigmoid(sum(1)), h_n = part(from_h, 2, n);
    const Tensor candidate = tanh(add(part(from_x, 2, n), mul(r, h_n)));
    const Tensor kept[] = {r, z, candidate, h_n};
    return {add(candidate, mul(z, sub(h, candidate))), Tensor(), concat(kept, 1)};
  }
  const Tensor all = add(from_x, from_h);
  return {cell == kRnnTanh ? tanh(all) : relu(all), Tensor(), Tensor()};
}

void recurrent_decompose(const Call& call, Tensor* out) {
  const int64_t cell = call.attrs.i(0), steps = call.in[0].size(0);
  const bool reverse = call.attrs.i(1) != 0;
  const Tensor& x = call.in[0];
  Tensor h = call.in[1], c = call.in[2];
  std::vector<Tensor> ys(static_cast<size_t>(steps)), kept(static_cast<size_t>(steps));
  const Tensor from_x = linear(x, call.in[3], call.in[5]);
  for (int64_t k = 0; k < steps; ++k) {
    const int64_t t = reverse ? steps - 1 - k : k;
    const Tensor from_h = linear(h, call.in[4], call.in[6]);
    StepResult step = step_by_parts(cell, select(from_x, 0, t), from_h, h, c);
    ys[size_t(t)] = h = step.h;
    c = step.c;
    kept[size_t(t)] = step.kept;
  }
  const auto nothing = [&](const Dims& shape) { return zeros(as_list(shape), x.dtype(), &x.device()); };
  const Dims sizes{steps, x.size(1), h.size(1)};
  out[0] = steps ? stack(ys) : nothing(sizes);
  out[1] = cell == kLstm ? c : nothing({0});
  out[2] = steps && kept_of(cell) ? stack(kept) : nothing({steps, x.size(1), kept_of(cell) * sizes[2]});
}

// x (T, B, I), h0 (B, H), c0 (B, H) for LSTM only, w_ih (gates H, I), w_hh (gates H, H), biases
// (gates H), both or none; row-major. cell: 0 RNN with tanh, 1 with relu, 2 LSTM, 3 GRU; gates i f
// g o, r z n. reverse: from the last step to the first. out: h of each step (T, B, H), LSTM's last
// c (B, H), and for the gradient, where one will be asked for, (T, B, kept H): i f g o c, r z n and
// h's share of n, nothing.
const Primitive recurrent_p{{.name = "recurrent",
                             .signature = "x h0 c0? w_ih w_hh b_ih? b_hh?; int cell, int reverse",
                             .vjp = recurrent_vjp,
                             .save_in = bits({0, 1, 2, 3, 4}),
                             .save_out = bits({0, 2}),
                             .flags = kFusedVjp,
                             .n_out = 3,
                             .diff_out = bits({0, 1}),
                             .decompose = recurrent_decompose}};

struct States {
  Tensor y, h, c;
};

// One layer in one direction. Weights: w_ih, w_hh and, with bias, b_ih, b_hh.
States run_layer(int64_t cell, const Tensor& x, const Tensor& h0, const Tensor& c0,
                 std::span<const Tensor> weights, bool reverse) {
  const Tensor none;
  const bool bias = weights.size() == 4;
  const Tensor &b_ih = bias ? weights[2] : none, &b_hh = bias ? weights[3] : none;
  const int64_t steps = x.size(0), batch = x.size(1), size = h0.size(1);
  const auto shape = [&](const Dims& dims) { return meta_of_shape(dims, x.dtype(), x.device()); };
  const Tensor* const inputs[] = {&x, &h0, &c0, &weights[0], &weights[1], &b_ih, &b_hh};
  const Inputs in(inputs, 7);
  const int64_t kept = wants_grad(recurrent_p, in) ? kept_of(cell) * size : 0;
  const Meta metas[] = {shape({steps, batch, size}), shape(cell == kLstm ? h0.shape() : Dims{0}),
                        meta_of_shape({steps, batch, kept}, kept_type(x.dtype()), x.device())};
  Tensor out[3];
  run_multi(recurrent_p, in, Attrs(cell, reverse), metas, out);
  return {out[0], steps ? select(out[0], 0, reverse ? 0 : steps - 1) : h0, out[1]};
}

// What all layers of a call share.
struct Stack {
  int64_t cell, layers;
  bool bias, bidirectional, batch_first;
  double dropout;
  bool training;
  int64_t directions() const { return bidirectional ? 2 : 1; }
  int64_t count() const { return layers * directions(); }
};

Tensor prepared(const Tensor& x, DType dtype) { return contiguous(cast_to(x, dtype)); }

void check_weights(const Stack& s, const Tensor& x, std::span<const Tensor> weights) {
  const size_t each = s.bias ? 4 : 2;
  TF_CHECK(s.layers > 0 && weights.size() == each * size_t(s.count()), TINYFIN_ERROR_ARGUMENT,
           "received ", weights.size(), " weights for num_layers = ", s.layers,
           s.bidirectional ? ", bidirectional" : "", "; expected ", each, " for each layer and "
           "direction: w_ih, w_hh", s.bias ? ", b_ih, b_hh" : "");
  TF_CHECK(weights[1].ndim() == 2, TINYFIN_ERROR_SHAPE, "received w_hh of shape ",
           to_string(weights[1].shape()), "; expected (", gates_of(s.cell), " hidden, hidden)");
  const int64_t size = weights[1].size(1), rows = gates_of(s.cell) * size;
  for (size_t i = 0; i < weights.size(); ++i) {
    check_float(weights[i], "a weight");
    const bool first_layer = i / (each * size_t(s.directions())) == 0;
    const int64_t width = first_layer ? x.size(2) : s.directions() * size;
    const Dims expected = i % each == 0   ? Dims{rows, width}
                          : i % each == 1 ? Dims{rows, size}
                                          : Dims{rows};
    static const char* const names[] = {"w_ih", "w_hh", "b_ih", "b_hh"};
    TF_CHECK(weights[i].shape() == expected, TINYFIN_ERROR_SHAPE, "received ", names[i % each],
             " of shape ", to_string(weights[i].shape()), " for x of shape ",
             to_string(x.shape()), "; expected ", to_string(expected));
  }
}

// The state of all layers (layers * directions, B, H), zeros where not given.
Tensor initial_state(const Stack& s, const Tensor& state, const char* name, int64_t batch,
                     int64_t size, const Tensor& x) {
  const Dims shape{s.count(), batch, size};
  if (!state.defined()) return zeros(as_list(shape), x.dtype(), &x.device());
  TF_CHECK(state.shape() == shape, TINYFIN_ERROR_SHAPE, "received ", name, " of shape ",
           to_string(state.shape()), "; expected ", to_string(shape),
           ", (layers * directions, batch, hidden)");
  return cast_to(state, x.dtype());
}

States run_stack(const Stack& s, const Tensor& input, const Tensor& h0, const Tensor& c0,
                 std::span<const Tensor> given) {
  TF_CHECK(input.ndim() == 3, TINYFIN_ERROR_SHAPE, "received x of shape ",
           to_string(input.shape()), "; expected ",
           s.batch_first ? "(batch, time, features)" : "(time, batch, features)");
  check_float(input, "x");
  TF_CHECK(s.dropout >= 0 && s.dropout <= 1, TINYFIN_ERROR_ARGUMENT, "received dropout = ",
           s.dropout, "; expected a probability from 0 to 1");
  check_weights(s, input, given);
  DType dtype = input.dtype();
  for (const Tensor& w : given) dtype = promote_types(dtype, w.dtype());
  Tensor x = prepared(s.batch_first ? swapaxes(input, 0, 1) : input, dtype);
  std::vector<Tensor> weights;
  for (const Tensor& w : given) weights.push_back(prepared(w, dtype));
  const int64_t batch = x.size(1), size = weights[1].size(1);
  const Tensor h = initial_state(s, h0, "h0", batch, size, x);
  const Tensor c = s.cell == kLstm ? initial_state(s, c0, "c0", batch, size, x) : Tensor();
  const size_t each = s.bias ? 4 : 2;
  std::vector<Tensor> last_h, last_c;
  for (int64_t layer = 0; layer < s.layers; ++layer) {
    if (layer > 0 && s.dropout > 0) x = dropout(x, s.dropout, s.training);
    std::vector<Tensor> ys;
    for (int64_t direction = 0; direction < s.directions(); ++direction) {
      const int64_t k = layer * s.directions() + direction;
      const std::span<const Tensor> own(&weights[size_t(k) * each], each);
      const States r = run_layer(s.cell, x, contiguous(select(h, 0, k)),
                                 c.defined() ? contiguous(select(c, 0, k)) : c, own, direction);
      ys.push_back(r.y);
      last_h.push_back(r.h);
      last_c.push_back(r.c);
    }
    x = ys.size() == 1 ? ys[0] : concat(ys, 2);
  }
  const auto stacked = [](const std::vector<Tensor>& xs) {
    return xs.size() == 1 ? unsqueeze(xs[0], 0) : stack(xs);
  };
  return {s.batch_first ? swapaxes(x, 0, 1) : x, stacked(last_h),
          s.cell == kLstm ? stacked(last_c) : Tensor()};
}

}  // namespace

//@op lstm(Tensor x, Tensor? h0, Tensor? c0, Tensor[] weights, int num_layers=1, bool bias=True,
//@     bool bidirectional=False, bool batch_first=False, float dropout=0.0, bool training=False)
//@     -> (Tensor output, Tensor h, Tensor c)
//@ since: 0.1
//@ grad: yes
//@ python: private
//@ doc: Long short-term memory over a sequence, of several layers and one or both directions.
//@   x: (T, B, I), with batch_first (B, T, I); h0, c0: (layers * directions, B, H), zeros where
//@   None; weights: for each layer and direction w_ih (4 H, I), w_hh (4 H, H) and with bias b_ih,
//@   b_hh (4 H), gates in the order i f g o; layers after the first take (…, directions * H).
//@   output: (T, B, directions * H) or (B, T, …); h, c: the last of each layer and direction, like
//@   h0. dropout: of what goes into layers after the first, in training. Hochreiter and
//@   Schmidhuber 1997. Errors: shape where these do not fit; dtype for integers.
std::tuple<Tensor, Tensor, Tensor> lstm(const Tensor& x, const Tensor& h0, const Tensor& c0,
                                        std::span<const Tensor> weights, int64_t num_layers,
                                        bool bias, bool bidirectional, bool batch_first,
                                        double dropout, bool training) {
  const States r = run_stack(
      {kLstm, num_layers, bias, bidirectional, batch_first, dropout, training}, x, h0, c0, weights);
  return {r.y, r.h, r.c};
}

//@op gru(Tensor x, Tensor? h0, Tensor[] weights, int num_layers=1, bool bias=True, bool
//@     bidirectional=False, bool batch_first=False, float dropout=0.0, bool training=False)
//@     -> (Tensor output, Tensor h)
//@ since: 0.1
//@ grad: yes
//@ python: private
//@ doc: Gated recurrent units over a sequence; arguments and results as of lstm.
//@   weights: w_ih (3 H, I), w_hh (3 H, H), b_ih, b_hh (3 H), gates in the order r z n, where
//@   n = tanh(x w_in + b_in + r (h w_hn + b_hn)). Cho et al. 2014.
//@   Errors: shape where these do not fit; dtype for integers.
std::tuple<Tensor, Tensor> gru(const Tensor& x, const Tensor& h0, std::span<const Tensor> weights,
                               int64_t num_layers, bool bias, bool bidirectional, bool batch_first,
                               double dropout, bool training) {
  const States r = run_stack(
      {kGru, num_layers, bias, bidirectional, batch_first, dropout, training}, x, h0, {}, weights);
  return {r.y, r.h};
}

//@op rnn(Tensor x, Tensor? h0, Tensor[] weights, bool relu=False, int num_layers=1, bool bias=True,
//@     bool bidirectional=False, bool batch_first=False, float dropout=0.0, bool training=False)
//@     -> (Tensor output, Tensor h)
//@ since: 0.1
//@ grad: yes
//@ python: private
//@ doc: h = tanh(x w_ih + b_ih + h w_hh + b_hh) over a sequence, or relu of it; arguments and
//@   results as of lstm, with w_ih (H, I), w_hh (H, H), b_ih, b_hh (H). Elman 1990.
//@   Errors: shape where these do not fit; dtype for integers.
std::tuple<Tensor, Tensor> rnn(const Tensor& x, const Tensor& h0, std::span<const Tensor> weights,
                               bool relu, int64_t num_layers, bool bias, bool bidirectional,
                               bool batch_first, double dropout, bool training) {
  const States r = run_stack({relu ? kRnnRelu : kRnnTanh, num_layers, bias, bidirectional,
                              batch_first, dropout, training},
                             x, h0, {}, weights);
  return {r.y, r.h};
}

}  // namespace tf
