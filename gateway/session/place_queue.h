// The queue of a backend whose servers all have as many sessions as they may have
// (max_sessions). Sources take turns; within one, the session that has waited longest goes first.
// In a full queue the source with most sessions gives its youngest up to one that has fewer. A
// source may have three times as many places as are free (kPlacesPerFree); its other sessions wait.
// For the session whose turn it is, an idle one that has a place may have to end (crowding.h).
//
// Each worker has a queue of its own, and the workers share the number of places in it. Only the
// session whose turn it is looks for a place at a server, and calls the next one when it leaves.
// The others look once in a while whether their client is still there.
//
// Not for: which server has a place (upstream/), or what a session does that has one
// (link_tries.h).
#pragma once

#include "gateway/session/context.h"

namespace starling {

// The session joins the queue, unless it is in it. False: it is full.
bool JoinQueue(WorkerContext& ctx, Session& session);
// Does nothing if the session is not in the queue.
void LeaveQueue(WorkerContext& ctx, Session& session);

// The session may look for a place: it is not in the queue, or its turn has come.
bool MayLookForPlace(const Session& session);
// The session found no place. If it has tried some servers already, it cannot use a place at those,
// but other sessions can: they have their turns before it. The same holds where its source has its
// part of the places (`spared`).
void FoundNoPlace(WorkerContext& ctx, Session& session, bool spared);
// When the session looks again. It has been without a server since `since`.
MonoTime NextLook(WorkerContext& ctx, Session& session, MonoTime since);

// A session in the queue listens to its client until that has said something.
bool ListensInQueue(const Session& session);
// Decided: its client has gone, and gets no place.
Next WatchClientInQueue(WorkerContext& ctx, Session& session);

}  // namespace starling
