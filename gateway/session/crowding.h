// A full session table: who gets a place in it, and whose session gives way.
//
// A session is half-open until its relay: it waits for a PROXY header, talks in plaintext, is in
// its TLS handshake, or waits for its server. On a plaintext leg it is half-open whenever the next
// word is the client's. It is half-open again when all was said without a relay, and the client
// does not close. When no place is free for a newcomer, the oldest half-open session of the
// heaviest source gives way to it, if the newcomer's own source is lighter. The age of a session
// counts from its latest step: its greeting, its first command, its hello, a new stage. So a client
// that needs a round trip for each step is no older than one that is silent. Weight is the number
// of half-open sessions; for a trusted source or a load balancer, which stand for many users, a
// part of it. A source that has more sessions than a mail program opens gets no place of a client
// that has only just come, unless that client's source is a crowd. Where no source is a crowd,
// those go first of which a session has given way within the last minutes, and they take no fresh
// place from others: an attacker with many addresses does so only once with each of them. Where a
// listener has as many sessions as it may, one of its own gives way. Sessions of probes and exempt
// sources never give way.
//
// A data channel is half-open until both its connections are there and TLS is up. Of those that
// wait for their connection there is a limit of its own, and they may use up the ports that they
// have to choose from: then one of them gives way to another by the same rules.
//
// Not for: how many sessions one source may have (source.h), or the numbers and lists themselves
// (places.h, age_lists.h).
#pragma once

#include "gateway/session/context.h"

namespace starling {

enum class Room : uint8_t {
  kTaken,
  kLater,  // one gives way as soon as those that gave way before are gone: in a turn or two
  kNone,
};

// A place for a session of this listener and source, and a slot with its listener and source. A
// client of a load balancer takes no place of another yet, since it may be one that is refused: if
// none is free it has only the slot.
Room TakePlace(WorkerContext& ctx, WorkerListener& listener, const SourceHold& source,
               Session*& session);
// The session's source is known only now, behind a PROXY header: it keeps its place or gets one.
Room KeepPlace(WorkerContext& ctx, Session& session);
// One more data channel may wait for a client of this source. If as many wait as may, one gives
// way.
Room FindWaitingRoom(WorkerContext& ctx, const WorkerListener& listener, const SourceHold& source);
// One more data channel of the listener finds no port to wait at. If another one that uses the same
// ports gives way, it may find one in a turn or two.
Room FindPort(WorkerContext& ctx, const WorkerListener& listener, const SourceHold& source);
// The channel waits for its connection now, or no longer.
void BeginWaiting(WorkerContext& ctx, Session& channel);
void EndWaiting(WorkerContext& ctx, Session& channel);
// A session waits for a place at servers that have as many sessions as they may. One that is at its
// client's turn, and idle or of a crowd, gives way. False: none does.
bool MakeRoomAtServers(WorkerContext& ctx, const Session& session);
// Listeners have other shares now: which of them have a limit.
void NoteCaps(WorkerContext& ctx);
// The session is over: its slot and its place are free.
void FreePlace(WorkerContext& ctx, Session& session);

// Keeps the lists of half-open sessions, after each change of a session. Returns when to look
// again although nothing has happened to it; kNever: that is not needed.
MonoTime NoteHalfOpen(WorkerContext& ctx, Session& session);

}  // namespace starling
