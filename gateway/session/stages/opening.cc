// TLS with the client is up, and the gateway opens a fresh link. No octet that came in
// plaintext can reach it: the link did not exist then.
#include "gateway/session/link.h"
#include "gateway/session/negotiation.h"
#include "gateway/session/place_queue.h"
#include "gateway/session/report.h"
#include "gateway/session/say.h"
#include "gateway/session/stages/stages.h"

namespace starling {
namespace {

Next LinkIsUp(const Session& session) {
  if (session.data != nullptr) {
    return Enter(session.tls_up() ? StageId::kRelaying : StageId::kHandshaking);
  }
  const bool speaks =
      session.dialogue != nullptr || session.listener->config->protocol->speaks_inside;
  return Enter(speaks ? StageId::kGreeting : StageId::kRelaying);
}

Next LinkFailed(WorkerContext& ctx, Session& session, EndReason reason) {
  if (session.data != nullptr) return EndNow(reason);
  NoteReason(session, reason);
  if (session.dialogue == nullptr) return Refuse(ctx, session, Refusal::kUnavailable, reason);
  const Next next = Tell(ctx, session, {.kind = EventKind::kLegFailed, .inside_tls = true});
  // Nothing else would ever come.
  return next.leaves() ? next : EndPolitely(reason);
}

}  // namespace

Next Act(WorkerContext& ctx, Session& session, Opening& /*stage*/) {
  if (const Next next = WatchClientInQueue(ctx, session); next.decided()) return next;
  const LinkResult result = AdvanceLink(ctx, session);
  switch (result.news) {
    case LinkNews::kNone:
    case LinkNews::kClosed:
      return Stay();
    case LinkNews::kMoved:
      return Again();
    case LinkNews::kUp:
      return LinkIsUp(session);
    case LinkNews::kFailed:
      return LinkFailed(ctx, session, result.reason);
    case LinkNews::kNoMemory:
      return EndNow(EndReason::kBufferLimit);
  }
  return Stay();
}

Dues DueOf(const WorkerContext& ctx, const Session& session, const Opening& /*stage*/) {
  Dues dues;
  AddPreRelay(ctx, session, /*awaits_command=*/false, dues);
  if (session.data == nullptr) AddLink(session, dues);
  return dues;
}

Next Overdue(WorkerContext& ctx, Session& session, Opening& /*stage*/, const Due& due) {
  if (due.kind == DueKind::kConnect) HurryLink(ctx, session);
  if (due.kind != DueKind::kPreRelay) return Stay();
  if (session.data != nullptr) return EndNow(due.reason);
  return Refuse(ctx, session, Refusal::kUnavailable, due.reason);
}

Receives Wanted(WorkerContext& /*ctx*/, Session& session, const Opening& /*stage*/) {
  return {.client = ListensInQueue(session),
          .server = IsHeard(IdOf(session.link)) && session.server.may_bring_more()};
}

}  // namespace starling
