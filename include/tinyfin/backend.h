/* tinyfin/backend.h — the plugin ABI: what a backend is.
 *
 * A backend is a shared library libtinyfin_backend_<name>.so that exports one
 * function, tf_backend_init_v1, links nothing of tinyfin and answers with a
 * pointer to its own constant table. docs/backends.md tells the story.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TINYFIN_BACKEND_H
#define TINYFIN_BACKEND_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Majors must be equal; a greater minor only adds fields at the end of the
 * structs. Read a field only where struct_size covers it. */
#define TINYFIN_BACKEND_ABI_MAJOR 1
#define TINYFIN_BACKEND_ABI_MINOR 0

/* Calls ------------------------------------------------------------------ */

/* A strided array in device memory. Strides count elements, may be 0
 * (broadcast) or negative, never mean anything for an absent array. */
typedef struct tf_view {
  void *data; /* the element with all indices 0 */
  const int64_t *shape;
  const int64_t *strides;
  int32_t ndim;   /* 0 to 8; -1: an optional argument that is absent */
  tf_dtype dtype;
} tf_view;

typedef union tf_attr {
  int64_t i;
  double f;
} tf_attr;

/* One run of one kernel. Outputs are allocated and never overlap an input
 * unless they are the same array exactly (in-place). */
typedef struct tf_kernel_call {
  uint32_t struct_size;
  int32_t n_in;
  int32_t n_out;
  int32_t n_attr;
  const tf_view *in;
  const tf_view *out;
  const tf_attr *attr;
  const char *op;     /* the op's name, for messages */
  int32_t device;     /* index of the device */
  int32_t reserved;
  void *stream;       /* what the backend's stream_current answered, or NULL */
} tf_kernel_call;

/* Returns TINYFIN_OK, TINYFIN_ERROR_UNSUPPORTED (the core then takes the next
 * way: decomposition, then the cpu), or another status after set_error. */
typedef tf_status (*tf_kernel_fn)(const tf_kernel_call *call, void *user);

#define TINYFIN_DTYPE_BIT(dtype) (1u << (uint32_t)(dtype))
#define TINYFIN_DTYPES_FLOAT 0x06u /* float32 float64 */
#define TINYFIN_DTYPES_INT 0x18u   /* int32 int64 */
#define TINYFIN_DTYPES_ALL 0x3eu   /* and bool */
#define TINYFIN_DTYPES_BFLOAT16 0x80u /* without it, others are shown float32 in its place */
typedef struct tf_kernel {
  const char *op;    /* name of a primitive, docs/ops.md */
  int32_t version;   /* of the primitive's contract: 1 */
  uint32_t dtypes;   /* bits of the dtypes taken: of the first input, or of the
                        first output where there is no input */
  tf_kernel_fn fn;
  void *user;
} tf_kernel;

/* What the host offers --------------------------------------------------- */

typedef void (*tf_tile_fn)(int64_t tile, void *user);

typedef struct tf_host_api {
  uint32_t struct_size;
  uint16_t abi_major, abi_minor;
  /* One line for the log (standard error unless the program took it over). */
  void (*log)(int32_t level, const char *message);
  /* Text of the failure whose status is about to be returned: without the
   * leading "[op]", which the host adds. Copied. */
  void (*set_error)(const char *message);
  /* Host memory aligned to 64 bytes; NULL when there is none. */
  void *(*host_alloc)(size_t bytes);
  void (*host_free)(void *memory, size_t bytes);
  /* Runs fn(0) … fn(tiles - 1), each once, on the one thread pool of the
   * process, and returns when all are done. fn must not throw. What a tile
   * computes may depend on its number alone. Returns TINYFIN_ERROR_FORK in a
   * child process whose parent had used the pool. */
  tf_status (*parallel_for)(int64_t tiles, tf_tile_fn fn, void *user);
  int32_t (*num_threads)(void);
} tf_host_api;

/* What the plugin answers ------------------------------------------------ */

typedef struct tf_backend {
  uint32_t struct_size;
  uint16_t abi_major, abi_minor;
  void (*destroy)(void); /* at process exit; may be NULL */

  /* identity */
  const char *name;        /* [a-z0-9_]+, equal to the name it was found by */
  const char *description; /* one line */

  /* devices */
  tf_status (*device_count)(int32_t *out);
  tf_status (*device_description)(int32_t device, char *out, size_t out_size);
  int32_t host_accessible; /* 1: device memory may be read and written by the host */
  int32_t reserved;

  /* memory: at least 64-byte aligned. alloc answers TINYFIN_ERROR_MEMORY when
   * there is none. */
  tf_status (*alloc)(int32_t device, size_t bytes, void **out);
  void (*free)(int32_t device, void *memory, size_t bytes);

  /* streams and transfers; all but copies may be NULL for a synchronous device.
   * Copies are ordered with the kernels of the device's current stream; those
   * to the host have happened when they return. */
  tf_status (*copy_from_host)(int32_t device, void *to, const void *from, size_t bytes);
  tf_status (*copy_to_host)(int32_t device, void *to, const void *from, size_t bytes);
  tf_status (*copy_on_device)(int32_t device, void *to, const void *from, size_t bytes);
  void *(*stream_current)(int32_t device);
  tf_status (*synchronize)(int32_t device);

  /* kernels, found by op name */
  int32_t kernel_count;
  const tf_kernel *kernels;
} tf_backend;

/* The plugin's only exported symbol. */
typedef tf_status (*tf_backend_init_fn)(const tf_host_api *host, const tf_backend **out);

/* Using backends --------------------------------------------------------- */

/* Loads a plugin: `name_or_path` is a backend name looked up in
 * $TINYFIN_BACKEND_PATH, in the library's own backend directory and in the
 * compiled-in one, or an absolute path. Loading a loaded name is fine.
 * @since 0.1 */
TINYFIN_API tf_status tf_backend_load(const char *name_or_path);

/* Name of the default device's backend; "" with tf_last_error() set when it
 * does not load. @since 0.1 */
TINYFIN_API const char *tf_backend_name(void);

/* Loaded backends: name number `i`, NULL past the last. @since 0.1 */
TINYFIN_API const char *tf_backend_at(int64_t i);

/* What happens when a backend lacks a kernel and no decomposition exists:
 * `policy` is "error", "warn" (once per op, the default) or "allow"; at first
 * $TINYFIN_FALLBACK. @since 0.1 */
TINYFIN_API tf_status tf_set_fallback(const char *policy);

/* How often ops took the way through the cpu since the start of the process.
 * @since 0.1 */
TINYFIN_API int64_t tf_fallback_count(void);

/* Primitive number `i` of the engine, NULL past the last: what a backend may
 * implement. @since 0.1 */
TINYFIN_API const char *tf_primitive_at(int64_t i);

/* 1 if the backend has a kernel for the primitive and dtype, else 0.
 * @since 0.1 */
TINYFIN_API tf_status tf_backend_supports(const char *backend, const char *primitive,
                                          tf_dtype dtype, int32_t *out);

#ifdef __cplusplus
}
#endif
#endif /* TINYFIN_BACKEND_H */
