// The negotiator reads both sides, the client's out of TLS: until an IRC client is registered,
// and for the whole of an FTP control connection.
#include "gateway/session/inside_tls.h"
#include "gateway/session/leg_io.h"
#include "gateway/session/negotiation.h"
#include "gateway/session/stages/stages.h"

namespace starling {
namespace {

Next HearClient(WorkerContext& ctx, Session& session, Inside& stage) {
  ByteView opened;
  if (!OpenForDialogue(ctx, session, stage, opened)) return EndPolitely(EndReason::kTlsError);
  return FeedClient(ctx, session, opened);
}

}  // namespace

Next Act(WorkerContext& ctx, Session& session, Inside& stage) {
  if (const Next next = TellBroken(ctx, session); next.decided()) return next;
  if (stage.handing_over) return HandOver(ctx, session);
  bool waits = false;
  if (const Next next = TellDataNews(ctx, session, waits); next.decided() || waits) return next;
  if (const Next next = FeedServer(ctx, session); next.decided()) return next;
  if (!session.dialogue->hold) {
    if (const Next next = HearClient(ctx, session, stage); next.decided()) return next;
  }
  if (const Next next = NoteCutOff(ctx, session); next.decided()) return next;
  return TellEnds(ctx, session);
}

Dues DueOf(const WorkerContext& ctx, const Session& session, const Inside& stage) {
  Dues dues;
  if (session.dialogue->serving) {
    AddIdle(session, dues);
  } else {
    AddPreRelay(ctx, session, /*awaits_command=*/!session.dialogue->hold, dues);
    AddPatience(session, dues);
  }
  AddRecord(session, stage.record_at, dues);
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
    default:
      return Stay();
  }
}

Receives Wanted(const Session& session, const Inside& stage) {
  const bool flushed = Flushed(session.down);
  Receives wanted;
  wanted.client = flushed && Flushed(session.up) && !session.client_closed_tls &&
                  !session.plain_pending && !session.dialogue->hold && !stage.handing_over &&
                  session.down.in.empty();
  wanted.server = flushed;
  return wanted;
}

}  // namespace starling
