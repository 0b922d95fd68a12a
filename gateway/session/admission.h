// Who may use the private key now. A flood of hellos then costs neither memory nor the time
// of sessions that relay.
//
// Not for: the handshake itself (stages/handshaking.cc), or who goes first (turn.h).
#pragma once

#include "gateway/session/context.h"

namespace starling {

enum class Admission : uint8_t {
  kGranted,  // one private-key operation
  kQueued,   // the session receives nothing until its turn comes
  kFull,     // neither a place nor room in the queue
};
Admission Admit(WorkerContext& ctx, Session& session, Handshaking& stage);

// The session's handshake is over; its place is free. The session is in Handshaking.
void LeaveAdmission(WorkerContext& ctx, Session& session);

}  // namespace starling
