// The order in which the sessions of a turn are pumped: the turn pumps relays first, then
// handshakes, as many as the turn may do. So a flood of hellos does not move the
// latency of established sessions by more than one handshake.
//
// Not for: what a session does when it is pumped (pump.h), or whose handshake comes first
// (admission.h).
#pragma once

#include "gateway/session/context.h"

namespace starling {

// Pumps each session of `ctx.ready`, and those of the admission queue that may go on.
// What relays have asked of the ring is submitted before the first private-key
// operation, since such a one takes longer than all else in a turn.
void PumpReady(WorkerContext& ctx);

// Gives the pools' memory back to the system when many sessions have gone, and asks the
// main thread to do so with the allocator's, since that takes longer than a turn should.
void TrimMemory(WorkerContext& ctx);

// Sessions before their relay whose time is over because the table is crowded: some of
// them go on this turn's list.
void WakeOvertime(WorkerContext& ctx);
// There are more of them, for the next turn.
inline bool OvertimeIsDue(const WorkerContext& ctx) {
  return !ctx.overtime.empty() && ctx.Crowded();
}

// Puts those that wait for buffers on the next turn's list, if there are any again.
void WakeStarved(WorkerContext& ctx);

}  // namespace starling
