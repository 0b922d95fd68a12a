// The backend's side: choose a server, connect with the PROXY header first, try
// the next one, give up; and close a plaintext leg.
#include <cerrno>
#include <cstring>
#include <memory>

#include "gateway/session/steps.h"
#include "protocols/proxy/proxy_header.h"

namespace starling {
namespace {

// A full Unix backlog is a matter of milliseconds: the servers that are left are
// asked again, in turn, after 5, 10, 20 ... 160 ms, until the connect deadline.
constexpr uint8_t kBacklogDoublings = 5;
constexpr uint32_t kBacklogRetryMs = 5;

// A connect that was cancelled was so by its deadline.
ConnectFailure Classify(int error) {
  return ConnectFailureOf(error == ECANCELED ? ETIMEDOUT : error);
}

// What metrics and log call the server chosen.
uint32_t SeriesOf(const Session& session) {
  const Backends& backends = *session.listener->backends;
  return backends.server(backends.IdOf(session.backend, session.server)).series;
}

bool WriteHeader(WorkerContext& ctx, Session& session, const BackendConfig& backend) {
  if (backend.proxy == ProxyOut::kNone) return true;
  const std::span<uint8_t> room = OutRoom(ctx, session.up, kMaxProxyV2Out);
  if (room.empty()) return false;
  ProxyInfo info{.source = session.peer, .destination = session.local};
  TlsFacts facts;
  if (session.tls_up) {
    facts = session.tls.Facts();
    info.tls = ProxyTls{
        .version = kTlsVersionLabels[facts.version],
        .cipher = kTlsCipherLabels[facts.cipher],
        .key_algorithm = kTlsKeyLabels[facts.key],
        .signature = facts.resumed ? std::string_view() : kTlsSignatureLabels[facts.signature],
        .client_certificate = facts.client_certificate >= ClientCertificateResult::kVerified,
        .resumed = facts.resumed,
        .verified = facts.client_certificate == ClientCertificateResult::kVerified,
        .common_name = facts.client_name,
        .issuer = facts.client_issuer};
    info.alpn = facts.alpn;
    info.sni = facts.sni;
  }
  uint64_t unique[2] = {ctx.random, session.id};
  info.unique_id = {reinterpret_cast<const char*>(unique), sizeof unique};
  Writer writer(room);
  const bool written = backend.proxy == ProxyOut::kV1 ? WriteProxyV1(info, writer)
                                                      : WriteProxyV2(info, backend.tlvs, writer);
  Produced(session.up, writer.size());
  return written;
}

void LegFailed(WorkerContext& ctx, Session& session, EndReason reason) {
  session.leg_state = LegState::kFailed;
  session.server = -1;
  const Phase before = session.phase;
  if (session.dialogue != nullptr) {
    TellNegotiator(ctx, session, {.kind = EventKind::kLegFailed, .inside_tls = session.tls_up});
    // Nothing else would ever come.
    if (session.phase == before) EndPolitely(ctx, session, reason);
  } else {
    Refuse(ctx, session, Refusal::kUnavailable, reason);
  }
}

// One try at the server chosen; its completion goes on from here.
void Connect(WorkerContext& ctx, Session& session) {
  const BackendConfig& backend = session.listener->backends->config(session.backend);
  if (!WriteHeader(ctx, session, backend)) {
    EndNow(ctx, session, EndReason::kBufferLimit);
    return;
  }
  const Backends& backends = *session.listener->backends;
  const Server& server = backends.server(backends.IdOf(session.backend, session.server));
  session.leg_state = LegState::kConnecting;
  session.up.fd = static_cast<Fd>(session.slot);
  session.up.tcp = !server.address.is_unix();
  session.up.in_flight |= kOpOpen;
  const ByteView header = session.up.out.data == nullptr ? ByteView{} : session.up.out.view();
  session.up.out.in_flight = static_cast<uint32_t>(header.size());
  // Our own port is for telling sessions of a server that does not know its clients; to
  // ask for it costs three system calls.
  const bool want_local = !server.address.is_unix() && backend.proxy == ProxyOut::kNone;
  ctx.ring->OpenUpstream(session.up.fd, server.address, header, want_local,
                         Tag{Op::kUpOpen, session.slot, session.generation});
}

// The socket is there; a server that is to be reached by TLS is up when that is.
void BeginLegTls(WorkerContext& ctx, Session& session) {
  UpstreamTls* const upstream = session.listener->owner->upstream_tls(session.backend);
  session.up.tls = std::make_unique<LegTls>();
  session.leg_state = LegState::kTlsHandshake;
  if (session.up.tls->tls.Connect(*upstream, static_cast<uint32_t>(session.server))) return;
  EndNow(ctx, session, EndReason::kBufferLimit);
}

// This server is no use now: it is closed, and the next one tried. It is not marked
// down: it answers, and what is wrong with its certificate, or with what we believe, is
// for a person to see to, who finds it counted by its name.
void LegTlsFailed(WorkerContext& ctx, Session& session, TlsFailure failure) {
  const uint32_t series = SeriesOf(session);
  session.upstream_tls = {.failure = failure};
  ctx.shard->AddServer(ServerFamily::kBackendTlsFailures, series, static_cast<size_t>(failure));
  ctx.shard->AddServer(ServerFamily::kConnectFailures, series,
                       static_cast<size_t>(ConnectFailure::kTls));
  // A session that was to be resumed may be why, as the certificate in it expires though
  // the server has a new one; the server is not judged by it, but may be tried again.
  if (!session.up.tls->tls.ForgetOffer()) session.tried_servers |= 1ull << session.server;
  session.server = -1;
  session.leg_state = LegState::kTlsFailed;
  DropInput(ctx, session.up);
  session.up.in_flight |= kOpClose;
  ctx.ring->CancelAndClose(session.up.fd, Tag{Op::kUpClose, session.slot, session.generation});
}

void ConnectNext(WorkerContext& ctx, Session& session) {
  uint32_t& cursor = session.tls_up ? session.listener->cursor : session.listener->plaintext_cursor;
  session.server = session.listener->backends->Pick(session.backend, cursor, session.tried_servers);
  if (session.server < 0) {
    LegFailed(ctx, session, EndReason::kBackendUnavailable);
    return;
  }
  Connect(ctx, session);
}

void OpenNextLeg(WorkerContext& ctx, Session& session) {
  session.backlog_retries = 0;
  session.leg_at = ctx.now;
  ConnectNext(ctx, session);
}

// The time for connecting is over.
void GiveUpConnecting(WorkerContext& ctx, Session& session) {
  if (OpensAllLegs(session)) {
    if (session.server >= 0) session.tried_servers |= 1ull << session.server;
    OpenNextLeg(ctx, session);
    return;
  }
  NoteReason(session, EndReason::kConnectDeadline);
  LegFailed(ctx, session, EndReason::kConnectDeadline);
}

// What is counted of a plaintext leg that is there for the whole session.
void NotePlaintextLeg(WorkerContext& ctx, Session& session) {
  if (!session.plaintext_leg) {
    session.plaintext_leg = true;
    ctx.shard->Add(Family::kPlaintext, session.listener->id);
  }
  LogEstablished(ctx, session);
}

void LegUp(WorkerContext& ctx, Session& session) {
  session.leg_state = LegState::kUp;
  session.tried_servers |= 1ull << session.server;
  session.leg_at = ctx.now;
  session.active_at = ctx.now;
  const ServerId id = session.listener->backends->IdOf(session.backend, session.server);
  session.listener->backends->MarkUp(id);
  session.last_server = SeriesOf(session);
  ctx.shard->AddServer(ServerFamily::kBackendSessions, session.last_server);
  const bool speaks_inside = session.listener->config->protocol->speaks_inside;
  if (session.dialogue == nullptr && speaks_inside) StartInside(ctx, session);
  if (session.dialogue == nullptr) {
    StartRelay(ctx, session);
    return;
  }
  if (session.tls_up) {
    SetPhase(ctx, session, Phase::kPreamble);
  } else if (!session.dialogue->all_legs) {
    NotePlaintextLeg(ctx, session);
  }
  session.dialogue->greeting_seen = false;
  session.dialogue->backend_end_told = false;
  TellNegotiator(ctx, session,
                 {.kind = EventKind::kLegUp,
                  .inside_tls = session.tls_up,
                  .client = &session.peer,
                  .local = &session.local});
}

void OpenFailed(WorkerContext& ctx, Session& session, int error) {
  session.up.fd = kNoFd;
  const ServerId id = session.listener->backends->IdOf(session.backend, session.server);
  const ConnectFailure failure = Classify(error);
  if (failure == ConnectFailure::kBacklogFull) {
    if (session.backlog_retries == 0) {
      ctx.shard->AddServer(ServerFamily::kConnectFailures, SeriesOf(session),
                           static_cast<size_t>(failure));
    }
    session.leg_state = LegState::kRetryWait;
    session.retry_at = After(ctx.now, kBacklogRetryMs << session.backlog_retries);
    if (session.backlog_retries < kBacklogDoublings) ++session.backlog_retries;
    return;
  }
  ctx.shard->AddServer(ServerFamily::kConnectFailures, SeriesOf(session),
                       static_cast<size_t>(failure));
  // What we are short of ourselves (ports, descriptors) says nothing of the server.
  if (failure != ConnectFailure::kTimeout && failure != ConnectFailure::kOther) {
    session.listener->backends->MarkDown(id);
  }
  session.tried_servers |= 1ull << session.server;
  ConnectNext(ctx, session);
}

bool ConnectTimeIsOver(const WorkerContext& ctx, const Session& session) {
  return ctx.now >= After(session.leg_at, session.listener->config->limits.connect_ms);
}

// All octets of a leg that is gone; what it has counted stays.
void ForgetLeg(WorkerContext& ctx, Session& session) {
  DropInput(ctx, session.up);
  DropOutput(ctx, session.up);
  const uint64_t in = session.up.octets_in;
  const uint64_t out = session.up.octets_out;
  session.up = Leg();
  session.up.octets_in = in;
  session.up.octets_out = out;
}

void LegTlsUp(WorkerContext& ctx, Session& session) {
  const TlsFacts facts = session.up.tls->tls.Facts();
  session.upstream_tls = {
      .up = true, .resumed = facts.resumed, .version = facts.version, .cipher = facts.cipher};
  ctx.shard->AddServer(ServerFamily::kBackendTlsHandshakes, SeriesOf(session),
                       facts.resumed ? 1 : 0);
  LegUp(ctx, session);
}

bool StepLegTls(WorkerContext& ctx, Session& session) {
  Leg& up = session.up;
  if (ConnectTimeIsOver(ctx, session)) {
    NoteReason(session, EndReason::kConnectDeadline);
    LegTlsFailed(ctx, session, TlsFailure::kTimeout);
    return true;
  }
  if (up.recv_error != 0 || up.send_error != 0) {
    LegTlsFailed(ctx, session, TlsFailure::kReset);
    return true;
  }
  const size_t before = RawInput(ctx, up).size();
  switch (StepLegHandshake(ctx, up)) {
    case TlsResult::kOk:
      LegTlsUp(ctx, session);
      return true;
    case TlsResult::kNeedInput:
      if (RawInput(ctx, up).size() < before) return true;
      if (!up.tls->tcp_ended) return false;
      LegTlsFailed(ctx, session, TlsFailure::kClosed);
      return true;
    case TlsResult::kNeedRoom:
      return false;
    case TlsResult::kClosed:
    case TlsResult::kFailed:
      break;
  }
  LegTlsFailed(ctx, session, up.tls->tls.failure());
  return true;
}

}  // namespace

void OpenLeg(WorkerContext& ctx, Session& session, uint32_t backend) {
  session.backend = backend;
  session.tried_servers = 0;
  OpenNextLeg(ctx, session);
}

void OpenAllLegs(WorkerContext& ctx, Session& session, uint32_t backend) {
  session.dialogue->all_legs = true;
  OpenLeg(ctx, session, backend);
}

void RecordLegOpened(WorkerContext& ctx, Session& session, const Completion& completion) {
  Leg& up = session.opened_leg();
  up.in_flight &= static_cast<uint8_t>(~kOpOpen);
  if (completion.result == 0) {
    const uint32_t header = up.out.in_flight;
    up.octets_out += header;
    ctx.shard->Add(Family::kBytes, session.listener->id, 3, 0, header);
    session.up_local = completion.local;
  } else {
    up.send_error = static_cast<int16_t>(-completion.result);
  }
  up.out.in_flight = 0;
  ReleaseBlock(ctx, up.out);
}

bool StepLeg(WorkerContext& ctx, Session& session) {
  Leg& up = session.up;
  switch (session.leg_state) {
    case LegState::kConnecting: {
      // A cancel that came too late for the connect must not meet what is armed next.
      if ((up.in_flight & (kOpOpen | kOpCancel)) != 0) return false;
      const int error = up.send_error;
      up.send_error = 0;
      if (ConnectTimeIsOver(ctx, session)) {
        // Cancelled by the deadline, or too late by a hair: both end here.
        if (error == 0) break;
        up.fd = kNoFd;
        ctx.shard->AddServer(ServerFamily::kConnectFailures, SeriesOf(session),
                             static_cast<size_t>(Classify(error)));
        GiveUpConnecting(ctx, session);
        return true;
      }
      if (error != 0) {
        OpenFailed(ctx, session, error);
        return true;
      }
      break;
    }
    case LegState::kTlsHandshake:
      return StepLegTls(ctx, session);
    case LegState::kTlsFailed:
      if (up.open() || !up.idle()) return false;
      ForgetLeg(ctx, session);
      if (ConnectTimeIsOver(ctx, session)) {
        GiveUpConnecting(ctx, session);
      } else {
        ConnectNext(ctx, session);
      }
      return true;
    case LegState::kRetryWait:
      if (ctx.now < session.retry_at) return false;
      session.retry_at = kNever;
      if (ConnectTimeIsOver(ctx, session)) {
        GiveUpConnecting(ctx, session);
      } else {
        ConnectNext(ctx, session);
      }
      return true;
    default:
      return false;
  }
  if (session.listener->backends->config(session.backend).tls.enabled) {
    BeginLegTls(ctx, session);
  } else {
    LegUp(ctx, session);
  }
  return true;
}

void LegClosed(WorkerContext& ctx, Session& session) {
  if (session.server >= 0) {
    ctx.shard->AddServer(ServerFamily::kBackendSessions, SeriesOf(session), 0, -1);
  }
  session.server = -1;
  session.leg_state = LegState::kNone;
  session.retry_at = kNever;
  ForgetLeg(ctx, session);
  if (OpensAllLegs(session) && session.phase == Phase::kDialogue) {
    OpenNextLeg(ctx, session);
  } else if (session.dialogue != nullptr && session.dialogue->want_leg) {
    session.dialogue->want_leg = false;
    if (session.phase == Phase::kDialogue) OpenLeg(ctx, session, session.backend);
  }
}

void CloseLeg(WorkerContext& ctx, Session& session) {
  Leg& up = session.up;
  if (session.data != nullptr) return CloseDataLeg(ctx, session, up);
  if (session.leg_state == LegState::kNone || session.leg_state == LegState::kClosing) return;
  if (session.leg_state == LegState::kConnecting) {
    if ((up.in_flight & kOpOpen) != 0) ArmCancel(ctx, session, up);
    if ((up.in_flight & (kOpOpen | kOpCancel)) != 0) return;
    // The connect was faster than its cancellation, or it failed and the
    // descriptor is free already.
    if (up.send_error != 0) up.fd = kNoFd;
  }
  const bool closing = (up.in_flight & kOpClose) != 0;
  if (session.leg_state != LegState::kUp) session.server = -1;  // never counted as a leg
  // Where TLS failed the close may be over before what it cancelled.
  if (!up.open() && up.idle()) {
    LegClosed(ctx, session);
    return;
  }
  session.leg_state = LegState::kClosing;
  DropInput(ctx, up);
  if (closing || !up.open()) return;
  up.in_flight |= kOpClose;
  ctx.ring->CancelAndClose(up.fd, Tag{Op::kUpClose, session.slot, session.generation});
}

}  // namespace starling
