// Runs the negotiator, for the stages in which it speaks: Talking, Greeting and Inside.
// Gives it octets and events, sends what it says, and turns its verdict into a Next.
//
// Not for: which octets and events a stage has for it (stages/).
#pragma once

#include "gateway/session/context.h"

namespace starling {

// Hands the event to the negotiator. Stay: its verdict changes nothing.
Next Tell(WorkerContext& ctx, Session& session, const Event& event);

// Gives it what has come from the link's server, or from the client, and is not consumed.
// Again: something changed, and there may be more for it.
Next FeedServer(WorkerContext& ctx, Session& session);
Next FeedClient(WorkerContext& ctx, Session& session);

// Tells it of its data channel, once there is room for what it says. `waits`: it must
// be given nothing else, since there is news and no room, or no answer to its request yet.
Next TellDataNews(WorkerContext& ctx, Session& session, bool& waits);

// The gateway has a deadline for the session: the negotiator says the last words, as `told`.
Next TellDeadline(WorkerContext& ctx, Session& session, EndReason reason, EventKind told);
// What Patience::kShort asked for is over.
Next TellPatienceOver(WorkerContext& ctx, Session& session);

// The index of the backend for real work in plaintext.
uint32_t PlaintextBackend(const Session& session);

// --- negotiation_ends.cc: how either side ends ---

// A side's connection is broken, and the session ends. Where TLS with the server was cut off,
// what came before has been read.
Next TellBroken(WorkerContext& ctx, Session& session);
// TLS with the server was cut off. Again: TellBroken has to look once more.
Next NoteCutOff(WorkerContext& ctx, Session& session);
// The end of data of either side, once each, when what came before is consumed.
Next TellEnds(WorkerContext& ctx, Session& session);
// The same where the server alone is read.
Next TellServerEnd(WorkerContext& ctx, Session& session);

}  // namespace starling
