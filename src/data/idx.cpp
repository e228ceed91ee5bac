// Reading IDX files, plain or gzipped. Nothing in the file is trusted: the header says how much to
// read, and memory is taken as data really arrives.
// SPDX-License-Identifier: MIT
#include "data/idx.h"

#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "core/error.h"
#include "ops/op.h"
#include "ops/ops.h"

namespace tf {
namespace {

// An open file, decompressed by zlib where it is gzipped.
class Source {
 public:
  explicit Source(const char* path) : path_(path) {
    errno = 0;
    file_.reset(gzopen(path, "rb"));
    TF_CHECK(file_, TINYFIN_ERROR_IO, "received \"", path, "\": ",
             errno ? std::strerror(errno) : "out of memory",
             "; expected an IDX file that can be read; check the path");
    gzbuffer(file_.get(), 1 << 17);
  }

  // Up to `bytes` bytes; fewer at the end of the file.
  int64_t read(void* to, int64_t bytes) {
    int64_t done = 0;
    while (done < bytes) {
      const unsigned want = unsigned(std::min<int64_t>(bytes - done, 1 << 20));
      const int got = gzread(file_.get(), static_cast<char*>(to) + done, want);
      if (got < 0) report();
      done += got;
      if (unsigned(got) < want) {
        // A gzip stream that ends early counts as the end until its error is asked for.
        int code = Z_OK;
        gzerror(file_.get(), &code);
        if (code != Z_OK && code != Z_STREAM_END) report();
        break;
      }
    }
    return done;
  }

 private:
  [[noreturn]] void report() {
    int code = Z_OK;
    const char* text = gzerror(file_.get(), &code);
    if (code == Z_ERRNO)
      fail(TINYFIN_ERROR_IO, "received \"", path_, "\": ", std::strerror(errno),
           "; expected a file that can be read");
    fail(TINYFIN_ERROR_FORMAT, "received \"", path_, "\": damaged gzip data (", text,
         "); expected a whole file; try to download it again");
  }

