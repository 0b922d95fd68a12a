// What of a configuration does not fit into the limits of the process: open files, locked memory,
// memory, ports, and limits of the configuration that contradict each other.
//
// Not for: errors in the configuration itself (config/), or running short of something later.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gateway/config/config.h"
#include "gateway/io/ring.h"
#include "gateway/memory/memory_limits.h"

namespace starling {

// The sizes of a worker's ring. `sockets`: addresses that the configuration binds.
RingOptions RingOptionsOf(const Config& config, const RingFeatures& features, size_t sockets);

// What the process may use.
struct Means {
  uint64_t open_files = UINT64_MAX;     // RLIMIT_NOFILE
  uint64_t locked_memory = UINT64_MAX;  // RLIMIT_MEMLOCK; it does not bind a privileged process
  std::vector<MemoryUse> memory;
  uint64_t ports = UINT64_MAX;  // of one address, for connections to one server

  static Means OfProcess();
};

struct Fitting {
  std::vector<std::string> errors;    // the gateway cannot start
  std::vector<std::string> warnings;  // it can, and will run short
};

Fitting CheckFitting(const Config& config, const Means& means);

}  // namespace starling
