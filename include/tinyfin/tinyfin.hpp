// tinyfin.hpp — the C interface for C++17: handles that release themselves, failures as
// exceptions, operators. Header only; nothing of C++ crosses the library's boundary.
//
//   tinyfin::Data data({images, labels}, 64, tinyfin::Shuffle{/*seed=*/0});
//   tinyfin::Module model = tinyfin::sequential(
//       {tinyfin::linear(784, 128, TINYFIN_ACTIVATION_RELU), tinyfin::linear(128, 10)});
//   tinyfin::Optimizer opt = tinyfin::adam(model, 1e-3);
//   while (auto batch = data.next()) {
//     tinyfin::Tensor loss = tinyfin::cross_entropy(model((*batch)[0]), (*batch)[1]);
//     loss.backward();
//     opt.step();
//     opt.zero_grad();
//   }
//
// Every op of ops.h is reached through tinyfin::call(tf_op, arguments…).
// SPDX-License-Identifier: MIT
#ifndef TINYFIN_TINYFIN_HPP
#define TINYFIN_TINYFIN_HPP

#include <array>
#include <initializer_list>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tinyfin.h"

namespace tinyfin {

// A failed call: what() is tf_last_error(), status() says which family.
class Error : public std::runtime_error {
 public:
  explicit Error(tf_status status) : std::runtime_error(tf_last_error()), status_(status) {}
  tf_status status() const noexcept { return status_; }

 private:
  tf_status status_;
};

inline void check(tf_status status) {
  if (status != TINYFIN_OK) throw Error(status);
}

// Owns one reference to a handle; copies share the object.
template <class T, T* (*kRetain)(T*), void (*kRelease)(T*)>
class Handle {
 public:
  Handle() noexcept = default;
  static Handle share(T* p) noexcept { return Handle(kRetain(p)); }
  explicit Handle(T* owned) noexcept : p_(owned) {}
  Handle(const Handle& o) noexcept : p_(kRetain(o.p_)) {}
  Handle(Handle&& o) noexcept : p_(std::exchange(o.p_, nullptr)) {}
  Handle& operator=(Handle o) noexcept {
    std::swap(p_, o.p_);
    return *this;
  }
  ~Handle() { kRelease(p_); }

  T* get() const noexcept { return p_; }
  explicit operator bool() const noexcept { return p_ != nullptr; }

 private:
  T* p_ = nullptr;
};

class Tensor : public Handle<tf_tensor, tf_tensor_retain, tf_tensor_release> {
 public:
  using Handle::Handle;
  Tensor() = default;
  Tensor(const Handle& h) : Handle(h) {}
  // A number that adapts to the other operand.
  Tensor(double value) : Tensor(scalar(value)) {}
  // Row-major values in `shape`.
  template <class T>
  Tensor(const std::vector<T>& values, const std::vector<int64_t>& shape)
      : Tensor(from(values.data(), values.size() * sizeof(T), shape, dtype_of(T{}))) {}

  std::vector<int64_t> shape() const {
    const int64_t* s = tf_tensor_shape(get());
    return {s, s + tf_tensor_ndim(get())};
  }
  int64_t numel() const { return tf_tensor_numel(get()); }
  tf_dtype dtype() const { return tf_tensor_dtype(get()); }
  double item() const {
    double value;
    check(tf_tensor_item_f64(get(), &value));
    return value;
  }
  template <class T>
  std::vector<T> values() const {
    std::vector<T> v(static_cast<size_t>(numel()));
    check(tf_tensor_read(get(), v.data(), v.size() * sizeof(T)));
    return v;
  }

  Tensor& requires_grad(bool on = true) {
    check(tf_tensor_set_requires_grad(get(), on));
    return *this;
  }
  void backward() const { check(tf_backward(get(), nullptr, 0, 0)); }
  // Empty where there is none.
  Tensor grad() const {
    tf_tensor* out = nullptr;
    check(tf_tensor_grad(get(), &out));
    return Tensor(out);
  }

 private:
  static tf_dtype dtype_of(float) { return TINYFIN_FLOAT32; }
  static tf_dtype dtype_of(double) { return TINYFIN_FLOAT64; }
  static tf_dtype dtype_of(int32_t) { return TINYFIN_INT32; }
  static tf_dtype dtype_of(int64_t) { return TINYFIN_INT64; }
  static Tensor scalar(double value) {
    tf_tensor* out = nullptr;
    check(tf_tensor_scalar_f64(value, &out));
    return Tensor(out);
  }
  static Tensor from(const void* data, size_t bytes, const std::vector<int64_t>& shape,
                     tf_dtype dtype) {
    tf_tensor* out = nullptr;
    check(tf_tensor_from_data(data, bytes, shape.data(), static_cast<int64_t>(shape.size()), dtype,
                              nullptr, &out));
    return Tensor(out);
  }
};

// Any op with one result: call(tf_softmax, x, -1). Tensors go in as they are; other arguments as
// the C function takes them.
inline const tf_tensor* argument(const Tensor& x) { return x.get(); }
template <class T>
T argument(T x) {
  return x;
}
template <class... Parameters, class... Arguments>
Tensor call(tf_status (*op)(Parameters...), const Arguments&... arguments) {
  tf_tensor* out = nullptr;
  check(op(argument(arguments)..., &out));
  return Tensor(out);
}

inline Tensor operator+(const Tensor& a, const Tensor& b) { return call(tf_add, a, b); }
inline Tensor operator-(const Tensor& a, const Tensor& b) { return call(tf_sub, a, b); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return call(tf_mul, a, b); }
inline Tensor operator/(const Tensor& a, const Tensor& b) { return call(tf_div, a, b); }
inline Tensor operator-(const Tensor& a) { return call(tf_neg, a); }
inline Tensor matmul(const Tensor& a, const Tensor& b) { return call(tf_matmul, a, b); }
inline Tensor sum(const Tensor& x) {
  return call(tf_sum, x, nullptr, int64_t{0}, 0, TINYFIN_DEFAULT);
}
// Mean over the rows; target holds class indices.
inline Tensor cross_entropy(const Tensor& logits, const Tensor& target) {
  return call(tf_cross_entropy, logits, target, nullptr, TINYFIN_REDUCTION_MEAN);
}

// Ops inside its scope are not recorded.
class NoGrad {
 public:
  NoGrad() : before_(tf_set_grad_enabled(0)) {}
  ~NoGrad() { tf_set_grad_enabled(before_); }
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  int32_t before_;
};

class Module : public Handle<tf_module, tf_module_retain, tf_module_release> {
 public:
  using Handle::Handle;

