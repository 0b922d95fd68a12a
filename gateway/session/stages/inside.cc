// The negotiator reads both sides, the client's out of TLS: until an IRC client is registered,
// and for the whole of an FTP control connection.
#include "gateway/session/negotiation.h"
#include "gateway/session/report.h"
#include "gateway/session/say.h"
#include "gateway/session/stages/stages.h"

namespace starling {
namespace {

Next HearClient(WorkerContext& ctx, Session& session) {
  Side& client = session.client;
  (void)client.Input(ctx);  // opens what has come
  // A server that takes nothing is not the client's fault.
  client.TimeRecord(ctx.now, session.server.nothing_to_send());
  if (session.client_closed_tls()) NoteReason(session, EndReason::kClientClosed);
  if (!client.tls_failed()) return FeedClient(ctx, session);
  client.DropInput(ctx);
  return FailTls(session);
}

}  // namespace

Next Act(WorkerContext& ctx, Session& session, Inside& /*stage*/) {
  if (const Next next = TellBroken(ctx, session); next.decided()) return next;
  bool waits = false;
  if (const Next next = TellDataNews(ctx, session, waits); next.decided() || waits) return next;
  if (const Next next = FeedServer(ctx, session); next.decided()) return next;
  if (session.dialogue->hold) {
    session.client.TimeRecord(ctx.now, false);  // its rest is not read now
  } else if (const Next next = HearClient(ctx, session); next.decided()) {
    return next;
  }
  if (const Next next = NoteCutOff(ctx, session); next.decided()) return next;
  return TellEnds(ctx, session);
}

Dues DueOf(const WorkerContext& ctx, const Session& session, const Inside& /*stage*/) {
  Dues dues;
  if (session.dialogue->serving) {
    AddIdle(session, dues);
  } else {
    AddPreRelay(ctx, session, /*awaits_command=*/!session.dialogue->hold, dues);
    AddPatience(session, dues);
  }
  AddRecord(session, dues);
  return dues;
}

Next Overdue(WorkerContext& ctx, Session& session, Inside& /*stage*/, const Due& due) {
  switch (due.kind) {
    case DueKind::kPreRelay:
      return TellDeadline(ctx, session, due.reason, EventKind::kDeadline);
    case DueKind::kPatience:
      return TellPatienceOver(ctx, session);
    case DueKind::kRecord:
      return EndNow(EndReason::kRecordDeadline);
    case DueKind::kIdle:
      return TellDeadline(ctx, session, EndReason::kIdleDeadline, EventKind::kDeadline);
    case DueKind::kNothing:
    case DueKind::kGreetingDelay:
    case DueKind::kPlace:
    case DueKind::kProxyHeader:
    case DueKind::kHandshake:
    case DueKind::kGreeting:
    case DueKind::kConnect:
    case DueKind::kBackoff:
    case DueKind::kSentWhole:
    case DueKind::kLinger:
    case DueKind::kTaking:
    case DueKind::kWhole:
    case DueKind::kCrowding:
      break;
  }
  return Stay();
}

Receives Wanted(WorkerContext& /*ctx*/, Session& session, const Inside& /*stage*/) {
  const Side& client = session.client;
  const bool flushed = client.flushed();
  Receives wanted;
  wanted.client = flushed && session.server.flushed() && !session.dialogue->hold &&
                  client.tls->inflow == TlsInflow::kOpen && !client.tls->pending &&
                  client.in.empty();
  wanted.server = flushed && session.server.may_bring_more();
  return wanted;
}

}  // namespace starling
