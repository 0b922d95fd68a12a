// Peers that do not take what waits for them: how long, and which of them hold most memory.
//
// Not for: how long anything else may take (due.h).
#pragma once

#include <cstdint>

#include "gateway/session/context.h"

namespace starling {

uint32_t MsSince(MonoTime now, const Taking& taking);
// Notes when octets began to wait for the side, and that none do.
// Its time begins again whenever it has taken enough.
void NoteTaking(const WorkerContext& ctx, const ListenerLimits& limits, const Side& side,
                Taking& taking);
// Its time is over, and it has taken too little. If it has taken enough, its time begins again.
bool TakesTooLittle(const WorkerContext& ctx, const ListenerLimits& limits, const Side& side,
                    Taking& taking);

// Ends sessions whose peer has taken nothing for a while, those first that are stuck longest, up
// to a minute, and among them those that hold most, until `octets` are free, at most
// kReliefPerTurn of them. `in_kernel`: what the kernel holds for them
// counts, too. Looks at all sessions: only for when memory runs short.
void RelieveMemory(WorkerContext& ctx, uint64_t octets, bool in_kernel);

}  // namespace starling
