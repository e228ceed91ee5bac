// Checkpoints: round trips, and files that are cut, flipped or lie.
// SPDX-License-Identifier: MIT
#include "io/checkpoint.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <cstring>

#include "autograd/engine.h"
#include "core/rng.h"
#include "files.h"
#include "nn/module.h"
#include "ops/ops.h"
#include "optim/opt.h"

namespace tf {
namespace {

using testing::read_file;
using testing::TemporaryDirectory;
using testing::write_file;

Tensor numbers(const Dims& shape, DType dtype, double start = 0) {
  Tensor t = empty(shape, DType::f64, cpu_device());
  for (int64_t i = 0; i < t.numel(); ++i) static_cast<double*>(t.data())[i] = start + double(i);
  return cast_to(t, dtype);
}

std::string bytes_of(const Tensor& t) {
  std::string s(size_t(t.numel() * size_of(t.dtype())), '\0');
  copy_to_host(t, s.data(), int64_t(s.size()));
  return s;
}

CheckpointRef sample() {
  auto c = CheckpointRef::adopt(new tf_checkpoint);
  c->add("weights", numbers({2, 3}, DType::f32));
  c->add("mask", numbers({2}, DType::b8));
  c->add("nothing", numbers({0, 5}, DType::i64));
  c->add("one", numbers({}, DType::i32, 7));
  c->add_text("metadata", "epoch 3, größer");
  return c;
}

bool same(const tf_checkpoint& a, const tf_checkpoint& b) {
  if (a.entries.size() != b.entries.size()) return false;
  for (size_t i = 0; i < a.entries.size(); ++i) {
    const CheckpointEntry &x = a.entries[i], &y = b.entries[i];
    if (x.name != y.name || x.text != y.text || x.tensor.defined() != y.tensor.defined())
      return false;
    if (x.tensor.defined() &&
        (x.tensor.dtype() != y.tensor.dtype() || !(x.tensor.shape() == y.tensor.shape()) ||
         bytes_of(x.tensor) != bytes_of(y.tensor)))
      return false;
  }
  return true;
}

// The status of reading; the content where it succeeds must be that of `good`.
tf_status status_of(const std::string& path, const tf_checkpoint& good) {
  try {
    const auto c = read_checkpoint(path.c_str());
    EXPECT_TRUE(same(*c, good)) << "other content without an error";
    return TINYFIN_OK;
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find(path), std::string::npos) << e.what();
    return e.status();
  }
}

TEST(Checkpoint, RoundTrip) {
  TemporaryDirectory dir;
  const auto c = sample();
  const Tensor square = numbers({3, 2}, DType::f64);
  c->add("transposed", alias(square, Dims{2, 3}, Dims{1, 2}, 0));
  write_checkpoint(*c, dir.file("a").c_str());
  write_checkpoint(*c, dir.file("a").c_str());  // over the one that is there
  EXPECT_TRUE(same(*read_checkpoint(dir.file("a").c_str()), *c));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir.path()), {}), 1)
      << "a temporary file was left";
}

TEST(Checkpoint, EveryTruncationIsAFormatError) {
  TemporaryDirectory dir;
  const auto c = sample();
  write_checkpoint(*c, dir.file("a").c_str());
  const std::string whole = read_file(dir.file("a"));
  for (size_t n = 0; n < whole.size(); ++n) {
    write_file(dir.file("cut"), whole.substr(0, n));
    ASSERT_EQ(status_of(dir.file("cut"), *c), TINYFIN_ERROR_FORMAT) << n;
  }
  write_file(dir.file("cut"), whole + "x");
  EXPECT_EQ(status_of(dir.file("cut"), *c), TINYFIN_ERROR_FORMAT);
}

TEST(Checkpoint, EveryFlippedByteIsAFormatError) {
  TemporaryDirectory dir;
  const auto c = sample();
  write_checkpoint(*c, dir.file("a").c_str());
  const std::string whole = read_file(dir.file("a"));
  for (size_t i = 0; i < whole.size(); ++i)
    for (int bit : {1, 128}) {
      std::string bad = whole;
      bad[i] = char(bad[i] ^ bit);
      write_file(dir.file("bad"), bad);
      ASSERT_EQ(status_of(dir.file("bad"), *c), TINYFIN_ERROR_FORMAT) << i;
    }
}

