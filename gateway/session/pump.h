// The life of a session. Completions are recorded (Record); once a turn, for
// each session that has something new, Pump decides and asks the ring for more.
// There are no callbacks and no nesting: everything below Pump returns to it.
//
// Not for: the loop itself, accepting and draining (worker/).
#pragma once

#include "gateway/session/context.h"

namespace starling {

// Begins a session on an accepted descriptor. The caller has taken the slot and set its
// listener and what it holds of its source's share; this counts it as a user of the listener's
// WorkerConfig, and puts it on the turn's list.
void BeginSession(WorkerContext& ctx, Session& session, Fd fd, const Endpoint& peer,
                  const Endpoint& local);
// The same for a connection that is only to be told that there is no room for it.
void BeginRefusal(WorkerContext& ctx, Session& session, Fd fd, const Endpoint& peer,
                  const Endpoint& local, EndReason reason);

// Writes down what happened; decides nothing. Stale completions are counted.
void Record(WorkerContext& ctx, const Completion& completion);

// Decides, once. Frees the slot when the session is over.
void Pump(WorkerContext& ctx, Session& session);

// The gateway ends it, at its next pump: with last words if `polite`.
void EndByGateway(WorkerContext& ctx, Session& session, EndReason reason, bool polite);

}  // namespace starling
