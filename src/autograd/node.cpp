// Recording calls and freeing graphs.
// SPDX-License-Identifier: MIT
#include "autograd/node.h"

#include <algorithm>
#include <new>

#include "autograd/engine.h"
#include "ops/ops.h"
#include "ops/product.h"

namespace tf {
namespace {

size_t bytes_of(int n_in, int n_out) {
  return sizeof(Node) + size_t(n_in) * sizeof(Edge) +
         size_t(n_in + n_out) * sizeof(SavedTensor) + size_t(n_out) * sizeof(OutputInfo);
}

template <class T>
T* construct(std::byte*& place, int n) {
  T* first = reinterpret_cast<T*>(place);
  for (int i = 0; i < n; ++i) new (first + i) T;
  place += size_t(n) * sizeof(T);
  return first;
}

}  // namespace

Ref<Node> Node::make(const Primitive& prim, const Attrs& attrs, int n_in, int n_out) {
  return Ref<Node>::adopt(new (pool_alloc(bytes_of(n_in, n_out))) Node(prim, attrs, n_in, n_out));
}

Node::Node(const Primitive& p, const Attrs& a, int in, int out)
    : prim(p), attrs(a), n_in(in), n_out(out) {
  std::byte* place = reinterpret_cast<std::byte*>(this + 1);
  edges = construct<Edge>(place, in);
  saved = construct<SavedTensor>(place, in + out);
  outputs = construct<OutputInfo>(place, out);
}

Node::~Node() {
  std::destroy_n(outputs, n_out);
  std::destroy_n(saved, n_in + n_out);
  std::destroy_n(edges, n_in);
}

void Node::free_saved() noexcept {
  for (int i = 0; i < n_in + n_out; ++i) saved[i].tensor.reset();
  freed = true;
}

void Node::release() const noexcept {
  if (!refs_.release()) return;
  ThreadLocal& own = local();
  Node* self = const_cast<Node*>(this);
  self->next_dying_ = own.dying;
  own.dying = self;
  if (own.draining) return;  // the loop below, further up the stack, comes to it
  own.draining = true;
  while (Node* node = own.dying) {
    own.dying = node->next_dying_;
    const size_t bytes = bytes_of(node->n_in, node->n_out);
    node->~Node();
    pool_free(node, bytes);
  }
  own.draining = false;
}

bool wants_grad(const Primitive& prim, Inputs in) {
  if (!grad_enabled() || !(prim.vjp || prim.decompose)) return false;
  for (int i = 0; i < in.n; ++i)
    if (in[i].defined() && in[i].requires_grad()) return true;
  return false;
}

namespace {

// The place a gradient of `x` goes to. A view whose storage was modified in place after the
// view was made has a history that no longer tells how its values came about.
Edge edge_to(const Tensor& x, const char* consumer) {
  Edge edge;
  if (!x.requires_grad() || !is_float(x.dtype())) return edge;
  const AutogradMeta& meta = *x.get()->meta;
  if (!meta.node) {
    edge.leaf = x;
    return edge;
  }
  TF_CHECK(!x.get()->is_view || meta.view_version == x.version(), TINYFIN_ERROR_GRAPH,
           "received a view (", meta.node->prim.name, ") whose tensor was modified in place ",
           "after the view was made, so `", consumer,
           "` cannot be differentiated; make the view again after the modification");
  edge.node = meta.node;
  edge.out_nr = meta.out_nr;
  return edge;
}

// A tensor of x's shape that holds one element.
Tensor shape_only(const Tensor& x) {
  return alias(empty(Dims{}, x.dtype(), x.device()), x.shape(), Dims::filled(x.ndim(), 0), 0);
}

}  // namespace

uint32_t inputs_to_save(const Primitive& prim, Inputs in) {
  if (prim.flags & kFusedVjp || !prim.vjp) return kAllInputs;
  if (!(prim.flags & kSaveForOthers)) return prim.save_in;
  int wanting = 0, last = -1;
  for (int i = 0; i < in.n; ++i)
    if (in[i].defined() && in[i].requires_grad()) ++wanting, last = i;
  return wanting == 1 ? prim.save_in & ~(1u << last) : prim.save_in;
}

void record(const Call& call, Tensor* out) {
  const Primitive& prim = call.prim;
  if (!is_float(out[0].dtype())) return;
  Ref<Node> node = Node::make(prim, call.attrs, call.in.n, prim.n_out);
  for (int i = 0; i < call.in.n; ++i) {
    if (!call.in[i].defined()) continue;
    node->edges[i] = edge_to(call.in[i], prim.name);
    if (const Node* maker = node->edges[i].node.get())
      node->depth = std::max(node->depth, maker->depth);
  }
  ++node->depth;
  const uint32_t save_in = inputs_to_save(prim, call.in);
  for (int i = 0; i < call.in.n; ++i)
    if ((i >= 32 ? save_in == kAllInputs : (save_in >> i) & 1) && call.in[i].defined())
      node->saved[i] = {call.in[i], call.in[i].version()};
  if (prim.flags & kKeepShapes) {
    for (int i = 0; i < call.in.n; ++i)
      if (!node->edges[i] && !node->saved[i].tensor.defined() && call.in[i].defined())
        node->saved[i] = {shape_only(call.in[i]), 0};
  }
  for (int k = 0; k < prim.n_out; ++k) {
    if (!out[k].defined()) continue;
    OutputInfo& info = node->outputs[k];
    info.shape = out[k].shape();
    info.dtype = out[k].dtype();
    info.device = &out[k].device();
    // Saved without history: the node must not own itself.
    if ((prim.save_out >> k) & 1) node->saved[call.in.n + k] = {alias(out[k]), out[k].version()};
    if (!((prim.diff_out >> k) & 1) || !is_float(out[k].dtype())) continue;
    AutogradMeta& meta = meta_of(out[k]);
    meta.node = node;
    meta.out_nr = k;
    meta.view_version = out[k].version();
  }
}

Tensor& Gradient::get() {
  if (waits()) {
    value = matmul(left, right);
    left.reset();
    right.reset();
  }
  return value;
}

bool may_overwrite(const Tensor& x) {
  return x.get()->refs.count() == 1 && x.storage().use_count() == 1 &&
         is_dense(x.shape(), x.strides());
}

void Vjp::set_product(int i, Tensor left, Tensor right) {
  const Edge& e = node_.edges[i];
  if (Tensor sum = take_sum(i); sum.defined()) {
    add_product_(sum, left, right);
    set(i, std::move(sum));
  } else if (!create_graph_ && e.node && (e.node->prim.flags & kTakesProducts)) {
    grad_in_[i] = Gradient(std::move(left), std::move(right));
  } else {
    set(i, matmul(left, right));
  }
}

Tensor Vjp::take_sum(int i) {
  const Edge& e = node_.edges[i];
  if (create_graph_ || !e.node) return Tensor();
  Tensor& sum = e.node->outputs[e.out_nr].buffer.value;
  if (!sum.defined() || !may_overwrite(sum) || !sum.is_contiguous()) return Tensor();
  return std::move(sum);
}

Tensor Vjp::grad(int k) const {
  OutputInfo& info = node_.outputs[k];
  if (info.buffer) return info.buffer.get();
  return zeros(IntList(info.shape.data(), size_t(info.shape.size())), info.dtype, info.device);
}

namespace {

const Tensor& checked(const Node& node, int slot, const char* what, int number) {
  const SavedTensor& s = node.saved[slot];
  TF_CHECK(!node.freed, TINYFIN_ERROR_GRAPH,
           "the graph was freed: a second backward reached `", node.prim.name,
           "` after the first gave its saved values back; pass retain_graph=true to the first");
  TF_CHECK(s.tensor.defined(), TINYFIN_ERROR_INTERNAL, "the gradient of `", node.prim.name,
           "` reads ", what, " ", number, ", which the op does not save");
  TF_CHECK(s.version == s.tensor.version(), TINYFIN_ERROR_GRAPH, "a value that the gradient of `",
           node.prim.name, "` needs (", what, " ", number, ", ", describe(s.tensor),
           ") was modified in place after the op ran (version ", s.version, ", now ",
           s.tensor.version(), "); use the form that is not in-place, or clone() before");
  return s.tensor;
}

}  // namespace

Tensor Vjp::in(int i) const { return checked(node_, i, "input", i); }

Tensor Vjp::out(int k) const {
  const Tensor& value = checked(node_, node_.n_in + k, "output", k);
  if (!create_graph_) return value;
  Tensor linked = alias(value);  // with its history again, for gradients of gradients
  AutogradMeta& meta = meta_of(linked);
  meta.node = Ref<Node>::share(&node_);
  meta.out_nr = k;
  return linked;
}

Tensor Vjp::take_out(int k) {
  Tensor value = out(k);
  if (!retain_) node_.saved[node_.n_in + k].tensor.reset();
  return value;
}

const Dims& Vjp::in_shape(int i) const {
  const Edge& e = node_.edges[i];
  if (e.leaf.defined()) return e.leaf.shape();
  if (e.node) return e.node->outputs[e.out_nr].shape;
  return node_.saved[i].tensor.shape();
}

DType Vjp::in_dtype(int i) const {
  const Edge& e = node_.edges[i];
  if (e.leaf.defined()) return e.leaf.dtype();
  if (e.node) return e.node->outputs[e.out_nr].dtype;
  return node_.saved[i].tensor.dtype();
}

Device& Vjp::in_device(int i) const {
  const Edge& e = node_.edges[i];
  if (e.leaf.defined()) return e.leaf.device();
  if (e.node) return *e.node->outputs[e.out_nr].device;
  return node_.saved[i].tensor.device();
}

}  // namespace tf
