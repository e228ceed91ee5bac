// The updates of one step. Where parameter, gradient and state lie in plain memory of the cpu in
// one order, all parameters together are cut into pieces, and one hand-off to the threads serves
// them all: a network has many small parameters, and a hand-off costs as much as thousands of
// elements. An element's update depends on nothing else, so the cut is of no consequence to bits.
// SPDX-License-Identifier: MIT
#include <algorithm>
#include <atomic>

#include "backend/registry.h"
#include "core/parallel.h"
#include "optim/opt.h"

namespace tf {
namespace {

constexpr int64_t kPiece = 8192;   // elements
constexpr int64_t kSingle = 2048;  // so many are not cut
// So many in all, with gradients and state, stay in the caches of two processors.
constexpr int64_t kCached = 1 << 18;
// Below this many elements in all a hand-off costs more than it saves.
constexpr int64_t kWorthThreads = 32768;

const tf_kernel* plain_kernel(const Update& u) {
  const Tensor& param = *u.written[0];
  Device& device = param.device();
  if (&device != &cpu_device() || !is_dense(param.shape(), param.strides())) return nullptr;
  const auto in_order = [&](const Tensor& t) {
    return &t.device() == &device && t.dtype() == param.dtype() &&
           (t.strides() == param.strides() || (t.is_contiguous() && param.is_contiguous()));
  };
  if (!in_order(*u.grad)) return nullptr;
  for (int k = 1; k < u.n_written; ++k)
    if (!in_order(*u.written[k])) return nullptr;
  const tf_kernel* kernel = device.backend.kernel(*u.prim);
  return kernel && (kernel->dtypes & TINYFIN_DTYPE_BIT(param.dtype())) ? kernel : nullptr;
}

void run_alone(const Update& u) {
  const Tensor* in[2 + kOptSlots] = {u.written[0], u.grad};
  Tensor out[1 + kOptSlots];
  for (int k = 0; k < u.n_written; ++k) {
    if (k > 0) in[k + 1] = u.written[k];
    out[k] = *u.written[k];
  }
  dispatch({*u.prim, Inputs(in, u.n_written + 1), u.attrs}, out, /*keep_out=*/true);
}

tf_status run_piece(const Update& u, const tf_kernel& kernel, int64_t first, int64_t count) {
  static constexpr int64_t kStride = 1;
  tf_view in[2 + kOptSlots] = {}, out[1 + kOptSlots] = {};
  const auto view = [&](const Tensor& t) -> tf_view {
    return {static_cast<char*>(t.data()) + first * size_of(t.dtype()), &count, &kStride, 1,
            tf_dtype(t.dtype())};
  };
  for (int k = 0; k < u.n_written; ++k) out[k] = view(*u.written[k]);
  in[0] = out[0];
  in[1] = view(*u.grad);
  for (int k = 1; k < u.n_written; ++k) in[k + 1] = out[k];
  tf_kernel_call call = {};
  call.struct_size = sizeof call;
  call.n_in = u.n_written + 1;
  call.n_out = u.n_written;
  call.n_attr = u.attrs.size();
  call.in = in;
  call.out = out;
  call.attr = u.attrs.data();
  call.op = u.prim->name;
  return kernel.fn(&call, kernel.user);
}

}  // namespace

void StepRunner::clear() noexcept {
  updates_.clear();
  plain_.clear();
  pieces_.clear();
}

void StepRunner::add(Update update) { updates_.push_back(update); }

// Part `slice` of `slices` of an array, in pieces that meet where cache lines do.
void StepRunner::list_slice(const Plain& p, int64_t slice, int64_t slices) {
  constexpr int64_t kLine = 64;
  const int64_t count = p.size <= kSingle ? 1 : (p.size + 2 * kPiece - 1) / (2 * kPiece) * 2;
  const int64_t length = ((p.size + count - 1) / count + kLine - 1) / kLine * kLine;
  const int64_t begin = count * slice / slices * length;
  const int64_t end = std::min(p.size, count * (slice + 1) / slices * length);
  for (int64_t first = begin; first < end; first += length)
    pieces_.push_back({&p, first, std::min(length, end - first)});
}

// Threads begin with runs of neighbouring pieces (core/parallel.h). Of small networks each is to
// have the same share of every array, as it has in the products that read and write it, so that the
// lines stay in its caches: pieces are listed by where in their arrays they lie, the first eighths
// of all arrays, then the second ones. Arrays of one piece lie in the middle.
void StepRunner::list_pieces(int64_t elements) {
  constexpr int64_t kSlices = 8;
  if (elements > kCached) {
    for (const Plain& p : plain_) list_slice(p, 0, 1);
    return;
  }
  for (int64_t slice = 0; slice < kSlices; ++slice) {
    for (const Plain& p : plain_)
      if (p.size <= kSingle && slice == kSlices / 2) list_slice(p, 0, 1);
    for (const Plain& p : plain_)
      if (p.size > kSingle) list_slice(p, slice, kSlices);
  }
}

void StepRunner::run() {
  int64_t elements = 0;
  for (const Update& u : updates_) {
    for (int k = 0; k < u.n_written; ++k) u.written[k]->storage().bump_version();
    const tf_kernel* kernel = plain_kernel(u);
    if (!kernel) {
      run_alone(u);
      continue;
    }
    plain_.push_back({&u, kernel, u.written[0]->numel()});
    elements += plain_.back().size;
  }
  list_pieces(elements);
  std::atomic<tf_status> failure{TINYFIN_OK};
  const auto run_one = [&](int64_t i) {
    const Piece& piece = pieces_[size_t(i)];
    const tf_status status = run_piece(*piece.of->update, *piece.of->kernel, piece.first, piece.count);
    if (status != TINYFIN_OK) failure.store(status, std::memory_order_relaxed);
  };
  const int64_t n = int64_t(pieces_.size());
  if (elements >= kWorthThreads)
    parallel_for(n, run_one);
  else
    for (int64_t i = 0; i < n; ++i) run_one(i);
  if (const tf_status status = failure.load())
    fail(status, "the kernel of the optimiser failed on ", cpu_device().name);
}

}  // namespace tf
