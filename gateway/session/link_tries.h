// One try after the other to reach a server: connect, TLS, greeting, and what the failure of
// each means for the server and for the next try.
//
// Not for: how a link is closed (link.cc), or which server is next (upstream/).
#pragma once

#include "gateway/session/link.h"

namespace starling {

// Begins with the next server that has not been tried.
void StartNextLink(WorkerContext& ctx, Session& session);
// Goes on with the next server, as long as there is time. `since`: as of Connecting.
LinkResult TryNext(WorkerContext& ctx, Session& session, MonoTime since);

LinkResult StepBackoff(WorkerContext& ctx, Session& session, const Backoff& backoff);
LinkResult StepConnecting(WorkerContext& ctx, Session& session, const Connecting& connecting);
LinkResult StepTls(WorkerContext& ctx, Session& session, const TlsHandshake& handshake);
LinkResult StepGreeting(WorkerContext& ctx, Session& session, const ReadsGreeting& greeting);

// Gives the session's place at its server back. Does nothing if no server is chosen.
void LeaveServer(WorkerContext& ctx, Session& session);

}  // namespace starling
