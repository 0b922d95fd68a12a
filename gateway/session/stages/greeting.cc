// The negotiator swallows the server's greeting on the fresh link, which the client has had
// in plaintext already, or says the first words there itself.
#include "gateway/session/link.h"
#include "gateway/session/negotiation.h"
#include "gateway/session/stages/stages.h"

namespace starling {
namespace {

Next TellLinkUp(WorkerContext& ctx, Session& session) {
  session.dialogue->server_talk = Dialogue::ServerTalk::kSilent;
  const Next next = Tell(ctx, session,
                         {.kind = EventKind::kLegUp,
                          .inside_tls = true,
                          .client = &session.peer,
                          .local = &session.local});
  return next.decided() ? next : Again();
}

}  // namespace

Next Act(WorkerContext& ctx, Session& session, Greeting& stage) {
  if (!stage.told) {
    stage.told = true;
    return TellLinkUp(ctx, session);
  }
  if (const Next next = TellBroken(ctx, session); next.decided()) return next;
  if (const Next next = FeedServer(ctx, session); next.decided()) return next;
  if (const Next next = NoteCutOff(ctx, session); next.decided()) return next;
  return TellServerEnd(ctx, session);
}

Dues DueOf(const WorkerContext& ctx, const Session& session, const Greeting& /*stage*/) {
  Dues dues;
  const MonoTime since = std::get<Up>(session.link).since;
  dues.Add(After(since, LimitsOf(session).greeting_ms), DueKind::kGreeting);
  AddPreRelay(ctx, session, /*awaits_command=*/false, dues);
  return dues;
}

// Either way the server's answer is late, and not a word of the client's.
Next Overdue(WorkerContext& ctx, Session& session, Greeting& /*stage*/, const Due& due) {
  if (due.kind == DueKind::kGreeting) {
    if (!session.server.spoken()) SuspectServer(session);
    return TellDeadline(ctx, session, EndReason::kGreetingDeadline, EventKind::kGreetingDeadline);
  }
  if (due.kind != DueKind::kPreRelay) return Stay();
  return TellDeadline(ctx, session, due.reason, EventKind::kGreetingDeadline);
}

Receives Wanted(WorkerContext& /*ctx*/, Session& session, const Greeting& /*stage*/) {
  return {.server = session.client.flushed() && session.server.may_bring_more()};
}

}  // namespace starling
