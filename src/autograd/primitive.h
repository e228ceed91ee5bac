// A primitive: what backends have kernels for and what graphs are made of.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <type_traits>

#include "core/tensor.h"
#include "tinyfin/backend.h"

namespace tf {

inline constexpr int kMaxAttrs = 16;

// The numbers a call carries besides its tensors: axes, strides, a seed. Their order is part
// of the primitive's contract with its kernels.
class Attrs {
 public:
  Attrs() = default;
  Attrs(const Attrs& o) : n_(o.n_) {
    for (int k = 0; k < n_; ++k) v_[k] = o.v_[k];
  }
  Attrs& operator=(const Attrs&) = delete;
  template <class... Values>
    requires(std::is_arithmetic_v<Values> && ...)
  explicit Attrs(Values... values) {
    (add(values), ...);
  }
  void add(int64_t v) { next().i = v; }
  void add(int v) { next().i = v; }
  void add(uint32_t v) { next().i = v; }
  void add(uint64_t v) { next().i = int64_t(v); }
  void add(bool v) { next().i = v; }
  void add(double v) { next().f = v; }

  int size() const { return n_; }
  int64_t i(int k) const { return v_[k].i; }
  double f(int k) const { return v_[k].f; }
  const tf_attr* data() const { return v_; }
  // Dims as attributes: their number, then the values.
  void add(const Dims& dims) {
    add(int64_t(dims.size()));
    for (int64_t d : dims) add(d);
  }
  Dims dims(int k) const { return Dims(reinterpret_cast<const int64_t*>(&v_[k + 1]), v_[k].i); }

 private:
  tf_attr& next() {
    TF_CHECK(n_ < kMaxAttrs, TINYFIN_ERROR_INTERNAL, "more than ", kMaxAttrs, " attributes");
    return v_[n_++];
  }
  int n_ = 0;
  tf_attr v_[kMaxAttrs];
};

class Vjp;
struct Call;

// The vector-Jacobian product: reads gradients of the outputs, sets those of the inputs.
using VjpFn = void (*)(Vjp& v);
// The same result by smaller primitives; for backends without a kernel and for gradients of
// gradients of fused primitives. Fills out[0 … n_out).
using DecomposeFn = void (*)(const Call& call, Tensor* out);

enum PrimitiveFlags : uint32_t {
  // Kernels see every input broadcast to the output's shape (strides 0).
  kBroadcast = 1,
  // Shares storage with its input; has no kernel.
  kView = 2,
  // The vjp uses kernels that have no gradient of their own: under create_graph the engine
  // differentiates the decomposition instead (all inputs are saved for it).
  kFusedVjp = 4,
  // An input in save_in is only needed when another input wants a gradient (products).
  kSaveForOthers = 8,
  // The vjp reads the shapes of all inputs, also of those that need no gradient.
  kKeepShapes = 16,
  // Converts between dtypes itself: nothing is converted for it.
  kConverts = 32,
  // The vjp may use a gradient that is a product before it is computed (struct Gradient).
  kTakesProducts = 64,
};

// Bits of inputs or outputs: input 0 is bit 0.
constexpr uint32_t bits(std::initializer_list<int> which) {
  uint32_t mask = 0;
  for (int i : which) mask |= 1u << i;
  return mask;
}
inline constexpr uint32_t kAllInputs = ~0u;

// Definitions are constants at namespace scope in the op's file; they enter the list of all
// primitives by themselves, and nothing else lists them:
//
//   const Primitive mul_p{{.name = "mul", .vjp = mul_vjp, .save_in = bits({0, 1}), …}};
struct PrimitiveSpec {
  const char* name;
  // "a b": inputs, "?" behind an optional one, "…" behind a list; then ";" and the attributes
  // in order, "int dim, float eps". For backend authors (docs/primitives.md).
  const char* signature = "";
  VjpFn vjp = nullptr;  // null: by the decomposition, or not differentiable
  uint32_t save_in = 0;   // inputs and outputs that vjp reads
  uint32_t save_out = 0;
  uint32_t flags = 0;
  int n_out = 1;
  uint32_t diff_out = 1;  // outputs through which gradients flow
  DecomposeFn decompose = nullptr;
};

struct Primitive : PrimitiveSpec {
  explicit Primitive(const PrimitiveSpec& spec);
  int id;                 // position in the list; index of kernel tables
  const Primitive* next;  // the one defined before it
};

const Primitive* first_primitive() noexcept;
int primitive_count();
const Primitive* find_primitive(const char* name);

// Tensors that go into a call. An undefined tensor is an absent optional argument.
struct Inputs {
  // The list lives until the end of the full expression that makes the call.
  Inputs(std::initializer_list<const Tensor*> list) : n(int(list.size())) {
    ptr = std::data(list);
  }
  Inputs(const Tensor* const* p, int count) : ptr(p), n(count) {}
  const Tensor& operator[](int i) const { return *ptr[i]; }
  const Tensor* const* ptr;
  int n;
};

// One execution of a primitive: the pure description that eager mode runs, graphs record and
// recomputation repeats.
struct Call {
  const Primitive& prim;
  Inputs in;
  const Attrs& attrs;
};

// The way every op takes. Checks devices, allocates the outputs, dispatches to the kernel of
// the tensors' backend and records a node when a gradient is wanted.
Tensor run(const Primitive& prim, Inputs in, const Attrs& attrs, const Meta& out);
void run_multi(const Primitive& prim, Inputs in, const Attrs& attrs, const Meta* metas,
               Tensor* out);
// A view op: no kernel, a node when a gradient is wanted. `offset` counts from the storage.
Tensor run_view(const Primitive& prim, const Tensor& x, const Attrs& attrs, const Dims& shape,
                const Dims& strides, int64_t offset);
// Writes the result of `prim` into `self` (which may be among the inputs), in self's dtype and
// shape, and gives self the new history. Fails, naming `op`, where that would lose a gradient:
// a leaf that requires one, or a view of a tensor that is part of a graph.
void run_inplace(const char* op, const Primitive& prim, Tensor& self, Inputs in,
                 const Attrs& attrs);

// backend/dispatch.cpp: kernel → decomposition → cpu → error. Outputs are allocated; a
// decomposition replaces them unless `keep_out`, then it is copied into them.
void dispatch(const Call& call, Tensor* out, bool keep_out = false);

}  // namespace tf
