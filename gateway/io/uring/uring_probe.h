// Why io_uring cannot be used, from what was seen; ProbeRing() (ring.h) gathers
// the facts.
#pragma once

#include <cstdint>
#include <string>

#include "gateway/io/ring.h"

namespace starling::uring {

struct ProbeFacts {
  std::string call;        // what was tried
  int error = 0;           // the errno that came back
  int sysctl = -1;         // kernel.io_uring_disabled; -1: there is no such file
  bool seccomp = false;    // a filter is on this thread
  bool sys_admin = false;  // CAP_SYS_ADMIN is effective
  std::string release;     // uname -r
  uint64_t memlock = 0;    // RLIMIT_MEMLOCK, octets
};

// Tells the causes apart; the message says what was tried, what came back and
// what to do.
RingProbe Explain(const ProbeFacts& facts);

}  // namespace starling::uring
