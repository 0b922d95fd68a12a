// A connection that was just accepted: whether it becomes a session, is only told why not, or
// is closed at once.
//
// Not for: the listening sockets (listening_sockets.h), or what a session does (session/).
#pragma once

#include "gateway/session/context.h"
#include "gateway/session/worker_config.h"

namespace starling {

struct Newcomer {
  WorkerListener* listener = nullptr;
  Fd fd = kNoFd;
  Endpoint peer;
  Endpoint local;
};

// The session that was begun for it, if one was.
Session* Receive(WorkerContext& ctx, const Newcomer& newcomer);

}  // namespace starling
