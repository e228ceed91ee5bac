// The graph that backward walks: one node per recorded call.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "autograd/primitive.h"

namespace tf {

// A hook sees the gradient of a tensor and may answer with another one (undefined: keep).
struct Hook {
  int64_t id;
  tf_status (*fn)(const tf_tensor* grad, tf_tensor** out_replacement, void* user);
  void* user;
  void (*destroy)(void* user);
  bool retains = false;  // of retain_grad(): only a backward that fills .grad calls it
};
using HookList = std::vector<std::shared_ptr<Hook>>;

// What autograd keeps about a tensor; allocated when first needed.
struct AutogradMeta {
  Tensor grad;
  Ref<Node> node;            // the call that made the tensor; null for a leaf
  int32_t out_nr = 0;        // which of the call's outputs
  bool requires_grad = false;  // asked for, on a leaf
  uint32_t view_version = 0;   // of a view made by an op: its storage's version then
  std::unique_ptr<HookList> hooks;   // of a leaf; those of other tensors are in the node
  std::shared_ptr<Tensor> retained;  // where a hook keeps the gradient of a non-leaf

  static void* operator new(size_t bytes) { return pool_alloc(bytes); }
  static void operator delete(void* memory, size_t bytes) { pool_free(memory, bytes); }
};

// Where the gradient of a node's input goes: on to a node, into a leaf, or nowhere.
struct Edge {
  Ref<Node> node;
  Tensor leaf;
  int32_t out_nr = 0;
  explicit operator bool() const { return node || leaf.defined(); }
};

// A value kept for backward, with the storage's version at that time.
struct SavedTensor {
  Tensor tensor;
  uint32_t version = 0;
};

// A gradient: a tensor, or two factors of which it is the product. A product waits for a rule that
// takes it: one that multiplies it element by element does so while it is computed, without a pass
// of its own.
struct Gradient {
  Tensor value;
  Tensor left, right;  // (…, k) and (k, n), as long as there is no value

  Gradient() = default;
  Gradient(Tensor v) : value(std::move(v)) {}
  Gradient(Tensor a, Tensor b) : left(std::move(a)), right(std::move(b)) {}
  explicit operator bool() const { return value.defined() || waits(); }
  bool waits() const { return left.defined(); }
  Tensor& get();  // computes what waits
};

// True when nobody else sees the tensor or its memory, and the memory is laid out without gaps.
bool may_overwrite(const Tensor& x);

struct OutputInfo {
  Dims shape;
  DType dtype = DType::none;
  Device* device = nullptr;
  Gradient buffer;  // the gradient collected so far, during backward
  std::unique_ptr<HookList> hooks;
};

class Node {
 public:
  static Ref<Node> make(const Primitive& prim, const Attrs& attrs, int n_in, int n_out);

  const Primitive& prim;
  const Attrs attrs;
  uint32_t depth = 0;   // 1 + the greatest depth of the inputs' nodes: consumers lie deeper
  bool freed = false;   // saved values are gone after a backward that did not retain them
  bool queued = false;  // in the engine's heap, during backward
  int n_in, n_out;
  // Inline for the usual call, on the heap for long lists (concat).
  Edge* edges;
  SavedTensor* saved;  // n_in inputs, then n_out outputs; undefined where not saved
  OutputInfo* outputs;

  void free_saved() noexcept;

  void retain() const noexcept { refs_.retain(); }
  // Chains of any length are freed without recursion.
  void release() const noexcept;

 private:
  Node(const Primitive& p, const Attrs& a, int in, int out);
  ~Node();
  RefCount refs_;
  Node* next_dying_ = nullptr;
};

// True when grad mode is on, the primitive is differentiable and an input requires a gradient.
bool wants_grad(const Primitive& prim, Inputs in);
// Bits of the inputs whose values a record of this call keeps for the vjp.
uint32_t inputs_to_save(const Primitive& prim, Inputs in);
// Records `call` as the maker of `out` (prim.n_out tensors).
void record(const Call& call, Tensor* out);

// What a vjp rule sees. Gradients that it sets are reduced to the input's shape (undoing
// broadcasting) and cast to its dtype by the engine: rules need not care.
class Vjp {
 public:
  Vjp(Node& node, Gradient* grad_in, bool retain_graph, bool create_graph)
      : node_(node), grad_in_(grad_in), retain_(retain_graph), create_graph_(create_graph) {}

  // Gradient that arrived at output k; zeros where none did.
  Tensor grad(int k = 0) const;
  bool has_grad(int k) const { return bool(node_.outputs[k].buffer); }
  // The same gradient, which may still wait for its product.
  const Gradient& gradient(int k = 0) const { return node_.outputs[k].buffer; }
  // Saved input or output; fails when it was modified in place since.
  Tensor in(int i) const;
  Tensor out(int k = 0) const;
  // The same for good: where the graph is not retained the node gives its output away, so that the
  // rule may_overwrite() it unless somebody else has it.
  Tensor take_out(int k);
  bool needs(int i) const { return i < node_.n_in && bool(node_.edges[i]); }
  void set(int i, Tensor grad) { grad_in_[i].value = std::move(grad); }
  // The gradient left · right, of the input's shape and dtype. It is computed at once, while left is
  // in the cache, and added to what has arrived; it waits only where the rule takes products.
  void set_product(int i, Tensor left, Tensor right);
  // The sum of what has arrived so far where the gradient of input i goes, if it is row-major and
  // the rule may write to it; else undefined. A rule that takes it sets it with its own part added.
  Tensor take_sum(int i);

  int n_in() const { return node_.n_in; }
  const Attrs& attrs() const { return node_.attrs; }
  int64_t i(int k) const { return node_.attrs.i(k); }
  double f(int k) const { return node_.attrs.f(k); }
  // Shape, dtype and device of an input that needs a gradient or is saved; shape of an output.
  const Dims& in_shape(int i) const;
  DType in_dtype(int i) const;
  Device& in_device(int i) const;
  const Dims& out_shape(int k = 0) const { return node_.outputs[k].shape; }
  // True under create_graph: the rule must use differentiable ops only. (Primitives with a
  // decomposition never see this: the engine differentiates the decomposition instead.)
  bool create_graph() const { return create_graph_; }

 private:
  Node& node_;
  Gradient* grad_in_;
  bool retain_, create_graph_;
};

}  // namespace tf
