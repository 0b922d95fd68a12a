// The negotiator reads both sides, the client's out of TLS: until an IRC client is registered,
// and for the whole of an FTP control connection.
#include "gateway/session/link.h"
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

// Notes since when the server owes an answer without a word. A client that does not read what it
// was told holds the server back itself.
void TimeAnswer(const WorkerContext& ctx, const Session& session, Inside& stage) {
  const auto said = static_cast<uint32_t>(session.server.octets_in);
  const bool spoke = said != stage.heard;
  stage.heard = said;
  const bool owes = session.dialogue->negotiator->IsOwedAnswer() && session.client.flushed();
  if (spoke || !owes) {
    stage.asked_at = kNever;
    stage.doubted = false;
  }
  if (owes && stage.asked_at == kNever) stage.asked_at = ctx.now;
}

MonoTime AnswerDue(const Session& session, const Inside& stage) {
  return stage.asked_at == kNever ? kNever
                                  : After(stage.asked_at, LimitsOf(session).greeting_try_ms);
}

// A deadline of the client's has come. If the server has owed it an answer for so long, the
// client was not the silent one.
Next TellWhoseDeadline(WorkerContext& ctx, Session& session, const Inside& stage,
                       EndReason reason) {
  if (ctx.now < AnswerDue(session, stage)) {
    return TellDeadline(ctx, session, reason, EventKind::kDeadline);
  }
  SuspectServer(session);
  return TellDeadline(ctx, session, EndReason::kGreetingDeadline, EventKind::kGreetingDeadline);
}

}  // namespace

Next Act(WorkerContext& ctx, Session& session, Inside& stage) {
  TimeAnswer(ctx, session, stage);
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

Dues DueOf(const WorkerContext& ctx, const Session& session, const Inside& stage) {
  Dues dues;
  if (!stage.doubted) dues.Add(AnswerDue(session, stage), DueKind::kGreeting);
  if (session.dialogue->serving) {
    AddIdle(session, dues);
  } else {
    AddPreRelay(ctx, session, /*awaits_command=*/!session.dialogue->hold, dues);
    AddPatience(session, dues);
  }
  AddRecord(session, dues);
  return dues;
}

Next Overdue(WorkerContext& ctx, Session& session, Inside& stage, const Due& due) {
  switch (due.kind) {
    case DueKind::kGreeting:
      stage.doubted = true;
      SuspectServer(session);
      return Stay();
    case DueKind::kPreRelay:
      return TellWhoseDeadline(ctx, session, stage, due.reason);
    case DueKind::kPatience:
      return TellPatienceOver(ctx, session);
    case DueKind::kRecord:
      return EndNow(EndReason::kRecordDeadline);
    case DueKind::kIdle:
      return TellWhoseDeadline(ctx, session, stage, EndReason::kIdleDeadline);
    case DueKind::kNothing:
    case DueKind::kGreetingDelay:
    case DueKind::kPlace:
    case DueKind::kProxyHeader:
    case DueKind::kHandshake:
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
