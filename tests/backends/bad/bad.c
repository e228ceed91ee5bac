/* A plugin that breaks the rule its build names (BREAK_…), and no other.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "tinyfin/backend.h"

static tf_status device_count(int32_t *out) {
  *out = 1;
  return TINYFIN_OK;
}

static tf_status device_description(int32_t device, char *out, size_t out_size) {
  (void)device;
  if (out_size) out[0] = '\0';
  return TINYFIN_OK;
}

static tf_status device_alloc(int32_t device, size_t bytes, void **out) {
  (void)device;
  *out = malloc(bytes); /* never used: the table is what is tested */
  return *out ? TINYFIN_OK : TINYFIN_ERROR_MEMORY;
}

static void device_free(int32_t device, void *memory, size_t bytes) {
  (void)device, (void)bytes;
  free(memory);
}

static tf_status copy(int32_t device, void *to, const void *from, size_t bytes) {
  (void)device;
  memmove(to, from, bytes);
  return TINYFIN_OK;
}

#if defined(BREAK_wrong_name)
#define NAME "another"
#elif defined(BREAK_bad_name)
#define NAME "Bad-Name"
#elif defined(BREAK_duplicate_cpu)
#define NAME "cpu"
#elif defined(BREAK_major)
#define NAME "major"
#elif defined(BREAK_short_struct)
#define NAME "short_struct"
#elif defined(BREAK_null_slot)
#define NAME "null_slot"
#else
#define NAME "good"
#endif

#if defined(BREAK_good)
#include <stdio.h>
static void destroy(void) { fputs("good: destroyed\n", stderr); }
#endif

static const tf_backend table = {
#if defined(BREAK_good)
    .destroy = destroy,
#endif
#if defined(BREAK_short_struct)
    .struct_size = 64,
#else
    .struct_size = sizeof(tf_backend),
#endif
#if defined(BREAK_major)
    .abi_major = TINYFIN_BACKEND_ABI_MAJOR + 8,
#else
    .abi_major = TINYFIN_BACKEND_ABI_MAJOR,
#endif
    .abi_minor = TINYFIN_BACKEND_ABI_MINOR,
    .name = NAME,
    .description = "breaks one rule",
    .device_count = device_count,
    .device_description = device_description,
    .alloc = device_alloc,
    .free = device_free,
    .copy_from_host = copy,
#if !defined(BREAK_null_slot)
    .copy_to_host = copy,
#endif
    .copy_on_device = copy,
};

#if defined(BREAK_no_symbol)
#define ENTRY some_other_function
#else
#define ENTRY tf_backend_init_v1
#endif

TINYFIN_API tf_status ENTRY(const tf_host_api *host, const tf_backend **out);

TINYFIN_API tf_status ENTRY(const tf_host_api *host, const tf_backend **out) {
#if defined(BREAK_failing_init)
  host->set_error("no driver is installed");
  *out = &table;
  return TINYFIN_ERROR_BACKEND;
#elif defined(BREAK_no_table)
  (void)host, (void)out, (void)table;
  return TINYFIN_OK;
#else
  (void)host;
  *out = &table;
  return TINYFIN_OK;
#endif
}
