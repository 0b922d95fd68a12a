// Finds out whether io_uring is available, and explains why it is not.
#pragma once

#include <cstdint>
#include <string>

#include "gateway/io/uring/uring_features.h"

namespace starling::uring {

// Why io_uring is not available, for the operator.
enum class RingUnavailable : uint8_t {
  kNo,
  kOldKernel,
  kSysctl,
  kSeccomp,
  kSandbox,  // a sandbox or an emulator before the kernel has none, as gVisor and qemu-user
  kMemoryLimit,
  kOther,
};
struct RingProbe {
  RingUnavailable unavailable = RingUnavailable::kNo;
  std::string message;    // the failed call, its error and the remedy
  RingFeatures features;  // when available
};
RingProbe ProbeRing();

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
