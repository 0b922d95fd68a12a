// Which sessions end when memory is short.
//
// Not for: when it is (gateway/memory/memory_watch.h), or slow_reader (taking.h).
#pragma once

#include <cstdint>

#include "gateway/session/context.h"

namespace starling {

// Ends sessions whose peer has taken nothing for a while, those first that are stuck longest, up
// to a minute, and among them those that hold most, until `octets` are free, at most
// kReliefPerTurn of them. `in_kernel`: what the kernel holds for them
// counts, too. Looks at all sessions: only for when memory runs short.
void RelieveMemory(WorkerContext& ctx, uint64_t octets, bool in_kernel);

}  // namespace starling
