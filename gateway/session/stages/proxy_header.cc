// The header by which a load balancer says who the client is, before all else that comes on
// the connection. Not for: its octets (protocols/proxy/proxy_header.h), and the header that the
// gateway writes itself (proxy_out.h).
#include "protocols/proxy/proxy_header.h"

#include "gateway/session/crowding.h"
#include "gateway/session/report.h"
#include "gateway/session/say.h"
#include "gateway/session/source.h"
#include "gateway/session/stages/stages.h"

namespace starling {
namespace {

// Only now is it known whose share the session is of. The balancer has none itself.
Next MeetSource(WorkerContext& ctx, Session& session) {
  EndReason over = EnterSource(ctx, *session.listener, session.peer, session.source);
  if (over == EndReason::kNone && KeepPlace(ctx, session)) return Stay();
  if (over == EndReason::kNone) {
    over = EndReason::kSessionLimit;
    CountLimit(ctx, Limit::kSessions);
  }
  CountRefusal(ctx, *session.listener, session.peer, over);
  const bool told = over != EndReason::kDenied && MayAnswer(ctx, session.source);
  return told ? Refuse(ctx, session, Refusal::kTooBusy, over) : EndNow(over);
}

}  // namespace

Next Act(WorkerContext& ctx, Session& session, ProxyHeader& /*stage*/) {
  if (session.client.receive_failed()) return EndNow(EndReason::kClientReset);
  const ByteView in = session.client.Input(ctx);
  const ProxyParse parse = in.empty() ? ProxyParse{} : ParseProxy(in);
  if (parse.status == ProxyParse::Status::kBad) {
    CountAttack(ctx, session, Attack::kBadProxy);
    return EndNow(EndReason::kProxyHeaderBad);
  }
  if (parse.status == ProxyParse::Status::kNeedMore) {
    if (session.client.inflow != Inflow::kEnded) return Stay();
    return EndNow(in.empty() ? EndReason::kClientLeftEarly : EndReason::kProxyHeaderBad);
  }
  session.client.Consume(ctx, parse.consumed);
  if (!parse.local && parse.source.family != Endpoint::Family::kNone) {
    session.peer = parse.source;
    session.local = parse.destination;
    if (const Next next = MeetSource(ctx, session); next.decided()) return next;
  }
  const bool talks = session.listener->config->tls == TlsMode::kStartTls;
  return Enter(talks ? StageId::kTalking : StageId::kHandshaking);
}

Dues DueOf(const WorkerContext& ctx, const Session& session, const ProxyHeader& /*stage*/) {
  Dues dues;
  dues.Add(After(session.accepted_at, LimitsOf(session).proxy_header_ms), DueKind::kProxyHeader);
  AddPreRelay(ctx, session, /*awaits_command=*/false, dues);
  return dues;
}

Next Overdue(WorkerContext& /*ctx*/, Session& /*session*/, ProxyHeader& /*stage*/, const Due& due) {
  return EndNow(due.kind == DueKind::kProxyHeader ? EndReason::kProxyHeaderDeadline : due.reason);
}

Receives Wanted(WorkerContext& /*ctx*/, Session& /*session*/, const ProxyHeader& /*stage*/) {
  return {.client = true};
}

}  // namespace starling
