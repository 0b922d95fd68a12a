// How many sessions fit into the limits of the process, and what of a configuration does not: open
// files, locked memory, memory, ports, and limits of the configuration that contradict each other.
//
// Not for: errors in the configuration itself (config/), or running short of something later.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gateway/config/config.h"
#include "gateway/config/loader.h"
#include "gateway/io/rings.h"
#include "gateway/memory/memory_budget.h"
#include "gateway/memory/memory_limits.h"

namespace starling {

// The sizes of a worker's ring. `sockets`: addresses that the configuration binds.
RingOptions RingOptionsOf(const Config& config, RingKind kind, size_t sockets);

// Raises the limit of open files as far as the process may. Some systems begin with 1,024, and
// allow far more.
void RaiseOpenFiles();

// What an idle session takes in the gateway and in the kernel, and one in its handshake. The
// documentation has the figures.
inline constexpr uint64_t kIdleSession = 4'096;
inline constexpr uint64_t kSessionInHandshake = 20'480;

// What the process may use.
struct Means {
  uint64_t open_files = UINT64_MAX;     // RLIMIT_NOFILE, as far as it may be raised
  uint64_t locked_memory = UINT64_MAX;  // RLIMIT_MEMLOCK; it does not bind a privileged process
  std::vector<MemoryUse> memory;
  uint64_t available = UINT64_MAX;      // memory that the system can still give
  uint64_t address_space = UINT64_MAX;  // RLIMIT_AS
  uint64_t data = UINT64_MAX;           // RLIMIT_DATA
  uint64_t ports = UINT64_MAX;          // of one address, for connections to one server

  // `root`: before the paths of all files, for tests.
  static Means OfProcess(const std::string& root = "");
};

// What `limits.sessions: auto` stands for: the most for which CheckFitting finds neither too few
// descriptors nor too little memory, and no more than half of the memory. 1 where not even that
// fits.
FittedSessions FitSessions(const Config& config, RingKind kind, const Means& means);

// A size for people, in whole MiB.
std::string RoughSize(uint64_t octets);

// Of queued_bytes. `uses`: the memory of the machine; the limits of the process come on top.
QueueLimit QueueLimitOf(const GlobalLimits& limits, std::vector<MemoryUse> uses);

struct Fitting {
  std::vector<std::string> errors;    // the gateway cannot start
  std::vector<std::string> warnings;  // it can, and will run short
};

Fitting CheckFitting(const Config& config, RingKind kind, const Means& means);

}  // namespace starling
