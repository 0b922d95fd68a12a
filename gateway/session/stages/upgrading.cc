// The point of upgrade (RFC 3207 section 4.2, RFC 2595, RFC 5804 section 2.2 and
// CVE-2011-0411): nothing may follow the command, the go-ahead is sent whole, and
// only then TLS begins with every parser and buffer wiped. A protocol's row may let some
// white space follow, which is dropped here.
#include "gateway/session/link.h"
#include "gateway/session/negotiation.h"
#include "gateway/session/report.h"
#include "gateway/session/skip_space.h"
#include "gateway/session/stages/stages.h"

namespace starling {
namespace {

// The go-ahead has not been sent and will not be; earlier replies still may be.
void DropGoAhead(WorkerContext& ctx, Session& session, const Upgrading& stage) {
  Block& out = session.client.out;
  if (!out.empty() && stage.go_ahead_at >= out.begin + out.in_flight) {
    out.end = stage.go_ahead_at;
    ReleaseIfEmpty(ctx, out);
  }
}

// True if a forbidden octet follows the command. The peek only shows that an octet waits; it
// is judged once the ring has received it.
bool IsInjection(WorkerContext& ctx, Session& session, Upgrading& stage) {
  if (SkipSpace(ctx, session.client, stage.space_left)) stage.peek = Peek::kNone;
  return !session.client.Input(ctx).empty() ||
         (stage.peek == Peek::kStray && stage.space_left == 0);
}

Next TellUpgraded(WorkerContext& ctx, Session& session) {
  const Next next = Tell(ctx, session, {.kind = EventKind::kUpgraded});
  return next.leaves() ? next : Enter(StageId::kHandshaking);
}

}  // namespace

Next Act(WorkerContext& ctx, Session& session, Upgrading& stage) {
  Side& client = session.client;
  AdvanceLink(ctx, session);
  if (client.failed()) return EndNow(EndReason::kClientReset);
  // With a clean peek the go-ahead is on its way.
  if (stage.peek == Peek::kClean) return client.flushed() ? TellUpgraded(ctx, session) : Stay();
  if (IsInjection(ctx, session, stage)) {
    DropGoAhead(ctx, session, stage);
    CountAttack(ctx, session, Attack::kPlaintextInjection);
    return EndPolitely(EndReason::kPlaintextInjection);
  }
  if (client.inflow == Inflow::kEnded) {
    DropGoAhead(ctx, session, stage);
    return EndPolitely(EndReason::kClientLeftEarly);
  }
  if (IdOf(session.link) != LinkId::kNone) return Stay();
  // What waits may be white space: it is received at once (Wanted).
  if (stage.peek == Peek::kStray) return Stay();
  if (client.has(kOpRecv)) {
    client.Cancel(ctx, session.ref());
  } else if (!client.has(kOpCancel | kOpPeek)) {
    client.Peek(ctx, session.ref());
  }
  return Stay();
}

Dues DueOf(const WorkerContext& ctx, const Session& session, const Upgrading& /*stage*/) {
  Dues dues;
  AddPreRelay(ctx, session, /*awaits_command=*/false, dues);
  return dues;
}

Next Overdue(WorkerContext& /*ctx*/, Session& /*session*/, Upgrading& /*stage*/, const Due& due) {
  return due.kind == DueKind::kPreRelay ? EndNow(due.reason) : Stay();
}

Receives Wanted(WorkerContext& /*ctx*/, Session& session, const Upgrading& stage) {
  return {.client = stage.peek == Peek::kStray && IdOf(session.link) == LinkId::kNone};
}

}  // namespace starling
