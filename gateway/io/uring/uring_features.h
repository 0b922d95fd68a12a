// Features of io_uring that a ring can do without.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace starling::uring {

// Optional kernel features, most of them newer than the oldest supported kernel (6.1).
// ProbeRing() finds them. Each can be switched off, and OperationCounts() shows the
// difference.
struct RingFeatures {
  bool defer_taskrun = true;     // 6.1: SINGLE_ISSUER and DEFER_TASKRUN
  bool socket_options = true;    // 6.7: URING_CMD setsockopt on direct descriptors
  bool fixed_fd_install = true;  // 6.8: local address of a direct descriptor
  bool min_wait = true;          // 6.12: wait for a batch a short time
  static RingFeatures None() { return {false, false, false, false}; }
  std::string ToString() const;  // "defer_taskrun,socket_options,..." or "none"
  // Parses the names in `wanted` and keeps only those features; "auto" keeps all. An
  // error lists the valid names.
  absl::StatusOr<RingFeatures> Only(std::string_view wanted) const;
};

}  // namespace starling::uring
