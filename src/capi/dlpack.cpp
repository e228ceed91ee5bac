// Exchange of memory with other libraries: DLPack 1.0 and its form before.
// SPDX-License-Identifier: MIT
#include "tinyfin/dlpack.h"

#include <memory>

#include "autograd/engine.h"
#include "capi/guard.h"
#include "tinyfin/tensor.h"

using tf::guard;
using tf::out_slot;

namespace {

struct Code {
  tf::DType dtype;
  DLDataTypeCode code;
  uint8_t bits;
};
constexpr Code kCodes[] = {{tf::DType::f32, kDLFloat, 32}, {tf::DType::f64, kDLFloat, 64},
                           {tf::DType::i32, kDLInt, 32},   {tf::DType::i64, kDLInt, 64},
                           {tf::DType::b8, kDLBool, 8}};

// The struct, and what it points to.
template <class Managed>
struct Lent {
  Managed managed;
  tf::Tensor tensor;
};

template <class Managed>
Managed* lend(const tf_tensor* handle) {
  const tf::Borrowed borrowed(handle, "tensor");
  const tf::Tensor& x = borrowed;
  TF_CHECK(!x.requires_grad(), TINYFIN_ERROR_GRAPH, "received ", describe(x),
           ", which requires a gradient that another library would not see; detach it first");
  TF_CHECK(&x.device() == &tf::cpu_device(), TINYFIN_ERROR_DEVICE, "received ", describe(x),
           "; expected a tensor on the cpu");
  auto lent = std::make_unique<Lent<Managed>>();
  lent->tensor = tf::detach(x);  // its sizes stay as they are, whatever becomes of x
  const tf::Tensor& t = lent->tensor;
  Managed& m = lent->managed;
  m.dl_tensor.data = t.data();
  m.dl_tensor.device = {kDLCPU, 0};
  m.dl_tensor.ndim = t.ndim();
  for (const Code& c : kCodes)
    if (c.dtype == t.dtype()) m.dl_tensor.dtype = {uint8_t(c.code), c.bits, 1};
  m.dl_tensor.shape = const_cast<int64_t*>(t.shape().data());
  m.dl_tensor.strides = const_cast<int64_t*>(t.strides().data());
  m.dl_tensor.byte_offset = 0;
  m.manager_ctx = lent.get();
  m.deleter = [](Managed* self) { delete static_cast<Lent<Managed>*>(self->manager_ctx); };
  return &lent.release()->managed;
}

template <class Managed>
void give_back(void* user) {
  Managed* m = static_cast<Managed*>(user);
  if (m->deleter) m->deleter(m);
}

template <class Managed>
tf_tensor* take(Managed* managed, bool writable) {
  const DLTensor& t = managed->dl_tensor;
  TF_CHECK(t.device.device_type == kDLCPU || t.device.device_type == kDLCUDAHost,
           TINYFIN_ERROR_DEVICE, "received memory of DLPack device type ",
           int(t.device.device_type), "; expected the cpu's (1 or 3); copy it there first");
  tf::DType dtype = tf::DType::none;
  for (const Code& c : kCodes)
    if (c.code == t.dtype.code && c.bits == t.dtype.bits && t.dtype.lanes == 1) dtype = c.dtype;
  TF_CHECK(dtype != tf::DType::none, TINYFIN_ERROR_DTYPE, "received DLPack type code ",
           int(t.dtype.code), " of ", int(t.dtype.bits), " bits in ", t.dtype.lanes,
           " lanes; expected float32, float64, int32, int64 or bool; cast it first");
  TF_CHECK(t.ndim == 0 || t.shape, TINYFIN_ERROR_ARGUMENT, "received ", t.ndim,
           " dimensions without sizes");
  const tf::Dims shape(t.shape, t.ndim);
  const int64_t numel = tf::checked_numel(shape), size = tf::size_of(dtype);
  const tf::Dims strides = t.strides ? tf::Dims(t.strides, t.ndim) : tf::contiguous_strides(shape);
  char* const first = static_cast<char*>(t.data) + t.byte_offset;
  TF_CHECK(t.data || numel == 0, TINYFIN_ERROR_ARGUMENT, "received ", numel,
           " elements at NULL; expected an address");
  TF_CHECK(reinterpret_cast<uintptr_t>(first) % size_t(size) == 0 || numel == 0,
           TINYFIN_ERROR_ARGUMENT, "received an address that is no multiple of ", size,
           "; expected aligned ", tf::name_of(dtype), " elements; copy it first");
  // Strides of either sign: the storage starts at the lowest element.
  int64_t low = 0, high = 0;
  for (int d = 0; d < shape.size() && numel > 0; ++d) {
    int64_t reach;
    int64_t& end = strides[d] < 0 ? low : high;
    TF_CHECK(!__builtin_mul_overflow(shape[d] - 1, strides[d], &reach) &&
                 !__builtin_add_overflow(end, reach, &end) && low > -(INT64_MAX / 32) &&
                 high < INT64_MAX / 32,
             TINYFIN_ERROR_SHAPE, "received strides ", to_string(strides),
             "; expected ones that stay within the address space");
  }
  writable = writable && !tf::may_overlap_itself(shape, strides);
  tf::Ref<tf::Storage> storage =
      tf::Storage::borrow(tf::cpu_device(), first + low * size,
                          numel > 0 ? (high - low + 1) * size : 0, writable, [](void*) {}, nullptr);
  tf::Tensor out = tf::tensor_of(std::move(storage), dtype, shape, strides, -low);
  // Nothing can fail any more: from here on the memory is given back by the storage.
  out.get()->storage =
      tf::Storage::borrow(tf::cpu_device(), first + low * size,
                          numel > 0 ? (high - low + 1) * size : 0, writable,
                          give_back<Managed>, managed);
  return out.detach_ref();
}

template <class Managed>
Managed* checked(Managed* managed) {
  TF_CHECK(managed, TINYFIN_ERROR_ARGUMENT,
           "received NULL for `managed`; expected a DLPack struct");
  return managed;
}

}  // namespace

