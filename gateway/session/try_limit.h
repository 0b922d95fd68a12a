// The limit of one try at a server: until when the session waits for it, and whether it then goes
// elsewhere or stays.
//
// Not for: how a server is left (link_tries.cc), or what is known of servers (upstream/).
#pragma once

#include "gateway/session/context.h"

namespace starling {

// When the try at the present server meets a limit, or a wait for one is over. kNever: nothing is
// tried.
MonoTime TryEnds(const Session& session);

// What the session asks Backends for if it leaves its server.
Backends::Request RetryOf(const WorkerContext& ctx, const Session& session);

// How long a server that is not prompt is spared by sessions that have another one, before one of
// them tries it again.
uint32_t TrialWaitOf(const Session& session);

// TryEnds has passed. True: the session stays with its server for the rest of the time, since no
// other one promises to be sooner. False: the server is to be left.
bool StaysOn(WorkerContext& ctx, Session& session);

}  // namespace starling
