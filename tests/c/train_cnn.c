/* Trains a small CNN on patterns it can tell apart: the loss falls, most of them are recognised, and
 * the parameters are the same bits for any number of threads.
 * SPDX-License-Identifier: MIT */
#include "common.h"

enum { kImages = 96, kSide = 12, kClasses = 3, kBatch = 32 };

static tf_module *make_model(void) {
  tf_module *layers[7], *model;
  int64_t window[] = {3, 3}, pad[] = {1, 1}, pool[] = {2, 2};
  OK(tf_module_conv2d(1, 8, window, NULL, pad, NULL, 1, 1, TINYFIN_ACTIVATION_RELU, &layers[0]));
  OK(tf_module_max_pool2d(pool, NULL, NULL, &layers[1]));
  OK(tf_module_batch_norm(8, 1e-5, 0.1, 1, 1, &layers[2]));
  OK(tf_module_conv2d(8, 16, window, NULL, pad, NULL, 1, 1, TINYFIN_ACTIVATION_TANH, &layers[3]));
  OK(tf_module_avg_pool2d(pool, NULL, NULL, &layers[4]));
  OK(tf_module_flatten(1, &layers[5]));
  OK(tf_module_linear(16 * 9, kClasses, 1, TINYFIN_ACTIVATION_NONE, &layers[6]));
  OK(tf_module_sequential(layers, 7, &model));
  for (int i = 0; i < 7; ++i) tf_module_release(layers[i]);
  return model;
}

/* Class 0: bright rows, 1: bright columns, 2: neither; with noise. */
static tf_data *make_data(void) {
  static float pixels[kImages * kSide * kSide];
  int64_t labels[kImages], shape[] = {kImages, 1, kSide, kSide};
  uint32_t seed = 1;
  tf_tensor *tensors[2];
  tf_data *data;
  for (int i = 0; i < kImages; ++i) {
    labels[i] = i % kClasses;
    for (int p = 0; p < kSide * kSide; ++p) {
      int along = labels[i] == 0 ? p / kSide : p % kSide;
      seed = seed * 1664525u + 1013904223u;
      float noise_here = (float)(seed >> 8) / 16777216.0f;
      pixels[i * kSide * kSide + p] = noise_here + (labels[i] < 2 && (along + i) % 4 == 0);
    }
  }
  OK(tf_tensor_from_data(pixels, sizeof pixels, shape, 4, TINYFIN_FLOAT32, NULL, &tensors[0]));
  OK(tf_tensor_from_data(labels, sizeof labels, shape, 1, TINYFIN_INT64, NULL, &tensors[1]));
  OK(tf_data_create((const tf_tensor *const *)tensors, 2, kBatch, 1, 3, 0, &data));
  tf_tensor_release(tensors[0]);
  tf_tensor_release(tensors[1]);
  return data;
}

/* Loss of one epoch; the share recognised goes to *right. */
static double epoch(tf_module *model, tf_opt *opt, tf_data *data, double *right) {
  tf_tensor *batch[2], *logits, *loss, *best, *equal, *sum;
  double total = 0, value;
  int64_t dim = 1, count, hits = 0;
  while (tf_data_next(data, batch, 2) == TINYFIN_OK) {
    OK(tf_module_forward(model, batch[0], &logits));
    OK(tf_cross_entropy(logits, batch[1], NULL, TINYFIN_REDUCTION_MEAN, &loss));
    OK(tf_backward(loss, NULL, 0, 0));
    OK(tf_opt_step(opt, 0));
    OK(tf_opt_zero_grad(opt, 1));
    OK(tf_tensor_item_f64(loss, &value));
    OK(tf_argmax(logits, &dim, 0, &best));
    OK(tf_eq(best, batch[1], &equal));
    OK(tf_sum(equal, NULL, 0, 0, TINYFIN_DEFAULT, &sum));
    OK(tf_tensor_item_i64(sum, &count));
    total += value;
    hits += count;
    tf_tensor *used[] = {batch[0], batch[1], logits, loss, best, equal, sum};
    for (int i = 0; i < 7; ++i) tf_tensor_release(used[i]);
  }
  *right = (double)hits / kImages;
  return total;
}

int main(void) {
  uint64_t expected = 0;
  for (int32_t threads = 1; threads <= 4; ++threads) {
    double first = 0, last = 0, right = 0;
    tf_opt *opt;
    OK(tf_set_num_threads(threads));
    OK(tf_manual_seed(5));
    tf_module *model = make_model();
    tf_data *data = make_data();
    OK(tf_opt_adam(model, 5e-3, &opt));
    for (int i = 0; i < 12; ++i) {
      last = epoch(model, opt, data, &right);
      if (i == 0) first = last;
    }
    EXPECT(last < first / 2 && right > 0.9);
    if (threads == 1) expected = hash_of(model);
    EXPECT(hash_of(model) == expected);
    tf_opt_release(opt);
    tf_module_release(model);
    tf_data_release(data);
  }
  printf("parameters %016llx\n", (unsigned long long)expected);
  return 0;
}
