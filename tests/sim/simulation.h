// One simulated run: the real worker on the simulated ring, clients and backends
// around it, from a seed. The same seed gives the same run, octet by octet.
//
// What must hold in every run, whatever its faults: streams are prefixes of what
// was sent, nothing foreign among them; every session accepted ends once, with
// one reason; nothing is left at the end (buffers, blocks, descriptors, gauges);
// the worker never spins. In a calm run every session ends whole, and as planned.
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
  uint32_t most_at_once = 0;  // clients connected
  uint64_t turns = 0;
};

// `print` writes the trace to stdout.
RunResult RunSimulation(uint64_t seed, bool print);

}  // namespace starling::sim
