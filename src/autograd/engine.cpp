// The walk from roots to leaves. A node lies deeper than all that it was made from, so taking
// nodes by decreasing depth visits every consumer before its producers: no count of
// dependencies, no recursion, any length of chain.
// SPDX-License-Identifier: MIT
#include "autograd/engine.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <unordered_map>

#include "core/env.h"
#include "core/small_array.h"
#include "ops/op.h"
#include "ops/ops.h"
#include "ops/product.h"

namespace tf {
namespace {

std::atomic<bool>& retain_default() {
  static std::atomic<bool> on{env_flag("TINYFIN_RETAIN_GRAPH") ||
                              env_flag("TINYFIN_PERSISTENT_TAPE")};
  return on;
}

// Leaves may be shared by graphs of several threads.
std::mutex leaf_mutex;

// Applies hooks in the order they were added; each sees what the one before answered. `filling`:
// this backward fills .grad, so those of retain_grad() take part.
Tensor through_hooks(const HookList* hooks, Tensor grad, bool filling) {
  if (!hooks) return grad;
  const HookList snapshot = *hooks;  // a hook may remove hooks
  for (const std::shared_ptr<Hook>& hook : snapshot) {
    if (hook->retains && !filling) continue;
    tf_tensor* replacement = nullptr;
    const tf_status status = hook->fn(grad.get(), &replacement, hook->user);
    Tensor answer = Tensor::adopt(replacement);
    if (status != TINYFIN_OK)
      throw Error(status, concat_text("a gradient hook failed with status ", status));
    if (!answer.defined()) continue;
    TF_CHECK(answer.shape() == grad.shape(), TINYFIN_ERROR_SHAPE,
             "a gradient hook answered with shape ", to_string(answer.shape()), "; expected ",
             to_string(grad.shape()));
    grad = std::move(answer);
  }
  return grad;
}

struct Entry {
  uint32_t depth;
  uint64_t order;  // among equals the first come first
  Node* node;      // kept alive by the roots
  bool operator<(const Entry& o) const {
    return depth != o.depth ? depth < o.depth : order > o.order;
  }
};

// Leaves and the sums of their gradients, in the order in which they were met.
class Leaves {
 public:
  struct Item {
    Tensor leaf;
    Gradient sum;
  };

  Gradient& sum_of(const Tensor& leaf) {
    if (2 * (items.size() + 1) > places_.size()) grow();
    uint32_t& place = places_[find(leaf.get())];
    if (place == 0) {
      items.push_back({leaf, Gradient()});
      place = uint32_t(items.size());
    }
    return items[place - 1].sum;
  }

  void clear() {
    if (items.empty()) return;
    items.clear();
    std::fill(places_.begin(), places_.end(), 0);
  }

  std::vector<Item> items;

 private:
  // The place of a leaf in the table, or the free one where it belongs (open addressing).
  size_t find(const TensorImpl* leaf) const {
    const size_t mask = places_.size() - 1;
    size_t at = (reinterpret_cast<uintptr_t>(leaf) * 0x9E3779B97F4A7C15u) >> 32 & mask;
    while (places_[at] != 0 && items[places_[at] - 1].leaf.get() != leaf) at = (at + 1) & mask;
    return at;
  }

  void grow() {
    places_.assign(std::max<size_t>(16, 2 * places_.size()), 0);
    for (size_t i = 0; i < items.size(); ++i)
      places_[find(items[i].leaf.get())] = uint32_t(i + 1);
  }

  std::vector<uint32_t> places_;  // 1 + the number of an item; 0: free
};

// The lists of a walk. A thread keeps them from one backward to the next: no allocation.
struct Lists {
  std::vector<Ref<Node>> roots;  // keep every node of the walk alive
  std::vector<Entry> heap;
  Leaves leaves;
};

class BorrowedLists {
 public:
  BorrowedLists() : lists_(std::move(spare)) {
    if (!lists_) lists_ = std::make_unique<Lists>();
  }
  ~BorrowedLists() {
    lists_->heap.clear();
    lists_->leaves.clear();
    lists_->roots.clear();
    spare = std::move(lists_);
  }
  Lists* operator->() const { return lists_.get(); }

