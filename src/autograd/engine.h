// Backward: gradients of tensors with respect to leaves or to chosen inputs.
// SPDX-License-Identifier: MIT
#pragma once

#include <initializer_list>
#include <span>
#include <vector>

#include "autograd/node.h"
#include "core/local.h"

namespace tf {

// Grad mode of this thread.
inline bool grad_enabled() noexcept { return local().grad_mode; }
inline void set_grad_enabled(bool on) noexcept { local().grad_mode = on; }
class GradMode {  // sets it for a scope
 public:
  explicit GradMode(bool on) : before_(grad_enabled()) { set_grad_enabled(on); }
  ~GradMode() { set_grad_enabled(before_); }
  GradMode(const GradMode&) = delete;
  GradMode& operator=(const GradMode&) = delete;

 private:
  bool before_;
};
struct NoGrad : GradMode {
  NoGrad() : GradMode(false) {}
};

bool retain_graph_default() noexcept;
void set_retain_graph_default(bool on) noexcept;

// Tensors that a call reads: a vector, an array, a braced list.
struct TensorList : std::span<const Tensor> {
  using span::span;
  TensorList(std::initializer_list<Tensor> list) : span(list.begin(), list.size()) {}
};

// Adds d(sum of roots · grads)/d(leaf) to every leaf's gradient. An undefined grad stands for
// 1 and needs a root of one element.
void backward(TensorList roots, TensorList grads, bool retain_graph, bool create_graph);

// The same with respect to `inputs`, returned instead of accumulated; leaves stay untouched. An
// input that does not take part: undefined where allow_unused, else a failure.
std::vector<Tensor> grad(TensorList outputs, TensorList inputs, TensorList grads,
                         bool retain_graph, bool create_graph, bool allow_unused);

AutogradMeta& meta_of(const Tensor& x);  // made if absent
void set_requires_grad(Tensor& x, bool on);
Tensor grad_of(const Tensor& x);  // undefined if none
void set_grad(Tensor& x, const Tensor& grad);
// The same values without history; shares storage.
Tensor detach(const Tensor& x);

int64_t add_hook(const Tensor& x, Hook hook);
void remove_hook(const Tensor& x, int64_t id);
void retain_grad(const Tensor& x);

}  // namespace tf
