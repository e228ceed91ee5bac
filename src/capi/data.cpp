// Data sets and batches through the C ABI.
// SPDX-License-Identifier: MIT
#include "tinyfin/data.h"

#include <cmath>

#include "capi/guard.h"
#include "data/batches.h"
#include "data/idx.h"

using tf::guard;
using tf::out_slot;

namespace {

tf_data& checked(tf_data* data) {
  TF_CHECK(data, TINYFIN_ERROR_ARGUMENT, "received NULL for `data`; expected a data handle");
  return *data;
}

}  // namespace

extern "C" {

tf_status tf_read_idx(const char* path, tf_dtype dtype, double scale, tf_tensor** out) {
  return guard("read_idx", [&] {
    out_slot(out);
    TF_CHECK(path, TINYFIN_ERROR_ARGUMENT, "received NULL for `path`; expected a file's name");
    TF_CHECK(std::isfinite(scale), TINYFIN_ERROR_ARGUMENT, "received scale = ", scale,
             "; expected a finite number");
    *out = tf::read_idx(path, tf::dtype_from(dtype), scale).detach_ref();
  });
}

tf_status tf_data_create(const tf_tensor* const* tensors, int64_t n_tensors, int64_t batch_size,
                         int32_t shuffle, uint64_t seed, int32_t drop_last, tf_data** out) {
  return guard("data_create", [&] {
    out_slot(out);
    *out = new tf_data(tf::borrow_list(tensors, n_tensors, "tensors"), batch_size, shuffle != 0,
                       seed, drop_last != 0);
  });
}

tf_data* tf_data_retain(tf_data* data) {
  if (data) data->retain();
  return data;
}

void tf_data_release(tf_data* data) {
  if (data) data->release();
}

tf_status tf_data_next(tf_data* data, tf_tensor** out, int64_t n_out) {
  return guard("data_next", [&] {
    TF_CHECK(out && n_out > 0, TINYFIN_ERROR_ARGUMENT,
             "received no place for the tensors; expected an array and its length");
    for (int64_t i = 0; i < n_out; ++i) out[i] = nullptr;
    const int64_t n = int64_t(checked(data).tensors.size());
    TF_CHECK(n_out >= n, TINYFIN_ERROR_ARGUMENT, "received room for ", n_out,
             " tensors; expected room for ", n);
    std::vector<tf::Tensor> batch = data->next();
    for (int64_t i = 0; i < n; ++i) out[i] = batch[size_t(i)].detach_ref();
  });
}

tf_status tf_data_seek(tf_data* data, int64_t epoch, int64_t position) {
  return guard("data_seek", [&] { checked(data).seek(epoch, position); });
}

tf_status tf_data_set_prefetch(tf_data* data, int32_t batches, int32_t always) {
  return guard("data_set_prefetch", [&] { checked(data).set_prefetch(batches, always != 0); });
}

int64_t tf_data_epoch(const tf_data* data) { return data ? data->epoch : 0; }
int64_t tf_data_position(const tf_data* data) { return data ? data->position : 0; }
int64_t tf_data_batches(const tf_data* data) { return data ? data->batches() : 0; }
int64_t tf_data_size(const tf_data* data) { return data ? data->rows : 0; }
int64_t tf_data_tensor_count(const tf_data* data) {
  return data ? int64_t(data->tensors.size()) : 0;
}

}
