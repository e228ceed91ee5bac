/* Trains an MLP with every optimiser: the loss falls, the same bits for any number of threads, and
 * a run that is saved and resumed ends where the straight one does.
 * SPDX-License-Identifier: MIT */
#include "common.h"

typedef tf_status (*make_opt)(const tf_module *, double, tf_opt **);

static tf_module *make_model(void) {
  tf_module *layers[4], *model;
  OK(tf_module_linear(64, 256, 1, TINYFIN_ACTIVATION_RELU, &layers[0]));
  OK(tf_module_dropout(0.1, &layers[1]));
  OK(tf_module_linear(256, 64, 1, TINYFIN_ACTIVATION_TANH, &layers[2]));
  OK(tf_module_linear(64, 8, 1, TINYFIN_ACTIVATION_NONE, &layers[3]));
  OK(tf_module_sequential(layers, 4, &model));
  for (int i = 0; i < 4; ++i) tf_module_release(layers[i]);
  return model;
}

static tf_data *make_data(void) {
  int64_t in[] = {600, 64}, out[] = {600, 8};
  tf_tensor *tensors[2] = {noise(in, 2, 1), noise(out, 2, 2)};
  tf_data *data;
  OK(tf_data_create((const tf_tensor *const *)tensors, 2, 128, 1, 7, 0, &data));
  tf_tensor_release(tensors[0]);
  tf_tensor_release(tensors[1]);
  return data;
}

typedef struct run {
  tf_module *model;
  tf_opt *opt;
  tf_data *data;
} run;

static run start(make_opt make, double lr) {
  run r;
  OK(tf_manual_seed(11));
  r.model = make_model();
  OK(make(r.model, lr, &r.opt));
  r.data = make_data();
  return r;
}

static void end(run r) {
  tf_module_release(r.model);
  tf_opt_release(r.opt);
  tf_data_release(r.data);
}

/* `steps` batches; the loss of the last. */
static double go(run r, int steps) {
  double loss = 0;
  while (steps > 0) {
    tf_tensor *batch[2];
    tf_status status = tf_data_next(r.data, batch, 2);
    if (status == TINYFIN_ERROR_END) continue;
    OK(status);
    loss = train_step(r.model, r.opt, batch);
    tf_tensor_release(batch[0]);
    tf_tensor_release(batch[1]);
    --steps;
  }
  return loss;
}

static void test(const char *name, make_opt make, double lr, double momentum) {
  const int kSteps = 23, kSaved = 12; /* both inside an epoch of 5 batches */
  char path[64];
  uint64_t expected = 0;
  for (int32_t threads = 1; threads <= 4; ++threads) {
    OK(tf_set_num_threads(threads));
    run r = start(make, lr);
    if (momentum > 0) OK(tf_opt_set_f64(r.opt, TINYFIN_OPT_ALL, TINYFIN_OPT_MOMENTUM, momentum));
    double first = go(r, 1), last = go(r, kSteps - 1);
    EXPECT(last < first);
    uint64_t hash = hash_of(r.model);
    if (threads == 1) expected = hash;
    EXPECT(hash == expected);
    end(r);
  }

  snprintf(path, sizeof path, "train_mlp_%s.tfc", name);
  run r = start(make, lr);
  if (momentum > 0) OK(tf_opt_set_f64(r.opt, TINYFIN_OPT_ALL, TINYFIN_OPT_MOMENTUM, momentum));
  go(r, kSaved);
  OK(tf_save_checkpoint(path, r.model, r.opt, r.data, "half way"));
  end(r);
  r = start(make, lr * 3); /* other options, weights, random numbers: all are in the file */
  go(r, 2);
  OK(tf_load_checkpoint(path, r.model, r.opt, r.data));
  go(r, kSteps - kSaved);
  EXPECT(hash_of(r.model) == expected);
  end(r);

  tf_checkpoint *file;
  OK(tf_checkpoint_read(path, &file));
  EXPECT(strcmp(tf_checkpoint_text(file, "metadata"), "half way") == 0);
  EXPECT(tf_checkpoint_tensor(file, "module.0.weight") != NULL);
  tf_checkpoint_release(file);
  remove(path);
  printf("%s: parameters %016llx\n", name, (unsigned long long)expected);
}

int main(void) {
  test("sgd", tf_opt_sgd, 0.02, 0);
  test("sgd_momentum", tf_opt_sgd, 0.01, 0.9);
  test("adam", tf_opt_adam, 1e-3, 0);
  test("adamw", tf_opt_adamw, 1e-3, 0);
  test("rmsprop", tf_opt_rmsprop, 1e-3, 0);
  return 0;
}
