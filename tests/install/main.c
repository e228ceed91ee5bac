/* A program outside the tree: it knows the installed headers and library only.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <tinyfin/autograd.h>
#include <tinyfin/ops.h>

/* d(x * x)/dx at 3 is 6. */
int main(void) {
  const float three = 3;
  double slope = 0;
  tf_tensor *x = NULL, *y = NULL, *grad = NULL;
  if (tf_tensor_from_data(&three, sizeof three, NULL, 0, TINYFIN_FLOAT32, NULL, &x) ||
      tf_tensor_set_requires_grad(x, 1) || tf_mul(x, x, &y) || tf_backward(y, NULL, 0, 0) ||
      tf_tensor_grad(x, &grad) || tf_tensor_item_f64(grad, &slope))
    fprintf(stderr, "%s\n", tf_last_error());
  tf_tensor_release(grad);
  tf_tensor_release(y);
  tf_tensor_release(x);
  printf("tinyfin %s: %g\n", tf_version(), slope);
  return slope == 6 ? 0 : 1;
}
