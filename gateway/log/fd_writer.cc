#include "gateway/log/fd_writer.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace starling {

FdWriter::FdWriter(int fd, bool may_reopen) : fd_(fd) {
  struct stat info{};
  if (fstat(fd, &info) != 0) return;
  if (S_ISSOCK(info.st_mode)) {
    kind_ = Kind::kSocket;
  } else if (S_ISFIFO(info.st_mode) || isatty(fd) == 1) {
    const std::string path = "/proc/self/fd/" + std::to_string(fd);
    const int own =
        may_reopen ? open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY) : -1;
    kind_ = own >= 0 ? Kind::kNonBlocking : Kind::kAsk;
    owned_ = own >= 0;
    if (owned_) fd_ = own;
  }
}

FdWriter::~FdWriter() {
  if (owned_) close(fd_);
}

long FdWriter::WriteOnce(std::string_view octets) const {
  if (kind_ == Kind::kSocket) {
    return send(fd_, octets.data(), octets.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  if (kind_ == Kind::kAsk) {
    pollfd ask{fd_, POLLOUT, 0};
    if (poll(&ask, 1, 0) == 0) {
      errno = EAGAIN;
      return -1;
    }
    octets = octets.substr(0, PIPE_BUF);
  }
  return write(fd_, octets.data(), octets.size());
}

bool FdWriter::Write() {
  while (sent_ < buffer_.size()) {
    const long n = WriteOnce(std::string_view(buffer_).substr(sent_));
    if (n > 0) {
      sent_ += static_cast<size_t>(n);
      last_ = buffer_[sent_ - 1];
    } else if (n < 0 && errno == EINTR) {
      continue;
    } else if (n < 0 && errno == EAGAIN) {
      buffer_.erase(0, sent_);
      sent_ = 0;
      return false;
    } else {
      Drop();
    }
  }
  buffer_.clear();
  sent_ = 0;
  return true;
}

void FdWriter::Drop() {
  lost_ += static_cast<uint64_t>(
      std::count(buffer_.begin() + static_cast<ptrdiff_t>(sent_), buffer_.end(), '\n'));
  // Only the end of a line that was cut off.
  if (sent_ < buffer_.size() && buffer_[sent_] == '\n') --lost_;
  buffer_.clear();
  sent_ = 0;
  torn_ = last_ != '\n';
}

}  // namespace starling