 private:
  static thread_local std::unique_ptr<Lists> spare;
  std::unique_ptr<Lists> lists_;
};
thread_local std::unique_ptr<Lists> BorrowedLists::spare;

// What a walk for chosen inputs is after.
struct Capture {
  std::unordered_map<const void*, std::vector<size_t>> wanted;
  std::unordered_map<const Node*, bool> needed;
  std::vector<Tensor> captured;
  bool frontier = false;

  bool wants(const void* key) const { return wanted.contains(key); }
  bool needs(const Node& node) const {
    const auto it = needed.find(&node);
    return it != needed.end() && it->second;
  }
  void take(const void* key, const Tensor& grad) {
    if (const auto it = wanted.find(key); it != wanted.end())
      for (size_t i : it->second) captured[i] = grad;
  }
};

class Run {
 public:
  Run(bool retain_graph, bool create_graph) : retain_(retain_graph), create_(create_graph) {}

  ~Run() {  // after a failure as well: no gradient stays behind in a node
    for (const Entry& e : lists_->heap) clear(*e.node);
  }

  // Gradients are kept for these instead of being accumulated into leaves. `frontier`: none of
  // them is made from another, so nothing beyond them needs a look.
  void want(TensorList inputs, bool frontier) {
    capture_ = std::make_unique<Capture>();
    capture_->frontier = frontier;
    capture_->captured.resize(inputs.size());
    for (size_t i = 0; i < inputs.size(); ++i) {
      TF_CHECK(inputs[i].requires_grad(), TINYFIN_ERROR_GRAPH, "received input ", i, ", ",
               describe(inputs[i]), ", which does not require a gradient");
      const AutogradMeta& meta = *inputs[i].get()->meta;
      const void* key = meta.node ? static_cast<const void*>(&meta.node->outputs[meta.out_nr])
                                  : inputs[i].get();
      capture_->wanted[key].push_back(i);
    }
  }

  void add_root(const Tensor& root, Tensor grad) {
    const AutogradMeta& meta = *root.get()->meta;
    if (!meta.node) return send_to_leaf(root, std::move(grad));
    if (capture_) mark_needed(meta.node.get());
    lists_->roots.push_back(meta.node);
    send_to_node(*meta.node, meta.out_nr, std::move(grad));
  }

  void walk() {
    GradMode mode(create_);
    std::vector<Entry>& heap = lists_->heap;
    while (!heap.empty()) {
      std::pop_heap(heap.begin(), heap.end());
      Node& node = *heap.back().node;
      heap.pop_back();
      node.queued = false;
      try {
        visit(node);
      } catch (...) {
        clear(node);
        throw;
      }
      clear(node);
    }
    finish_leaves();
  }

  std::vector<Tensor> take_captured() { return std::move(capture_->captured); }

 private:
  static void clear(Node& node) noexcept {
    node.queued = false;
    for (int k = 0; k < node.n_out; ++k) node.outputs[k].buffer = Gradient();
  }

  void visit(Node& node) {
    for (int k = 0; k < node.n_out; ++k) {
      OutputInfo& info = node.outputs[k];
      if (!info.buffer) continue;
      if (info.hooks) {
        compute_waiting(node);
        Tensor& grad = info.buffer.get();
        grad = through_hooks(info.hooks.get(), std::move(grad), !capture_);
      }
      if (capture_ && capture_->wants(&info)) capture_->take(&info, info.buffer.get());
    }
    if (capture_ && !capture_->needs(node)) return;
    SmallArray<Gradient> grads(node.n_in);
    Vjp vjp(node, grads.data(), retain_, create_);
    if (!node.prim.vjp || (create_ && (node.prim.flags & kFusedVjp)))
      by_decomposition(node, vjp, grads.data());
    else
      node.prim.vjp(vjp);
    if (!retain_) node.free_saved();
    for (int i = 0; i < node.n_in; ++i) {
      if (!grads[i] || !node.edges[i]) continue;
      if (Tensor& grad = grads[i].value; grad.defined()) {
        const Dims& shape = vjp.in_shape(i);
        if (!(grad.shape() == shape)) grad = sum_to(grad, shape);
        const DType dtype = vjp.in_dtype(i);
        if (grad.dtype() != dtype) grad = cast_to(grad, dtype);
      }
      send(node.edges[i], std::move(grads[i]));
    }
  }

