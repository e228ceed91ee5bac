// The list of primitives and the way every op takes.
// SPDX-License-Identifier: MIT
#include <cstring>

#include "autograd/engine.h"
#include "autograd/primitive.h"
#include "core/small_array.h"
#include "ops/ops.h"

namespace tf {
namespace {

constinit const Primitive* head = nullptr;
constinit int count = 0;

}  // namespace

Primitive::Primitive(const PrimitiveSpec& spec) : PrimitiveSpec(spec), id(count++), next(head) {
  head = this;
}

const Primitive* first_primitive() noexcept { return head; }
int primitive_count() { return count; }

const Primitive* find_primitive(const char* name) {
  for (const Primitive* p = head; p; p = p->next)
    if (std::strcmp(p->name, name) == 0) return p;
  return nullptr;
}

Tensor run(const Primitive& prim, Inputs in, const Attrs& attrs, const Meta& meta) {
  Tensor out = empty(meta);
  const Call call{prim, in, attrs};
  dispatch(call, &out);
  if (wants_grad(prim, in)) record(call, &out);
  return out;
}

void run_multi(const Primitive& prim, Inputs in, const Attrs& attrs, const Meta* metas,
               Tensor* out) {
  for (int k = 0; k < prim.n_out; ++k) out[k] = empty(metas[k]);
  const Call call{prim, in, attrs};
  dispatch(call, out);
  if (wants_grad(prim, in)) record(call, out);
}

Tensor run_view(const Primitive& prim, const Tensor& x, const Attrs& attrs, const Dims& shape,
                const Dims& strides, int64_t offset) {
  Tensor out = alias(x, shape, strides, offset);
  out.get()->is_view = true;
  const Tensor* const list[] = {&x};  // outlives `in`, as a braced list would not
  const Inputs in(list, 1);
  if (wants_grad(prim, in)) record({prim, in, attrs}, &out);
  return out;
}

namespace {

// Whether a write to one may change the other. Two storages have memory in common where a caller
// has lent it twice.
bool shares_memory(const Tensor& a, const Tensor& b) {
  const Storage &s = a.storage(), &t = b.storage();
  if (&s == &t) return true;
  const char *p = static_cast<const char*>(s.data()), *q = static_cast<const char*>(t.data());
  return p < q + t.bytes() && q < p + s.bytes() && &s.device() == &t.device();
}

// The in-place call that becomes part of a graph, or reads elements of self that it overwrites.
void overwrite_recorded(const char* op, const Primitive& prim, Tensor& self, Inputs in,
                        const Attrs& attrs, bool recorded) {
  if (recorded) {
    TF_CHECK(!(self.is_leaf() && self.requires_grad()), TINYFIN_ERROR_GRAPH, "`", op,
             "` would modify a leaf that requires a gradient; do it under no_grad, or use the "
             "form that is not in-place");
    TF_CHECK(!self.get()->is_view, TINYFIN_ERROR_GRAPH, "`", op,
             "` would modify a view of a tensor that takes part in a gradient; modify that "
             "tensor itself, or use the form that is not in-place");
  }
  const uint32_t saved = recorded && wants_grad(prim, in) ? inputs_to_save(prim, in) : 0;
  bool keep_values = false;  // the gradient reads what is about to be overwritten
  for (int i = 0; i < in.n; ++i)
    keep_values |= (i >= 32 ? saved == kAllInputs : (saved >> i) & 1) && in[i].defined() &&
                   shares_memory(in[i], self);
  // The tensor as it was, with its history: what the recorded call has as input.
  Tensor before;
  if (keep_values) {
    NoGrad no_grad;
    before = clone(self);
  } else {
    before = alias(self);
  }
  before.get()->is_view = self.get()->is_view;
  if (recorded) std::swap(before.get()->meta, self.get()->meta);
  SmallArray<Tensor> copies(in.n);
  SmallArray<const Tensor*> list(in.n);
  for (int i = 0; i < in.n; ++i) {
    const Tensor& x = in[i];
    list[i] = &x;
    if (!x.defined() || !shares_memory(x, self)) continue;
    if (same_view(x, self)) {
      list[i] = &before;
    } else {  // overlaps what is about to be written
      copies[i] = clone(x);
      list[i] = &copies[i];
    }
  }
  const Call call{prim, Inputs(list.data(), in.n), attrs};
  try {
    dispatch(call, &self, /*keep_out=*/true);
  } catch (...) {
    if (recorded) std::swap(before.get()->meta, self.get()->meta);
    throw;
  }
  self.storage().bump_version();
  if (recorded && wants_grad(prim, call.in)) record(call, &self);
}

}  // namespace

void run_inplace(const char* op, const Primitive& prim, Tensor& self, Inputs in,
                 const Attrs& attrs) {
  TF_CHECK(self.storage().writable(), TINYFIN_ERROR_STATE,
           "received a read-only tensor for the in-place op `", op,
           "`; expected one whose memory may be written; try clone()");
  for (int d = 0; d < self.ndim(); ++d)
    TF_CHECK(self.size(d) <= 1 || self.strides()[d] != 0, TINYFIN_ERROR_STATE,
             "received an expanded tensor (several elements share memory) for the in-place op `",
             op, "`; expected one with memory of its own; try clone()");
  const bool recorded = grad_enabled() && (self.requires_grad() || wants_grad(prim, in));
  bool overlap = false;  // of an input with other elements of self than those in its place
  for (int i = 0; i < in.n; ++i)
    overlap |= in[i].defined() && shares_memory(in[i], self) && !same_view(in[i], self);
  if (recorded || overlap) return overwrite_recorded(op, prim, self, in, attrs, recorded);
  dispatch({prim, in, attrs}, &self, /*keep_out=*/true);
  self.storage().bump_version();
}

}  // namespace tf
