// A session and its source: whether the source may have one more, what the session holds of the
// source's share, and what it gives back.
//
// Not for: what each network means and what all sources have (sources/).
#pragma once

#include "gateway/session/context.h"

namespace starling {

inline SourceRole RoleOf(const Session& session) {
  return session.listener->sources->At(session.source.rule).role;
}

// A client comes: by `client`, which is its true address, behind a load balancer too. kNone:
// the client is in, and `hold` says what it holds. Otherwise why it is not.
EndReason EnterSource(WorkerContext& ctx, const WorkerListener& listener, const Endpoint& client,
                      SourceHold& hold);

// A data channel of this session's source comes. It counts as one of the source's sessions, and for
// nothing else: a client makes one for each file. False: the source has as many as it may.
bool EnterChannel(WorkerContext& ctx, const Session& control, SourceHold& hold);

// A client that is denied or over its share, before anything of it is counted as a session.
void CountRefusal(WorkerContext& ctx, const WorkerListener& listener, const Endpoint& client,
                  EndReason reason);
// A session whose client is refused, or ends to make room, after it has begun. Only for the line
// that names the sources: the session's reason has a metric of its own.
void NoteRefusal(WorkerContext& ctx, const Session& session);
// Whether one that is over its share is told so. Otherwise its connection is only closed.
bool MayAnswer(WorkerContext& ctx, const SourceHold& hold);

// Whether deny lists concern the client.
bool IsDenied(const WorkerContext& ctx, const WorkerListener& listener, const Endpoint& client);

// Whether the source may begin this handshake. Counted if not.
HandshakeShare TakeHandshake(WorkerContext& ctx, const Session& session);
// The client is over its share, and has waited in vain until nobody else wanted anything.
void CountInVain(WorkerContext& ctx, const Session& session);
// Clients that count as one where many want the same thing: those of one source, whatever its
// network means. Nobody can foretell the value.
uint64_t FairnessKey(const WorkerContext& ctx, const Session& session);

// Whether one of its source's handshakes has kept a place in vain within the last minutes.
bool IsWasteful(const WorkerContext& ctx, const Session& session);
void NoteWasteful(WorkerContext& ctx, const Session& session);

// Whether one of its sessions has given way in a full table within the last minutes.
bool WasCrowdedOut(const WorkerContext& ctx, const SourceHold& source);
// Not of sources that stand for many users.
void NoteCrowdedOut(WorkerContext& ctx, const Session& session);

// How many places of its backend the session leaves free, so that its source has no more than its
// part: 0 for those that are no ordinary clients, and where no server has a limit.
uint64_t PlacesSpared(const WorkerContext& ctx, const Session& session);
// It has a place at a server now, or no longer.
void TakeServerShare(WorkerContext& ctx, Session& session);
void LeaveServerShare(WorkerContext& ctx, Session& session);
// Tells backends apart, whatever a reload changes.
uint32_t BackendKey(const Session& session);

// Gives back what `hold` has of the source's share.
void LeaveShare(WorkerContext& ctx, SourceHold& hold);
// The session is over, and its reason stands.
void LeaveSource(WorkerContext& ctx, Session& session);

}  // namespace starling