  // A hook may modify what a product that waits is made of.
  void compute_waiting(Node& node) {
    for (int k = 0; k < node.n_out; ++k) node.outputs[k].buffer.get();
    for (const Entry& e : lists_->heap)
      for (int k = 0; k < e.node->n_out; ++k) e.node->outputs[k].buffer.get();
  }

  // Runs the primitive again as smaller ops and differentiates those.
  void by_decomposition(Node& node, Vjp& vjp, Gradient* grads) {
    std::vector<Tensor> in(size_t(node.n_in)), wanted, out(size_t(node.n_out)), roots, seeds;
    std::vector<const Tensor*> list(size_t(node.n_in));
    std::vector<int> which;
    {
      GradMode on(true);
      for (int i = 0; i < node.n_in; ++i) {
        list[size_t(i)] = &in[size_t(i)];
        if (!node.saved[i].tensor.defined() && !vjp.needs(i)) continue;
        const Tensor value = vjp.in(i);
        if (!vjp.needs(i)) {
          in[size_t(i)] = detach(value);
          continue;
        }
        // A tensor of its own per argument: f(x, x) has two gradients here.
        if (create_) {
          in[size_t(i)] = identity(value);
        } else {
          in[size_t(i)] = detach(value);
          set_requires_grad(in[size_t(i)], true);
        }
        wanted.push_back(in[size_t(i)]);
        which.push_back(i);
      }
      node.prim.decompose({node.prim, Inputs(list.data(), node.n_in), node.attrs}, out.data());
    }
    for (int k = 0; k < node.n_out; ++k) {
      if (!vjp.has_grad(k) || !out[size_t(k)].requires_grad()) continue;
      roots.push_back(out[size_t(k)]);
      seeds.push_back(vjp.grad(k));
    }
    if (roots.empty()) return;
    Run inner(create_, create_);
    inner.want(wanted, /*frontier=*/true);
    for (size_t k = 0; k < roots.size(); ++k) inner.add_root(roots[k], seeds[k]);
    inner.walk();
    std::vector<Tensor> result = inner.take_captured();
    for (size_t j = 0; j < which.size(); ++j) grads[which[j]].value = std::move(result[j]);
  }

  // Adds a gradient to what an edge leads to.
  void send(const Edge& edge, Gradient grad) {
    if (edge.node)
      send_to_node(*edge.node, edge.out_nr, std::move(grad));
    else if (edge.leaf.defined())
      send_to_leaf(edge.leaf, std::move(grad));
  }

  void send_to_node(Node& node, int32_t out_nr, Gradient grad) {
    if (capture_ && !capture_->needs(node) && !capture_->wants(&node.outputs[out_nr])) return;
    accumulate(node.outputs[out_nr].buffer, std::move(grad));
    if (node.queued) return;
    node.queued = true;
    lists_->heap.push_back({node.depth, order_++, &node});
    std::push_heap(lists_->heap.begin(), lists_->heap.end());
  }

  void send_to_leaf(const Tensor& leaf, Gradient grad) {
    if (capture_ && !capture_->wants(leaf.get())) return;
    Gradient& sum = lists_->leaves.sum_of(leaf);
    accumulate(sum, std::move(grad));
    sum.get();
  }

  void accumulate(Gradient& sum, Gradient grad) {
    if (!sum) {
      sum = std::move(grad);
      return;
    }
    if (sum.waits() && !grad.waits()) std::swap(sum, grad);  // a product is added to the other
    Tensor& total = sum.get();
    if (create_ || !may_overwrite(total)) {
      total = add(total, grad.get());
    } else if (grad.waits() && total.is_contiguous()) {
      add_product_(total, grad.left, grad.right);
    } else {
      add_(total, grad.get());
    }
  }

  void finish_leaves() {
    std::vector<Leaves::Item>& items = lists_->leaves.items;
    for (auto& [leaf, gradient] : items) {
      Tensor& sum = gradient.value;
      const HookList* hooks = leaf.get()->meta->hooks.get();
      if (hooks) sum = through_hooks(hooks, std::move(sum), !capture_);
      if (capture_) capture_->take(leaf.get(), sum);
    }
    if (capture_) return;
    std::lock_guard lock(leaf_mutex);
    for (auto& [leaf, gradient] : items) {
      Tensor& sum = gradient.value;
      Tensor& grad = leaf.get()->meta->grad;
      if (!grad.defined()) {
        // The first gradient moves in, unless somebody else sees it.
        grad = create_ || may_overwrite(sum) ? std::move(sum) : clone(sum);
      } else if (create_ || grad.requires_grad()) {
        grad = add(grad, sum);
      } else {
        add_(grad, sum);
      }
    }
  }