  struct Close {
    void operator()(gzFile f) const { gzclose(f); }
  };
  const char* path_;
  std::unique_ptr<gzFile_s, Close> file_;
};

int element_size(int code) {
  switch (code) {
    case 0x08:
    case 0x09: return 1;
    case 0x0B: return 2;
    case 0x0C:
    case 0x0D: return 4;
    case 0x0E: return 8;
    default: return 0;
  }
}

uint64_t big_endian(const unsigned char* p, int bytes) {
  uint64_t v = 0;
  for (int i = 0; i < bytes; ++i) v = v << 8 | p[i];
  return v;
}

// The element at p, as T.
template <class T>
T element(const unsigned char* p, int code) {
  switch (code) {
    case 0x08: return T(p[0]);
    case 0x09: return T(int8_t(p[0]));
    case 0x0B: return T(int16_t(big_endian(p, 2)));
    case 0x0C: return T(int32_t(big_endian(p, 4)));
    case 0x0D: {
      const uint32_t bits = uint32_t(big_endian(p, 4));
      float f;
      std::memcpy(&f, &bits, 4);
      return T(f);
    }
    default: {
      const uint64_t bits = big_endian(p, 8);
      double d;
      std::memcpy(&d, &bits, 8);
      return T(d);
    }
  }
}

template <class T>
void convert(const unsigned char* from, int code, double scale, T* to, int64_t n) {
  const int size = element_size(code);
  if (code == 0x08) {  // bytes: every result is one of 256
    T table[256];
    for (int v = 0; v < 256; ++v) table[v] = T(scale == 1 ? double(v) : double(v) * scale);
    for (int64_t i = 0; i < n; ++i) to[i] = table[from[i]];
  } else if (scale == 1) {
    for (int64_t i = 0; i < n; ++i) to[i] = element<T>(from + i * size, code);
  } else {
    for (int64_t i = 0; i < n; ++i) to[i] = T(element<double>(from + i * size, code) * scale);
  }
}

}  // namespace

Tensor read_idx(const char* path, DType dtype, double scale) {
  if (dtype == DType::bf16) return cast(read_idx(path, DType::f64, scale), dtype);
  Source source(path);
  unsigned char magic[4];
  int64_t got = source.read(magic, 4);
  TF_CHECK(got == 4, TINYFIN_ERROR_FORMAT, "received \"", path, "\" of ", got,
           " bytes; expected an IDX file, which starts with 4 bytes of magic");
  const int code = magic[2], ndim = magic[3];
  TF_CHECK(magic[0] == 0 && magic[1] == 0 && element_size(code) > 0, TINYFIN_ERROR_FORMAT,
           "received \"", path, "\", which starts with bytes ", int(magic[0]), " ", int(magic[1]),
           " ", code, " ", ndim, "; expected the magic of an IDX file: 0 0, an element type (8, 9, "
           "11 to 14), the number of dimensions");
  TF_CHECK(ndim >= 1 && ndim <= kMaxDims, TINYFIN_ERROR_FORMAT, "received \"", path, "\" with ",
           ndim, " dimensions; expected 1 to ", kMaxDims);
  const bool floats = code >= 0x0D;
  if (dtype == DType::none)
    dtype = code == 0x0D ? DType::f32 : code == 0x0E ? DType::f64 : DType::i32;
  TF_CHECK(!is_bool(dtype) && (is_float(dtype) || (!floats && scale == 1)),
           TINYFIN_ERROR_DTYPE, "received ", name_of(dtype), " for \"", path, "\" (",
           floats ? "float" : "integer", " elements, scale ", scale,
           "); expected a float dtype, or an integer one for integers with scale 1");
  unsigned char sizes[4 * kMaxDims];
  got = source.read(sizes, 4 * ndim);
  TF_CHECK(got == 4 * ndim, TINYFIN_ERROR_FORMAT, "received \"", path, "\", which ends after ",
           got, " bytes of sizes; expected ", 4 * ndim);
  Dims shape;
  int64_t n = 1, bytes = 0;
  bool fits = true;
  for (int d = 0; d < ndim; ++d) {
    shape.push_back(int64_t(big_endian(sizes + 4 * d, 4)));
    fits = fits && !__builtin_mul_overflow(n, shape[d], &n);
  }
  const int size = element_size(code);
  fits = fits && !__builtin_mul_overflow(n, int64_t{8}, &bytes);
  TF_CHECK(fits, TINYFIN_ERROR_FORMAT, "received \"", path, "\" with sizes ", to_string(shape),
           "; expected a number of elements that memory can hold");
  // In pieces: a header that promises more than the file holds costs no memory.
  std::vector<unsigned char> raw;
  const int64_t need = n * size;
  while (int64_t(raw.size()) < need) {
    const size_t before = raw.size();
    const int64_t piece = std::min<int64_t>(need - int64_t(before), 16 << 20);
    raw.resize(before + size_t(piece));
    got = source.read(raw.data() + before, piece);
    TF_CHECK(got == piece, TINYFIN_ERROR_FORMAT, "received \"", path, "\" with ",
             int64_t(before) + got, " bytes of elements; its sizes ", to_string(shape),
             " promise ", need, "; try to download it again");
  }
  unsigned char more;
  TF_CHECK(source.read(&more, 1) == 0, TINYFIN_ERROR_FORMAT, "received \"", path,
           "\" with bytes behind the ", need, " of its elements ", to_string(shape),
           "; expected none");
  Tensor out = empty(shape, dtype, cpu_device());
  switch (dtype) {
    case DType::f32: convert(raw.data(), code, scale, static_cast<float*>(out.data()), n); break;
    case DType::f64: convert(raw.data(), code, scale, static_cast<double*>(out.data()), n); break;
    case DType::i32: convert(raw.data(), code, scale, static_cast<int32_t*>(out.data()), n); break;
    default: convert(raw.data(), code, scale, static_cast<int64_t*>(out.data()), n); break;
  }
  return out;
}

}  // namespace tf