// A head that lies but carries the right checksum.
TEST(Checkpoint, LyingHeadsAreFormatErrors) {
  TemporaryDirectory dir;
  auto c = CheckpointRef::adopt(new tf_checkpoint);
  c->add("w", numbers({2, 3}, DType::f32));
  write_checkpoint(*c, dir.file("a").c_str());
  const std::string whole = read_file(dir.file("a"));
  constexpr size_t kHead = 28;              // the entry's head starts behind the file's
  const size_t head_size = 24 + 16 + 1;
  const auto with = [&](size_t at, uint64_t value, size_t bytes) {
    std::string bad = whole;
    std::memcpy(&bad[kHead + at], &value, bytes);
    const uint32_t crc = uint32_t(
        crc32_z(0, reinterpret_cast<const Bytef*>(bad.data() + kHead), head_size));
    std::memcpy(&bad[kHead + head_size], &crc, 4);
    write_file(dir.file("bad"), bad);
    return status_of(dir.file("bad"), *c);
  };
  EXPECT_EQ(with(24, 2, 8), TINYFIN_OK);  // the value that is there
  for (uint64_t dim : {uint64_t(3), ~uint64_t(0), uint64_t(1) << 62, uint64_t(0)})
    EXPECT_EQ(with(24, dim, 8), TINYFIN_ERROR_FORMAT) << dim;
  for (uint64_t bytes : {uint64_t(23), uint64_t(25), ~uint64_t(0), uint64_t(1) << 40})
    EXPECT_EQ(with(16, bytes, 8), TINYFIN_ERROR_FORMAT) << bytes;
  for (uint64_t kind : {0, 2, 3, 77}) EXPECT_EQ(with(4, kind, 4), TINYFIN_ERROR_FORMAT) << kind;
  for (uint64_t dtype : {0, 2, 6, 1000})
    EXPECT_EQ(with(8, dtype, 4), TINYFIN_ERROR_FORMAT) << dtype;
  for (uint64_t ndim : {1, 3, 8, 9, 1 << 30})
    EXPECT_EQ(with(12, ndim, 4), TINYFIN_ERROR_FORMAT) << ndim;
}

TEST(Checkpoint, FilesThatCannotBeReadOrWritten) {
  TemporaryDirectory dir;
  const auto c = sample();
  EXPECT_EQ(status_of(dir.file("nowhere"), *c), TINYFIN_ERROR_IO);
  EXPECT_EQ(status_of(dir.path(), *c), TINYFIN_ERROR_IO);
  EXPECT_EQ(tf_checkpoint_write(c.get(), dir.file("no/such/place").c_str()), TINYFIN_ERROR_IO);
  EXPECT_NE(std::string(tf_last_error()).find("No such file"), std::string::npos);
  std::filesystem::create_directory(dir.file("taken"));
  write_file(dir.file("taken/x"), "");
  EXPECT_EQ(tf_checkpoint_write(c.get(), dir.file("taken").c_str()), TINYFIN_ERROR_IO);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir.path()), {}), 1)
      << "a temporary file was left";
}

ModuleRef network(int64_t hidden) {
  std::vector<ModuleRef> layers{make_linear(3, hidden, true, TINYFIN_ACTIVATION_RELU),
                                make_linear(hidden, 2, true, TINYFIN_ACTIVATION_NONE)};
  return make_sequential({layers[0].get(), layers[1].get()});
}

std::string state_of(const tf_module& module) {
  std::string all;
  for (const Tensor& t : parameters_of(module)) all += bytes_of(t);
  return all;
}

TEST(Checkpoint, ModuleRoundTrip) {
  manual_seed(1);
  const ModuleRef a = network(4), b = network(4);
  ASSERT_NE(state_of(*a), state_of(*b));
  tf_checkpoint c;
  add_module(c, "m.", *a);
  EXPECT_TRUE(c.find("m.0.weight"));
  prepare_module(c, "m.", *b, true)();
  EXPECT_EQ(state_of(*a), state_of(*b));
}

TEST(Checkpoint, AFailedLoadChangesNothing) {
  manual_seed(2);
  TemporaryDirectory dir;
  const ModuleRef a = network(4), b = network(4), wider = network(5);
  tf_opt *sgd = nullptr, *adam = nullptr;
  ASSERT_EQ(tf_opt_sgd(b.get(), 0.1, &sgd), 0);
  ASSERT_EQ(tf_opt_adam(a.get(), 0.1, &adam), 0);
  ASSERT_EQ(tf_save_checkpoint(dir.file("a").c_str(), a.get(), adam, nullptr, "hello"), 0);
  const std::string before = state_of(*b);
  // The module fits, the optimiser does not.
  EXPECT_EQ(tf_load_checkpoint(dir.file("a").c_str(), b.get(), sgd, nullptr),
            TINYFIN_ERROR_FORMAT);
  EXPECT_NE(std::string(tf_last_error()).find("Adam"), std::string::npos) << tf_last_error();
  EXPECT_EQ(state_of(*b), before);
  const std::string wide = state_of(*wider);
  EXPECT_EQ(tf_load_checkpoint(dir.file("a").c_str(), wider.get(), nullptr, nullptr),
            TINYFIN_ERROR_FORMAT);
  EXPECT_NE(std::string(tf_last_error()).find("module.0.weight"), std::string::npos);
  EXPECT_EQ(state_of(*wider), wide);
  EXPECT_EQ(tf_load_checkpoint(dir.file("a").c_str(), b.get(), nullptr, nullptr), 0);
  EXPECT_EQ(state_of(*b), state_of(*a));
  tf_opt_release(sgd);
  tf_opt_release(adam);
}

TEST(Checkpoint, StrictNamesWhatDoesNotBelong) {
  const ModuleRef a = network(4);
  tf_checkpoint c;
  add_module(c, "", *a);
  c.add("2.weight", numbers({1}, DType::f32));
  try {
    prepare_module(c, "", *a, true);
    FAIL() << "a tensor too many went unseen";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("2.weight"), std::string::npos) << e.what();
  }
  prepare_module(c, "", *a, false)();
}

}  // namespace
}  // namespace tf
