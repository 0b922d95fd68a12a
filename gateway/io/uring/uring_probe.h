// Explains why io_uring is not available. ProbeRing() (ring.h) gathers the facts.
#pragma once

#include <cstdint>
#include <string>

#include "gateway/io/ring.h"

namespace starling::uring {

struct ProbeFacts {
  std::string call;        // the call that failed
  int error = 0;           // its errno
  int sysctl = -1;         // kernel.io_uring_disabled; -1: the file does not exist
  bool seccomp = false;    // this thread has a seccomp filter
  bool sys_admin = false;  // CAP_SYS_ADMIN is effective
  std::string release;     // uname -r
  uint64_t memlock = 0;    // RLIMIT_MEMLOCK, octets
};

// Finds the cause. The message names the failed call, its error, and the remedy.
RingProbe Explain(const ProbeFacts& facts);

}  // namespace starling::uring
