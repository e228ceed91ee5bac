// Checkpoint files. Little-endian; every byte is under a CRC-32:
//
//   magic[8]  u32 version  u32 entries  u64 file size  u32 CRC of these 24 bytes
//   per entry:
//     u32 head size  u32 kind (1 tensor, 2 text)  u32 dtype  u32 dimensions  u64 payload bytes
//     i64 sizes[dimensions]  name (the rest of the head)  u32 CRC of the head
//     payload  u32 CRC of the payload
//
// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>

#include "autograd/engine.h"
#include "core/error.h"
#include "io/checkpoint.h"

namespace tf {
namespace {

static_assert(std::endian::native == std::endian::little,
              "payloads are written as they lie in memory");

constexpr unsigned char kMagic[8] = {0x89, 'T', 'F', 'C', '\r', '\n', 0x1a, '\n'};
constexpr uint32_t kVersion = 1;
constexpr size_t kFileHead = 24;
constexpr size_t kEntryHead = 24;  // without sizes and name
constexpr uint32_t kTensor = 1, kText = 2;
constexpr size_t kMaxName = 1 << 16;

uint32_t crc_of(const void* data, size_t bytes) {
  uint32_t crc = uint32_t(crc32_z(0, nullptr, 0));
  return uint32_t(crc32_z(crc, static_cast<const Bytef*>(data), bytes));
}

template <class T>
void put(std::string& to, T value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

template <class T>
T take(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// A file descriptor that closes itself.
class File {
 public:
  File(const char* path, int flags) : fd_(open(path, flags | O_CLOEXEC, 0666)) {}
  ~File() { close(); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  bool is_open() const { return fd_ >= 0; }
  int get() const { return fd_; }
  bool close() {
    const int fd = std::exchange(fd_, -1);
    return fd < 0 || ::close(fd) == 0;
  }
  // False with errno set.
  bool write(const void* data, size_t bytes) {
    const char* from = static_cast<const char*>(data);
    while (bytes > 0) {
      const ssize_t n = ::write(fd_, from, std::min<size_t>(bytes, 1 << 30));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return false;
      from += n;
      bytes -= size_t(n);
    }
    return true;
  }
  // Bytes read, fewer at the end; -1 with errno set.
  int64_t read(void* data, size_t bytes) {
    size_t done = 0;
    while (done < bytes) {
      const ssize_t n = ::read(fd_, static_cast<char*>(data) + done,
                               std::min<size_t>(bytes - done, 1 << 30));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return -1;
      if (n == 0) break;
      done += size_t(n);
    }
    return int64_t(done);
  }

 private:
  int fd_;
};

std::string head_of(const CheckpointEntry& e) {
  const bool is_tensor = e.tensor.defined();
  const Dims shape = is_tensor ? e.tensor.shape() : Dims{};
  const int64_t bytes =
      is_tensor ? e.tensor.numel() * size_of(e.tensor.dtype()) : int64_t(e.text.size());
  std::string head;
  put(head, uint32_t(kEntryHead + 8 * size_t(shape.size()) + e.name.size()));
  put(head, is_tensor ? kTensor : kText);
  put(head, is_tensor ? uint32_t(e.tensor.dtype()) : 0u);
  put(head, uint32_t(shape.size()));
  put(head, uint64_t(bytes));
  for (int64_t d : shape) put(head, d);
  return head + e.name;
}

// Writes into a file beside `path`, which takes its place once it is on disk.
class Replacement {
 public:
  explicit Replacement(const std::string& path)
      : path_(path), temporary_(name_beside(path)), file_(temporary_.c_str(), kFlags) {
    if (!file_.is_open()) report("create");
  }
  ~Replacement() {
    if (!done_ && file_was_made_) unlink(temporary_.c_str());
  }

  void write(const void* data, size_t bytes) {
    if (!file_.write(data, bytes)) report("write");
  }
  void write_with_crc(const void* data, size_t bytes) {
    write(data, bytes);
    const uint32_t crc = crc_of(data, bytes);
    write(&crc, sizeof crc);
  }

  void finish() {
    if (fsync(file_.get()) != 0 || !file_.close()) report("write");
    if (rename(temporary_.c_str(), path_.c_str()) != 0) report("put in its place");
    done_ = true;
    // The name is on disk once the directory is. A file system that cannot do this has no more
    // to give: the file itself is whole either way.
    const size_t slash = path_.rfind('/');
    const std::string directory = slash == std::string::npos ? "." : path_.substr(0, slash + 1);
    File d(directory.c_str(), O_RDONLY | O_DIRECTORY);
    if (d.is_open()) (void)fsync(d.get());
  }

 private:
  static constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL;

  static std::string name_beside(const std::string& path) {
    static std::atomic<unsigned> counter{0};
    return concat_text(path, ".", getpid(), "-", counter.fetch_add(1), ".tmp");
  }
  [[noreturn]] void report(const char* what) {
    const int error = errno;
    file_was_made_ = file_.is_open() || file_was_made_;
    fail(TINYFIN_ERROR_IO, "received \"", path_, "\": cannot ", what, " the file (",
         std::strerror(error), "); expected a directory that can be written, with room; what was "
         "there before is unchanged");
  }

  const std::string path_, temporary_;
  File file_;
  bool done_ = false;
  bool file_was_made_ = file_.is_open();
};

class Reader {
 public:
  explicit Reader(const char* path) : path_(path), file_(path, O_RDONLY) {
    struct stat info = {};
    if (!file_.is_open() || fstat(file_.get(), &info) != 0)
      fail(TINYFIN_ERROR_IO, "received \"", path_, "\": ", std::strerror(errno),
           "; expected a checkpoint that can be read; check the path");
    TF_CHECK(S_ISREG(info.st_mode), TINYFIN_ERROR_IO, "received \"", path_,
             "\", which is no regular file; expected a checkpoint");
    left_ = int64_t(info.st_size);
    size_ = left_;
  }

  int64_t size() const { return size_; }
  int64_t left() const { return left_; }

  void read(void* to, size_t bytes, const char* what) {
    if (int64_t(bytes) > left_) damaged("it ends inside ", what);
    const int64_t n = file_.read(to, bytes);
    if (n < 0)
      fail(TINYFIN_ERROR_IO, "received \"", path_, "\": ", std::strerror(errno),
           " while reading ", what, "; expected a file that can be read");
    if (n != int64_t(bytes)) damaged("it ends inside ", what);
    left_ -= n;
  }
  void check_crc(uint32_t computed, const char* what, const std::string& name = "") {
    uint32_t stored;
    read(&stored, sizeof stored, what);
    if (stored != computed) damaged("the checksum of ", what, name.empty() ? "" : " of ", name);
  }

  template <class... Parts>
  [[noreturn]] void damaged(const Parts&... parts) {
    fail(TINYFIN_ERROR_FORMAT, "received \"", path_, "\" (", size_, " bytes), which is damaged: ",
         parts..., "; expected a whole checkpoint; take an earlier one");
  }

 private:
  const char* path_;
  File file_;
  int64_t left_ = 0, size_ = 0;
};

void read_entry(Reader& in, tf_checkpoint& checkpoint) {
  char fixed[kEntryHead];
  in.read(fixed, sizeof fixed, "the head of an entry");
  const size_t head_size = take<uint32_t>(fixed);
  const uint32_t kind = take<uint32_t>(fixed + 4), type = take<uint32_t>(fixed + 8);
  const uint32_t ndim = take<uint32_t>(fixed + 12);
  const uint64_t bytes = take<uint64_t>(fixed + 16);
  if (ndim > uint32_t(kMaxDims) || head_size < kEntryHead + 8 * ndim + 1 ||
      head_size > kEntryHead + 8 * ndim + kMaxName)
    in.damaged("the sizes in the head of an entry");
  std::string head(fixed, sizeof fixed);
  head.resize(head_size);
  in.read(&head[kEntryHead], head_size - kEntryHead, "the head of an entry");
  in.check_crc(crc_of(head.data(), head.size()), "the head of an entry");

  // The head is what a writer wrote; whether that writer was sane is checked from here on.
  const std::string name = head.substr(kEntryHead + 8 * ndim);
  if (name.find('\0') != std::string::npos || checkpoint.find(name))
    in.damaged("a name that is not a text or occurs twice");
  if (bytes > uint64_t(in.left())) in.damaged("it ends inside \"", name, "\"");
  if (kind == kText) {
    std::string text(size_t(bytes), '\0');
    in.read(text.data(), text.size(), "a text");
    in.check_crc(crc_of(text.data(), text.size()), "the text", name);
    if (ndim != 0 || type != 0 || text.find('\0') != std::string::npos)
      in.damaged("\"", name, "\" is no text");
    checkpoint.add_text(name, text);
    return;
  }
  const DType dtype = DType(int32_t(type));
  if (kind != kTensor || !is_valid(dtype)) in.damaged("the kind of \"", name, "\"");
  Dims shape;
  int64_t expected = size_of(dtype);
  bool fits = true;
  for (uint32_t d = 0; d < ndim; ++d) {
    shape.push_back(take<int64_t>(&head[kEntryHead + 8 * d]));
    fits = fits && shape[int(d)] >= 0 &&
           !__builtin_mul_overflow(expected, shape[int(d)], &expected);
  }
  if (!fits || uint64_t(expected) != bytes) in.damaged("the shape of \"", name, "\"");
  // Sizes around a 0 may still overflow; the ordinary check names them.
  checked_numel(shape);
  Tensor tensor = empty(shape, dtype, cpu_device());
  in.read(tensor.data(), size_t(bytes), "a tensor");
  in.check_crc(crc_of(tensor.data(), size_t(bytes)), "the values", name);
  if (is_bool(dtype)) {
    const unsigned char* v = static_cast<const unsigned char*>(tensor.data());
    if (std::any_of(v, v + bytes, [](unsigned char b) { return b > 1; }))
      in.damaged("\"", name, "\" holds bools other than 0 and 1");
  }
  checkpoint.add(name, tensor);
}

}  // namespace

CheckpointRef read_checkpoint(const char* path) {
  Reader in(path);
  char head[kFileHead];
  in.read(head, std::min<size_t>(sizeof head, size_t(in.size())), "the head of the file");
  TF_CHECK(in.size() >= 8 && std::memcmp(head, kMagic, sizeof kMagic) == 0, TINYFIN_ERROR_FORMAT,
           "received \"", path, "\", which does not start as a checkpoint does; expected a file "
           "written by tf_checkpoint_write or tf_save_checkpoint");
  if (in.size() < int64_t(kFileHead)) in.damaged("it ends inside the head of the file");
  in.check_crc(crc_of(head, sizeof head), "the head of the file");
  const uint32_t version = take<uint32_t>(head + 8), count = take<uint32_t>(head + 12);
  TF_CHECK(version == kVersion, TINYFIN_ERROR_FORMAT, "received \"", path, "\" of format version ",
           version, "; expected ", kVersion, "; it was written by another version of tinyfin");
  if (take<uint64_t>(head + 16) != uint64_t(in.size()))
    in.damaged("it was written as ", take<uint64_t>(head + 16), " bytes");
  CheckpointRef checkpoint = CheckpointRef::adopt(new tf_checkpoint);
  for (uint32_t i = 0; i < count; ++i) read_entry(in, *checkpoint);
  if (in.left() != 0) in.damaged(in.left(), " bytes behind the last entry");
  return checkpoint;
}

void write_checkpoint(const tf_checkpoint& checkpoint, const char* path) {
  const NoGrad no_grad;
  uint64_t size = kFileHead + 4;
  for (const CheckpointEntry& e : checkpoint.entries) {
    TF_CHECK(e.name.size() <= kMaxName, TINYFIN_ERROR_ARGUMENT, "received a name of ",
             e.name.size(), " bytes; expected at most ", kMaxName);
    const std::string head = head_of(e);
    size += head.size() + 4 + take<uint64_t>(&head[16]) + 4;
  }
  Replacement file(path);
  std::string head(reinterpret_cast<const char*>(kMagic), sizeof kMagic);
  put(head, kVersion);
  put(head, uint32_t(checkpoint.entries.size()));
  put(head, size);
  file.write_with_crc(head.data(), head.size());
  for (const CheckpointEntry& e : checkpoint.entries) {
    head = head_of(e);
    file.write_with_crc(head.data(), head.size());
    if (!e.tensor.defined()) {
      file.write_with_crc(e.text.data(), e.text.size());
    } else if (e.tensor.device().host_accessible && e.tensor.is_contiguous()) {
      e.tensor.device().synchronize();
      file.write_with_crc(e.tensor.data(), size_t(take<uint64_t>(&head[16])));
    } else {
      std::string values(size_t(take<uint64_t>(&head[16])), '\0');
      copy_to_host(e.tensor, values.data(), int64_t(values.size()));
      file.write_with_crc(values.data(), values.size());
    }
  }
  file.finish();
}

}  // namespace tf
