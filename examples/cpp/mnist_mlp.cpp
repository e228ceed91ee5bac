// Trains a small network on MNIST and tests it, through the C++ wrapper.
// mnist_mlp [directory [epochs]]; the directory holds the four .gz files.
// SPDX-License-Identifier: MIT
#include <cstdio>
#include <cstdlib>
#include <tinyfin/tinyfin.hpp>

using tinyfin::Data;
using tinyfin::Module;
using tinyfin::Optimizer;
using tinyfin::Tensor;

static Data load(const std::string& directory, const std::string& which, int64_t batch_size,
                 std::optional<tinyfin::Shuffle> shuffle) {
  const std::string stem = directory + "/" + which;
  return Data({tinyfin::read_idx(stem + "-images-idx3-ubyte.gz", TINYFIN_FLOAT32, 1 / 255.0),
               tinyfin::read_idx(stem + "-labels-idx1-ubyte.gz", TINYFIN_INT64)},
              batch_size, shuffle);
}

static double train(const Module& model, Optimizer& opt, Data& data) {
  double sum = 0;
  int batches = 0;
  for (; auto batch = data.next(); ++batches) {
    const Tensor loss = tinyfin::cross_entropy(model((*batch)[0]), (*batch)[1]);
    loss.backward();
    opt.step();
    opt.zero_grad();
    sum += loss.item();
  }
  return sum / batches;
}

static double accuracy(Module& model, Data& data) {
  const tinyfin::NoGrad no_grad;
  const int64_t dim = 1;
  double right = 0;
  model.eval();
  while (auto batch = data.next()) {
    const Tensor best = tinyfin::call(tf_argmax, model((*batch)[0]), &dim, 0);
    right += sum(tinyfin::call(tf_eq, best, (*batch)[1])).item();
  }
  model.train();
  return right / double(data.size());
}

int main(int argc, char** argv) try {
  const char* root = std::getenv("TINYFIN_DATA");
  const std::string directory = argc > 1 ? argv[1]
                                : root   ? std::string(root) + "/mnist"
                                         : "examples/data/mnist";
  const int epochs = argc > 2 ? std::atoi(argv[2]) : 5;
  Data training = load(directory, "train", 64, tinyfin::Shuffle{0});
  Data test = load(directory, "t10k", 1000, std::nullopt);

  tinyfin::check(tf_manual_seed(0));
  Module model = tinyfin::sequential({tinyfin::flatten(),
                                      tinyfin::linear(784, 128, TINYFIN_ACTIVATION_RELU),
                                      tinyfin::linear(128, 64, TINYFIN_ACTIVATION_RELU),
                                      tinyfin::linear(64, 10)});
  Optimizer opt = tinyfin::adam(model, 1e-3);
  double right = 0;
  for (int epoch = 1; epoch <= epochs; ++epoch) {
    const double loss = train(model, opt, training);
    right = accuracy(model, test);
    std::printf("epoch %d: loss %.4f, test accuracy %.2f %%\n", epoch, loss, 100 * right);
  }
  return right >= 0.97 || epochs < 3 ? 0 : 1;
} catch (const tinyfin::Error& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
