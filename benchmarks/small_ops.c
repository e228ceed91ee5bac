/* What a call costs from C: nanoseconds decide, so each op runs in a loop and the least of many
 * loops counts. Prints one JSON object, seconds per call; an argument picks one op.
 *
 * SPDX-License-Identifier: MIT
 */
#define _POSIX_C_SOURCE 199309L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <tinyfin/autograd.h>
#include <tinyfin/ops.h>

enum { CALLS = 1000, LOOPS = 200 };

static tf_tensor *x, *y, *p, *q, *matrix, *other;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void check(tf_status status) {
  if (status == TINYFIN_OK) return;
  fprintf(stderr, "%s\n", tf_last_error());
  exit(1);
}

static tf_status add(tf_tensor **out) { return tf_add(x, y, out); }
static tf_status add_recorded(tf_tensor **out) { return tf_add(p, y, out); }
static tf_status relu(tf_tensor **out) { return tf_relu(x, out); }
static tf_status sum(tf_tensor **out) { return tf_sum(x, NULL, 0, 0, TINYFIN_DEFAULT, out); }
static tf_status product(tf_tensor **out) { return tf_matmul(matrix, other, out); }

static tf_status reshape(tf_tensor **out) {
  const int64_t shape[] = {2, 4};
  return tf_reshape(x, shape, 2, out);
}

static tf_status backward(tf_tensor **out) {
  tf_tensor *z;
  check(tf_add(p, q, &z));
  check(tf_sum(z, NULL, 0, 0, TINYFIN_DEFAULT, out));
  check(tf_backward(*out, NULL, 0, 0));
  tf_tensor_release(z);
  check(tf_tensor_set_grad(p, NULL));
  return tf_tensor_set_grad(q, NULL);
}

static const char *wanted, *before = "{";

static void measure(const char *name, tf_status (*op)(tf_tensor **)) {
  double best = 1;
  if (wanted && strcmp(wanted, name) != 0) return;
  for (int loop = 0; loop < LOOPS; ++loop) {
    const double begin = now();
    for (int call = 0; call < CALLS; ++call) {
      tf_tensor *out;
      check(op(&out));
      tf_tensor_release(out);
    }
    const double seconds = (now() - begin) / CALLS;
    if (seconds < best) best = seconds;
  }
  printf("%s\"%s\": %.3e", before, name, best);
  before = ", ";
}

static tf_tensor *ones(int64_t rows, int64_t columns) {
  const int64_t shape[] = {rows, columns};
  tf_tensor *t;
  check(rows ? tf_ones(shape, 2, TINYFIN_FLOAT32, NULL, &t)
             : tf_ones(shape + 1, 1, TINYFIN_FLOAT32, NULL, &t));
  return t;
}

int main(int argc, char **argv) {
  if (argc > 1) wanted = argv[1];
  x = ones(0, 8);
  y = ones(0, 8);
  p = ones(0, 8);
  q = ones(0, 8);
  check(tf_tensor_set_requires_grad(p, 1));
  check(tf_tensor_set_requires_grad(q, 1));
  matrix = ones(2, 4);
  other = ones(4, 2);

  measure("a + b", add);
  measure("a + b, recorded", add_recorded);
  measure("(a + b).sum().backward()", backward);
  measure("relu", relu);
  measure("sum", sum);
  measure("reshape", reshape);
  measure("matmul 2x4x2", product);
  printf("}\n");

  tf_tensor_release(x);
  tf_tensor_release(y);
  tf_tensor_release(p);
  tf_tensor_release(q);
  tf_tensor_release(matrix);
  tf_tensor_release(other);
  return 0;
}