  Tensor operator()(const Tensor& x) const {
    tf_tensor* out = nullptr;
    check(tf_module_forward(get(), x.get(), &out));
    return Tensor(out);
  }
  void train(bool on = true) { check(tf_module_set_training(get(), on)); }
  void eval() { train(false); }
  Tensor parameter(const char* name) const {
    tf_tensor* p = tf_module_get(get(), name);
    if (!p) throw Error(TINYFIN_ERROR_NAME);
    return Tensor::share(p);
  }
  std::vector<Tensor> parameters() const {
    std::vector<Tensor> list;
    for (int64_t i = 0; i < tf_module_parameter_count(get()); ++i)
      list.push_back(Tensor::share(tf_module_parameter_at(get(), i)));
    return list;
  }
};

// Any module: make(tf_module_dropout, 0.5).
template <class... Parameters, class... Arguments>
Module make(tf_status (*constructor)(Parameters...), const Arguments&... arguments) {
  tf_module* out = nullptr;
  check(constructor(arguments..., &out));
  return Module(out);
}
inline Module linear(int64_t in, int64_t out, tf_activation activation = TINYFIN_ACTIVATION_NONE) {
  return make(tf_module_linear, in, out, 1, activation);
}
inline Module flatten(int64_t start_dim = 1) { return make(tf_module_flatten, start_dim); }
inline Module sequential(std::initializer_list<Module> layers) {
  std::vector<tf_module*> children;
  for (const Module& m : layers) children.push_back(m.get());
  return make(tf_module_sequential, children.data(), static_cast<int64_t>(children.size()));
}

class Optimizer : public Handle<tf_opt, tf_opt_retain, tf_opt_release> {
 public:
  using Handle::Handle;

  void step(double clip_norm = 0) { check(tf_opt_step(get(), clip_norm)); }
  void zero_grad() { check(tf_opt_zero_grad(get(), 1)); }
  Optimizer& set(tf_opt_option option, double value) {
    check(tf_opt_set_f64(get(), TINYFIN_OPT_ALL, option, value));
    return *this;
  }
};

inline Optimizer optimizer(tf_status (*constructor)(const tf_module*, double, tf_opt**),
                           const Module& module, double lr) {
  tf_opt* out = nullptr;
  check(constructor(module.get(), lr, &out));
  return Optimizer(out);
}
inline Optimizer sgd(const Module& m, double lr) { return optimizer(tf_opt_sgd, m, lr); }
inline Optimizer adam(const Module& m, double lr) { return optimizer(tf_opt_adam, m, lr); }
inline Optimizer adamw(const Module& m, double lr) { return optimizer(tf_opt_adamw, m, lr); }
inline Optimizer rmsprop(const Module& m, double lr) { return optimizer(tf_opt_rmsprop, m, lr); }

struct Shuffle {
  uint64_t seed;
};

class Data : public Handle<tf_data, tf_data_retain, tf_data_release> {
 public:
  using Handle::Handle;
  Data(const std::vector<Tensor>& tensors, int64_t batch_size,
       std::optional<Shuffle> shuffle = std::nullopt, bool drop_last = false)
      : Handle(create(tensors, batch_size, shuffle, drop_last)) {}

  // The next batch; nothing at the end of an epoch, after which the next one begins.
  std::optional<std::vector<Tensor>> next() {
    std::vector<tf_tensor*> out(static_cast<size_t>(tf_data_tensor_count(get())));
    const tf_status status = tf_data_next(get(), out.data(), static_cast<int64_t>(out.size()));
    if (status == TINYFIN_ERROR_END) return std::nullopt;
    check(status);
    return std::vector<Tensor>(out.begin(), out.end());
  }
  // How many batches are gathered ahead by a thread, where that pays.
  void set_prefetch(int32_t batches, bool always = false) {
    check(tf_data_set_prefetch(get(), batches, always));
  }
  int64_t size() const { return tf_data_size(get()); }

 private:
  static tf_data* create(const std::vector<Tensor>& tensors, int64_t batch_size,
                         std::optional<Shuffle> shuffle, bool drop_last) {
    std::vector<const tf_tensor*> list;
    for (const Tensor& t : tensors) list.push_back(t.get());
    tf_data* out = nullptr;
    check(tf_data_create(list.data(), static_cast<int64_t>(list.size()), batch_size,
                         shuffle.has_value(), shuffle ? shuffle->seed : 0, drop_last, &out));
    return out;
  }
};

inline Tensor read_idx(const std::string& path, tf_dtype dtype, double scale = 1) {
  tf_tensor* out = nullptr;
  check(tf_read_idx(path.c_str(), dtype, scale, &out));
  return Tensor(out);
}

}  // namespace tinyfin

#endif  // TINYFIN_TINYFIN_HPP
