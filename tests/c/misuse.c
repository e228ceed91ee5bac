/* NULL handles, wrong shapes, wrong names, hostile options: a status and a text, no crash, nothing
 * half-changed.
 * SPDX-License-Identifier: MIT */
#include <math.h>

#include "common.h"

static void test_null(void) {
  tf_tensor *t = NULL;
  tf_module *m = NULL;
  tf_opt *o = NULL;
  tf_data *d = NULL;
  tf_checkpoint *c = NULL;
  double f = 0;
  int64_t n = 0;
  FAILS(tf_module_forward(NULL, NULL, &t), TINYFIN_ERROR_ARGUMENT, "module");
  FAILS(tf_module_linear(3, 4, 1, TINYFIN_ACTIVATION_NONE, NULL), TINYFIN_ERROR_ARGUMENT, "out");
  FAILS(tf_module_sequential(NULL, 2, &m), TINYFIN_ERROR_ARGUMENT, "children");
  FAILS(tf_module_append(NULL, NULL), TINYFIN_ERROR_ARGUMENT, "sequential");
  FAILS(tf_opt_step(NULL, 0), TINYFIN_ERROR_ARGUMENT, "opt");
  FAILS(tf_opt_get_f64(NULL, 0, TINYFIN_OPT_LR, &f), TINYFIN_ERROR_ARGUMENT, "opt");
  FAILS(tf_opt_sgd(NULL, 0.1, NULL), TINYFIN_ERROR_ARGUMENT, "out");
  FAILS(tf_data_next(NULL, &t, 1), TINYFIN_ERROR_ARGUMENT, "data");
  FAILS(tf_data_create(NULL, 0, 1, 0, 0, 0, &d), TINYFIN_ERROR_ARGUMENT, "no tensors");
  FAILS(tf_read_idx(NULL, TINYFIN_DEFAULT, 1, &t), TINYFIN_ERROR_ARGUMENT, "path");
  FAILS(tf_checkpoint_read(NULL, &c), TINYFIN_ERROR_ARGUMENT, "path");
  FAILS(tf_save_checkpoint(NULL, NULL, NULL, NULL, NULL), TINYFIN_ERROR_ARGUMENT, "path");
  EXPECT(t == NULL && m == NULL && d == NULL && c == NULL && n == 0);
  EXPECT(tf_module_get(NULL, "x") == NULL);
  EXPECT(tf_module_kind(NULL)[0] == 0 && tf_module_parameter_count(NULL) == 0);
  EXPECT(tf_module_parameter_at(NULL, 0) == NULL && tf_module_child_at(NULL, 0) == NULL);
  EXPECT(tf_opt_param_at(NULL, 0, 0) == NULL && tf_data_batches(NULL) == 0);
  EXPECT(tf_checkpoint_name_at(NULL, 0) == NULL && tf_checkpoint_tensor(NULL, "x") == NULL);
  tf_module_release(NULL);
  tf_opt_release(NULL);
  tf_data_release(NULL);
  tf_checkpoint_release(NULL);
  OK(tf_opt_sgd(NULL, 0.1, &o)); /* no parameters: fine, and a step does nothing */
  OK(tf_opt_step(o, 0));
  tf_opt_release(o);
}

