#include "gateway/memory_trimmer.h"

#include <malloc.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace starling {

MemoryTrimmer::MemoryTrimmer() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

MemoryTrimmer::~MemoryTrimmer() {
  if (fd_ >= 0) close(fd_);
}

// The C library holds the lock of one arena after the other meanwhile. A worker that
// allocates waits for its own; one that relays does not allocate.
void MemoryTrimmer::TrimIfAsked() {
  eventfd_t asked;
  if (fd_ < 0 || eventfd_read(fd_, &asked) != 0) return;
  malloc_trim(0);
}

}  // namespace starling
