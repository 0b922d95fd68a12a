// What of a configuration does not fit into the limits of the process: open files, locked memory,
// memory, ports, and limits of the configuration that contradict each other.
//
// Not for: errors in the configuration itself (config/), or running short of something later.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gateway/config/config.h"
#include "gateway/io/rings.h"
#include "gateway/memory/memory_limits.h"

namespace starling {

// The sizes of a worker's ring. `sockets`: addresses that the configuration binds.
RingOptions RingOptionsOf(const Config& config, RingKind kind, size_t sockets);

// Raises the limit of open files as far as the process may. Some systems begin with 1,024, and
// allow far more.
void RaiseOpenFiles();

// What the process may use.
struct Means {
  uint64_t open_files = UINT64_MAX;     // RLIMIT_NOFILE, as far as it may be raised
  uint64_t locked_memory = UINT64_MAX;  // RLIMIT_MEMLOCK; it does not bind a privileged process
  std::vector<MemoryUse> memory;
  uint64_t ports = UINT64_MAX;  // of one address, for connections to one server

  static Means OfProcess();
};

struct Fitting {
  std::vector<std::string> errors;    // the gateway cannot start
  std::vector<std::string> warnings;  // it can, and will run short
};

Fitting CheckFitting(const Config& config, RingKind kind, const Means& means);

}  // namespace starling
