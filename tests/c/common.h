/* What the C tests share: checks that name the line, data, a hash of parameters.
 * SPDX-License-Identifier: MIT */
#ifndef TINYFIN_TESTS_COMMON_H
#define TINYFIN_TESTS_COMMON_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tinyfin/tinyfin.h>

#define OK(call)                                                                       \
  do {                                                                                 \
    if ((call) != TINYFIN_OK) {                                                        \
      fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, tf_last_error());  \
      exit(1);                                                                         \
    }                                                                                  \
  } while (0)

#define EXPECT(condition)                                                               \
  do {                                                                                  \
    if (!(condition)) {                                                                 \
      fprintf(stderr, "%s:%d: %s (last error: %s)\n", __FILE__, __LINE__, #condition,   \
              tf_last_error());                                                         \
      exit(1);                                                                          \
    }                                                                                   \
  } while (0)

/* The call fails with `status` and a text that contains `fragment`. */
#define FAILS(call, status, fragment)                 \
  do {                                                \
    EXPECT((call) == (status));                       \
    EXPECT(strstr(tf_last_error(), fragment) != NULL); \
  } while (0)

/* Numbers between -1 and 1 that look like noise, the same everywhere. */
static inline tf_tensor *noise(const int64_t *shape, int64_t n_shape, uint32_t seed) {
  int64_t n = 1;
  for (int64_t d = 0; d < n_shape; ++d) n *= shape[d];
  float *values = (float *)malloc(sizeof(float) * (size_t)(n + 1));
  for (int64_t i = 0; i < n; ++i) {
    seed = seed * 1664525u + 1013904223u;
    values[i] = (float)(seed >> 8) / 8388608.0f - 1.0f;
  }
  tf_tensor *out = NULL;
  OK(tf_tensor_from_data(values, sizeof(float) * (size_t)n, shape, n_shape, TINYFIN_FLOAT32, NULL,
                         &out));
  free(values);
  return out;
}

/* FNV-1a over the bytes of all parameters and buffers. */
static inline uint64_t hash_of(const tf_module *module) {
  uint64_t hash = 1469598103934665603u;
  for (int buffers = 0; buffers < 2; ++buffers) {
    int64_t count = buffers ? tf_module_buffer_count(module) : tf_module_parameter_count(module);
    for (int64_t i = 0; i < count; ++i) {
      tf_tensor *t =
          buffers ? tf_module_buffer_at(module, i) : tf_module_parameter_at(module, i);
      size_t bytes = (size_t)tf_tensor_numel(t) * tf_dtype_size(tf_tensor_dtype(t));
      unsigned char *values = (unsigned char *)malloc(bytes + 1);
      OK(tf_tensor_read(t, values, bytes));
      for (size_t k = 0; k < bytes; ++k) hash = (hash ^ values[k]) * 1099511628211u;
      free(values);
    }
  }
  return hash;
}

/* The sum of squared differences, over the number of rows. */
static inline tf_tensor *squared_error(const tf_tensor *x, const tf_tensor *y) {
  tf_tensor *difference, *square, *sum, *scale, *out;
  OK(tf_sub(x, y, &difference));
  OK(tf_mul(difference, difference, &square));
  OK(tf_sum(square, NULL, 0, 0, TINYFIN_DEFAULT, &sum));
  OK(tf_tensor_scalar_f64(1.0 / (double)tf_tensor_shape(x)[0], &scale));
  OK(tf_mul(sum, scale, &out));
  tf_tensor *used[] = {difference, square, sum, scale};
  for (int i = 0; i < 4; ++i) tf_tensor_release(used[i]);
  return out;
}

/* One step on one batch {x, y}; the loss. */
static inline double train_step(tf_module *model, tf_opt *opt, tf_tensor *const *batch) {
  tf_tensor *y, *loss;
  double value;
  OK(tf_module_forward(model, batch[0], &y));
  loss = squared_error(y, batch[1]);
  OK(tf_backward(loss, NULL, 0, 0));
  OK(tf_opt_step(opt, 5.0));
  OK(tf_opt_zero_grad(opt, 1));
  OK(tf_tensor_item_f64(loss, &value));
  tf_tensor_release(y);
  tf_tensor_release(loss);
  return value;
}

#endif
