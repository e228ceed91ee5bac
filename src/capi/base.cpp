// Status, errors, versions, devices, memory, threads, random numbers, backends.
// SPDX-License-Identifier: MIT
#include "tinyfin/base.h"

#include <cstdio>
#include <new>

#include "backend/registry.h"
#include "backends/cpu/isa.h"
#include "capi/guard.h"
#include "core/parallel.h"
#include "core/rng.h"
#include "tinyfin/backend.h"

#define TF_TEXT_(x) #x
#define TF_TEXT(x) TF_TEXT_(x)

namespace tf {
namespace {

// A fixed buffer: reporting that memory ran out must not need memory.
thread_local char last_error[1024] = "";

Device& device_or_default(const tf_device* device) {
  return device ? const_cast<Device&>(*device) : default_device();
}

}  // namespace

tf_status set_last_error(tf_status status, const char* op, const char* message) noexcept {
  std::snprintf(last_error, sizeof last_error, "[%s] %s", op, message);
  for (char* c = last_error; *c; ++c)
    if (*c == '\n') *c = ' ';  // one line, whatever a path or name contained
  return status;
}

tf_status report_current_exception(const char* op) noexcept {
  try {
    throw;
  } catch (const Error& e) {
    return set_last_error(e.status(), op, e.what());
  } catch (const std::bad_alloc&) {
    return set_last_error(TINYFIN_ERROR_MEMORY, op,
                          "out of host memory; free tensors or use smaller batches");
  } catch (const std::exception& e) {
    return set_last_error(TINYFIN_ERROR_INTERNAL, op, e.what());
  } catch (...) {
    return set_last_error(TINYFIN_ERROR_INTERNAL, op, "a failure of unknown kind");
  }
}

std::vector<Tensor> borrow_list(const tf_tensor* const* handles, int64_t n, const char* argument,
                                bool optional) {
  TF_CHECK(n >= 0 && (handles || n == 0), TINYFIN_ERROR_ARGUMENT, "received ",
           handles ? "a count of " : "NULL and a count of ", n, " for `", argument,
           "`; expected an array and its length");
  std::vector<Tensor> list;
  list.reserve(size_t(n));
  for (int64_t i = 0; i < n; ++i) {
    TF_CHECK(handles[i] || optional, TINYFIN_ERROR_ARGUMENT, "received NULL as entry ", i, " of `",
             argument, "`; expected a tensor handle");
    TF_CHECK(!handles[i] || handles[i]->alive == tf_tensor::kAlive, TINYFIN_ERROR_ARGUMENT,
             "received a released tensor handle as entry ", i, " of `", argument,
             "`; expected one that is held (tf_tensor_retain)");
    list.push_back(Tensor::share(handles[i]));
  }
  return list;
}

std::span<const int64_t> int_list(const int64_t* values, int64_t n, const char* argument) {
  TF_CHECK(n >= 0 && (values || n == 0), TINYFIN_ERROR_ARGUMENT, "received ",
           values ? "a count of " : "NULL and a count of ", n, " for `", argument,
           "`; expected an array and its length");
  return {values, size_t(n)};
}

}  // namespace tf

using tf::guard;

