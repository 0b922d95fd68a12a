#include "gateway/session/report.h"

#include <algorithm>
#include <optional>

#include "gateway/session/source.h"

namespace starling {
namespace {

int64_t MicrosSince(MonoTime now, MonoTime then) {
  return std::chrono::duration_cast<std::chrono::microseconds>(now - then).count();
}

// A few a second have a line. `lines_at`: when as many as in a burst may have one again.
bool MayLog(WorkerContext& ctx, MonoTime& lines_at, uint32_t lines_per_second) {
  if (lines_per_second == 0) return true;
  constexpr std::chrono::seconds kBurst{4};
  const auto each = std::chrono::nanoseconds(1'000'000'000 / lines_per_second);
  if (lines_at > ctx.now + kBurst - each) {
    ctx.sources->refusals.NoteLeftOut();
    return false;
  }
  lines_at = std::max(lines_at, ctx.now) + each;
  return true;
}

bool WasRefused(const Session& session) {
  switch (session.reason) {
    case EndReason::kSessionLimit:
    case EndReason::kHandshakeLimit:
    case EndReason::kHandshakeLate:
    case EndReason::kPregreet:
    case EndReason::kSourceSessions:
    case EndReason::kSourceConnections:
    case EndReason::kSourceHandshakes:
    case EndReason::kSourceFailures:
    case EndReason::kDenied:
    case EndReason::kCrowdedOut:
    case EndReason::kMemoryLimit:
      return true;
    default:
      return session.use == SlotUse::kRefusal;
  }
}

// A load balancer's own connections, and those of sources with the role probe.
bool MakesChecks(const Session& session) {
  const SourceRole role = RoleOf(session);
  return role == SourceRole::kProbe || role == SourceRole::kBalancer;
}

// The client left, whatever it had been offered.
bool ClientLeft(EndReason reason) {
  switch (reason) {
    case EndReason::kClientLeftEarly:
    case EndReason::kClientReset:
    case EndReason::kClientClosed:
    case EndReason::kClientTruncated:
    case EndReason::kGoodbye:
    case EndReason::kHandshakeFailed:
      return true;
    default:
      return false;
  }
}

// What kind of health check the connection was; nothing: it was none.
std::optional<ProbeKind> ProbeOf(const Session& session) {
  if (session.is_check) return ProbeKind::kLocal;
  if (!LooksLikeCheck(session) || !ClientLeft(session.reason)) return std::nullopt;
  return RoleOf(session) == SourceRole::kProbe ? ProbeKind::kProbe : ProbeKind::kBalancer;
}

// A check of whether the gateway answers, every few seconds.
bool IsProbe(const Session& session) {
  const bool checks = RoleOf(session) == SourceRole::kProbe || ProbeOf(session).has_value() ||
                      session.reason == EndReason::kProbe;
  return checks && session.last_server == UINT32_MAX;
}

void CountClient(WorkerContext& ctx, const Session& session) {
  const Via via = session.header_octets != 0 ? Via::kBalancer : Via::kDirect;
  ctx.shard->Add(Family::kClients, session.listener->id, static_cast<size_t>(via));
}

// One that makes checks was a client if this was none, and it was let in.
bool WasClient(const Session& session) {
  if (!MakesChecks(session) || session.data != nullptr || session.use == SlotUse::kRefusal) {
    return false;
  }
  const bool from_balancer = session.header_octets != 0;
  const bool headed =
      RoleOf(session) == SourceRole::kBalancer || session.listener->config->proxy_in.required();
  return from_balancer || !headed;
}

// Reasons to end that clients have would say that something is wrong with clients.
void CountCheck(WorkerContext& ctx, Session& session) {
  const std::optional<ProbeKind> kind = ProbeOf(session);
  if (!kind) {
    if (WasClient(session)) CountClient(ctx, session);
    return;
  }
  ctx.shard->Add(Family::kProbes, session.listener->id, static_cast<size_t>(*kind));
  const bool reached_server = session.last_server != UINT32_MAX;
  if (!reached_server && ClientLeft(session.reason)) session.reason = EndReason::kProbe;
}

// The highest version that the client offered, where it began TLS.
uint8_t Offered(const Session& session) {
  return session.client.tls == nullptr ? 0 : session.client.tls->session.offered();
}

// It ended before its client had sent a whole hello, and before any server was called. One client
// can connect and leave thousands of times a second.
bool WasUnheard(const Session& session) {
  switch (session.reason) {
    case EndReason::kClientLeftEarly:
    case EndReason::kClientReset:
    case EndReason::kProxyHeaderBad:
    case EndReason::kProxyHeaderUntrusted:
    case EndReason::kProxyHeaderDeadline:
    case EndReason::kPreRelayDeadline:
    case EndReason::kPreRelayCrowded:
      return session.last_server == UINT32_MAX && Offered(session) == 0;
    default:
      return false;
  }
}

bool Wanted(WorkerContext& ctx, const Session& session, LogEvent event) {
  const Config& config = session.listener->owner->config();
  const LogSessions wanted = config.log_sessions;
  if (ctx.log == nullptr || wanted == LogSessions::kNone) return false;
  if (wanted != LogSessions::kDebug && IsProbe(session)) return false;
  if (event == LogEvent::kEstablished) return wanted <= LogSessions::kAll;
  const uint32_t most = config.log_refusals;
  if (WasRefused(session)) return MayLog(ctx, ctx.refusal_lines_at, most);
  if (!WasUnheard(session) || MayLog(ctx, ctx.unheard_lines_at, most)) return true;
  // The line once a minute names its source.
  NoteRefusal(ctx, session);
  return false;
}

void CountAlerts(WorkerContext& ctx, const Session& session, const TlsSession& tls) {
  if (tls.alert_sent() != kNoAlert) {
    CountAlert(ctx, session, AlertDirection::kSent, tls.alert_sent());
  }
  if (tls.alert_received() != kNoAlert) {
    CountAlert(ctx, session, AlertDirection::kReceived, tls.alert_received());
  }
}

void Push(WorkerContext& ctx, const Session& session, LogEvent event) {
  if (!Wanted(ctx, session, event)) return;
  SessionRecord record;
  record.event = event;
  record.tls = session.tls_up();
  record.plaintext_leg = session.plaintext_leg;
  if (session.tls_up()) {
    const TlsFacts facts = session.client.tls->session.Facts();
    record.tls_version = facts.version;
    record.tls_cipher = facts.cipher;
    record.tls_group = facts.group;
    record.resumed = facts.resumed;
    record.tls_signature = facts.signature;
    record.client_certificate = facts.client_certificate;
    record.sni.Set(facts.sni);
    record.client_name.Set(facts.client_name);
    record.client_issuer.Set(facts.client_issuer);
  }
  record.tls_offered = Offered(session);
  if (const SideTls* const tls = session.client.tls.get(); tls != nullptr) {
    record.alert_sent = tls->session.alert_sent();
    record.alert_received = tls->session.alert_received();
  }
  record.reason = session.reason;
  record.tls_failure = session.tls_failure;
  record.upstream_tls = session.upstream_tls;
  record.worker = static_cast<uint16_t>(ctx.index);
  record.listener = session.listener->id;
  record.server = session.last_server;
  record.upstream_port = session.link_address.port;
  record.reply = session.reply;
  record.session = session.id;
  record.at = WallNow();
  record.duration_us = MicrosSince(ctx.now, session.accepted_at);
  record.handshake_us = session.handshake_us;
  record.downstream_in = session.client.octets_in;
  record.downstream_out = session.client.octets_out;
  record.upstream_in = session.server.octets_in;
  record.upstream_out = session.server.octets_out;
  record.peer = session.peer;
  record.local = session.local;
  if (!ctx.log->Push(record)) {
    ctx.shard->AddWorker(WorkerFamily::kLogLost);
    CountLimit(ctx, Limit::kLogRecords);
  }
}

}  // namespace

bool LooksLikeCheck(const Session& session) {
  if (session.is_check) return true;
  return MakesChecks(session) && session.data == nullptr &&
         session.client.octets_in == session.header_octets;
}

void NoteClient(WorkerContext& ctx, const Session& session) {
  if (!MakesChecks(session)) CountClient(ctx, session);
}

void NoteReason(Session& session, EndReason reason) {
  if (session.reason == EndReason::kNone) session.reason = reason;
}

void CountFailure(WorkerContext& ctx, Session& session, TlsFailure failure) {
  const ListenerId id = session.listener->id;
  session.tls_failure = failure;
  if (session.is_check) return;
  ctx.shard->Add(Family::kHandshakeFailures, id, static_cast<size_t>(failure));
  ctx.shard->Add(Family::kFailedOffers, id, Offered(session));
}

void CountAlert(WorkerContext& ctx, const Session& session, AlertDirection direction,
                uint8_t description) {
  ctx.shard->Add(Family::kAlerts, session.listener->id, static_cast<size_t>(direction),
                 AlertIndex(description));
}

void CountAttack(WorkerContext& ctx, const Session& session, Attack attack) {
  ctx.shard->Add(Family::kAttacks, session.listener->id, static_cast<size_t>(attack));
}

void CountLimit(WorkerContext& ctx, Limit limit) {
  ctx.shard->AddWorker(WorkerFamily::kLimitReached, static_cast<size_t>(limit));
}

void LogEstablished(WorkerContext& ctx, Session& session) {
  if (session.established && !session.tls_up()) return;
  session.established = true;
  Push(ctx, session, LogEvent::kEstablished);
}

void LogPregreet(WorkerContext& ctx, Session& session) { Push(ctx, session, LogEvent::kPregreet); }

void ReportEnd(WorkerContext& ctx, Session& session) {
  const ListenerId id = session.listener->id;
  ctx.shard->Add(Family::kSessions, id, static_cast<size_t>(PhaseOf(IdOf(session.stage))), 0, -1);
  // Nobody came: there was no connection to report on.
  if (session.data != nullptr && session.data->accept != DataChannel::Accept::kJoined) return;
  CountCheck(ctx, session);
  ctx.shard->Add(Family::kEnded, id, static_cast<size_t>(session.reason));
  ctx.shard->Observe(Histogram::kSessionSeconds, id,
                     static_cast<uint64_t>(MicrosSince(ctx.now, session.accepted_at)));
  if (const SideTls* const tls = session.client.tls.get(); tls != nullptr) {
    CountAlerts(ctx, session, tls->session);
  }
  Push(ctx, session, LogEvent::kEnded);
}

}  // namespace starling
