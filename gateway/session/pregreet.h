// The greeting that waits, to see whether the client does: the first test that Postfix's postscreen
// makes. Programs that only send mail, and read nothing, do not wait.
//
// Not for: who has waited before (sources/recent_sources.h).
#pragma once

#include "gateway/session/context.h"

namespace starling {

// Whether the client has to wait for its greeting. Its true address is known.
bool DelaysGreeting(WorkerContext& ctx, const Session& session);

// While it waits. Stay: it still does, if `stage.held`; otherwise it is greeted now.
Next AwaitGreeting(WorkerContext& ctx, Session& session, Talking& stage);

// Octets of the client have come, before its greeting if there is one to come.
void NotePregreet(WorkerContext& ctx, Session& session);

}  // namespace starling
