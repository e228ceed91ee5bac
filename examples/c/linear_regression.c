/* Fits y = w x + b by gradient descent, with tensors and gradients alone.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <tinyfin/tinyfin.h>

static void check(tf_status status) {
  if (status == TINYFIN_OK) return;
  fprintf(stderr, "%s\n", tf_last_error());
  exit(1);
}

/* Subtracts lr times its gradient from a parameter, and forgets the gradient. */
static void descend(tf_tensor *param, double lr) {
  tf_tensor *grad, *rate, *step;
  check(tf_tensor_grad(param, &grad));
  check(tf_tensor_scalar_f64(lr, &rate));
  int32_t before = tf_set_grad_enabled(0);
  check(tf_mul(grad, rate, &step));
  check(tf_sub_(param, step));
  tf_set_grad_enabled(before);
  check(tf_tensor_set_grad(param, NULL));
  tf_tensor_release(grad);
  tf_tensor_release(rate);
  tf_tensor_release(step);
}

int main(void) {
  enum { N = 100 };
  double xs[N], ys[N], start = 0, loss = 0, w_value, b_value;
  for (int i = 0; i < N; ++i) {
    xs[i] = i / (double)N;
    ys[i] = 3 * xs[i] - 1 + 0.01 * sin(37.0 * i); /* a line, and a little noise */
  }
  int64_t shape[] = {N};
  tf_tensor *x, *y, *w, *b;
  check(tf_tensor_from_data(xs, sizeof xs, shape, 1, TINYFIN_FLOAT64, NULL, &x));
  check(tf_tensor_from_data(ys, sizeof ys, shape, 1, TINYFIN_FLOAT64, NULL, &y));
  check(tf_tensor_from_data(&start, sizeof start, NULL, 0, TINYFIN_FLOAT64, NULL, &w));
  check(tf_tensor_from_data(&start, sizeof start, NULL, 0, TINYFIN_FLOAT64, NULL, &b));
  check(tf_tensor_set_requires_grad(w, 1));
  check(tf_tensor_set_requires_grad(b, 1));

  for (int step = 0; step < 500; ++step) {
    tf_tensor *wx, *line, *error, *square, *mean;
    check(tf_mul(w, x, &wx));
    check(tf_add(wx, b, &line));
    check(tf_sub(line, y, &error));
    check(tf_mul(error, error, &square));
    check(tf_mean(square, NULL, 0, 0, TINYFIN_DEFAULT, &mean));
    check(tf_backward(mean, NULL, 0, 0));
    descend(w, 0.5);
    descend(b, 0.5);
    check(tf_tensor_item_f64(mean, &loss));
    tf_tensor *used[] = {wx, line, error, square, mean};
    for (int i = 0; i < 5; ++i) tf_tensor_release(used[i]);
  }
  check(tf_tensor_item_f64(w, &w_value));
  check(tf_tensor_item_f64(b, &b_value));
  printf("y = %.3f x %+.3f, mean squared error %.2g\n", w_value, b_value, loss);
  tf_tensor *all[] = {x, y, w, b};
  for (int i = 0; i < 4; ++i) tf_tensor_release(all[i]);
  return fabs(w_value - 3) < 0.02 && fabs(b_value + 1) < 0.02 ? 0 : 1;
}
