#include "gateway/session/say.h"

#include "gateway/session/report.h"

namespace starling {

void SayToClient(WorkerContext& ctx, Session& session, ByteView text) {
  // Where this fails the session ends without words: LastWords sees what broke.
  (void)session.client.Write(ctx, text);
}

Next CheckSealing(Session& session) {
  if (!session.client.seal_failed()) return Stay();
  const bool failed = session.client.send_error == kSealFailed;
  if (failed) session.tls_failure = session.client.tls->session.failure();
  return EndNow(failed ? EndReason::kTlsError : EndReason::kBufferLimit);
}

Next FailTls(Session& session) {
  session.tls_failure = session.client.tls->session.failure();
  return EndPolitely(EndReason::kTlsError);
}

void SayAlert(WorkerContext& ctx, Session& session, uint8_t description) {
  if (session.client.tls != nullptr) {
    session.client.SendAlert(ctx, description);
    return;
  }
  const uint8_t record[] = {0x15, 0x03, 0x01, 0x00, 0x02, 0x02, description};
  SayToClient(ctx, session, record);
  CountAlert(ctx, session, AlertDirection::kSent, description);
}

Next Refuse(WorkerContext& ctx, Session& session, Refusal refusal, EndReason reason) {
  const ListenerConfig& config = *session.listener->config;
  const bool can_say =
      session.tls_up() || config.tls == TlsMode::kStartTls || refusal == Refusal::kTlsExpected;
  if (can_say && config.protocol->refuse != nullptr) {
    uint8_t text[1024];
    Writer writer{std::span<uint8_t>(text)};
    config.protocol->refuse(refusal, config.dialogue, writer);
    SayToClient(ctx, session, writer.written());
  } else if (!session.tls_up() && !can_say) {
    SayAlert(ctx, session, kInternalError);
  }
  return EndPolitely(reason);
}

Next BreakOffHandshake(WorkerContext& ctx, Session& session, EndReason reason) {
  SayAlert(ctx, session, kInternalError);
  return EndPolitely(reason);
}

void SayCloseNotify(WorkerContext& ctx, Session& session, bool relayed) {
  if (session.tls_failure != TlsFailure::kNone) return;
  // Octets of the server that the client will not get: it must not take what it has
  // for the whole.
  if (relayed && (ServerBroke(session) || !session.server.Input(ctx).empty())) return;
  session.client.SendCloseNotify(ctx);
}

}  // namespace starling
