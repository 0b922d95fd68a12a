// Gives freed memory back to the system, in the main thread, when a worker asks for it.
// It takes the C library a millisecond or more, in which a worker would relay nothing.
//
// Not for: when it is worth it (session/turn.cc), or memory that workers map themselves
// (io/buffer_pool.h).
#pragma once

#include "gateway/memory/wake_event.h"

namespace starling {

class MemoryTrimmer {
 public:
  // An eventfd: a worker adds 1 to ask, and it is readable until TrimIfAsked().
  int fd() const { return asked_.fd(); }
  void TrimIfAsked();

 private:
  const WakeEvent asked_;
};

}  // namespace starling
