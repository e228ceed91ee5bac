/* tinyfin/tensor.h — tensors: making them, asking them, moving values in and out.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TINYFIN_TENSOR_H
#define TINYFIN_TENSOR_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A strided view of memory on a device. Handles are reference counted; several
 * may share memory. */
typedef struct tf_tensor tf_tensor;

/* Life ------------------------------------------------------------------- */

/* Adds a reference and returns the same handle. NULL gives NULL. Any thread.
 * @since 0.1 */
TINYFIN_API tf_tensor *tf_tensor_retain(tf_tensor *tensor);

/* Gives a reference back; the last one frees the tensor. NULL is fine. Any
 * thread. @since 0.1 */
TINYFIN_API void tf_tensor_release(tf_tensor *tensor);

/* Making ----------------------------------------------------------------- */

/* A tensor with a copy of `bytes` bytes of row-major data, which must be the
 * size of `shape` in `dtype`. NULL device: the default. @since 0.1 */
TINYFIN_API tf_status tf_tensor_from_data(const void *data, size_t bytes, const int64_t *shape,
                                          int64_t n_shape, tf_dtype dtype,
                                          const tf_device *device, tf_tensor **out);

/* A tensor over memory of the caller on the cpu, without a copy. strides count
 * elements; NULL means row-major. `destroy(user)` runs exactly once: when the
 * last view of the memory goes, or before this function fails. destroy may be
 * NULL; it may run on any thread. Where strides make elements share an address
 * the tensor is read-only, as with writable 0. @since 0.1 */
TINYFIN_API tf_status tf_tensor_borrow_data(void *data, size_t bytes, const int64_t *shape,
                                            int64_t n_shape, const int64_t *strides,
                                            tf_dtype dtype, int32_t writable, void *user,
                                            void (*destroy)(void *user), tf_tensor **out);

/* Numbers of the host language. They adapt to the other operand: a float32
 * tensor + 2 stays float32, an int32 tensor + 0.5 becomes float32. @since 0.1 */
TINYFIN_API tf_status tf_tensor_scalar_f64(double value, tf_tensor **out);
/* @since 0.1 */
TINYFIN_API tf_status tf_tensor_scalar_i64(int64_t value, tf_tensor **out);
/* @since 0.1 */
TINYFIN_API tf_status tf_tensor_scalar_bool(int32_t value, tf_tensor **out);

/* Asking (a NULL tensor answers 0, NULL or TINYFIN_DEFAULT) ---------------- */

/* @since 0.1 */
TINYFIN_API tf_dtype tf_tensor_dtype(const tf_tensor *tensor);
/* @since 0.1 */
TINYFIN_API int64_t tf_tensor_ndim(const tf_tensor *tensor);
/* Number of elements. @since 0.1 */
TINYFIN_API int64_t tf_tensor_numel(const tf_tensor *tensor);
/* ndim sizes, valid while the tensor lives. @since 0.1 */
TINYFIN_API const int64_t *tf_tensor_shape(const tf_tensor *tensor);
/* ndim strides in elements, valid while the tensor lives. @since 0.1 */
TINYFIN_API const int64_t *tf_tensor_strides(const tf_tensor *tensor);
/* @since 0.1 */
TINYFIN_API const tf_device *tf_tensor_device(const tf_tensor *tensor);
/* 1 if the elements are row-major without gaps. @since 0.1 */
TINYFIN_API int32_t tf_tensor_is_contiguous(const tf_tensor *tensor);
/* 1 for a number made by tf_tensor_scalar_*. @since 0.1 */
TINYFIN_API int32_t tf_tensor_is_scalar(const tf_tensor *tensor);
/* How often the tensor's memory was modified in place. @since 0.1 */
TINYFIN_API int64_t tf_tensor_version(const tf_tensor *tensor);

/* Values ----------------------------------------------------------------- */

/* Address of the first element where the host may read and write the device's
 * memory, else NULL. Writing through it goes unseen by autograd: call
 * tf_tensor_touch afterwards. @since 0.1 */
TINYFIN_API void *tf_tensor_data(const tf_tensor *tensor);

/* Counts a modification made through tf_tensor_data. @since 0.1 */
TINYFIN_API tf_status tf_tensor_touch(tf_tensor *tensor);

/* Copies all elements, row-major, to host memory; `bytes` must be their size.
 * Waits for the device. @since 0.1 */
TINYFIN_API tf_status tf_tensor_read(const tf_tensor *tensor, void *data, size_t bytes);

/* Overwrites all elements from row-major host memory. @since 0.1 */
TINYFIN_API tf_status tf_tensor_write(tf_tensor *tensor, const void *data, size_t bytes);

/* The only element, as a double. Shape error unless there is exactly one.
 * @since 0.1 */
TINYFIN_API tf_status tf_tensor_item_f64(const tf_tensor *tensor, double *out);

/* The only element, as an integer. @since 0.1 */
TINYFIN_API tf_status tf_tensor_item_i64(const tf_tensor *tensor, int64_t *out);

/* Lending memory (dlpack.h has the structs) --------------------------------- */

struct DLManagedTensor;
struct DLManagedTensorVersioned;

/* The tensor's memory for another library, without a copy: it stays alive until
 * the receiver calls the struct's deleter, on any thread. Tensors of the cpu that
 * want no gradient (detach them first). @since 0.1 */
TINYFIN_API tf_status tf_tensor_to_dlpack(const tf_tensor *tensor,
                                          struct DLManagedTensorVersioned **out);

/* The same in the form before DLPack 1.0, which cannot say that memory is
 * read-only: such tensors are refused. @since 0.1 */
TINYFIN_API tf_status tf_tensor_to_dlpack_legacy(const tf_tensor *tensor,
                                                 struct DLManagedTensor **out);

/* A tensor over another library's memory, which is given back with the last view
 * of it. A failure leaves the struct with the caller. Where elements share an
 * address the tensor is read-only. @since 0.1 */
TINYFIN_API tf_status tf_tensor_from_dlpack(struct DLManagedTensorVersioned *managed,
                                            tf_tensor **out);
/* @since 0.1 */
TINYFIN_API tf_status tf_tensor_from_dlpack_legacy(struct DLManagedTensor *managed,
                                                   tf_tensor **out);

#ifdef __cplusplus
}
#endif
#endif /* TINYFIN_TENSOR_H */