extern "C" {

const char* tf_version(void) {
  return TF_TEXT(TINYFIN_VERSION_MAJOR) "." TF_TEXT(TINYFIN_VERSION_MINOR) "." TF_TEXT(
      TINYFIN_VERSION_PATCH);
}

int32_t tf_abi_version(void) { return TINYFIN_ABI; }

const char* tf_last_error(void) { return tf::last_error; }

const char* tf_status_name(tf_status status) {
  switch (status) {
    case TINYFIN_OK: return "ok";
    case TINYFIN_ERROR_ARGUMENT: return "argument";
    case TINYFIN_ERROR_SHAPE: return "shape";
    case TINYFIN_ERROR_DTYPE: return "dtype";
    case TINYFIN_ERROR_INDEX: return "index";
    case TINYFIN_ERROR_AXIS: return "axis";
    case TINYFIN_ERROR_NAME: return "name";
    case TINYFIN_ERROR_STATE: return "state";
    case TINYFIN_ERROR_GRAPH: return "graph";
    case TINYFIN_ERROR_FORK: return "fork";
    case TINYFIN_ERROR_MEMORY: return "out of memory";
    case TINYFIN_ERROR_BACKEND: return "backend";
    case TINYFIN_ERROR_DEVICE: return "device";
    case TINYFIN_ERROR_IO: return "input/output";
    case TINYFIN_ERROR_FORMAT: return "format";
    case TINYFIN_ERROR_UNSUPPORTED: return "unsupported";
    case TINYFIN_ERROR_CALLBACK: return "callback";
    case TINYFIN_ERROR_END: return "end";
    case TINYFIN_ERROR_INTERNAL: return "internal";
    default: return "unknown";
  }
}

const tf_device* tf_device_get(const char* name) {
  const tf_device* device = nullptr;
  guard("device_get", [&] { device = &tf::device_by_name(name); });
  return device;
}

const char* tf_device_name(const tf_device* device) { return device ? device->name.c_str() : ""; }

tf_status tf_device_count(const char* backend, int64_t* out) {
  return guard("device_count", [&] {
    tf::value_slot(out);
    TF_CHECK(backend, TINYFIN_ERROR_ARGUMENT, "received NULL for `backend`; expected a name");
    *out = tf::Registry::get().backend(backend).device_count();
  });
}

tf_status tf_set_default_device(const tf_device* device) {
  return guard("set_default_device",
               [&] { tf::set_default_device(const_cast<tf_device*>(device)); });
}

const tf_device* tf_default_device(void) {
  const tf_device* device = nullptr;
  guard("default_device", [&] { device = &tf::default_device(); });
  return device;
}

tf_status tf_device_synchronize(const tf_device* device) {
  return guard("device_synchronize", [&] { tf::device_or_default(device).synchronize(); });
}

tf_status tf_memory_stats(const tf_device* device, int64_t* out_current, int64_t* out_peak,
                          int64_t* out_reserved) {
  return guard("memory_stats", [&] {
    tf::value_slot(out_current, "out_current");
    tf::value_slot(out_peak, "out_peak");
    tf::value_slot(out_reserved, "out_reserved");
    const tf::MemoryStats s = tf::device_or_default(device).allocator.stats();
    *out_current = s.current;
    *out_peak = s.peak;
    *out_reserved = s.reserved;
  });
}

tf_status tf_memory_reset_peak(const tf_device* device) {
  return guard("memory_reset_peak", [&] { tf::device_or_default(device).allocator.reset_peak(); });
}

tf_status tf_memory_set_cap(const tf_device* device, int64_t bytes) {
  return guard("memory_set_cap", [&] {
    TF_CHECK(bytes >= 0, TINYFIN_ERROR_ARGUMENT, "received ", bytes,
             " bytes; expected a number that is not negative (0: no cap)");
    tf::device_or_default(device).allocator.set_cap(bytes);
  });
}

tf_status tf_memory_trim(const tf_device* device) {
  return guard("memory_trim", [&] { tf::device_or_default(device).allocator.trim(); });
}

int32_t tf_num_threads(void) { return tf::num_threads(); }

tf_status tf_set_num_threads(int32_t n) {
  return guard("set_num_threads", [&] { tf::set_num_threads(n); });
}

const char* tf_cpu_isa(void) {
  guard("cpu_isa", [] { tf::cpu_device(); });  // the choice is made when the backend starts
  return tf::cpu::isa();
}

tf_status tf_manual_seed(uint64_t seed) {
  return guard("manual_seed", [&] { tf::manual_seed(seed); });
}

tf_status tf_rng_get(uint64_t* out_seed, uint64_t* out_offset) {
  return guard("rng_get", [&] {
    tf::value_slot(out_seed, "out_seed");
    tf::value_slot(out_offset, "out_offset");
    const tf::RngState state = tf::rng_state();
    *out_seed = state.seed;
    *out_offset = state.offset;
  });
}

tf_status tf_rng_set(uint64_t seed, uint64_t offset) {
  return guard("rng_set", [&] { tf::set_rng_state({seed, offset}); });
}

tf_status tf_backend_load(const char* name_or_path) {
  return guard("backend_load", [&] {
    TF_CHECK(name_or_path, TINYFIN_ERROR_ARGUMENT,
             "received NULL; expected a backend name or an absolute path");
    tf::Registry::get().load(name_or_path);
  });
}

const char* tf_backend_name(void) {
  const char* name = "";
  guard("backend_name", [&] { name = tf::default_device().table.name; });
  return name;
}

const char* tf_backend_at(int64_t i) {
  const char* name = nullptr;
  guard("backend_at", [&] {
    if (const tf::Backend* b = tf::Registry::get().at(i)) name = b->table.name;
  });
  return name;
}

tf_status tf_set_fallback(const char* policy) {
  return guard("set_fallback",
               [&] { tf::set_fallback_policy(tf::parse_fallback(policy ? policy : "NULL")); });
}

int64_t tf_fallback_count(void) { return tf::fallback_count(); }

const char* tf_primitive_at(int64_t i) {
  for (const tf::Primitive* p = tf::first_primitive(); p; p = p->next)
    if (p->id == i) return p->name;
  return nullptr;
}

tf_status tf_backend_supports(const char* backend, const char* primitive, tf_dtype dtype,
                              int32_t* out) {
  return guard("backend_supports", [&] {
    tf::value_slot(out);
    TF_CHECK(backend && primitive, TINYFIN_ERROR_ARGUMENT, "received NULL for a name");
    const tf::Primitive* p = tf::find_primitive(primitive);
    TF_CHECK(p, TINYFIN_ERROR_NAME, "received primitive \"", primitive,
             "\"; expected one of tf_primitive_at");
    const tf::DType t = tf::dtype_from(dtype);
    TF_CHECK(tf::is_valid(t), TINYFIN_ERROR_DTYPE, "received no dtype; expected one");
    const tf_kernel* kernel = tf::Registry::get().backend(backend).kernel(*p);
    *out = kernel && (kernel->dtypes & TINYFIN_DTYPE_BIT(dtype)) != 0;
  });
}
}
