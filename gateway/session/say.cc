#include "gateway/session/say.h"

#include <cstring>

#include "gateway/session/leg_io.h"
#include "gateway/session/report.h"

namespace starling {

bool SayToClient(WorkerContext& ctx, Session& session, ByteView text) {
  if (text.empty()) return true;
  if (!session.tls_up) {
    const std::span<uint8_t> room = OutRoom(ctx, session.down, text.size());
    if (room.empty()) return false;
    std::memcpy(room.data(), text.data(), text.size());
    Produced(session.down, text.size());
    return true;
  }
  // A record's header, tag and, for the first write, the tickets.
  constexpr size_t kRecordOverhead = 1024;
  const std::span<uint8_t> room = OutRoom(ctx, session.down, text.size() + kRecordOverhead);
  if (room.empty()) return false;
  TlsSession::Io io{.in = {}, .consumed = 0, .out = room, .written = 0};
  size_t taken = 0;
  const TlsResult result = session.tls.Write(io, text, taken);
  Produced(session.down, io.written);
  return result == TlsResult::kOk;
}

void SayAlert(WorkerContext& ctx, Session& session, uint8_t description) {
  const uint8_t record[] = {0x15, 0x03, 0x01, 0x00, 0x02, 0x02, description};
  SayToClient(ctx, session, record);
  CountAlert(ctx, session, AlertDirection::kSent, description);
}

Next Refuse(WorkerContext& ctx, Session& session, Refusal refusal, EndReason reason) {
  const ListenerConfig& config = *session.listener->config;
  const bool can_say =
      session.tls_up || config.tls == TlsMode::kStartTls || refusal == Refusal::kTlsExpected;
  if (can_say && config.protocol->refuse != nullptr) {
    uint8_t text[1024];
    Writer writer{std::span<uint8_t>(text)};
    config.protocol->refuse(refusal, config.dialogue, writer);
    SayToClient(ctx, session, writer.written());
  } else if (!session.tls_up && !can_say) {
    SayAlert(ctx, session, kInternalError);
  }
  return EndPolitely(reason);
}

void SayCloseNotify(WorkerContext& ctx, Session& session, bool relayed) {
  if (!session.tls_up || session.close_notify_sent || session.tls_failure != TlsFailure::kNone) {
    return;
  }
  if (session.down.write_ended) return;
  // Octets of the server that the client will not get: it must not take what it has
  // for the whole.
  if (relayed && (session.up.was_reset() || !Input(ctx, session.up).empty())) return;
  const std::span<uint8_t> room = OutRoom(ctx, session.down, 512);
  if (room.empty()) return;
  TlsSession::Io io{.in = {}, .consumed = 0, .out = room, .written = 0};
  session.tls.CloseNotify(io);
  Produced(session.down, io.written);
  session.close_notify_sent = true;
  ReleaseIfEmpty(ctx, session.down.out);
}

}  // namespace starling
