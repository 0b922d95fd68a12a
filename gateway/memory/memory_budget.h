// Divides the memory that is left among the workers, so that peers that take nothing cannot use it
// up between two looks.
//
// Not for: how much is in use (memory_limits.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gateway/memory/memory_limits.h"
#include "gateway/memory/memory_share.h"
#include "gateway/memory/memory_watch.h"

namespace starling {

// How many octets may wait in the blocks of all workers.
struct QueueLimit {
  uint64_t octets = 0;   // 0: any number
  std::string bound_by;  // empty: the configuration, or kMostQueued
};

// Where the configuration has no number, a quarter of the smallest limit of memory: sessions, TLS
// and tables need the rest. At most kMostQueued.
QueueLimit QueueLimitOf(std::optional<uint64_t> configured, const std::vector<MemoryUse>& uses);

// The limits of this process alone (RLIMIT_DATA, RLIMIT_AS); what is in use is left out.
std::vector<MemoryUse> ProcessLimits();

// The share of a worker with `queued` octets in its blocks, one of `workers`.
MemoryShare ShareOf(const std::vector<MemoryUse>& uses, uint64_t queue_limit, uint64_t queued,
                    uint64_t workers, const MemoryWatch::Percent& percent);

inline constexpr uint64_t kMostQueued = uint64_t{1} << 30;
// However little is left, a worker's relays go on one after the other.
inline constexpr uint64_t kLeastWorkerShare = uint64_t{256} << 10;

}  // namespace starling
