// Modules one after the other.
// SPDX-License-Identifier: MIT
#include "nn/module.h"

namespace tf {
namespace {

struct Sequential final : tf_module {
  const char* kind() const noexcept override { return "Sequential"; }

  Tensor forward(const Tensor& input) override {
    Tensor x = input;
    const std::span<const ModuleChild> all(children);
    for (size_t i = 0, taken = 0; i < all.size(); i += 1 + taken) {
      const ModuleChild& child = all[i];
      taken = 0;
      try {
        x = child.module->forward_with(x, all.subspan(i + 1), taken);
      } catch (const Error& e) {
        // Says where in the network; nested ones add up to a path from the outside in.
        fail(e.status(), child.name, " (", child.module->kind(), "): ", e.what());
      }
    }
    return x;
  }
};

bool contains(const tf_module& module, const tf_module& wanted) {
  if (&module == &wanted) return true;
  for (const ModuleChild& child : module.children)
    if (contains(*child.module, wanted)) return true;
  return false;
}

}  // namespace

void append_child(tf_module& module, tf_module* child) {
  TF_CHECK(dynamic_cast<Sequential*>(&module), TINYFIN_ERROR_ARGUMENT, "received a ",
           module.kind(), " to append to; expected a Sequential");
  TF_CHECK(child, TINYFIN_ERROR_ARGUMENT, "received NULL for a child; expected a module handle");
  TF_CHECK(!contains(*child, module), TINYFIN_ERROR_ARGUMENT,
           "received a child that contains the module itself; expected one that does not");
  module.children.push_back(
      {std::to_string(module.children.size()), Ref<tf_module>::share(child)});
}

ModuleRef make_sequential(const std::vector<tf_module*>& children) {
  ModuleRef module = ModuleRef::adopt(new Sequential);
  for (tf_module* child : children) append_child(*module, child);
  return module;
}

}  // namespace tf
