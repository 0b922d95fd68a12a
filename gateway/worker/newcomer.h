// A connection that was just accepted: whether it becomes a session, is only told why not, or
// is closed at once.
//
// Not for: the listening sockets (listening_sockets.h), who gets a place in a full table
// (session/crowding.h), or what a session does (session/).
#pragma once

#include "gateway/session/context.h"
#include "gateway/session/worker_config.h"

namespace starling {

struct Newcomer {
  WorkerListener* listener = nullptr;
  Fd fd = kNoFd;
  Endpoint peer;
  Endpoint local;
  bool entered = false;  // its source is known, and counts it
  SourceHold source;
};

enum class Reception : uint8_t {
  kBegun,  // it has a session
  kGone,   // it has none
  kLater,  // in a turn or two: call again
};

// `session`: what was begun.
Reception Receive(WorkerContext& ctx, Newcomer& newcomer, Session*& session);

}  // namespace starling
