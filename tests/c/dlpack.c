/* Lending memory through DLPack, both forms, both ways.
 * SPDX-License-Identifier: MIT */
#include <tinyfin/dlpack.h>

#include "common.h"

static int given_back = 0;
static void give_back(DLManagedTensorVersioned *self) {
  (void)self;
  ++given_back;
}

static void test_round_trip(void) {
  int64_t shape[] = {3, 4};
  tf_tensor *x = noise(shape, 2, 1), *view, *y, *z;
  DLManagedTensorVersioned *managed;
  DLManagedTensor *legacy;
  OK(tf_swapaxes(x, 0, 1, &view));
  OK(tf_tensor_to_dlpack(view, &managed));
  EXPECT(managed->version.major == 1 && managed->flags == 0);
  EXPECT(managed->dl_tensor.shape[0] == 4 && managed->dl_tensor.strides[0] == 1);
  EXPECT(managed->dl_tensor.dtype.code == kDLFloat && managed->dl_tensor.dtype.bits == 32);
  tf_tensor_release(view);
  tf_tensor_release(x); /* the memory stays */
  OK(tf_tensor_from_dlpack(managed, &y));
  OK(tf_tensor_to_dlpack_legacy(y, &legacy));
  OK(tf_tensor_from_dlpack_legacy(legacy, &z));
  EXPECT(tf_tensor_data(z) == tf_tensor_data(y));
  EXPECT(tf_tensor_strides(z)[0] == 1 && tf_tensor_strides(z)[1] == 4);
  tf_tensor_release(y);
  tf_tensor_release(z);
}

static void test_foreign(void) {
  float values[] = {1, 2, 3, 4, 5, 6};
  int64_t shape[] = {3}, strides[] = {-2};
  DLManagedTensorVersioned m = {{1, 0}, NULL, give_back, 0, {0}};
  tf_tensor *x = NULL;
  double last;
  m.dl_tensor.data = values;
  m.dl_tensor.device.device_type = kDLCPU;
  m.dl_tensor.ndim = 1;
  m.dl_tensor.dtype.code = kDLFloat;
  m.dl_tensor.dtype.bits = 32;
  m.dl_tensor.dtype.lanes = 1;
  m.dl_tensor.shape = shape;
  m.dl_tensor.strides = strides;
  m.dl_tensor.byte_offset = 5 * sizeof(float);
  OK(tf_tensor_from_dlpack(&m, &x)); /* 6, 4, 2 */
  tf_tensor *item;
  OK(tf_narrow(x, 0, 2, 1, &item));
  OK(tf_tensor_item_f64(item, &last));
  EXPECT(last == 2);
  tf_tensor_release(x);
  EXPECT(given_back == 0);
  tf_tensor_release(item);
  EXPECT(given_back == 1);

  /* What is refused stays with the caller. */
  m.version.major = 2;
  FAILS(tf_tensor_from_dlpack(&m, &x), TINYFIN_ERROR_UNSUPPORTED, "2.0");
  m.version.major = 1;
  m.dl_tensor.dtype.bits = 16;
  FAILS(tf_tensor_from_dlpack(&m, &x), TINYFIN_ERROR_DTYPE, "16 bits");
  m.dl_tensor.dtype.bits = 32;
  m.dl_tensor.device.device_type = kDLCUDA;
  FAILS(tf_tensor_from_dlpack(&m, &x), TINYFIN_ERROR_DEVICE, "type 2");
  m.dl_tensor.device.device_type = kDLCPU;
  m.dl_tensor.byte_offset = 2;
  FAILS(tf_tensor_from_dlpack(&m, &x), TINYFIN_ERROR_ARGUMENT, "multiple");
  m.dl_tensor.byte_offset = 0;
  strides[0] = INT64_MAX / 2;
  FAILS(tf_tensor_from_dlpack(&m, &x), TINYFIN_ERROR_SHAPE, "strides");
  shape[0] = -1;
  EXPECT(tf_tensor_from_dlpack(&m, &x) == TINYFIN_ERROR_SHAPE);
  FAILS(tf_tensor_from_dlpack(NULL, &x), TINYFIN_ERROR_ARGUMENT, "NULL");
  EXPECT(given_back == 1 && x == NULL);
}

static void test_gradient(void) {
  int64_t shape[] = {2};
  tf_tensor *x = noise(shape, 1, 1);
  DLManagedTensorVersioned *managed;
  OK(tf_tensor_set_requires_grad(x, 1));
  FAILS(tf_tensor_to_dlpack(x, &managed), TINYFIN_ERROR_GRAPH, "detach");
  EXPECT(managed == NULL);
  tf_tensor_release(x);
}

int main(void) {
  test_round_trip();
  test_foreign();
  test_gradient();
  return 0;
}
