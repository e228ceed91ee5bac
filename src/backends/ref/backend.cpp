// The ref backend's table: two devices whose memory is out of the host's reach, a stream each.
// SPDX-License-Identifier: MIT
#include <cstdio>
#include <cstring>
#include <utility>

#include "call.h"
#include "memory.h"
#include "stream.h"

namespace ref {
namespace {

constexpr int32_t kDevices = 2;

const tf_host_api* host = nullptr;

Stream& stream(int32_t device) {
  // Never destroyed: their threads wait for work until the process ends.
  static Stream* const streams = new Stream[kDevices];
  return streams[device];
}

tf_status report(const Outcome& outcome) {
  if (outcome.status != TINYFIN_OK) host->set_error(outcome.message.c_str());
  return outcome.status;
}

// What the host asked for with the plugin's exceptions kept inside.
template <class Body>
tf_status guarded(Body&& body) noexcept {
  try {
    return report(body());
  } catch (...) {
    host->set_error("out of memory on the host");
    return TINYFIN_ERROR_MEMORY;
  }
}

tf_status device_count(int32_t* out) {
  *out = kDevices;
  return TINYFIN_OK;
}

tf_status device_description(int32_t device, char* out, size_t out_size) {
  std::snprintf(out, out_size, "fake device %d: naive loops in double, protected memory", device);
  return TINYFIN_OK;
}

tf_status alloc(int32_t, size_t bytes, void** out) {
  *out = allocate_pages(bytes);
  return *out ? TINYFIN_OK : TINYFIN_ERROR_MEMORY;
}

void release(int32_t device, void* memory, size_t) {
  // Queued behind the work that may still use the block.
  try {
    if (stream(device).enqueue([memory] { free_pages(memory); }).status == TINYFIN_OK) return;
  } catch (...) {
    // The block stays mapped: nothing else is safe.
  }
}

tf_status copy_from_host(int32_t device, void* to, const void* from, size_t bytes) {
  return guarded([&] {
    const char* first = static_cast<const char*>(from);
    return stream(device).enqueue([to, kept = std::vector<char>(first, first + bytes)] {
      Opened opened;
      opened.add(to);
      std::memcpy(to, kept.data(), kept.size());
    });
  });
}

tf_status copy_to_host(int32_t device, void* to, const void* from, size_t bytes) {
  return guarded([&] {
    const Outcome outcome = stream(device).enqueue([=] {
      Opened opened;
      opened.add(from);
      std::memcpy(to, from, bytes);
    });
    return outcome.status == TINYFIN_OK ? stream(device).synchronize() : outcome;
  });
}

tf_status copy_on_device(int32_t device, void* to, const void* from, size_t bytes) {
  return guarded([&] {
    return stream(device).enqueue([=] {
      Opened opened;
      opened.add(to);
      opened.add(from);
      std::memmove(to, from, bytes);
    });
  });
}

void* stream_current(int32_t device) { return &stream(device); }

tf_status synchronize(int32_t device) {
  return guarded([&] { return stream(device).synchronize(); });
}

void run_definition(const Call& call, Definition definition) {
  Opened opened;
  for (const auto* list : {&call.in, &call.out})
    for (const Array& array : *list)
      if (array.present() && array.data && array.numel() > 0) opened.add(array.data);
  try {
    definition(call);
  } catch (Failure& failure) {
    throw Failure{failure.status, "`" + call.op + "`: " + failure.message};
  }
}

// Every kernel's function: copies the description of the call and queues it.
tf_status launch(const tf_kernel_call* call, void* user) {
  return guarded([&] {
    return static_cast<Stream*>(call->stream)->enqueue([copy = Call(*call), user] {
      run_definition(copy, reinterpret_cast<Definition>(user));
    });
  });
}

std::vector<tf_kernel>& kernels() {
  static std::vector<tf_kernel> list;
  return list;
}

}  // namespace

Define::Define(const char* op, Definition fn, uint32_t dtypes) {
  kernels().push_back({op, 1, dtypes | TINYFIN_DTYPES_BFLOAT16, launch, reinterpret_cast<void*>(fn)});
}

}  // namespace ref

extern "C" __attribute__((visibility("default"))) tf_status tf_backend_init_v1(
    const tf_host_api* host, const tf_backend** out) {
  using namespace ref;
  ref::host = host;
  static const tf_backend table = {
      .struct_size = sizeof(tf_backend),
      .abi_major = TINYFIN_BACKEND_ABI_MAJOR,
      .abi_minor = TINYFIN_BACKEND_ABI_MINOR,
      .destroy = nullptr,
      .name = "ref",
      .description = "the definition of every primitive, for tests",
      .device_count = device_count,
      .device_description = device_description,
      .host_accessible = 0,
      .reserved = 0,
      .alloc = alloc,
      .free = release,
      .copy_from_host = copy_from_host,
      .copy_to_host = copy_to_host,
      .copy_on_device = copy_on_device,
      .stream_current = stream_current,
      .synchronize = synchronize,
      .kernel_count = int32_t(kernels().size()),
      .kernels = kernels().data(),
  };
  *out = &table;
  return TINYFIN_OK;
}
