// Named tensors and texts, the file they go into, and what goes in and out of them.
// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/tensor.h"
#include "tinyfin/io.h"

namespace tf {

// A tensor, or a text where the tensor is undefined.
struct CheckpointEntry {
  std::string name;
  Tensor tensor;
  std::string text;
};

}  // namespace tf

// The object behind the public handle.
struct tf_checkpoint {
  void add(const std::string& name, const tf::Tensor& tensor);
  void add_text(const std::string& name, const std::string& text);
  // Null where there is none.
  const tf::CheckpointEntry* find(const std::string& name) const;
  // Fail with FORMAT where there is none.
  const tf::Tensor& tensor(const std::string& name) const;
  const std::string& text(const std::string& name) const;

  void retain() const noexcept { refs.retain(); }
  void release() const noexcept {
    if (refs.release()) delete this;
  }

  tf::RefCount refs;
  std::vector<tf::CheckpointEntry> entries;

 private:
  tf::CheckpointEntry& place(const std::string& name);
  std::unordered_map<std::string, size_t> index_;
};

namespace tf {

using CheckpointRef = Ref<tf_checkpoint>;

// file.cpp: the format.
CheckpointRef read_checkpoint(const char* path);
void write_checkpoint(const tf_checkpoint& checkpoint, const char* path);

// state.cpp: what training consists of. Each load is prepared first: that checks everything and
// takes the memory it needs; running the answer then changes the object and cannot fail.
using Apply = std::function<void()>;
void add_module(tf_checkpoint& c, const std::string& prefix, const tf_module& module);
Apply prepare_module(const tf_checkpoint& c, const std::string& prefix, tf_module& module,
                     bool strict);
void add_opt(tf_checkpoint& c, const std::string& prefix, const tf_opt& opt);
Apply prepare_opt(const tf_checkpoint& c, const std::string& prefix, tf_opt& opt);
void add_data(tf_checkpoint& c, const std::string& prefix, const tf_data& data);
Apply prepare_data(const tf_checkpoint& c, const std::string& prefix, tf_data& data);
void add_rng(tf_checkpoint& c, const std::string& name);
Apply prepare_rng(const tf_checkpoint& c, const std::string& name);

}  // namespace tf