extern "C" {

tf_status tf_tensor_to_dlpack(const tf_tensor* tensor, DLManagedTensorVersioned** out) {
  return guard("tensor_to_dlpack", [&] {
    out_slot(out);
    auto* managed = lend<DLManagedTensorVersioned>(tensor);
    managed->version = {DLPACK_MAJOR_VERSION, DLPACK_MINOR_VERSION};
    managed->flags = tensor->storage->writable() ? 0 : DLPACK_FLAG_BITMASK_READ_ONLY;
    *out = managed;
  });
}

tf_status tf_tensor_to_dlpack_legacy(const tf_tensor* tensor, DLManagedTensor** out) {
  return guard("tensor_to_dlpack_legacy", [&] {
    out_slot(out);
    TF_CHECK(!tensor || tensor->storage->writable(), TINYFIN_ERROR_STATE,
             "received a read-only tensor, which this form of DLPack cannot express; try "
             "tf_tensor_to_dlpack or a clone");
    *out = lend<DLManagedTensor>(tensor);
  });
}

tf_status tf_tensor_from_dlpack(DLManagedTensorVersioned* managed, tf_tensor** out) {
  return guard("tensor_from_dlpack", [&] {
    out_slot(out);
    TF_CHECK(checked(managed)->version.major == DLPACK_MAJOR_VERSION, TINYFIN_ERROR_UNSUPPORTED,
             "received DLPack ", managed->version.major, ".", managed->version.minor,
             "; expected major version ", DLPACK_MAJOR_VERSION);
    *out = take(managed, (managed->flags & DLPACK_FLAG_BITMASK_READ_ONLY) == 0);
  });
}

tf_status tf_tensor_from_dlpack_legacy(DLManagedTensor* managed, tf_tensor** out) {
  return guard("tensor_from_dlpack_legacy", [&] {
    out_slot(out);
    *out = take(checked(managed), true);
  });
}

}
