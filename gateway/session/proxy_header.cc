// The header by which a load balancer says who the client is, before all else that comes on
// the connection. Not for: its octets (protocols/proxy/proxy_header.h), and the header that the
// gateway writes itself (leg.cc).
#include "protocols/proxy/proxy_header.h"

#include "gateway/session/steps.h"

namespace starling {

bool StepProxyHeader(WorkerContext& ctx, Session& session) {
  if (session.down.recv_error != 0) {
    EndNow(ctx, session, EndReason::kClientReset);
    return true;
  }
  const ByteView in = Input(ctx, session.down);
  const ProxyParse parse = in.empty() ? ProxyParse{} : ParseProxy(in);
  if (parse.status == ProxyParse::Status::kBad) {
    CountAttack(ctx, session, Attack::kBadProxy);
    EndNow(ctx, session, EndReason::kProxyHeaderBad);
    return true;
  }
  if (parse.status == ProxyParse::Status::kNeedMore) {
    if (!session.down.end_of_data) return false;
    EndNow(ctx, session, in.empty() ? EndReason::kClientLeftEarly : EndReason::kProxyHeaderBad);
    return true;
  }
  Consume(ctx, session.down, parse.consumed);
  if (!parse.local && parse.source.family != Endpoint::Family::kNone) {
    session.peer = parse.source;
    session.local = parse.destination;
  }
  if (session.listener->config->tls == TlsMode::kStartTls) {
    StartDialogue(ctx, session);
  } else {
    SetPhase(ctx, session, Phase::kHandshake);
  }
  return true;
}

}  // namespace starling
