// The IDX reader against good and hostile files.
// SPDX-License-Identifier: MIT
#include "data/idx.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <vector>

#include "files.h"
#include "tinyfin/data.h"

namespace tf {
namespace {

using testing::TemporaryDirectory;
using testing::write_file;

std::string idx(int code, const std::vector<uint32_t>& sizes, const std::string& elements) {
  std::string s{'\0', '\0', char(code), char(sizes.size())};
  for (uint32_t n : sizes)
    for (int shift = 24; shift >= 0; shift -= 8) s += char(n >> shift & 255);
  return s + elements;
}

void write_gzip(const std::string& path, const std::string& bytes) {
  gzFile f = gzopen(path.c_str(), "wb");
  gzwrite(f, bytes.data(), unsigned(bytes.size()));
  gzclose(f);
}

// Status and message of reading `path`.
std::pair<tf_status, std::string> status_of(const std::string& path,
                                            tf_dtype dtype = TINYFIN_DEFAULT, double scale = 1) {
  tf_tensor* out = nullptr;
  const tf_status status = tf_read_idx(path.c_str(), dtype, scale, &out);
  EXPECT_EQ(out != nullptr, status == TINYFIN_OK);
  tf_tensor_release(out);
  return {status, status ? tf_last_error() : ""};
}

TEST(Idx, ReadsBytesPlainAndGzipped) {
  TemporaryDirectory dir;
  const std::string bytes = idx(8, {2, 3}, std::string("\0\1\2\xfd\xfe\xff", 6));
  write_file(dir.file("plain"), bytes);
  write_gzip(dir.file("zipped.gz"), bytes);
  for (const char* name : {"plain", "zipped.gz"}) {
    const Tensor t = read_idx(dir.file(name).c_str(), DType::none, 1);
    EXPECT_EQ(t.dtype(), DType::i32);
    EXPECT_EQ(t.shape(), (Dims{2, 3}));
    const int32_t* v = static_cast<const int32_t*>(t.data());
    EXPECT_EQ(std::vector<int32_t>(v, v + 6), (std::vector<int32_t>{0, 1, 2, 253, 254, 255}));
    const Tensor scaled = read_idx(dir.file(name).c_str(), DType::f32, 1.0 / 255);
    EXPECT_FLOAT_EQ(static_cast<const float*>(scaled.data())[5], 1);
    const Tensor narrow = read_idx(dir.file(name).c_str(), DType::bf16, 1);
    EXPECT_EQ(static_cast<const uint16_t*>(narrow.data())[5], 0x437f);
  }
}

TEST(Idx, ReadsEveryElementType) {
  TemporaryDirectory dir;
  const struct {
    int code;
    std::string bytes;
    double value;
  } cases[] = {{9, "\xff", -1},
               {11, "\xff\xfe", -2},
               {12, std::string("\x00\x01\x00\x00", 4), 65536},
               {13, std::string("\x3f\xc0\x00\x00", 4), 1.5},
               {14, std::string("\xbf\xf8\x00\x00\x00\x00\x00\x00", 8), -1.5}};
  for (const auto& c : cases) {
    write_file(dir.file("f"), idx(c.code, {1}, c.bytes));
    EXPECT_EQ(item_f64(read_idx(dir.file("f").c_str(), DType::f64, 1)), c.value) << c.code;
    EXPECT_EQ(item_f64(read_idx(dir.file("f").c_str(), DType::none, 1)), c.value) << c.code;
  }
}

TEST(Idx, EmptyDataIsFine) {
  TemporaryDirectory dir;
  write_file(dir.file("f"), idx(8, {0, 28, 28}, ""));
  EXPECT_EQ(read_idx(dir.file("f").c_str(), DType::none, 1).shape(), (Dims{0, 28, 28}));
}

TEST(Idx, HostileFilesAreNamed) {
  TemporaryDirectory dir;
  const std::string good = idx(8, {2, 2}, "abcd");
  const struct {
    const char* what;
    std::string bytes;
    const char* text;
  } cases[] = {
      {"empty", "", "0 bytes"},
      {"bad magic", "\x89PNG\r\n", "starts with"},
      {"unknown element type", idx(10, {1}, "a"), "element type"},
      {"no dimensions", idx(8, {}, "a"), "0 dimensions"},
      {"too many dimensions", idx(8, std::vector<uint32_t>(9, 1), "a"), "9 dimensions"},
      {"elements missing", idx(8, {2, 2}, "abc"), "3 bytes of elements"},
      {"bytes behind", good + "x", "bytes behind"},
      {"sizes that overflow", idx(14, std::vector<uint32_t>(4, 0xffffffff), ""), "sizes"},
      {"a promise of 16 TB", idx(8, {0xffffffff, 4096}, "abcd"), "promise"},
  };
  for (const auto& c : cases) {
    write_file(dir.file("f"), c.bytes);
    const auto [status, text] = status_of(dir.file("f"));
    EXPECT_EQ(status, TINYFIN_ERROR_FORMAT) << c.what << ": " << text;
    EXPECT_NE(text.find(c.text), std::string::npos) << c.what << ": " << text;
    EXPECT_NE(text.find(dir.file("f")), std::string::npos) << text;
  }
}

TEST(Idx, EveryTruncationFails) {
  TemporaryDirectory dir;
  const std::string good = idx(8, {3, 2}, "abcdef");
  write_gzip(dir.file("z"), good);
  const std::string zipped = testing::read_file(dir.file("z"));
  for (const std::string& whole : {good, zipped})
    for (size_t n = 0; n < whole.size(); ++n) {
      write_file(dir.file("f"), whole.substr(0, n));
      EXPECT_EQ(status_of(dir.file("f")).first, TINYFIN_ERROR_FORMAT) << n;
    }
}

TEST(Idx, DamagedGzipFailsOrReadsTheSame) {
  TemporaryDirectory dir;
  const std::string good = idx(8, {3, 2}, "abcdef");
  write_gzip(dir.file("z"), good);
  const std::string zipped = testing::read_file(dir.file("z"));
  for (size_t i = 0; i < zipped.size(); ++i) {
    std::string bad = zipped;
    bad[i] = char(bad[i] ^ 0x55);
    write_file(dir.file("f"), bad);
    const tf_status status = status_of(dir.file("f")).first;
    EXPECT_TRUE(status == TINYFIN_OK || status == TINYFIN_ERROR_FORMAT) << i;
    if (status == TINYFIN_OK) {
      const Tensor t = read_idx(dir.file("f").c_str(), DType::none, 1);
      EXPECT_EQ(static_cast<const int32_t*>(t.data())[5], 'f') << i;
    }
  }
}

TEST(Idx, MissingFileAndBadArguments) {
  TemporaryDirectory dir;
  const auto [status, text] = status_of(dir.file("nowhere"));
  EXPECT_EQ(status, TINYFIN_ERROR_IO);
  EXPECT_NE(text.find("No such file"), std::string::npos) << text;
  EXPECT_EQ(status_of(dir.path()).first, TINYFIN_ERROR_IO);
  write_file(dir.file("f"), idx(8, {1}, "a"));
  EXPECT_EQ(status_of(dir.file("f"), TINYFIN_INT32, 0.5).first, TINYFIN_ERROR_DTYPE);
  EXPECT_EQ(status_of(dir.file("f"), TINYFIN_BOOL).first, TINYFIN_ERROR_DTYPE);
  EXPECT_EQ(status_of(dir.file("f"), 99).first, TINYFIN_ERROR_DTYPE);
}

}  // namespace
}  // namespace tf