static void test_module(void) {
  tf_module *linear, *outer, *inner;
  tf_tensor *y = NULL;
  int64_t three[] = {2, 3}, four[] = {2, 4};
  tf_tensor *x3 = noise(three, 2, 1), *x4 = noise(four, 2, 1);
  FAILS(tf_module_linear(0, 4, 1, TINYFIN_ACTIVATION_NONE, &linear), TINYFIN_ERROR_ARGUMENT,
        "in_features");
  FAILS(tf_module_linear(3, 4, 1, 99, &linear), TINYFIN_ERROR_ARGUMENT, "activation");
  FAILS(tf_module_linear(INT64_MAX / 2, INT64_MAX / 2, 1, TINYFIN_ACTIVATION_NONE, &linear),
        TINYFIN_ERROR_SHAPE, "");
  FAILS(tf_module_dropout(NAN, &linear), TINYFIN_ERROR_ARGUMENT, "p = nan");
  OK(tf_module_linear(3, 4, 1, TINYFIN_ACTIVATION_NONE, &linear));
  OK(tf_module_sequential(&linear, 1, &inner));
  OK(tf_module_sequential(&inner, 1, &outer));
  FAILS(tf_module_append(inner, outer), TINYFIN_ERROR_ARGUMENT, "contains");
  FAILS(tf_module_append(linear, inner), TINYFIN_ERROR_ARGUMENT, "Sequential");

  /* The text says where in the network. */
  EXPECT(tf_module_forward(outer, x4, &y) == TINYFIN_ERROR_SHAPE && y == NULL);
  EXPECT(strstr(tf_last_error(), "0 (Sequential): 0 (Linear)"));

  EXPECT(tf_module_parameter_count(outer) == 2);
  EXPECT(strcmp(tf_module_parameter_name(outer, 0), "0.0.weight") == 0);
  EXPECT(tf_module_get(outer, "0.0.bias") == tf_module_parameter_at(outer, 1));
  EXPECT(tf_module_get(outer, "0.0.nothing") == NULL);
  EXPECT(strstr(tf_last_error(), "0.0.nothing"));
  FAILS(tf_module_set(outer, "0.0.weight", x3), TINYFIN_ERROR_SHAPE, "(4, 3)");
  double value;
  int64_t count;
  OK(tf_module_option(linear, "in_features", &value, 1, &count));
  EXPECT(count == 1 && value == 3);
  FAILS(tf_module_option(linear, "colour", &value, 1, &count), TINYFIN_ERROR_NAME, "colour");

  /* Casting keeps handles: the optimiser's and ours. */
  tf_tensor *weight = tf_tensor_retain(tf_module_get(linear, "weight"));
  OK(tf_module_to(outer, TINYFIN_FLOAT64, NULL));
  EXPECT(tf_module_get(linear, "weight") == weight && tf_tensor_dtype(weight) == TINYFIN_FLOAT64);
  EXPECT(tf_tensor_requires_grad(weight));
  FAILS(tf_module_to(outer, TINYFIN_INT32, NULL), TINYFIN_ERROR_DTYPE, "int32");
  tf_tensor_release(weight);

  OK(tf_module_set_training(outer, 0));
  EXPECT(tf_module_training(linear) == 0);
  tf_module_release(outer);
  tf_module_release(inner);
  tf_module_release(linear);
  tf_tensor_release(x3);
  tf_tensor_release(x4);
}

static void test_opt(void) {
  tf_module *linear;
  tf_opt *opt;
  tf_tensor *t;
  int64_t group;
  double value;
  OK(tf_module_linear(3, 4, 1, TINYFIN_ACTIVATION_NONE, &linear));
  FAILS(tf_opt_adam(linear, NAN, &opt), TINYFIN_ERROR_ARGUMENT, "lr = nan");
  EXPECT(opt == NULL);
  OK(tf_opt_adam(linear, 0.5, &opt));
  FAILS(tf_opt_set_f64(opt, 3, TINYFIN_OPT_LR, 0.1), TINYFIN_ERROR_INDEX, "group 3");
  FAILS(tf_opt_set_f64(opt, 0, 99, 0.1), TINYFIN_ERROR_NAME, "99");
  FAILS(tf_opt_set_f64(opt, 0, TINYFIN_OPT_MOMENTUM, 0.1), TINYFIN_ERROR_NAME, "beta1");
  FAILS(tf_opt_set_f64(opt, TINYFIN_OPT_ALL, TINYFIN_OPT_LR, -1), TINYFIN_ERROR_ARGUMENT, "-1");
  OK(tf_opt_get_f64(opt, 0, TINYFIN_OPT_LR, &value));
  EXPECT(value == 0.5);
  FAILS(tf_opt_step(opt, NAN), TINYFIN_ERROR_ARGUMENT, "clip_norm");
  t = tf_module_get(linear, "weight");
  FAILS(tf_opt_add_group(opt, &t, 1, &group), TINYFIN_ERROR_ARGUMENT, "second time");
  EXPECT(tf_opt_group_count(opt) == 1);
  tf_opt_release(opt);
  tf_module_release(linear);
}

static void test_leaks(void) {
  int64_t current, peak, reserved, before = 0, in[] = {16, 8}, out[] = {16, 4};
  tf_tensor *batch[2] = {noise(in, 2, 1), noise(out, 2, 2)};
  tf_module *linear;
  tf_opt *opt;
  OK(tf_module_linear(8, 4, 1, TINYFIN_ACTIVATION_RELU, &linear));
  OK(tf_opt_adam(linear, 1e-3, &opt));
  for (int i = 0; i < 10000; ++i) {
    train_step(linear, opt, batch);
    OK(tf_memory_stats(NULL, &current, &peak, &reserved));
    if (i == 10) before = current;
    if (i > 10) EXPECT(current == before);
  }
  tf_opt_release(opt);
  tf_module_release(linear);
  tf_tensor_release(batch[0]);
  tf_tensor_release(batch[1]);
}

int main(void) {
  test_null();
  test_module();
  test_opt();
  test_leaks();
  return 0;
}
