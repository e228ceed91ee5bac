// Finding and opening plugin files.
// SPDX-License-Identifier: MIT
#include <dlfcn.h>
#include <unistd.h>

#include "backend/registry.h"
#include "core/env.h"
#include "core/error.h"

#ifndef TINYFIN_BACKEND_DIR
#define TINYFIN_BACKEND_DIR ""
#endif

namespace tf {
namespace {

// The directory of the file that holds this code.
std::string library_directory() {
  Dl_info info;
  if (!dladdr(reinterpret_cast<const void*>(&library_directory), &info) || !info.dli_fname)
    return "";
  const std::string path = info.dli_fname;
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

std::vector<std::string> search_directories() {
  std::vector<std::string> list;
  const std::string path = env_text("TINYFIN_BACKEND_PATH");
  for (size_t begin = 0; begin < path.size();) {
    const size_t end = std::min(path.find(':', begin), path.size());
    // A relative entry would make the result depend on the current directory.
    if (end > begin && path[begin] == '/') list.push_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  const std::string own = library_directory();
  if (!own.empty() && own[0] == '/')
    list.push_back(own + "/tinyfin/backends-" + std::to_string(tf_abi_version()));
  if (*TINYFIN_BACKEND_DIR) list.push_back(TINYFIN_BACKEND_DIR);
  return list;
}

}  // namespace

std::string find_plugin(const std::string& name, std::string& tried) {
  for (const std::string& directory : search_directories()) {
    const std::string path = directory + "/libtinyfin_backend_" + name + ".so";
    if (access(path.c_str(), F_OK) == 0) return path;
    tried += (tried.empty() ? "" : ", ") + path;
  }
  if (tried.empty()) tried = "no directory at all";
  return "";
}

const tf_backend& open_plugin(const std::string& path, const std::string& name) {
  void* file = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!file) {
    const char* why = dlerror();
    fail(TINYFIN_ERROR_BACKEND, "backend file ", path, " does not load: ", why ? why : "");
  }
  const auto init = reinterpret_cast<tf_backend_init_fn>(dlsym(file, "tf_backend_init_v1"));
  TF_CHECK(init, TINYFIN_ERROR_BACKEND, "backend file ", path,
           " lacks the function tf_backend_init_v1; expected a tinyfin backend");
  const tf_backend* table = nullptr;
  const tf_status status = init(&host_api(), &table);
  TF_CHECK(status == TINYFIN_OK, TINYFIN_ERROR_BACKEND, "backend file ", path,
           " does not start: ", take_plugin_error(), " (status ", status, ", ",
           tf_status_name(status), ")");
  TF_CHECK(table, TINYFIN_ERROR_BACKEND, "backend file ", path,
           " answers without a table; expected the address of its tf_backend");
  TF_CHECK(name.empty() || !table->name || name == table->name, TINYFIN_ERROR_BACKEND,
           "backend file ", path, " calls itself \"", table->name, "\"; expected \"", name, "\"");
  return *table;  // never unloaded: kernels may be on their way
}

}  // namespace tf
