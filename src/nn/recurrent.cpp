// Recurrent layers: long short-term memory (Hochreiter & Schmidhuber 1997), gated recurrent units
// (Cho et al. 2014), Elman's network (1990).
// SPDX-License-Identifier: MIT
#include <cmath>

#include "nn/module.h"
#include "ops/ops.h"

namespace tf {
namespace {

struct Recurrent final : tf_module {
  explicit Recurrent(const RecurrentOptions& o) : is(o) {
    TF_CHECK(is.input_size > 0 && is.hidden_size > 0 && is.num_layers > 0, TINYFIN_ERROR_ARGUMENT,
             "received input_size = ", is.input_size, ", hidden_size = ", is.hidden_size,
             ", num_layers = ", is.num_layers, "; expected all above 0");
    TF_CHECK(is.dropout >= 0 && is.dropout <= 1, TINYFIN_ERROR_ARGUMENT, "received dropout = ",
             is.dropout, "; expected a probability from 0 to 1");
    const int64_t size = is.hidden_size, directions = is.bidirectional ? 2 : 1;
    const int64_t gates = is.cell == RecurrentCell::lstm ? 4 : is.cell == RecurrentCell::gru ? 3 : 1;
    const int64_t rows = gates * size;
    for (int64_t layer = 0; layer < is.num_layers; ++layer) {
      for (int64_t direction = 0; direction < directions; ++direction) {
        const std::string end = concat_text("_l", layer, direction ? "_reverse" : "");
        add("weight_ih" + end, {rows, layer ? directions * size : is.input_size});
        add("weight_hh" + end, {rows, size});
        if (!is.bias) continue;
        add("bias_ih" + end, {rows});
        add("bias_hh" + end, {rows});
      }
    }
    options = {{"input_size", {double(is.input_size)}},   {"hidden_size", {double(size)}},
               {"num_layers", {double(is.num_layers)}},   {"bias", {double(is.bias)}},
               {"batch_first", {double(is.batch_first)}}, {"dropout", {is.dropout}},
               {"bidirectional", {double(is.bidirectional)}}};
  }
  const char* kind() const noexcept override {
    return is.cell == RecurrentCell::lstm  ? "LSTM"
           : is.cell == RecurrentCell::gru ? "GRU"
                                           : "RNN";
  }
  Tensor forward(const Tensor& x) override {
    std::vector<Tensor> weights;
    for (const ModuleSlot& s : slots) weights.push_back(s.tensor);
    const auto run = [&](const auto& op, auto... more) {
      return std::get<0>(op(x, Tensor(), more..., is.num_layers, is.bias, is.bidirectional,
                            is.batch_first, is.dropout, training));
    };
    const std::span<const Tensor> all(weights);
    if (is.cell == RecurrentCell::lstm) return run(lstm, Tensor(), all);
    if (is.cell == RecurrentCell::gru) return run(gru, all);
    return run(rnn, all, is.cell == RecurrentCell::relu);
  }

  void add(const std::string& name, const Dims& shape) {
    add_parameter(name.c_str(), uniform_parameter(shape, 1 / std::sqrt(double(is.hidden_size))));
  }
  const RecurrentOptions is;
};

}  // namespace

ModuleRef make_recurrent(const RecurrentOptions& options) {
  return ModuleRef::adopt(new Recurrent(options));
}

}  // namespace tf
