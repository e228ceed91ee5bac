// Gradients, grad mode, hooks.
// SPDX-License-Identifier: MIT
#include "tinyfin/autograd.h"

#include "autograd/engine.h"
#include "capi/guard.h"

using tf::Borrowed;
using tf::guard;
using tf::out_slot;

extern "C" {

tf_status tf_tensor_set_requires_grad(tf_tensor* tensor, int32_t on) {
  return guard("requires_grad", [&] {
    Borrowed t(tensor, "tensor");
    tf::set_requires_grad(t, on != 0);
  });
}

int32_t tf_tensor_requires_grad(const tf_tensor* t) {
  return t && t->meta && (t->meta->requires_grad || t->meta->node);
}

int32_t tf_tensor_is_leaf(const tf_tensor* t) { return !t || !t->meta || !t->meta->node; }

const char* tf_tensor_op_name(const tf_tensor* t) {
  return t && t->meta && t->meta->node ? t->meta->node->prim.name : "";
}

tf_status tf_tensor_grad(const tf_tensor* tensor, tf_tensor** out) {
  return guard("grad", [&] {
    out_slot(out);
    *out = tf::grad_of(Borrowed(tensor, "tensor")).detach_ref();
  });
}

tf_status tf_tensor_set_grad(tf_tensor* tensor, const tf_tensor* grad) {
  return guard("set_grad", [&] {
    Borrowed t(tensor, "tensor");
    tf::set_grad(t, Borrowed(grad));
  });
}

tf_status tf_tensor_retain_grad(tf_tensor* tensor) {
  return guard("retain_grad", [&] { tf::retain_grad(Borrowed(tensor, "tensor")); });
}

tf_status tf_tensor_detach(const tf_tensor* tensor, tf_tensor** out) {
  return guard("detach", [&] {
    out_slot(out);
    *out = tf::detach(Borrowed(tensor, "tensor")).detach_ref();
  });
}

tf_status tf_backward(const tf_tensor* root, const tf_tensor* grad, int32_t retain_graph,
                      int32_t create_graph) {
  return guard("backward", [&] {
    const Borrowed r(root, "root"), g(grad);
    const tf::Tensor& from = r;
    const tf::Tensor& seed = g;
    tf::backward({&from, 1}, {&seed, size_t(grad ? 1 : 0)}, retain_graph != 0, create_graph != 0);
  });
}

tf_status tf_backward_many(const tf_tensor* const* roots, const tf_tensor* const* grads,
                           int64_t n_roots, int32_t retain_graph, int32_t create_graph) {
  return guard("backward", [&] {
    tf::backward(tf::borrow_list(roots, n_roots, "roots"),
                 grads ? tf::borrow_list(grads, n_roots, "grads", true) : std::vector<tf::Tensor>(),
                 retain_graph != 0, create_graph != 0);
  });
}

tf_status tf_grad(const tf_tensor* const* outputs, const tf_tensor* const* grads, int64_t n_outputs,
                  const tf_tensor* const* inputs, int64_t n_inputs, int32_t retain_graph,
                  int32_t create_graph, int32_t allow_unused, tf_tensor** out) {
  return guard("grad", [&] {
    TF_CHECK(out || n_inputs == 0, TINYFIN_ERROR_ARGUMENT, "received NULL for `out`");
    for (int64_t i = 0; i < n_inputs; ++i) out[i] = nullptr;
    std::vector<tf::Tensor> result = tf::grad(
        tf::borrow_list(outputs, n_outputs, "outputs"), tf::borrow_list(inputs, n_inputs, "inputs"),
        grads ? tf::borrow_list(grads, n_outputs, "grads", true) : std::vector<tf::Tensor>(),
        retain_graph != 0, create_graph != 0, allow_unused != 0);
    for (int64_t i = 0; i < n_inputs; ++i) out[i] = result[size_t(i)].detach_ref();
  });
}

int32_t tf_grad_enabled(void) { return tf::grad_enabled(); }

int32_t tf_set_grad_enabled(int32_t on) {
  const int32_t before = tf::grad_enabled();
  tf::set_grad_enabled(on != 0);
  return before;
}

int32_t tf_retain_graph_default(void) { return tf::retain_graph_default(); }
void tf_set_retain_graph_default(int32_t on) { tf::set_retain_graph_default(on != 0); }

tf_status tf_tensor_add_hook(tf_tensor* tensor, tf_hook_fn hook, void* user,
                             void (*destroy)(void* user), int64_t* out_id) {
  return guard("add_hook", [&] {
    // The list owns `user` as soon as add_hook is entered; before that it is destroyed here.
    struct Owner {
      void* user;
      void (*destroy)(void*);
      ~Owner() {
        if (destroy) destroy(user);
      }
    } owner{user, destroy};
    tf::value_slot(out_id, "out_id");
    const Borrowed t(tensor, "tensor");
    TF_CHECK(hook, TINYFIN_ERROR_ARGUMENT, "received NULL for `hook`; expected a function");
    owner.destroy = nullptr;
    *out_id = tf::add_hook(t, {0, hook, user, destroy});
  });
}

tf_status tf_tensor_remove_hook(tf_tensor* tensor, int64_t id) {
  return guard("remove_hook", [&] { tf::remove_hook(Borrowed(tensor, "tensor"), id); });
}
}
