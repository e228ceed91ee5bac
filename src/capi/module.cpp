// Modules through the C ABI.
// SPDX-License-Identifier: MIT
#include "tinyfin/module.h"

#include "capi/guard.h"
#include "nn/module.h"

using tf::guard;
using tf::out_slot;

namespace {

template <class Module>
Module& checked(Module* module, const char* argument = "module") {
  TF_CHECK(module, TINYFIN_ERROR_ARGUMENT, "received NULL for `", argument,
           "`; expected a module handle");
  return *module;
}

const char* checked_name(const char* name) {
  TF_CHECK(name, TINYFIN_ERROR_ARGUMENT, "received NULL for `name`; expected a text");
  return name;
}

// {height, width} from the caller, `otherwise` for NULL.
void take_pair(int64_t (&to)[2], const int64_t* from, const int64_t* otherwise) {
  const int64_t* source = from ? from : otherwise;
  to[0] = source[0];
  to[1] = source[1];
}

const int64_t kZeros[2] = {0, 0}, kOnes[2] = {1, 1};

tf::Pool2dOptions pool_options(const int64_t* kernel_size, const int64_t* stride,
                               const int64_t* padding) {
  TF_CHECK(kernel_size, TINYFIN_ERROR_ARGUMENT,
           "received NULL for `kernel_size`; expected {height, width}");
  tf::Pool2dOptions o;
  take_pair(o.kernel_size, kernel_size, nullptr);
  take_pair(o.stride, stride, kernel_size);
  take_pair(o.padding, padding, kZeros);
  return o;
}

// The names are kept per thread: a module does not store the paths of what lies below it.
const char* slot_name(const tf_module* module, int64_t i, bool buffers) noexcept {
  thread_local std::string name;
  const char* out = nullptr;
  guard("module_name", [&] {
    if (!module || i < 0) return;
    const auto slots = tf::named_slots(*module, buffers);
    if (size_t(i) >= slots.size()) return;
    name = slots[size_t(i)].path;
    out = name.c_str();
  });
  return out;
}

tf_tensor* slot_at(const tf_module* module, int64_t i, bool buffers) noexcept {
  tf_tensor* out = nullptr;
  guard("module_at", [&] {
    if (!module || i < 0) return;
    const auto slots = tf::named_slots(*module, buffers);
    if (size_t(i) < slots.size()) out = slots[size_t(i)].slot->tensor.get();
  });
  return out;
}

int64_t slot_count(const tf_module* module, bool buffers) noexcept {
  int64_t n = 0;
  guard("module_count", [&] {
    if (module) n = int64_t(tf::named_slots(*module, buffers).size());
  });
  return n;
}

}  // namespace

