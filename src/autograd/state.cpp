// What a tensor carries for autograd: requires_grad, .grad, hooks.
// SPDX-License-Identifier: MIT
#include <atomic>

#include "autograd/engine.h"
#include "ops/ops.h"

namespace tf {

AutogradMeta& meta_of(const Tensor& x) {
  if (!x.get()->meta) x.get()->meta = new AutogradMeta;
  return *x.get()->meta;
}

void set_requires_grad(Tensor& x, bool on) {
  TF_CHECK(!on || is_float(x.dtype()), TINYFIN_ERROR_DTYPE, "received ", describe(x),
           "; expected a float tensor: only those have gradients");
  TF_CHECK(x.is_leaf(), TINYFIN_ERROR_GRAPH,
           "received a tensor that an op made; expected a leaf; detach() makes one");
  if (on || x.get()->meta) meta_of(x).requires_grad = on;
}

Tensor grad_of(const Tensor& x) {
  const AutogradMeta* meta = x.get()->meta;
  if (!meta) return Tensor();
  return meta->retained ? *meta->retained : meta->grad;
}

void set_grad(Tensor& x, const Tensor& grad) {
  if (grad.defined()) {
    TF_CHECK(grad.shape() == x.shape() && grad.dtype() == x.dtype(), TINYFIN_ERROR_SHAPE,
             "received a gradient ", describe(grad), " for ", describe(x),
             "; expected the same shape and dtype");
    TF_CHECK(&grad.device() == &x.device(), TINYFIN_ERROR_DEVICE, "received a gradient on ",
             grad.device().name, " for a tensor on ", x.device().name);
  }
  if (!grad.defined() && !x.get()->meta) return;
  AutogradMeta& meta = meta_of(x);
  if (meta.retained) *meta.retained = grad;
  meta.grad = grad;
}

Tensor detach(const Tensor& x) {
  Tensor out = alias(x);
  out.get()->weak = x.is_weak();
  return out;
}

namespace {

std::unique_ptr<HookList>& hook_list(const Tensor& x) {
  TF_CHECK(x.requires_grad(), TINYFIN_ERROR_GRAPH, "received ", describe(x),
           ", which does not require a gradient; expected one that does");
  AutogradMeta& meta = meta_of(x);
  return meta.node ? meta.node->outputs[meta.out_nr].hooks : meta.hooks;
}

}  // namespace

int64_t add_hook(const Tensor& x, Hook hook) {
  static std::atomic<int64_t> next{1};
  // Destroys the user's data with the last reference, and at once when this function fails.
  const std::shared_ptr<Hook> shared(new Hook(hook), [](Hook* h) {
    if (h->destroy) h->destroy(h->user);
    delete h;
  });
  shared->id = next.fetch_add(1);
  std::unique_ptr<HookList>& list = hook_list(x);
  if (!list) list = std::make_unique<HookList>();
  list->push_back(shared);
  return shared->id;
}

void remove_hook(const Tensor& x, int64_t id) {
  if (!x.requires_grad()) return;
  if (std::unique_ptr<HookList>& list = hook_list(x))
    std::erase_if(*list, [&](const std::shared_ptr<Hook>& hook) { return hook->id == id; });
}

void retain_grad(const Tensor& x) {
  TF_CHECK(x.requires_grad(), TINYFIN_ERROR_GRAPH, "received ", describe(x),
           ", which does not require a gradient; expected one that does");
  AutogradMeta& meta = meta_of(x);
  if (!meta.node || meta.retained) return;
  meta.retained = std::make_shared<Tensor>();
  // The tensor may go before the graph does: the hook and the tensor share the place.
  using Place = std::shared_ptr<Tensor>;
  add_hook(x, {0,
               [](const tf_tensor* grad, tf_tensor** replacement, void* user) -> tf_status {
                 Tensor& place = **static_cast<Place*>(user);
                 const Tensor g = Tensor::share(grad);
                 place = place.defined() ? add(place, g) : g;
                 *replacement = nullptr;
                 return TINYFIN_OK;
               },
               new Place(meta.retained), [](void* user) { delete static_cast<Place*>(user); },
               /*retains=*/true});
}

}  // namespace tf
