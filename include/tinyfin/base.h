/* tinyfin/base.h — status codes, errors, element types, devices, versions.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TINYFIN_BASE_H
#define TINYFIN_BASE_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define TINYFIN_API __declspec(dllimport)
#elif defined(__GNUC__)
#define TINYFIN_API __attribute__((visibility("default")))
#else
#define TINYFIN_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Versions --------------------------------------------------------------- */

#define TINYFIN_VERSION_MAJOR 0
#define TINYFIN_VERSION_MINOR 1
#define TINYFIN_VERSION_PATCH 0

/* The number in the SONAME (libtinyfin.so.0) and in the plugin directory. */
#define TINYFIN_ABI 0

/* "0.1.0": the version of the library that runs, not of this header.
 * @since 0.1 */
TINYFIN_API const char *tf_version(void);

/* The number in the SONAME: programs built against it run with any library
 * that answers the same. @since 0.1 */
TINYFIN_API int32_t tf_abi_version(void);

/* Status ----------------------------------------------------------------- */

/* What a function that can fail returns. Zero is success. Numbers are grouped
 * by family, only ever added, never renumbered. */
typedef int32_t tf_status;

#define TINYFIN_OK 0
#define TINYFIN_ERROR_ARGUMENT 10      /* a value outside its domain, a NULL handle */
#define TINYFIN_ERROR_SHAPE 11         /* sizes that do not fit together */
#define TINYFIN_ERROR_DTYPE 12         /* an element type the call does not take */
#define TINYFIN_ERROR_INDEX 13         /* an index outside its range */
#define TINYFIN_ERROR_AXIS 14          /* a dimension number outside its range */
#define TINYFIN_ERROR_NAME 15          /* an unknown name: option, op, parameter */
#define TINYFIN_ERROR_STATE 20         /* right call, wrong moment */
#define TINYFIN_ERROR_GRAPH 21         /* autograd: freed graph, modified value */
#define TINYFIN_ERROR_FORK 22          /* used in a child process after fork() */
#define TINYFIN_ERROR_MEMORY 30        /* out of memory, or past the byte cap */
#define TINYFIN_ERROR_BACKEND 40       /* a backend is missing or broken */
#define TINYFIN_ERROR_DEVICE 41        /* tensors on different or unknown devices */
#define TINYFIN_ERROR_IO 50            /* the operating system refused a file */
#define TINYFIN_ERROR_FORMAT 51        /* a file is not what it should be */
#define TINYFIN_ERROR_UNSUPPORTED 60   /* no kernel for this op, type and device */
#define TINYFIN_ERROR_CALLBACK 70      /* a callback failed */
#define TINYFIN_ERROR_END 80           /* no more batches: the end of an epoch */
#define TINYFIN_ERROR_INTERNAL 90      /* a defect of tinyfin: please report it */

/* One line about the last failure on this thread: `[op] what was received,
 * what was expected, what to try`. Never NULL; "" before the first failure.
 * Valid until the next failing call on this thread; successful calls and
 * every release leave it alone. @since 0.1 */
TINYFIN_API const char *tf_last_error(void);

/* "shape", "out of memory", …: the family of a status. Never NULL.
 * @since 0.1 */
TINYFIN_API const char *tf_status_name(tf_status status);

/* Element types ---------------------------------------------------------- */

typedef int32_t tf_dtype;

#define TINYFIN_DEFAULT 0 /* "not given": the call chooses */
#define TINYFIN_FLOAT32 1
#define TINYFIN_FLOAT64 2
#define TINYFIN_INT32 3
#define TINYFIN_INT64 4
#define TINYFIN_BOOL 5 /* one byte, 0 or 1 */
#define TINYFIN_BFLOAT16 7 /* the upper half of a float32; 6 is kept for FLOAT16 */

/* "float32", …; "invalid" for an unknown number. Never NULL. @since 0.1 */
TINYFIN_API const char *tf_dtype_name(tf_dtype dtype);

/* Bytes per element; 0 for an unknown number. @since 0.1 */
TINYFIN_API size_t tf_dtype_size(tf_dtype dtype);

/* Named choices ---------------------------------------------------------- */

/* How a loss of many elements becomes one number. */
typedef int32_t tf_reduction;
#define TINYFIN_REDUCTION_NONE 1
#define TINYFIN_REDUCTION_MEAN 2
#define TINYFIN_REDUCTION_SUM 3

