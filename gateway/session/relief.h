// Which sessions end when memory is short.
//
// Not for: when it is (gateway/memory/memory_watch.h), how much a worker may use
// (gateway/memory/memory_budget.h), or slow_reader (taking.h).
#pragma once

#include <cstdint>

#include "gateway/session/context.h"

namespace starling {

// How long a peer may have taken nothing.
enum class StuckFor : uint8_t {
  kLong,    // kStuckMs
  kSecond,  // to the next whole second of the clock and no more
  kAnyTime,
};

struct Relief {
  uint64_t octets = 0;     // to free
  bool in_kernel = false;  // what the kernel holds for them counts, too
  StuckFor stuck = StuckFor::kLong;
};

// Ends sessions whose peer takes nothing until so much is free. With kLong those first that have
// been stuck longest, up to a minute, and among them those that hold most; at most kReliefPerTurn
// of them, since nothing is lost by waiting for the next look. Otherwise first those of the source
// that keeps most octets waiting, where many users of one address count as many sources. Looks at
// all sessions: only for when memory runs short.
void RelieveMemory(WorkerContext& ctx, const Relief& relief);

// When the worker has used its share: ends sessions that are stuck, once in kHeldReliefEvery, and
// at once if it has used more than its share. Once a turn, before sessions are pumped.
void KeepShare(WorkerContext& ctx);
// When KeepShare has something to look at again.
MonoTime KeepShareAt(const WorkerContext& ctx);

// Gives blocks that nobody uses back to the system.
void TrimBlocks(WorkerContext& ctx);

}  // namespace starling
