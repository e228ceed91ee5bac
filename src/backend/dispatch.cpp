// From a call to a kernel: the tensors' backend, else smaller ops, else the cpu.
// SPDX-License-Identifier: MIT
#include <atomic>
#include <set>
#include <vector>

#include "autograd/engine.h"
#include "backend/registry.h"
#include "core/env.h"
#include "core/parallel.h"
#include "core/small_array.h"
#include "ops/op.h"
#include "ops/ops.h"

namespace tf {
namespace {

std::atomic<int64_t> fallbacks{0};

std::atomic<Fallback>& policy() {
  static std::atomic<Fallback> p{[] {
    const std::string text = env_text("TINYFIN_FALLBACK");
    return text.empty() ? Fallback::warn : parse_fallback(text);
  }()};
  return p;
}

tf_view view_of(const Tensor& x) {
  return {x.data(), x.shape().data(), x.strides().data(), x.ndim(), tf_dtype(x.dtype())};
}

// x seen in `shape`: strides 0 where it is broadcast.
tf_view broadcast_view(const Tensor& x, const Dims& shape, int64_t* strides) {
  const int extra = shape.size() - x.ndim();
  for (int d = 0; d < extra; ++d) strides[d] = 0;
  for (int d = 0; d < x.ndim(); ++d) strides[extra + d] = x.size(d) != 1 ? x.strides()[d] : 0;
  return {x.data(), shape.data(), strides, shape.size(), tf_dtype(x.dtype())};
}

tf_status call_kernel(const tf_kernel& kernel, const Call& call, Tensor* out, Device& device) {
  const int n_in = call.in.n, n_out = call.prim.n_out;
  struct Strides {  // of an input that is broadcast
    int64_t stride[kMaxDims];
  };
  SmallArray<tf_view> in(n_in), result(n_out);
  SmallArray<Strides> strides(n_in);
  const bool broadcast = call.prim.flags & kBroadcast;
  for (int i = 0; i < n_in; ++i) {
    const Tensor& x = call.in[i];
    if (!x.defined())
      in[i] = {nullptr, nullptr, nullptr, -1, TINYFIN_DEFAULT};
    else if (broadcast && !(x.shape() == out[0].shape()))
      in[i] = broadcast_view(x, out[0].shape(), strides[i].stride);
    else
      in[i] = view_of(x);
  }
  for (int k = 0; k < n_out; ++k) result[k] = view_of(out[k]);
  tf_kernel_call kc;
  kc.struct_size = sizeof kc;
  kc.n_in = n_in;
  kc.n_out = n_out;
  kc.n_attr = call.attrs.size();
  kc.in = in.data();
  kc.out = result.data();
  kc.attr = call.attrs.data();
  kc.op = call.prim.name;
  kc.device = device.index;
  kc.reserved = 0;
  kc.stream = device.table.stream_current ? device.table.stream_current(device.index) : nullptr;
  return kernel.fn(&kc, kernel.user);
}

uint32_t dtype_bit(const Call& call, const Tensor* out) {
  const DType t = call.in.n > 0 && call.in[0].defined() ? call.in[0].dtype() : out[0].dtype();
  return TINYFIN_DTYPE_BIT(t);
}

// bfloat16 for kernels that know nothing of it: inputs are widened to float32, in which the kernel
// computes, and each result is rounded once.

Tensor widened(const Tensor& x) {
  // What repeats in x is widened once.
  Dims once = x.shape();
  for (int d = 0; d < x.ndim() && x.numel() > 0; ++d)
    if (x.strides()[d] == 0) once[d] = 1;
  const Tensor part = alias(x, once, x.strides(), x.get()->offset);
  const Tensor wide = empty(meta_like(part, DType::f32));
  write_copy(part, wide);
  Dims strides = wide.strides();
  for (int d = 0; d < x.ndim(); ++d)
    if (once[d] != x.size(d)) strides[d] = 0;
  return alias(wide, x.shape(), strides, 0);
}

void run_in_float32(const Call& call, Tensor* out) {
  const int n_in = call.in.n, n_out = call.prim.n_out;
  SmallArray<Tensor> wide(n_in), result(n_out);
  SmallArray<const Tensor*> in(n_in);
  for (int i = 0; i < n_in; ++i) {
    const Tensor& x = call.in[i];
    in[i] = &x;
    if (!x.defined() || x.dtype() != DType::bf16) continue;
    wide[i] = widened(x);
    in[i] = &wide[i];
  }
  for (int k = 0; k < n_out; ++k) {
    result[k] = out[k];
    if (out[k].dtype() != DType::bf16) continue;
    result[k] = Tensor();
    for (int i = 0; i < n_in; ++i)  // what is updated in place still is
      if (call.in[i].defined() && same_view(call.in[i], out[k])) result[k] = wide[i];
    if (!result[k].defined()) result[k] = empty(meta_like(out[k], DType::f32));
  }
  dispatch({call.prim, Inputs(in.data(), n_in), call.attrs}, result.data(), /*keep_out=*/true);
  for (int k = 0; k < n_out; ++k)
    if (out[k].dtype() == DType::bf16) write_copy(result[k], out[k]);
}

// The memory a tensor spans, as a host tensor with the same strides.
struct Span {
  int64_t first = 0, last = -1;  // elements, relative to the storage's start
};

Span span_of(const Tensor& x) {
  Span s{x.get()->offset, x.get()->offset - 1};
  if (x.numel() == 0) return s;
  s.last = s.first;
  for (int d = 0; d < x.ndim(); ++d) {
    const int64_t reach = (x.size(d) - 1) * x.strides()[d];
    (reach < 0 ? s.first : s.last) += reach;
  }
  return s;
}

Tensor to_host(const Tensor& x) {
  const Span span = span_of(x);
  const int64_t n = span.last - span.first + 1, size = size_of(x.dtype());
  const Tensor flat = empty(Dims{n}, x.dtype(), cpu_device());
  if (n > 0)
    x.device().copy_to_host(flat.data(),
                            static_cast<const char*>(x.storage().data()) + span.first * size,
                            size_t(n * size));
  return alias(flat, x.shape(), x.strides(), x.get()->offset - span.first);
}

void from_host(const Tensor& x, const Tensor& host) {
  const Span span = span_of(x);
  const int64_t n = span.last - span.first + 1, size = size_of(x.dtype());
  if (n > 0)
    x.device().copy_from_host(static_cast<char*>(x.storage().data()) + span.first * size,
                              host.storage().data(), size_t(n * size));
}

void run_on_cpu(const Call& call, Tensor* out) {
  fallbacks.fetch_add(1, std::memory_order_relaxed);
  std::vector<Tensor> in(size_t(call.in.n)), result(size_t(call.prim.n_out));
  std::vector<const Tensor*> list(size_t(call.in.n));
  for (int i = 0; i < call.in.n; ++i) {
    if (call.in[i].defined()) in[size_t(i)] = to_host(call.in[i]);
    list[size_t(i)] = &in[size_t(i)];
  }
  // Through the host and back as a whole: what lies between a strided output's elements stays.
  for (int k = 0; k < call.prim.n_out; ++k) result[size_t(k)] = to_host(out[k]);
  dispatch({call.prim, Inputs(list.data(), call.in.n), call.attrs}, result.data(), true);
  for (int k = 0; k < call.prim.n_out; ++k) from_host(out[k], result[size_t(k)]);
}

void warn_once(const Call& call, const Device& device) {
  static std::mutex mutex;
  static std::set<std::string> said;
  std::lock_guard lock(mutex);
  const std::string key = concat_text(device.table.name, "/", call.prim.name);
  if (said.insert(key).second)
    host_api().log(1, concat_text("backend \"", device.table.name, "\" has no kernel for `",
                                  call.prim.name, "`: it runs on the cpu, with copies there and "
                                  "back (TINYFIN_FALLBACK=allow silences this, error forbids it)")
                          .c_str());
}

[[gnu::noinline]] void dispatch_otherwise(const Call& call, Tensor* out, bool keep_out,
                                          Device& device, bool narrow) {
  if (narrow && !(call.prim.flags & kConverts)) return run_in_float32(call, out);
  if (call.prim.decompose) {
    NoGrad no_grad;
    std::vector<Tensor> result(size_t(call.prim.n_out));
    call.prim.decompose(call, result.data());
    for (int k = 0; k < call.prim.n_out; ++k) {
      if (keep_out)
        copy_(out[k], result[size_t(k)]);
      else
        out[k] = std::move(result[size_t(k)]);
    }
    return;
  }
  const bool on_cpu = &device.backend == &cpu_device().backend;
  if (!on_cpu && policy() != Fallback::error) {
    if (policy() == Fallback::warn) warn_once(call, device);
    run_on_cpu(call, out);
    return;
  }
  const Tensor& named = call.in.n > 0 && call.in[0].defined() ? call.in[0] : out[0];
  fail(TINYFIN_ERROR_UNSUPPORTED, "backend \"", device.table.name, "\" has no kernel `",
       call.prim.name, "` for ", describe(named), "; try another dtype",
       on_cpu ? "" : ", or TINYFIN_FALLBACK=warn to run it on the cpu");
}

}  // namespace

void dispatch(const Call& call, Tensor* out, bool keep_out) {
  Device& device = out[0].device();
  uint32_t seen = 0;
  for (int i = 0; i < call.in.n; ++i) {
    if (!call.in[i].defined()) continue;
    seen |= TINYFIN_DTYPE_BIT(call.in[i].dtype());
    TF_CHECK(&call.in[i].device() == &device, TINYFIN_ERROR_DEVICE, "received tensors on ",
             call.in[i].device().name, " and ", device.name,
             "; expected all on one device; move one with to(device)");
  }
  for (int k = 0; k < call.prim.n_out; ++k) seen |= TINYFIN_DTYPE_BIT(out[k].dtype());
  const bool narrow = seen & TINYFIN_DTYPES_BFLOAT16;
  const tf_kernel* kernel = device.backend.kernel(call.prim);
  const uint32_t needed = narrow ? TINYFIN_DTYPES_BFLOAT16 : dtype_bit(call, out);
  if (kernel && (kernel->dtypes & needed)) [[likely]] {
    const tf_status status = call_kernel(*kernel, call, out, device);
    if (status == TINYFIN_OK) [[likely]] return;
    if (status != TINYFIN_ERROR_UNSUPPORTED) {
      if (status == TINYFIN_ERROR_FORK) throw_fork_error();
      const std::string text = take_plugin_error();
      fail(status, text.empty() ? concat_text("the kernel failed on ", device.name) : text);
    }
  }
  dispatch_otherwise(call, out, keep_out, device, narrow);
}

Fallback fallback_policy() { return policy().load(); }
void set_fallback_policy(Fallback p) { policy().store(p); }
int64_t fallback_count() noexcept { return fallbacks.load(std::memory_order_relaxed); }

Fallback parse_fallback(const std::string& text) {
  if (text == "error") return Fallback::error;
  if (text == "warn") return Fallback::warn;
  if (text == "allow") return Fallback::allow;
  fail(TINYFIN_ERROR_ARGUMENT, "received fallback policy \"", text,
       "\"; expected \"error\", \"warn\" or \"allow\"");
}

}  // namespace tf
