// An eventfd by which one thread wakes another that polls.
//
// Not for: what it is woken for.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

namespace starling {

class WakeEvent {
 public:
  WakeEvent() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  ~WakeEvent() {
    if (fd_ >= 0) close(fd_);
  }
  WakeEvent(const WakeEvent&) = delete;
  WakeEvent& operator=(const WakeEvent&) = delete;

  // Others add 1 to wake. Readable until Take().
  int fd() const { return fd_; }
  // Whether anybody has since the last call.
  bool Take() const {
    eventfd_t asked = 0;
    return fd_ >= 0 && eventfd_read(fd_, &asked) == 0;
  }

 private:
  const int fd_;
};

}  // namespace starling
