// Named tensors and texts in memory.
// SPDX-License-Identifier: MIT
#include "io/checkpoint.h"

#include "core/error.h"

using tf::CheckpointEntry;
using tf::Tensor;

CheckpointEntry& tf_checkpoint::place(const std::string& name) {
  TF_CHECK(!name.empty(), TINYFIN_ERROR_ARGUMENT, "received an empty name; expected a text");
  const auto [at, is_new] = index_.try_emplace(name, entries.size());
  if (is_new) entries.push_back({name, {}, {}});
  return entries[at->second];
}

void tf_checkpoint::add(const std::string& name, const Tensor& tensor) {
  TF_CHECK(!tensor.is_weak(), TINYFIN_ERROR_DTYPE,
           "received a scalar for \"", name, "\"; expected a tensor");
  CheckpointEntry& entry = place(name);
  entry.tensor = tensor;
  entry.text.clear();
}

void tf_checkpoint::add_text(const std::string& name, const std::string& text) {
  CheckpointEntry& entry = place(name);
  entry.tensor = Tensor();
  entry.text = text;
}

const CheckpointEntry* tf_checkpoint::find(const std::string& name) const {
  const auto at = index_.find(name);
  return at == index_.end() ? nullptr : &entries[at->second];
}

const Tensor& tf_checkpoint::tensor(const std::string& name) const {
  const CheckpointEntry* entry = find(name);
  TF_CHECK(entry && entry->tensor.defined(), TINYFIN_ERROR_FORMAT, "received a checkpoint without ",
           "a tensor \"", name, "\"; expected one that was saved from the same kind of object");
  return entry->tensor;
}

const std::string& tf_checkpoint::text(const std::string& name) const {
  const CheckpointEntry* entry = find(name);
  TF_CHECK(entry && !entry->tensor.defined(), TINYFIN_ERROR_FORMAT,
           "received a checkpoint without a text \"", name,
           "\"; expected one that was saved from the same kind of object");
  return entry->text;
}
