#include "gateway/tls/pem_file.h"

#include <fcntl.h>
#include <openssl/mem.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "gateway/limits.h"

namespace starling {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

absl::Status SystemError(const std::string& path, int error) {
  const std::string text = absl::StrCat(path, ": ", std::generic_category().message(error));
  if (error == ENOENT) return absl::NotFoundError(text);
  if (error == EACCES || error == EPERM) return absl::PermissionDeniedError(text);
  return absl::InvalidArgumentError(text);
}

absl::Status Unusable(const std::string& path, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", what));
}

}  // namespace

PemFile::~PemFile() { OPENSSL_cleanse(text.data(), text.size()); }

absl::StatusOr<PemFile> ReadPemFile(const std::string& path) {
  return ReadSmallFile(path, kMaxPemFile, "a PEM file");
}

absl::StatusOr<PemFile> ReadSmallFile(const std::string& path, size_t max_size,
                                      std::string_view expected, bool may_be_empty) {
  const std::string wanted = absl::StrCat(", expected ", std::string(expected));
  // O_NONBLOCK: a FIFO without a writer would block an ordinary open for ever.
  const Descriptor file(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  if (file.get() < 0) return SystemError(path, errno);
  struct stat status = {};
  if (fstat(file.get(), &status) != 0) return SystemError(path, errno);
  if (S_ISDIR(status.st_mode)) return Unusable(path, "is a directory" + wanted);
  if (!S_ISREG(status.st_mode)) return Unusable(path, "is not a regular file");
  if (status.st_size > static_cast<off_t>(max_size)) {
    return Unusable(path, absl::StrCat("has ", status.st_size, " octets; at most ", max_size,
                                       " are allowed", wanted));
  }

  PemFile result;
  result.world_readable = (status.st_mode & S_IROTH) != 0;
  result.world_writable = (status.st_mode & S_IWOTH) != 0;
  // One octet more than the file's size, to notice a file that grows. The string never
  // reallocates, so that wiping it wipes the only copy of a key.
  result.text.resize(static_cast<size_t>(status.st_size) + 1);
  size_t size = 0;
  while (size < result.text.size()) {
    const ssize_t n = read(file.get(), result.text.data() + size, result.text.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return SystemError(path, errno);
    if (n == 0) break;
    size += static_cast<size_t>(n);
  }
  if (size == result.text.size())
    return Unusable(path, "the file changed while the gateway read it; try again");
  if (size == 0 && !may_be_empty) return Unusable(path, "is empty" + wanted);
  result.text.resize(size);
  return result;
}

absl::Status CheckSecret(const std::string& path, const PemFile& file, std::string_view what) {
  if (!file.world_writable) return absl::OkStatus();
  return Unusable(path, absl::StrCat("every user can write ", std::string(what),
                                     "; take that right away (chmod o-w)"));
}

std::string WritableWarning(const std::string& path, const PemFile& file) {
  return file.world_writable ? absl::StrCat(path, ": every user can write this file") : "";
}

}  // namespace starling