/* Activations that layers apply to their output as they write it. */
typedef int32_t tf_activation;
#define TINYFIN_ACTIVATION_NONE 1
#define TINYFIN_ACTIVATION_RELU 2
#define TINYFIN_ACTIVATION_GELU 3      /* exact: x * Phi(x) */
#define TINYFIN_ACTIVATION_GELU_TANH 4 /* the tanh approximation */
#define TINYFIN_ACTIVATION_SIGMOID 5
#define TINYFIN_ACTIVATION_TANH 6
#define TINYFIN_ACTIVATION_SILU 7

/* Devices ---------------------------------------------------------------- */

/* A device lives as long as the process: never released, compared by address. */
typedef struct tf_device tf_device;

/* "cpu", "cuda", "cuda:1", "ref:0": the device of that name; NULL for a NULL
 * name means the default device. Returns NULL with tf_last_error() set when
 * there is no such device or its backend does not load. @since 0.1 */
TINYFIN_API const tf_device *tf_device_get(const char *name);

/* "cpu:0": the device's full name. Never NULL. @since 0.1 */
TINYFIN_API const char *tf_device_name(const tf_device *device);

/* Devices of a loaded backend ("cpu", "cuda", …); loads it if needed.
 * @since 0.1 */
TINYFIN_API tf_status tf_device_count(const char *backend, int64_t *out);

/* New tensors of this thread go to `device` when none is named; NULL restores
 * the process-wide choice ($TINYFIN_BACKEND, else cpu). @since 0.1 */
TINYFIN_API tf_status tf_set_default_device(const tf_device *device);

/* The default device of this thread; NULL with tf_last_error() set when
 * $TINYFIN_BACKEND names a backend that does not load. @since 0.1 */
TINYFIN_API const tf_device *tf_default_device(void);

/* Waits until all work queued on the device is done and reports its first
 * failure. NULL is the default device. @since 0.1 */
TINYFIN_API tf_status tf_device_synchronize(const tf_device *device);

/* Memory ----------------------------------------------------------------- */

/* Bytes in tensors now, the highest that number has been, and bytes held from
 * the system (in tensors or cached for reuse). NULL is the default device.
 * @since 0.1 */
TINYFIN_API tf_status tf_memory_stats(const tf_device *device, int64_t *out_current,
                                      int64_t *out_peak, int64_t *out_reserved);

/* Starts a new measurement: peak becomes current. @since 0.1 */
TINYFIN_API tf_status tf_memory_reset_peak(const tf_device *device);

/* No more than `bytes` in tensors on the device: an allocation past it answers
 * TINYFIN_ERROR_MEMORY. 0 lifts the cap. @since 0.1 */
TINYFIN_API tf_status tf_memory_set_cap(const tf_device *device, int64_t bytes);

/* Gives cached blocks back to the system. @since 0.1 */
TINYFIN_API tf_status tf_memory_trim(const tf_device *device);

/* Threads ---------------------------------------------------------------- */

/* Threads that ops may use together, the caller's included. At first
 * $TINYFIN_THREADS, else the processors this process may run on. Results do not
 * depend on it, to the bit. @since 0.1 */
TINYFIN_API int32_t tf_num_threads(void);

/* @since 0.1 */
TINYFIN_API tf_status tf_set_num_threads(int32_t n);

/* The instruction set the cpu kernels run with: "avx512_bf16", "avx512", "avx2" or
 * "generic", on 64-bit ARM "neon". $TINYFIN_ISA may ask for a lesser one than the
 * processor has. @since 0.1 */
TINYFIN_API const char *tf_cpu_isa(void);

/* Random numbers --------------------------------------------------------- */

/* Restarts the process-wide counter-based generator (Philox4x32-10, Salmon et
 * al. 2011). Numbers depend on the seed and on the order of calls alone, not on
 * threads. @since 0.1 */
TINYFIN_API tf_status tf_manual_seed(uint64_t seed);

/* The generator's whole state: the seed and how many 4-word blocks have been
 * drawn. @since 0.1 */
TINYFIN_API tf_status tf_rng_get(uint64_t *out_seed, uint64_t *out_offset);

/* @since 0.1 */
TINYFIN_API tf_status tf_rng_set(uint64_t seed, uint64_t offset);

#ifdef __cplusplus
}
#endif
#endif /* TINYFIN_BASE_H */
