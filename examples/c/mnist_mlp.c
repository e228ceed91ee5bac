/* Trains a small network on MNIST and tests it.  mnist_mlp [directory [epochs]]
 * The directory holds the four .gz files: the argument, $TINYFIN_DATA/mnist, or
 * examples/data/mnist.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <tinyfin/tinyfin.h>

static void check(tf_status status) {
  if (status == TINYFIN_OK) return;
  fprintf(stderr, "%s\n", tf_last_error());
  exit(1);
}

static const char *directory_of(int argc, char **argv) {
  static char path[4096];
  const char *root = getenv("TINYFIN_DATA");
  if (argc > 1) return argv[1];
  if (!root) return "examples/data/mnist";
  snprintf(path, sizeof path, "%s/mnist", root);
  return path;
}

/* Images as floats from 0 to 1, labels as integers, in batches. */
static tf_data *load(const char *directory, const char *which, int64_t batch_size,
                     int32_t shuffle) {
  char path[4200];
  tf_tensor *tensors[2];
  tf_data *data;
  snprintf(path, sizeof path, "%s/%s-images-idx3-ubyte.gz", directory, which);
  check(tf_read_idx(path, TINYFIN_FLOAT32, 1 / 255.0, &tensors[0]));
  snprintf(path, sizeof path, "%s/%s-labels-idx1-ubyte.gz", directory, which);
  check(tf_read_idx(path, TINYFIN_INT64, 1, &tensors[1]));
  check(tf_data_create((const tf_tensor *const *)tensors, 2, batch_size, shuffle, 0, 0, &data));
  tf_tensor_release(tensors[0]);
  tf_tensor_release(tensors[1]);
  return data;
}

static tf_module *make_model(void) {
  tf_module *layers[4], *model;
  check(tf_module_flatten(1, &layers[0]));
  check(tf_module_linear(784, 128, 1, TINYFIN_ACTIVATION_RELU, &layers[1]));
  check(tf_module_linear(128, 64, 1, TINYFIN_ACTIVATION_RELU, &layers[2]));
  check(tf_module_linear(64, 10, 1, TINYFIN_ACTIVATION_NONE, &layers[3]));
  check(tf_module_sequential(layers, 4, &model));
  for (int i = 0; i < 4; ++i) tf_module_release(layers[i]);
  return model;
}

/* Mean loss of one epoch. */
static double train(tf_module *model, tf_opt *opt, tf_data *data) {
  tf_tensor *batch[2], *logits, *loss;
  double sum = 0, value;
  tf_status status;
  while ((status = tf_data_next(data, batch, 2)) == TINYFIN_OK) {
    check(tf_module_forward(model, batch[0], &logits));
    check(tf_cross_entropy(logits, batch[1], NULL, TINYFIN_REDUCTION_MEAN, &loss));
    check(tf_backward(loss, NULL, 0, 0));
    check(tf_opt_step(opt, 0));
    check(tf_opt_zero_grad(opt, 1));
    check(tf_tensor_item_f64(loss, &value));
    sum += value;
    tf_tensor *used[] = {batch[0], batch[1], logits, loss};
    for (int i = 0; i < 4; ++i) tf_tensor_release(used[i]);
  }
  if (status != TINYFIN_ERROR_END) check(status);
  return sum / (double)tf_data_batches(data);
}

/* Share of images whose greatest logit is the label's. */
static double accuracy(tf_module *model, tf_data *data) {
  tf_tensor *batch[2], *logits, *best, *equal, *right;
  int64_t dim = 1, count, total = 0;
  int32_t before = tf_set_grad_enabled(0);
  check(tf_module_set_training(model, 0));
  while (tf_data_next(data, batch, 2) == TINYFIN_OK) {
    check(tf_module_forward(model, batch[0], &logits));
    check(tf_argmax(logits, &dim, 0, &best));
    check(tf_eq(best, batch[1], &equal));
    check(tf_sum(equal, NULL, 0, 0, TINYFIN_DEFAULT, &right));
    check(tf_tensor_item_i64(right, &count));
    total += count;
    tf_tensor *used[] = {batch[0], batch[1], logits, best, equal, right};
    for (int i = 0; i < 6; ++i) tf_tensor_release(used[i]);
  }
  check(tf_module_set_training(model, 1));
  tf_set_grad_enabled(before);
  return (double)total / (double)tf_data_size(data);
}

int main(int argc, char **argv) {
  const char *directory = directory_of(argc, argv);
  int epochs = argc > 2 ? atoi(argv[2]) : 5;
  tf_data *training = load(directory, "train", 64, 1), *test = load(directory, "t10k", 1000, 0);
  tf_opt *opt;
  double right = 0;
  check(tf_manual_seed(0));
  tf_module *model = make_model();
  check(tf_opt_adam(model, 1e-3, &opt));
  for (int epoch = 1; epoch <= epochs; ++epoch) {
    double loss = train(model, opt, training);
    right = accuracy(model, test);
    printf("epoch %d: loss %.4f, test accuracy %.2f %%\n", epoch, loss, 100 * right);
  }
  tf_opt_release(opt);
  tf_module_release(model);
  tf_data_release(training);
  tf_data_release(test);
  return right >= 0.97 || epochs < 3 ? 0 : 1;
}
