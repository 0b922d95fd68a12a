// One simulated run from a seed: the real worker on the simulated ring, with clients and
// backends around it. The same seed gives the same run, octet by octet.
//
// Invariants of every run, whatever its faults: a received stream is a prefix of the sent
// one, without foreign octets; every accepted session ends once, with one reason; log and
// counters agree on reasons and octets; nothing leaks (buffers, blocks, descriptors,
// gauges); the worker never spins. In a calm run every session also ends complete and as
// planned.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "protocols/contract/reason.h"

namespace starling::sim {

struct RunResult {
  uint64_t trace_hash = 0;
  std::vector<std::string> failures;
  std::array<uint64_t, kEndReasonCount> reasons{};
  uint32_t accepted = 0;
  uint32_t resumed = 0;       // handshakes with a ticket
  uint32_t most_at_once = 0;  // most clients connected at a time
  uint64_t turns = 0;
};

// `print` writes the trace to stdout.
RunResult RunSimulation(uint64_t seed, bool print);

}  // namespace starling::sim