extern "C" {

tf_module* tf_module_retain(tf_module* module) {
  if (module) module->retain();
  return module;
}

void tf_module_release(tf_module* module) {
  if (module) module->release();
}

tf_status tf_module_sequential(tf_module* const* children, int64_t n_children, tf_module** out) {
  return guard("module_sequential", [&] {
    out_slot(out);
    TF_CHECK(n_children >= 0 && (children || n_children == 0), TINYFIN_ERROR_ARGUMENT, "received ",
             n_children, " children; expected an array and its length");
    *out = tf::make_sequential({children, children + n_children}).detach_ref();
  });
}

tf_status tf_module_append(tf_module* sequential, tf_module* child) {
  return guard("module_append",
               [&] { tf::append_child(checked(sequential, "sequential"), child); });
}

tf_status tf_module_linear(int64_t in_features, int64_t out_features, int32_t bias,
                           tf_activation activation, tf_module** out) {
  return guard("module_linear", [&] {
    out_slot(out);
    *out = tf::make_linear(in_features, out_features, bias != 0, activation).detach_ref();
  });
}

tf_status tf_module_conv2d(int64_t in_channels, int64_t out_channels, const int64_t* kernel_size,
                           const int64_t* stride, const int64_t* padding, const int64_t* dilation,
                           int64_t groups, int32_t bias, tf_activation activation,
                           tf_module** out) {
  return guard("module_conv2d", [&] {
    out_slot(out);
    TF_CHECK(kernel_size, TINYFIN_ERROR_ARGUMENT,
             "received NULL for `kernel_size`; expected {height, width}");
    tf::Conv2dOptions o{in_channels, out_channels, {}, {}, {}, {}, groups, bias != 0, activation};
    take_pair(o.kernel_size, kernel_size, nullptr);
    take_pair(o.stride, stride, kOnes);
    take_pair(o.padding, padding, kZeros);
    take_pair(o.dilation, dilation, kOnes);
    *out = tf::make_conv2d(o).detach_ref();
  });
}

tf_status tf_module_max_pool2d(const int64_t* kernel_size, const int64_t* stride,
                               const int64_t* padding, tf_module** out) {
  return guard("module_max_pool2d", [&] {
    out_slot(out);
    *out = tf::make_max_pool2d(pool_options(kernel_size, stride, padding)).detach_ref();
  });
}

tf_status tf_module_avg_pool2d(const int64_t* kernel_size, const int64_t* stride,
                               const int64_t* padding, tf_module** out) {
  return guard("module_avg_pool2d", [&] {
    out_slot(out);
    *out = tf::make_avg_pool2d(pool_options(kernel_size, stride, padding)).detach_ref();
  });
}

tf_status tf_module_batch_norm(int64_t num_features, double eps, double momentum, int32_t affine,
                               int32_t track_running_stats, tf_module** out) {
  return guard("module_batch_norm", [&] {
    out_slot(out);
    *out = tf::make_batch_norm(num_features, eps, momentum, affine != 0, track_running_stats != 0)
               .detach_ref();
  });
}

tf_status tf_module_layer_norm(const int64_t* normalized_shape, int64_t n_normalized_shape,
                               double eps, int32_t affine, tf_module** out) {
  return guard("module_layer_norm", [&] {
    out_slot(out);
    const auto size = tf::int_list(normalized_shape, n_normalized_shape, "normalized_shape");
    *out = tf::make_layer_norm(tf::Dims(size.data(), n_normalized_shape), eps, affine != 0)
               .detach_ref();
  });
}

tf_status tf_module_embedding(int64_t num_embeddings, int64_t embedding_dim, tf_module** out) {
  return guard("module_embedding", [&] {
    out_slot(out);
    *out = tf::make_embedding(num_embeddings, embedding_dim).detach_ref();
  });
}

tf_status tf_module_multihead_attention(int64_t embed_dim, int64_t num_heads, int32_t causal,
                                        tf_module** out) {
  return guard("module_multihead_attention", [&] {
    out_slot(out);
    *out = tf::make_multihead_attention(embed_dim, num_heads, causal != 0).detach_ref();
  });
}

tf_status tf_module_lstm(int64_t input_size, int64_t hidden_size, int64_t num_layers, int32_t bias,
                         int32_t batch_first, double dropout, int32_t bidirectional,
                         tf_module** out) {
  return guard("module_lstm", [&] {
    out_slot(out);
    *out = tf::make_recurrent({tf::RecurrentCell::lstm, input_size, hidden_size, num_layers,
                               bias != 0, batch_first != 0, dropout, bidirectional != 0})
               .detach_ref();
  });
}

tf_status tf_module_gru(int64_t input_size, int64_t hidden_size, int64_t num_layers, int32_t bias,
                        int32_t batch_first, double dropout, int32_t bidirectional,
                        tf_module** out) {
  return guard("module_gru", [&] {
    out_slot(out);
    *out = tf::make_recurrent({tf::RecurrentCell::gru, input_size, hidden_size, num_layers,
                               bias != 0, batch_first != 0, dropout, bidirectional != 0})
               .detach_ref();
  });
}

tf_status tf_module_rnn(int64_t input_size, int64_t hidden_size, int64_t num_layers,
                        tf_activation activation, int32_t bias, int32_t batch_first,
                        double dropout, int32_t bidirectional, tf_module** out) {
  return guard("module_rnn", [&] {
    out_slot(out);
    const bool relu = activation == TINYFIN_ACTIVATION_RELU;
    TF_CHECK(relu || activation == TINYFIN_ACTIVATION_TANH, TINYFIN_ERROR_ARGUMENT,
             "received activation ", activation,
             "; expected TINYFIN_ACTIVATION_TANH or TINYFIN_ACTIVATION_RELU");
    *out = tf::make_recurrent({relu ? tf::RecurrentCell::relu : tf::RecurrentCell::tanh, input_size,
                               hidden_size, num_layers, bias != 0, batch_first != 0, dropout,
                               bidirectional != 0})
               .detach_ref();
  });
}

tf_status tf_module_dropout(double p, tf_module** out) {
  return guard("module_dropout", [&] {
    out_slot(out);
    *out = tf::make_dropout(p).detach_ref();
  });
}

tf_status tf_module_activation(tf_activation kind, tf_module** out) {
  return guard("module_activation", [&] {
    out_slot(out);
    *out = tf::make_activation(kind).detach_ref();
  });
}

tf_status tf_module_softmax(int64_t dim, tf_module** out) {
  return guard("module_softmax", [&] {
    out_slot(out);
    *out = tf::make_softmax(dim).detach_ref();
  });
}

tf_status tf_module_flatten(int64_t start_dim, tf_module** out) {
  return guard("module_flatten", [&] {
    out_slot(out);
    *out = tf::make_flatten(start_dim).detach_ref();
  });
}

tf_status tf_module_identity(tf_module** out) {
  return guard("module_identity", [&] {
    out_slot(out);
    *out = tf::make_identity().detach_ref();
  });
}

tf_status tf_module_forward(tf_module* module, const tf_tensor* x, tf_tensor** out) {
  return guard("module_forward", [&] {
    out_slot(out);
    *out = checked(module).forward(tf::Borrowed(x, "x")).detach_ref();
  });
}

tf_status tf_module_set_training(tf_module* module, int32_t on) {
  return guard("module_set_training", [&] { tf::set_training(checked(module), on != 0); });
}

int32_t tf_module_training(const tf_module* module) { return module && module->training; }

tf_status tf_module_zero_grad(tf_module* module, int32_t set_to_none) {
  return guard("module_zero_grad", [&] { tf::zero_grad(checked(module), set_to_none != 0); });
}

tf_status tf_module_to(tf_module* module, tf_dtype dtype, const tf_device* device) {
  return guard("module_to", [&] {
    tf::move_module(checked(module), tf::dtype_from(dtype), const_cast<tf_device*>(device));
  });
}

const char* tf_module_kind(const tf_module* module) { return module ? module->kind() : ""; }

const char* tf_module_option_name(const tf_module* module, int64_t i) {
  if (!module || i < 0 || i >= int64_t(module->options.size())) return nullptr;
  return module->options[size_t(i)].name;
}

tf_status tf_module_option(const tf_module* module, const char* name, double* out, int64_t capacity,
                           int64_t* out_count) {
  return guard("module_option", [&] {
    tf::value_slot(out_count, "out_count");
    TF_CHECK(out && capacity > 0, TINYFIN_ERROR_ARGUMENT,
             "received no place for the values; expected an array and its length");
    const std::string wanted = checked_name(name);
    for (const tf::ModuleOption& o : checked(module).options) {
      if (wanted != o.name) continue;
      for (size_t k = 0; k < o.values.size() && k < size_t(capacity); ++k) out[k] = o.values[k];
      *out_count = int64_t(o.values.size());
      return;
    }
    tf::fail(TINYFIN_ERROR_NAME, "received option \"", wanted, "\", which ", module->kind(),
             " does not have; expected one of tf_module_option_name");
  });
}

int64_t tf_module_child_count(const tf_module* module) {
  return module ? int64_t(module->children.size()) : 0;
}

tf_module* tf_module_child_at(const tf_module* module, int64_t i) {
  if (!module || i < 0 || i >= int64_t(module->children.size())) return nullptr;
  return module->children[size_t(i)].module.get();
}

const char* tf_module_child_name(const tf_module* module, int64_t i) {
  if (!module || i < 0 || i >= int64_t(module->children.size())) return nullptr;
  return module->children[size_t(i)].name.c_str();
}

int64_t tf_module_parameter_count(const tf_module* module) { return slot_count(module, false); }
tf_tensor* tf_module_parameter_at(const tf_module* module, int64_t i) {
  return slot_at(module, i, false);
}
const char* tf_module_parameter_name(const tf_module* module, int64_t i) {
  return slot_name(module, i, false);
}

int64_t tf_module_buffer_count(const tf_module* module) { return slot_count(module, true); }
tf_tensor* tf_module_buffer_at(const tf_module* module, int64_t i) {
  return slot_at(module, i, true);
}
const char* tf_module_buffer_name(const tf_module* module, int64_t i) {
  return slot_name(module, i, true);
}

tf_tensor* tf_module_get(const tf_module* module, const char* name) {
  tf_tensor* out = nullptr;
  guard("module_get", [&] {
    const tf::ModuleSlot* slot = tf::find_slot(checked(module), checked_name(name));
    TF_CHECK(slot, TINYFIN_ERROR_NAME, "received the name \"", name, "\", which ", module->kind(),
             " does not have; expected one of tf_module_parameter_name or tf_module_buffer_name");
    out = slot->tensor.get();
  });
  return out;
}

tf_status tf_module_set(tf_module* module, const char* name, tf_tensor* tensor) {
  return guard("module_set", [&] {
    tf::set_slot(checked(module), checked_name(name), tf::Borrowed(tensor, "tensor"));
  });
}
}
