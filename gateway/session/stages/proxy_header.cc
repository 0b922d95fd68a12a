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

Next Refuse(WorkerContext& ctx, Session& session, EndReason reason) {
  CountRefusal(ctx, *session.listener, session.peer, reason);
  const bool told = reason != EndReason::kDenied && MayAnswer(ctx, session.source);
  return told ? Refuse(ctx, session, Refusal::kTooBusy, reason) : EndNow(reason);
}

// Only now is it known whose share the session is of. The balancer has none itself.
Next MeetSource(WorkerContext& ctx, Session& session) {
  const EndReason over = EnterSource(ctx, *session.listener, session.peer, session.source);
  return over == EndReason::kNone ? Stay() : Refuse(ctx, session, over);
}

Next ReadHeader(WorkerContext& ctx, Session& session, ProxyHeader& stage) {
  const ByteView in = session.client.Input(ctx);
  // A probe that comes around the load balancer may see that the port is open, and no more.
  if (!in.empty() && RoleOf(session) != SourceRole::kBalancer) {
    CountAttack(ctx, session, Attack::kUntrustedProxy);
    return EndNow(EndReason::kProxyHeaderUntrusted);
  }
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
  stage.whole = true;
  session.header_octets = static_cast<uint16_t>(parse.consumed);
  session.is_check = parse.local;
  if (parse.source.family == Endpoint::Family::kNone) return Stay();
  session.peer = parse.source;
  session.local = parse.destination;
  const Next next = MeetSource(ctx, session);
  if (!next.decided()) NoteClient(ctx, session);
  return next;
}

}  // namespace

Next Act(WorkerContext& ctx, Session& session, ProxyHeader& stage) {
  if (session.client.receive_failed()) return EndNow(EndReason::kClientReset);
  if (!stage.whole) {
    const Next next = ReadHeader(ctx, session, stage);
    if (next.decided() || !stage.whole) return next;
  }
  switch (KeepPlace(ctx, session)) {
    case Room::kTaken:
      break;
    case Room::kLater:
      ctx.again.push_back(session.slot);
      return Stay();
    case Room::kNone:
      CountLimit(ctx, Limit::kSessions);
      return Refuse(ctx, session, EndReason::kSessionLimit);
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

Receives Wanted(WorkerContext& /*ctx*/, Session& /*session*/, const ProxyHeader& stage) {
  return {.client = !stage.whole};
}

}  // namespace starling
