// Loading, validating and finding backends.
// SPDX-License-Identifier: MIT
#include "backend/registry.h"

#include <cstdlib>
#include <cstring>

#include "core/env.h"
#include "core/error.h"

namespace tf {
namespace {

bool valid_name(const std::string& name) {
  return !name.empty() && name.size() <= 32 &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
}

// True when the struct the plugin was compiled with has the field that ends at `end`.
bool covers(const tf_backend& table, size_t end) { return table.struct_size >= end; }

void validate(const tf_backend& t, const std::string& file) {
  TF_CHECK(t.abi_major == TINYFIN_BACKEND_ABI_MAJOR, TINYFIN_ERROR_BACKEND, "backend file ", file,
           " has plugin ABI ", t.abi_major, ".", t.abi_minor, "; expected major ",
           TINYFIN_BACKEND_ABI_MAJOR, "; rebuild it for this tinyfin");
  TF_CHECK(covers(t, offsetof(tf_backend, kernels) + sizeof t.kernels), TINYFIN_ERROR_BACKEND,
           "backend file ", file, " gives a table of ", t.struct_size,
           " bytes; expected at least ", offsetof(tf_backend, kernels) + sizeof t.kernels);
  const char* missing = nullptr;
  if (!t.name) missing = "name";
  else if (!t.device_count) missing = "device_count";
  else if (!t.alloc) missing = "alloc";
  else if (!t.free) missing = "free";
  else if (!t.copy_from_host) missing = "copy_from_host";
  else if (!t.copy_to_host) missing = "copy_to_host";
  else if (!t.copy_on_device) missing = "copy_on_device";
  else if (t.kernel_count < 0 || (t.kernel_count > 0 && !t.kernels)) missing = "kernels";
  TF_CHECK(!missing, TINYFIN_ERROR_BACKEND, "backend file ", file, " leaves the mandatory slot `",
           missing, "` empty; expected a function or value");
  TF_CHECK(valid_name(t.name), TINYFIN_ERROR_BACKEND, "backend file ", file,
           " calls itself \"", t.name, "\"; expected a name of [a-z0-9_]");
}

}  // namespace

Backend::Backend(const tf_backend& t, const std::string& f) : table(t), file(f) {
  validate(t, f);
  int32_t count = 0;
  if (const tf_status status = t.device_count(&count); status != TINYFIN_OK)
    fail(TINYFIN_ERROR_BACKEND, "backend \"", t.name, "\" could not count its devices: ",
         take_plugin_error());
  for (int32_t i = 0; i < count; ++i) devices_.emplace_back(*this, t, i);
  kernels_.resize(size_t(primitive_count()), nullptr);
  for (int32_t k = 0; k < t.kernel_count; ++k)
    if (const Primitive* prim = find_primitive(t.kernels[k].op))
      if (t.kernels[k].version == 1) kernels_[size_t(prim->id)] = &t.kernels[k];
}

void Backend::destroy() noexcept {
  if (!table.destroy) return;
  for (Device& d : devices_) d.close();
  for (const tf_kernel*& kernel : kernels_) kernel = nullptr;
  table.destroy();
}

Device& Backend::device(int64_t index) {
  TF_CHECK(index >= 0 && index < device_count(), TINYFIN_ERROR_DEVICE, "received device \"",
           table.name, ":", index, "\"; expected a number below ", device_count(),
           ", which is how many devices the backend has");
  return devices_[size_t(index)];
}

Registry& Registry::get() {
  // Never destroyed: tensors of static duration may outlive any order of destruction.
  static Registry& registry = *new Registry;
  return registry;
}

Registry::Registry() {
  const tf_backend* cpu = nullptr;
  const tf_status status = tf_cpu_backend_init(&host_api(), &cpu);
  TF_CHECK(status == TINYFIN_OK && cpu, TINYFIN_ERROR_BACKEND,
           "the cpu backend does not start: ", take_plugin_error());
  add(*cpu, "(built in)");
}

Backend* Registry::find(const std::string& name) {
  for (Backend& b : backends_)
    if (name == b.table.name) return &b;
  return nullptr;
}

Backend& Registry::add(const tf_backend& table, const std::string& file) {
  if (table.name)
    if (const Backend* other = find(table.name))
      fail(TINYFIN_ERROR_BACKEND, "backend file ", file, " calls itself \"", table.name,
           "\"; expected a name that is not taken: ", other->file, " has it");
  backends_.emplace_back(table, file);
  // At exit, or when this library is unloaded: objects of static duration that were made before
  // the first backend go after it, which a closed device bears.
  static const int at_exit = std::atexit([] { Registry::get().destroy_backends(); });
  (void)at_exit;
  return backends_.back();
}

void Registry::destroy_backends() noexcept {
  // The last loaded first. No lock: a thread that ended while it held one would stop the exit.
  for (auto b = backends_.rbegin(); b != backends_.rend(); ++b) b->destroy();
}

Backend& Registry::backend(const std::string& name) {
  std::lock_guard lock(mutex_);
  if (Backend* b = find(name)) return *b;
  TF_CHECK(valid_name(name), TINYFIN_ERROR_BACKEND, "received backend name \"", name,
           "\"; expected letters a-z, digits and _, as in \"cpu\" or \"cuda\"");
  std::string tried;
  const std::string path = find_plugin(name, tried);
  TF_CHECK(!path.empty(), TINYFIN_ERROR_BACKEND, "received backend \"", name,
           "\", which was not found; tried ", tried,
           "; try \"cpu\", or set TINYFIN_BACKEND_PATH to the plugin's directory");
  return add(open_plugin(path, name), path);
}

Backend& Registry::load(const std::string& name_or_path) {
  if (name_or_path.empty() || name_or_path[0] != '/') return backend(name_or_path);
  std::lock_guard lock(mutex_);
  for (Backend& b : backends_)
    if (b.file == name_or_path) return b;
  return add(open_plugin(name_or_path, ""), name_or_path);
}

const Backend* Registry::at(int64_t i) {
  std::lock_guard lock(mutex_);
  return i >= 0 && i < int64_t(backends_.size()) ? &backends_[size_t(i)] : nullptr;
}

Device& Registry::process_default() {
  if (Device* d = default_.load(std::memory_order_acquire)) return *d;
  const std::string name = env_text("TINYFIN_BACKEND");
  Backend& b = backend(name.empty() ? "cpu" : name);
  TF_CHECK(b.device_count() > 0, TINYFIN_ERROR_BACKEND, "backend \"", b.table.name,
           "\" has no device on this machine; unset TINYFIN_BACKEND to use the cpu");
  Device& d = b.device(0);
  default_.store(&d, std::memory_order_release);
  return d;
}

void throw_backend_error(tf_status status, const char* function, const Device& device) {
  const std::string text = take_plugin_error();
  fail(status, text.empty() ? concat_text(function, " failed") : text, " (device ", device.name,
       ")");
}

}  // namespace tf
