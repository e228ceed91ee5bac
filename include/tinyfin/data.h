/* tinyfin/data.h — reading data sets and handing them out in batches.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TINYFIN_DATA_H
#define TINYFIN_DATA_H

#include "tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Reads a file in the IDX format of MNIST, plain or gzipped. Elements are
 * converted to `dtype` and multiplied by `scale` (1.0 / 255 brings pixels to
 * 0 … 1); TINYFIN_DEFAULT: int32, or the file's own float type. @since 0.1 */
TINYFIN_API tf_status tf_read_idx(const char *path, tf_dtype dtype, double scale,
                                  tf_tensor **out);

/* Batches ---------------------------------------------------------------- */

/* Tensors with the same first dimension, dealt out in batches of rows. Reference
 * counted. */
typedef struct tf_data tf_data;

/* shuffle: each epoch has an order of its own, which follows from seed and epoch
 * alone. drop_last: no smaller batch at the end. Copies nothing; the tensors must
 * be where the host can read them. @since 0.1 */
TINYFIN_API tf_status tf_data_create(const tf_tensor *const *tensors, int64_t n_tensors,
                                     int64_t batch_size, int32_t shuffle, uint64_t seed,
                                     int32_t drop_last, tf_data **out);

/* Adds a reference and returns the same handle. NULL gives NULL. @since 0.1 */
TINYFIN_API tf_data *tf_data_retain(tf_data *data);

/* Gives a reference back. NULL is fine. @since 0.1 */
TINYFIN_API void tf_data_release(tf_data *data);

/* The next batch: out[n_tensors], new tensors of the caller. n_out is the length
 * of out, at least the number of tensors. After the last batch: once
 * TINYFIN_ERROR_END, and the next epoch begins. @since 0.1 */
TINYFIN_API tf_status tf_data_next(tf_data *data, tf_tensor **out, int64_t n_out);

/* Goes to batch `position` of `epoch`, both from 0. @since 0.1 */
TINYFIN_API tf_status tf_data_seek(tf_data *data, int64_t epoch, int64_t position);

/* How many batches a thread of the data set's own gathers ahead while the caller
 * works on an earlier one. At most `batches` (0: none) once batches are asked for
 * in turn; where `always` is 0, only if the process may run on more processors than
 * ops use threads (tf_num_threads) and a batch is large enough to pay. What is
 * handed out is the same. At first 2 and 0. Memory of the caller's must then not
 * change in other ways than by functions of tinyfin. @since 0.1 */
TINYFIN_API tf_status tf_data_set_prefetch(tf_data *data, int32_t batches, int32_t always);

/* The epoch that the next batch belongs to. @since 0.1 */
TINYFIN_API int64_t tf_data_epoch(const tf_data *data);
/* Batches of the epoch handed out so far. @since 0.1 */
TINYFIN_API int64_t tf_data_position(const tf_data *data);
/* Batches in an epoch. @since 0.1 */
TINYFIN_API int64_t tf_data_batches(const tf_data *data);
/* Rows. @since 0.1 */
TINYFIN_API int64_t tf_data_size(const tf_data *data);
/* Tensors in a batch. @since 0.1 */
TINYFIN_API int64_t tf_data_tensor_count(const tf_data *data);

#ifdef __cplusplus
}
#endif
#endif /* TINYFIN_DATA_H */
