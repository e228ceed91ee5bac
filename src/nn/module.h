// A layer or network: parameters, buffers and children by name, and forward.
// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "tinyfin/module.h"

namespace tf {

// A parameter or buffer under its own name ("weight").
struct ModuleSlot {
  std::string name;
  Tensor tensor;
  bool buffer;
};

// A constructor argument, for those who print or rebuild the module.
struct ModuleOption {
  const char* name;
  std::vector<double> values;
};

struct Pool2dOptions {
  int64_t kernel_size[2], stride[2], padding[2];
};

struct ModuleChild {
  std::string name;
  Ref<tf_module> module;
};

}  // namespace tf

// The object behind the public handle; each kind of layer derives from it.
struct tf_module {
  virtual const char* kind() const noexcept = 0;
  virtual tf::Tensor forward(const tf::Tensor& x) = 0;
  // forward() of this module and as many of those behind it as one pass can run, with the same
  // bits; their number is added to `taken`.
  virtual tf::Tensor forward_with(const tf::Tensor& x, std::span<const tf::ModuleChild> behind,
                                  size_t& taken) {
    (void)behind, (void)taken;
    return forward(x);
  }
  // What such a pass can take: the function of an activation, the windows of a max pooling.
  virtual tf_activation as_activation() const noexcept { return TINYFIN_ACTIVATION_NONE; }
  virtual const tf::Pool2dOptions* as_max_pool() const noexcept { return nullptr; }

  void retain() const noexcept { refs.retain(); }
  void release() const noexcept {
    if (refs.release()) delete this;
  }

  tf::RefCount refs;
  bool training = true;
  std::vector<tf::ModuleSlot> slots;
  std::vector<tf::ModuleChild> children;
  std::vector<tf::ModuleOption> options;

 protected:
  tf_module() = default;
  virtual ~tf_module() = default;

  // The new slot's number.
  int add_parameter(const char* name, tf::Tensor tensor);
  int add_buffer(const char* name, tf::Tensor tensor);
  const tf::Tensor& slot(int i) const {
    static const tf::Tensor absent;
    return i < 0 ? absent : slots[size_t(i)].tensor;
  }
};

namespace tf {

// A slot with its path from the module that was asked: "0.weight".
struct NamedSlot {
  std::string path;
  ModuleSlot* slot;
};
// Those of the module and everything below it, each tensor once, parents first.
std::vector<NamedSlot> named_slots(const tf_module& module, bool buffers);
std::vector<Tensor> parameters_of(const tf_module& module);
// Null where there is no such name.
ModuleSlot* find_slot(const tf_module& module, const std::string& path);
void set_slot(tf_module& module, const std::string& path, const Tensor& tensor);

void set_training(tf_module& module, bool on);
void zero_grad(tf_module& module, bool set_to_none);
void move_module(tf_module& module, DType dtype, Device* device);
void append_child(tf_module& sequential, tf_module* child);

// Parameters as PyTorch draws them, from the process-wide generator.
Tensor uniform_parameter(const Dims& shape, double bound);
Tensor normal_parameter(const Dims& shape);

// One function per layer family; each in the file of its name.
using ModuleRef = Ref<tf_module>;
ModuleRef make_sequential(const std::vector<tf_module*>& children);
ModuleRef make_linear(int64_t in_features, int64_t out_features, bool bias, tf_activation act);
struct Conv2dOptions {
  int64_t in_channels, out_channels;
  int64_t kernel_size[2], stride[2], padding[2], dilation[2];
  int64_t groups;
  bool bias;
  tf_activation activation;
};
ModuleRef make_conv2d(const Conv2dOptions& options);
ModuleRef make_max_pool2d(const Pool2dOptions& options);
ModuleRef make_avg_pool2d(const Pool2dOptions& options);
ModuleRef make_batch_norm(int64_t num_features, double eps, double momentum, bool affine,
                          bool track_running_stats);
ModuleRef make_layer_norm(const Dims& normalized_shape, double eps, bool affine);
ModuleRef make_embedding(int64_t num_embeddings, int64_t embedding_dim);
ModuleRef make_multihead_attention(int64_t embed_dim, int64_t num_heads, bool causal);
enum class RecurrentCell { tanh, relu, lstm, gru };
struct RecurrentOptions {
  RecurrentCell cell;
  int64_t input_size, hidden_size, num_layers;
  bool bias, batch_first;
  double dropout;
  bool bidirectional;
};
ModuleRef make_recurrent(const RecurrentOptions& options);
ModuleRef make_dropout(double p);
ModuleRef make_activation(tf_activation kind);
ModuleRef make_softmax(int64_t dim);
ModuleRef make_flatten(int64_t start_dim);
ModuleRef make_identity();

void check_activation(tf_activation kind);

}  // namespace tf
