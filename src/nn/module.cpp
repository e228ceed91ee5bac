// What all modules share: names, walking, moving, training mode.
// SPDX-License-Identifier: MIT
#include "nn/module.h"

#include <unordered_set>

#include "autograd/engine.h"
#include "ops/ops.h"

int tf_module::add_parameter(const char* name, tf::Tensor tensor) {
  tf::set_requires_grad(tensor, true);
  slots.push_back({name, std::move(tensor), false});
  return int(slots.size()) - 1;
}

int tf_module::add_buffer(const char* name, tf::Tensor tensor) {
  slots.push_back({name, std::move(tensor), true});
  return int(slots.size()) - 1;
}

namespace tf {
namespace {

// visit(module, path prefix), parents first. Modules form no cycles (append_child), and each is
// visited once however often it occurs.
template <class Visit>
void walk(const tf_module& module, const Visit& visit) {
  std::unordered_set<const tf_module*> seen;
  const auto go = [&](const auto& self, const tf_module& m, const std::string& prefix) -> void {
    if (!seen.insert(&m).second) return;
    visit(const_cast<tf_module&>(m), prefix);
    for (const ModuleChild& child : m.children)
      self(self, *child.module, prefix + child.name + ".");
  };
  go(go, module, "");
}

// Gives `x` the memory, dtype and layout of `y`, and keeps the object: handles stay valid.
void replace_data(Tensor& x, const Tensor& y) {
  TensorImpl& to = *x.get();
  const TensorImpl& from = *y.get();
  to.dtype = from.dtype;
  to.strides = from.strides;
  to.offset = from.offset;
  to.storage = from.storage;
}

}  // namespace

std::vector<NamedSlot> named_slots(const tf_module& module, bool buffers) {
  std::vector<NamedSlot> list;
  std::unordered_set<const TensorImpl*> seen;
  walk(module, [&](tf_module& m, const std::string& prefix) {
    for (ModuleSlot& s : m.slots)
      if (s.buffer == buffers && seen.insert(s.tensor.get()).second)
        list.push_back({prefix + s.name, &s});
  });
  return list;
}

std::vector<Tensor> parameters_of(const tf_module& module) {
  std::vector<Tensor> list;
  for (const NamedSlot& s : named_slots(module, false)) list.push_back(s.slot->tensor);
  return list;
}

ModuleSlot* find_slot(const tf_module& module, const std::string& path) {
  const tf_module* m = &module;
  size_t begin = 0;
  for (size_t dot; (dot = path.find('.', begin)) != std::string::npos; begin = dot + 1) {
    const tf_module* next = nullptr;
    for (const ModuleChild& child : m->children)
      if (path.compare(begin, dot - begin, child.name) == 0) next = child.module.get();
    if (!next) return nullptr;
    m = next;
  }
  for (const ModuleSlot& s : m->slots)
    if (path.compare(begin, std::string::npos, s.name) == 0) return const_cast<ModuleSlot*>(&s);
  return nullptr;
}

void set_slot(tf_module& module, const std::string& path, const Tensor& tensor) {
  ModuleSlot* slot = find_slot(module, path);
  TF_CHECK(slot, TINYFIN_ERROR_NAME, "received the name \"", path, "\", which ", module.kind(),
           " does not have; expected one of tf_module_parameter_name or tf_module_buffer_name");
  TF_CHECK(tensor.shape() == slot->tensor.shape(), TINYFIN_ERROR_SHAPE, "received ",
           describe(tensor), " for \"", path, "\"; expected shape ",
           to_string(slot->tensor.shape()));
  TF_CHECK(is_float(tensor.dtype()) == is_float(slot->tensor.dtype()) && !tensor.is_weak(),
           TINYFIN_ERROR_DTYPE, "received ", describe(tensor), " for \"", path, "\", which is ",
           name_of(slot->tensor.dtype()), "; expected a dtype of the same kind");
  slot->tensor = tensor;
}

void set_training(tf_module& module, bool on) {
  walk(module, [&](tf_module& m, const std::string&) { m.training = on; });
}

void zero_grad(tf_module& module, bool set_to_none) {
  const NoGrad no_grad;
  for (const NamedSlot& s : named_slots(module, false)) {
    if (!grad_of(s.slot->tensor).defined()) continue;
    set_grad(s.slot->tensor, set_to_none ? Tensor() : zeros_like(s.slot->tensor));
  }
}

void move_module(tf_module& module, DType dtype, Device* device) {
  TF_CHECK(dtype == DType::none || is_float(dtype), TINYFIN_ERROR_DTYPE, "received ",
           name_of(dtype), "; expected a float dtype for a module");
  const NoGrad no_grad;
  const auto converted = [&](const Tensor& x) {
    const Tensor cast =
        dtype != DType::none && is_float(x.dtype()) ? cast_to(x, dtype) : x;
    return device ? to_device(cast, device) : cast;
  };
  struct Change {
    Tensor tensor, data, grad;
  };
  std::vector<Change> changes;  // all made before the first is applied
  for (const bool buffers : {false, true})
    for (const NamedSlot& s : named_slots(module, buffers)) {
      Tensor& t = s.slot->tensor;
      const Tensor grad = grad_of(t);
      changes.push_back({t, converted(t), grad.defined() ? converted(grad) : grad});
    }
  for (Change& c : changes) {
    if (c.data == c.tensor) continue;
    if (c.grad.defined()) set_grad(c.tensor, Tensor());
    replace_data(c.tensor, c.data);
    if (c.grad.defined()) set_grad(c.tensor, c.grad);
  }
}

}  // namespace tf
