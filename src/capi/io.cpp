// Checkpoints through the C ABI.
// SPDX-License-Identifier: MIT
#include "tinyfin/io.h"

#include "autograd/engine.h"
#include "capi/guard.h"
#include "io/checkpoint.h"

using tf::guard;
using tf::out_slot;

namespace {

template <class T>
T& checked(T* handle, const char* argument) {
  TF_CHECK(handle, TINYFIN_ERROR_ARGUMENT, "received NULL for `", argument, "`; expected a handle");
  return *handle;
}

const char* checked_text(const char* text, const char* argument) {
  TF_CHECK(text, TINYFIN_ERROR_ARGUMENT, "received NULL for `", argument, "`; expected a text");
  return text;
}

// Names in the files of tf_save_checkpoint.
const char kModule[] = "module.", kOpt[] = "optimizer.", kData[] = "data.", kRng[] = "rng",
           kMetadata[] = "metadata";

}  // namespace

extern "C" {

tf_status tf_save_checkpoint(const char* path, const tf_module* module, const tf_opt* opt,
                             const tf_data* data, const char* metadata) {
  return guard("save_checkpoint", [&] {
    checked_text(path, "path");
    tf_checkpoint c;
    if (module) tf::add_module(c, kModule, *module);
    if (opt) tf::add_opt(c, kOpt, *opt);
    if (data) tf::add_data(c, kData, *data);
    tf::add_rng(c, kRng);
    if (metadata) c.add_text(kMetadata, metadata);
    tf::write_checkpoint(c, path);
  });
}

tf_status tf_load_checkpoint(const char* path, tf_module* module, tf_opt* opt, tf_data* data) {
  return guard("load_checkpoint", [&] {
    const auto c = tf::read_checkpoint(checked_text(path, "path"));
    std::vector<tf::Apply> changes;
    if (module) changes.push_back(tf::prepare_module(*c, kModule, *module, true));
    if (opt) changes.push_back(tf::prepare_opt(*c, kOpt, *opt));
    if (data) changes.push_back(tf::prepare_data(*c, kData, *data));
    changes.push_back(tf::prepare_rng(*c, kRng));
    for (const tf::Apply& apply : changes) apply();
  });
}

tf_status tf_checkpoint_create(tf_checkpoint** out) {
  return guard("checkpoint_create", [&] {
    out_slot(out);
    *out = new tf_checkpoint;
  });
}

tf_status tf_checkpoint_read(const char* path, tf_checkpoint** out) {
  return guard("checkpoint_read", [&] {
    out_slot(out);
    *out = tf::read_checkpoint(checked_text(path, "path")).detach_ref();
  });
}

tf_status tf_checkpoint_write(const tf_checkpoint* checkpoint, const char* path) {
  return guard("checkpoint_write", [&] {
    tf::write_checkpoint(checked(checkpoint, "checkpoint"), checked_text(path, "path"));
  });
}

tf_checkpoint* tf_checkpoint_retain(tf_checkpoint* checkpoint) {
  if (checkpoint) checkpoint->retain();
  return checkpoint;
}

void tf_checkpoint_release(tf_checkpoint* checkpoint) {
  if (checkpoint) checkpoint->release();
}

tf_status tf_checkpoint_add(tf_checkpoint* checkpoint, const char* name, const tf_tensor* tensor) {
  return guard("checkpoint_add", [&] {
    const tf::Borrowed t(tensor, "tensor");
    checked(checkpoint, "checkpoint").add(checked_text(name, "name"), tf::detach(t));
  });
}

tf_status tf_checkpoint_add_text(tf_checkpoint* checkpoint, const char* name, const char* text) {
  return guard("checkpoint_add_text", [&] {
    checked(checkpoint, "checkpoint")
        .add_text(checked_text(name, "name"), checked_text(text, "text"));
  });
}

int64_t tf_checkpoint_count(const tf_checkpoint* checkpoint) {
  return checkpoint ? int64_t(checkpoint->entries.size()) : 0;
}

const char* tf_checkpoint_name_at(const tf_checkpoint* checkpoint, int64_t i) {
  if (i < 0 || i >= tf_checkpoint_count(checkpoint)) return nullptr;
  return checkpoint->entries[size_t(i)].name.c_str();
}

tf_tensor* tf_checkpoint_tensor_at(const tf_checkpoint* checkpoint, int64_t i) {
  if (i < 0 || i >= tf_checkpoint_count(checkpoint)) return nullptr;
  return checkpoint->entries[size_t(i)].tensor.get();
}

const char* tf_checkpoint_text_at(const tf_checkpoint* checkpoint, int64_t i) {
  if (i < 0 || i >= tf_checkpoint_count(checkpoint)) return nullptr;
  const tf::CheckpointEntry& e = checkpoint->entries[size_t(i)];
  return e.tensor.get() ? nullptr : e.text.c_str();
}

tf_tensor* tf_checkpoint_tensor(const tf_checkpoint* checkpoint, const char* name) {
  tf_tensor* out = nullptr;
  guard("checkpoint_tensor",
        [&] { out = checked(checkpoint, "checkpoint").tensor(checked_text(name, "name")).get(); });
  return out;
}

const char* tf_checkpoint_text(const tf_checkpoint* checkpoint, const char* name) {
  const char* out = nullptr;
  guard("checkpoint_text",
        [&] { out = checked(checkpoint, "checkpoint").text(checked_text(name, "name")).c_str(); });
  return out;
}

tf_status tf_checkpoint_add_module(tf_checkpoint* checkpoint, const char* prefix,
                                   const tf_module* module) {
  return guard("checkpoint_add_module", [&] {
    tf::add_module(checked(checkpoint, "checkpoint"), prefix ? prefix : "",
                   checked(module, "module"));
  });
}

tf_status tf_checkpoint_load_module(const tf_checkpoint* checkpoint, const char* prefix,
                                    tf_module* module, int32_t strict) {
  return guard("checkpoint_load_module", [&] {
    tf::prepare_module(checked(checkpoint, "checkpoint"), prefix ? prefix : "",
                       checked(module, "module"), strict != 0)();
  });
}

tf_status tf_checkpoint_add_opt(tf_checkpoint* checkpoint, const char* prefix, const tf_opt* opt) {
  return guard("checkpoint_add_opt", [&] {
    tf::add_opt(checked(checkpoint, "checkpoint"), prefix ? prefix : "", checked(opt, "opt"));
  });
}

tf_status tf_checkpoint_load_opt(const tf_checkpoint* checkpoint, const char* prefix, tf_opt* opt) {
  return guard("checkpoint_load_opt", [&] {
    tf::prepare_opt(checked(checkpoint, "checkpoint"), prefix ? prefix : "", checked(opt, "opt"))();
  });
}
}
