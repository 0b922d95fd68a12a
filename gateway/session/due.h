// Times: what a stage waits for, and until when. Each stage says what is due to it
// (stages/); here is what several of them share. The timer wheel only wakes a session.
//
// Not for: what happens when a time has come (each stage's Overdue).
#pragma once

#include <cstdint>

#include "gateway/session/context.h"

namespace starling {

enum class DueKind : uint8_t {
  kNothing,
  kGreetingDelay,
  kProxyHeader,
  kHandshake,
  kPlace,  // among the handshakes: the session may have to give it up
  kGreeting,
  kPreRelay,
  kPatience,
  kConnect,
  kBackoff,
  kSentWhole,
  kRecord,
  kIdle,
  kTaking,  // a peer must have taken something by then
  kWhole,   // whether a connection that nobody listens to was reset
  kLinger,
  kCrowding,  // the session goes on the list of those that a crowded table ends
};

struct Due {
  MonoTime at = kNever;
  DueKind kind = DueKind::kNothing;
  EndReason reason = EndReason::kNone;  // with kPreRelay
};

// The earliest of what a stage waits for; of two at the same time the one added first.
class Dues {
 public:
  void Add(MonoTime at, DueKind kind, EndReason reason = EndReason::kNone) {
    if (at < first_.at) first_ = {.at = at, .kind = kind, .reason = reason};
  }
  const Due& first() const { return first_; }

  // From then on a crowded table ends this session; kNever: it does not.
  MonoTime crowded_from = kNever;

 private:
  Due first_;
};

// The times that a client has before it is relayed. `awaits_command`: the next word is the
// client's, so its silence counts. The handshake, the connect and the server's greeting have
// times of their own, and the client has nothing to say then.
void AddPreRelay(const WorkerContext& ctx, const Session& session, bool awaits_command, Dues& dues);
// The client has most likely said all that it will say.
void AddPatience(const Session& session, Dues& dues);
// Connecting, waiting for a retry, TLS with a server, its greeting.
void AddLink(const Session& session, Dues& dues);
// Nothing was exchanged for too long.
void AddIdle(const Session& session, Dues& dues);
// Octets wait for a peer, which has a time to take some.
void AddTaking(const WorkerContext& ctx, const Session& session, Dues& dues);
// A TLS record of the client was begun, and its rest has not come.
void AddRecord(const Session& session, Dues& dues);

// Keeps the worker's list of those that a crowded table ends.
void NoteOvertime(WorkerContext& ctx, Session& session, MonoTime crowded_from);
void LeaveOvertime(WorkerContext& ctx, Session& session);

}  // namespace starling
