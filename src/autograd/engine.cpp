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
#include "ops/op.h"
#include "ops/ops.h"

namespace tf {
namespace {

thread_local bool grad_mode = true;

std::atomic<bool>& retain_default() {
  static std::atomic<bool> on{env_flag("TINYFIN_RETAIN_GRAPH") ||
                              env_flag("TINYFIN_PERSISTENT_TAPE")};
  return on;
}

// Leaves may be shared by graphs of several threads.
std::mutex leaf_mutex;

// Applies hooks in the order they were added; each sees what the one before answered.
Tensor through_hooks(const HookList* hooks, Tensor grad) {
  if (!hooks) return grad;
  const HookList snapshot = *hooks;  // a hook may remove hooks
  for (const std::shared_ptr<Hook>& hook : snapshot) {
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

// True when nobody else sees the tensor or its memory, and the memory is laid out without gaps.
bool may_steal(const Tensor& g) {
  return g.get()->refs.count() == 1 && g.storage().use_count() == 1 &&
         is_dense(g.shape(), g.strides());
}

class Run {
 public:
  Run(bool retain_graph, bool create_graph) : retain_(retain_graph), create_(create_graph) {}

  ~Run() {  // after a failure as well: no gradient stays behind in a node
    for (const Entry& e : heap_) clear(*e.node);
  }

  // Gradients are kept for these instead of being accumulated into leaves. `frontier`: none of
  // them is made from another, so nothing beyond them needs a look.
  void want(const std::vector<Tensor>& inputs, bool frontier) {
    capturing_ = true;
    frontier_ = frontier;
    captured_.resize(inputs.size());
    for (size_t i = 0; i < inputs.size(); ++i) {
      TF_CHECK(inputs[i].requires_grad(), TINYFIN_ERROR_GRAPH, "received input ", i, ", ",
               describe(inputs[i]), ", which does not require a gradient");
      const AutogradMeta& meta = *inputs[i].get()->meta;
      const void* key = meta.node ? static_cast<const void*>(&meta.node->outputs[meta.out_nr])
                                  : inputs[i].get();
      wanted_[key].push_back(i);
    }
  }

  void add_root(const Tensor& root, const Tensor& grad) {
    AutogradMeta& meta = *root.get()->meta;
    Edge edge;
    if (meta.node) {
      edge.node = meta.node;
      edge.out_nr = meta.out_nr;
    } else {
      edge.leaf = root;
    }
    if (capturing_ && edge.node) mark_needed(edge.node.get());
    if (edge.node) roots_.push_back(edge.node);
    send(edge, grad);
  }

  void walk() {
    GradMode mode(create_);
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end());
      Node& node = *heap_.back().node;
      heap_.pop_back();
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

  std::vector<Tensor> take_captured() { return std::move(captured_); }

 private:
  struct Entry {
    uint32_t depth;
    uint64_t order;  // among equals the first come first
    Node* node;      // kept alive by the roots
    bool operator<(const Entry& o) const {
      return depth != o.depth ? depth < o.depth : order > o.order;
    }
  };

  static void clear(Node& node) noexcept {
    node.queued = false;
    for (int k = 0; k < node.n_out; ++k) node.outputs[k].buffer.reset();
  }

  void visit(Node& node) {
    for (int k = 0; k < node.n_out; ++k) {
      OutputInfo& info = node.outputs[k];
      if (!info.buffer.defined()) continue;
      if (info.hooks) info.buffer = through_hooks(info.hooks.get(), std::move(info.buffer));
      if (capturing_) capture(&info, info.buffer);
    }
    if (capturing_ && !needed(node)) return;
    // The usual call has few inputs; concat may have many.
    Tensor few[8];
    std::vector<Tensor> many;
    Tensor* grads = few;
    if (node.n_in > 8) {
      many.resize(size_t(node.n_in));
      grads = many.data();
    }
    Vjp vjp(node, grads, create_);
    if (!node.prim.vjp || (create_ && (node.prim.flags & kFusedVjp)))
      by_decomposition(node, vjp, grads);
    else
      node.prim.vjp(vjp);
    if (!retain_) node.free_saved();
    for (int i = 0; i < node.n_in; ++i) {
      if (!grads[i].defined() || !node.edges[i]) continue;
      const Dims& shape = vjp.in_shape(i);
      if (!(grads[i].shape() == shape)) grads[i] = sum_to(grads[i], shape);
      const DType dtype = vjp.in_dtype(i);
      if (grads[i].dtype() != dtype) grads[i] = cast_to(grads[i], dtype);
      send(node.edges[i], std::move(grads[i]));
    }
  }

  // Runs the primitive again as smaller ops and differentiates those.
  void by_decomposition(Node& node, Vjp& vjp, Tensor* grads) {
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
    for (size_t j = 0; j < which.size(); ++j) grads[which[j]] = std::move(result[j]);
  }

  // Adds a gradient to what an edge leads to.
  void send(const Edge& edge, Tensor grad) {
    if (Node* node = edge.node.get()) {
      if (capturing_ && !needed(*node) && !wanted_.contains(&node->outputs[edge.out_nr])) return;
      accumulate(node->outputs[edge.out_nr].buffer, std::move(grad));
      if (!node->queued) {
        node->queued = true;
        heap_.push_back({node->depth, order_++, node});
        std::push_heap(heap_.begin(), heap_.end());
      }
    } else if (edge.leaf.defined()) {
      if (capturing_ && !wanted_.contains(edge.leaf.get())) return;
      auto [place, is_new] = leaf_index_.try_emplace(edge.leaf.get(), leaves_.size());
      if (is_new) leaves_.emplace_back(edge.leaf, Tensor());
      accumulate(leaves_[place->second].second, std::move(grad));
    }
  }

  void accumulate(Tensor& sum, Tensor grad) {
    if (!sum.defined()) {
      sum = std::move(grad);
    } else if (!create_ && may_steal(sum)) {
      add_(sum, grad);
    } else {
      sum = add(sum, grad);
    }
  }

  void finish_leaves() {
    for (auto& [leaf, sum] : leaves_) {
      AutogradMeta& meta = *leaf.get()->meta;
      sum = through_hooks(meta.hooks.get(), std::move(sum));
      if (capturing_) {
        capture(leaf.get(), sum);
        continue;
      }
      std::lock_guard lock(leaf_mutex);
      if (!meta.grad.defined()) {
        // The first gradient moves in, unless somebody else sees it.
        meta.grad = create_ || may_steal(sum) ? std::move(sum) : clone(sum);
      } else if (create_ || meta.grad.requires_grad()) {
        meta.grad = add(meta.grad, sum);
      } else {
        add_(meta.grad, sum);
      }
    }
  }

  void capture(const void* key, const Tensor& grad) {
    if (const auto it = wanted_.find(key); it != wanted_.end())
      for (size_t i : it->second) captured_[i] = grad;
  }

  bool needed(const Node& node) const {
    const auto it = needed_.find(&node);
    return it != needed_.end() && it->second;
  }

  // Finds the nodes from which a wanted input can be reached, without recursion: in order of
  // depth every producer is settled before its consumers.
  void mark_needed(const Node* root) {
    if (!needed_.try_emplace(root, false).second) return;
    std::vector<const Node*> reached{root};
    for (size_t i = 0; i < reached.size(); ++i) {
      const Node& node = *reached[i];
      for (int k = 0; k < node.n_in; ++k) {
        const Edge& e = node.edges[k];
        if (!e.node || (frontier_ && wanted_.contains(&e.node->outputs[e.out_nr]))) continue;
        if (needed_.try_emplace(e.node.get(), false).second) reached.push_back(e.node.get());
      }
    }
    std::sort(reached.begin(), reached.end(),
              [](const Node* a, const Node* b) { return a->depth < b->depth; });
    for (const Node* node : reached) {
      bool leads = false;
      for (int k = 0; k < node->n_in && !leads; ++k) {
        const Edge& e = node->edges[k];
        if (e.leaf.defined()) leads = wanted_.contains(e.leaf.get());
        if (e.node) leads = wanted_.contains(&e.node->outputs[e.out_nr]) || needed(*e.node);
      }
      needed_[node] = leads;
    }
  }

  const bool retain_, create_;
  bool capturing_ = false, frontier_ = false;
  uint64_t order_ = 0;
  std::vector<Ref<Node>> roots_;  // keep every node of the walk alive
  std::vector<Entry> heap_;
  std::vector<std::pair<Tensor, Tensor>> leaves_;  // leaf, sum of its gradients
  std::unordered_map<const void*, size_t> leaf_index_;
  std::unordered_map<const void*, std::vector<size_t>> wanted_;
  std::unordered_map<const Node*, bool> needed_;
  std::vector<Tensor> captured_;
};

// The gradient a root starts with: the one given, or 1 for a root of one element.
Tensor seed_for(const Tensor& root, const std::vector<Tensor>& grads, size_t i) {
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

void start(Run& run, const std::vector<Tensor>& roots, const std::vector<Tensor>& grads) {
  TF_CHECK(grads.empty() || grads.size() == roots.size(), TINYFIN_ERROR_ARGUMENT, "received ",
           grads.size(), " gradients for ", roots.size(), " tensors; expected one for each");
  for (size_t i = 0; i < roots.size(); ++i) run.add_root(roots[i], seed_for(roots[i], grads, i));
}

}  // namespace

bool grad_enabled() noexcept { return grad_mode; }
void set_grad_enabled(bool on) noexcept { grad_mode = on; }
bool retain_graph_default() noexcept { return retain_default().load(); }
void set_retain_graph_default(bool on) noexcept { retain_default().store(on); }

void backward(const std::vector<Tensor>& roots, const std::vector<Tensor>& grads,
              bool retain_graph, bool create_graph) {
  Run run(retain_graph || create_graph, create_graph);
  start(run, roots, grads);
  run.walk();
}

std::vector<Tensor> grad(const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs,
                         const std::vector<Tensor>& grads, bool retain_graph, bool create_graph,
                         bool allow_unused) {
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