  // Finds the nodes from which a wanted input can be reached, without recursion: in order of
  // depth every producer is settled before its consumers.
  void mark_needed(const Node* root) {
    std::unordered_map<const Node*, bool>& needed = capture_->needed;
    if (!needed.try_emplace(root, false).second) return;
    std::vector<const Node*> reached{root};
    for (size_t i = 0; i < reached.size(); ++i) {
      const Node& node = *reached[i];
      for (int k = 0; k < node.n_in; ++k) {
        const Edge& e = node.edges[k];
        if (!e.node || (capture_->frontier && capture_->wants(&e.node->outputs[e.out_nr]))) continue;
        if (needed.try_emplace(e.node.get(), false).second) reached.push_back(e.node.get());
      }
    }
    std::sort(reached.begin(), reached.end(),
              [](const Node* a, const Node* b) { return a->depth < b->depth; });
    for (const Node* node : reached) {
      bool leads = false;
      for (int k = 0; k < node->n_in && !leads; ++k) {
        const Edge& e = node->edges[k];
        if (e.leaf.defined()) leads = capture_->wants(e.leaf.get());
        if (e.node) leads = capture_->wants(&e.node->outputs[e.out_nr]) || capture_->needs(*e.node);
      }
      needed[node] = leads;
    }
  }

  const bool retain_, create_;
  uint64_t order_ = 0;
  BorrowedLists lists_;
  std::unique_ptr<Capture> capture_;  // null: gradients go into leaves
};

// The gradient a root starts with: the one given, or 1 for a root of one element.
Tensor seed_for(const Tensor& root, TensorList grads, size_t i) {
  TF_CHECK(root.defined() && root.requires_grad(), TINYFIN_ERROR_GRAPH,
           "received a tensor that does not require a gradient and was not made from one that "
           "does; set requires_grad on an input, and check that no_grad is off");
  if (i < grads.size() && grads[i].defined()) {
    TF_CHECK(grads[i].shape() == root.shape(), TINYFIN_ERROR_SHAPE, "received a gradient of shape ",
             to_string(grads[i].shape()), "; expected ", to_string(root.shape()),
             ", the shape of the tensor");
    return cast_to(materialize(grads[i], root.dtype(), root.device()), root.dtype());
  }
  TF_CHECK(root.numel() == 1, TINYFIN_ERROR_GRAPH, "received a tensor of shape ",
           to_string(root.shape()),
           " without a gradient to start from; expected one element, or a gradient");
  return ones(IntList(root.shape().data(), size_t(root.ndim())), root.dtype(), &root.device());
}

void start(Run& run, TensorList roots, TensorList grads) {
  TF_CHECK(grads.empty() || grads.size() == roots.size(), TINYFIN_ERROR_ARGUMENT, "received ",
           grads.size(), " gradients for ", roots.size(), " tensors; expected one for each");
  for (size_t i = 0; i < roots.size(); ++i) run.add_root(roots[i], seed_for(roots[i], grads, i));
}

}  // namespace

bool retain_graph_default() noexcept { return retain_default().load(); }
void set_retain_graph_default(bool on) noexcept { retain_default().store(on); }

void backward(TensorList roots, TensorList grads, bool retain_graph, bool create_graph) {
  Run run(retain_graph || create_graph, create_graph);
  start(run, roots, grads);
  run.walk();
}

std::vector<Tensor> grad(TensorList outputs, TensorList inputs, TensorList grads,
                         bool retain_graph, bool create_graph, bool allow_unused) {
  Run run(retain_graph || create_graph, create_graph);
  run.want(inputs, /*frontier=*/false);
  start(run, outputs, grads);
  run.walk();
  std::vector<Tensor> result = run.take_captured();
  for (size_t i = 0; i < result.size(); ++i)
    TF_CHECK(allow_unused || result[i].defined(), TINYFIN_ERROR_GRAPH, "input ", i, ", ",
             describe(inputs[i]),
             ", does not take part in the outputs; pass allow_unused=true to get no gradient");
  return result;
}

}  // namespace tf
