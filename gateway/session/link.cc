#include "gateway/session/link.h"

#include <cassert>
#include <cerrno>
#include <memory>

#include "gateway/session/leg_io.h"
#include "gateway/session/proxy_out.h"
#include "gateway/session/report.h"

namespace starling {
namespace {

// A full Unix backlog is a matter of milliseconds: the servers that are left are
// asked again, in turn, after 5, 10, 20 ... 160 ms, until the connect deadline.
constexpr uint8_t kBacklogDoublings = 5;
constexpr uint32_t kBacklogRetryMs = 5;

constexpr LinkResult kNothing = {};
constexpr LinkResult kLookAgain = {.news = LinkNews::kMoved};
constexpr LinkResult kNoMemory = {.news = LinkNews::kNoMemory};

// Only a deadline cancels a connect.
ConnectFailure Classify(int error) {
  return ConnectFailureOf(error == ECANCELED ? ETIMEDOUT : error);
}

const Server& ChosenServer(const Session& session) {
  const Backends& backends = *session.listener->backends;
  return backends.server(backends.IdOf(session.target.backend, session.target.server));
}

void CountConnectFailure(WorkerContext& ctx, const Session& session, ConnectFailure failure) {
  ctx.shard->AddServer(ServerFamily::kConnectFailures, ChosenServer(session).series,
                       static_cast<size_t>(failure));
}

void MarkTried(Session& session) { session.target.tried |= 1ull << session.target.server; }

LinkResult Failed(Session& session, EndReason reason) {
  session.link = NoLink{};
  session.target.server = -1;
  return {.news = LinkNews::kFailed, .reason = reason};
}

// One try at the server chosen; its completion goes on from here.
LinkResult Connect(WorkerContext& ctx, Session& session, MonoTime since) {
  const BackendConfig& backend = session.listener->backends->config(session.target.backend);
  if (!WriteProxyHeader(ctx, session, backend)) {
    session.link = NoLink{};
    session.target.server = -1;
    return kNoMemory;
  }
  const Server& server = ChosenServer(session);
  session.link = Connecting{.since = since};
  Leg& up = session.up;
  up.fd = static_cast<Fd>(session.slot);
  up.tcp = !server.address.is_unix();
  up.in_flight |= kOpOpen;
  const ByteView header = up.out.data == nullptr ? ByteView{} : up.out.view();
  up.out.in_flight = static_cast<uint32_t>(header.size());
  // The log shows our own port, so that a session can be found in the log of a server that
  // does not know its clients; asking for it costs three system calls.
  const bool want_local = !server.address.is_unix() && backend.proxy == ProxyOut::kNone;
  ctx.ring->OpenUpstream(up.fd, server.address, header, want_local,
                         Tag{Op::kUpOpen, session.slot, session.generation});
  return kNothing;
}

LinkResult ConnectNext(WorkerContext& ctx, Session& session, MonoTime since) {
  uint32_t& cursor = session.tls_up ? session.listener->cursor : session.listener->plaintext_cursor;
  Target& target = session.target;
  target.server = session.listener->backends->Pick(target.backend, cursor, target.tried);
  if (target.server < 0) return Failed(session, EndReason::kBackendUnavailable);
  return Connect(ctx, session, since);
}

bool ConnectTimeIsOver(const WorkerContext& ctx, const Session& session, MonoTime since) {
  return ctx.now >= After(since, session.listener->config->limits.connect_ms);
}

// Goes on with the next server, as long as there is time.
LinkResult TryNext(WorkerContext& ctx, Session& session, MonoTime since) {
  if (!ConnectTimeIsOver(ctx, session, since)) return ConnectNext(ctx, session, since);
  if (!session.target.all_servers) return Failed(session, EndReason::kConnectDeadline);
  // Each of many servers has the whole time.
  if (session.target.server >= 0) MarkTried(session);
  StartNextLink(ctx, session);
  return kLookAgain;
}

LinkResult OpenFailed(WorkerContext& ctx, Session& session, MonoTime since, int error) {
  const Backends& backends = *session.listener->backends;
  const ServerId id = backends.IdOf(session.target.backend, session.target.server);
  const ConnectFailure failure = Classify(error);
  if (failure == ConnectFailure::kBacklogFull) {
    uint8_t& retries = session.target.backlog_retries;
    if (retries == 0) CountConnectFailure(ctx, session, failure);
    session.link = Backoff{.since = since, .retry_at = After(ctx.now, kBacklogRetryMs << retries)};
    if (retries < kBacklogDoublings) ++retries;
    return kNothing;
  }
  CountConnectFailure(ctx, session, failure);
  // When the gateway itself is short of ports or descriptors, the server is not to blame.
  if (failure != ConnectFailure::kTimeout && failure != ConnectFailure::kOther) {
    session.listener->backends->MarkDown(id);
  }
  MarkTried(session);
  return ConnectNext(ctx, session, since);
}

LinkResult LinkIsUp(WorkerContext& ctx, Session& session) {
  session.link = Up{.since = ctx.now};
  session.active_at = ctx.now;
  if (session.data != nullptr) return {.news = LinkNews::kUp};
  MarkTried(session);
  Backends& backends = *session.listener->backends;
  backends.MarkUp(backends.IdOf(session.target.backend, session.target.server));
  session.last_server = ChosenServer(session).series;
  ctx.shard->AddServer(ServerFamily::kBackendSessions, session.last_server);
  return {.news = LinkNews::kUp};
}

// The socket is there; a server that is to be reached by TLS is up when that is.
LinkResult BeginTls(WorkerContext& ctx, Session& session, MonoTime since) {
  if (!session.listener->backends->config(session.target.backend).tls.enabled) {
    return LinkIsUp(ctx, session);
  }
  UpstreamTls* const upstream = session.listener->owner->upstream_tls(session.target.backend);
  session.up.tls = std::make_unique<LegTls>();
  session.link = TlsHandshake{.since = since};
  const auto server = static_cast<uint32_t>(session.target.server);
  return session.up.tls->tls.Connect(*upstream, server) ? kLookAgain : kNoMemory;
}

// Closes the connection to this server; the next one is tried then. The server is not
// marked down, since it answers: an operator must fix its certificate, or what the gateway
// trusts. The failure is counted per server.
LinkResult TlsFailed(WorkerContext& ctx, Session& session, MonoTime since, TlsFailure failure) {
  session.upstream_tls = {.failure = failure};
  ctx.shard->AddServer(ServerFamily::kBackendTlsFailures, ChosenServer(session).series,
                       static_cast<size_t>(failure));
  CountConnectFailure(ctx, session, ConnectFailure::kTls);
  // The session that was to be resumed may be the cause: the certificate in it expires,
  // though the server has a new one. Then the same server may be tried again without it.
  if (!session.up.tls->tls.ForgetOffer()) MarkTried(session);
  session.target.server = -1;
  session.link = ClosingLink{.since = since, .tries_next = true};
  DropInput(ctx, session.up);
  CloseLeg(ctx, session, session.up);
  return kLookAgain;
}

LinkResult StepTls(WorkerContext& ctx, Session& session, MonoTime since) {
  Leg& up = session.up;
  if (ConnectTimeIsOver(ctx, session, since)) {
    return TlsFailed(ctx, session, since, TlsFailure::kTimeout);
  }
  if (up.recv_error != 0 || up.send_error != 0) {
    return TlsFailed(ctx, session, since, TlsFailure::kReset);
  }
  const size_t before = RawInput(ctx, up).size();
  switch (StepLegHandshake(ctx, up)) {
    case TlsResult::kOk: {
      const TlsFacts facts = up.tls->tls.Facts();
      session.upstream_tls = {
          .up = true, .resumed = facts.resumed, .version = facts.version, .cipher = facts.cipher};
      ctx.shard->AddServer(ServerFamily::kBackendTlsHandshakes, ChosenServer(session).series,
                           facts.resumed ? 1 : 0);
      return LinkIsUp(ctx, session);
    }
    case TlsResult::kNeedInput:
      if (RawInput(ctx, up).size() < before) return kLookAgain;
      if (!up.tls->tcp_ended) return kNothing;
      return TlsFailed(ctx, session, since, TlsFailure::kClosed);
    case TlsResult::kNeedRoom:
      return kNothing;
    case TlsResult::kClosed:
    case TlsResult::kFailed:
      break;
  }
  return TlsFailed(ctx, session, since, up.tls->tls.failure());
}

LinkResult StepConnecting(WorkerContext& ctx, Session& session, MonoTime since) {
  Leg& leg = session.opened_leg();
  // A cancel that came too late for the connect must not meet what is armed next.
  if ((leg.in_flight & (kOpOpen | kOpCancel)) != 0) return kNothing;
  const int error = leg.send_error;
  leg.send_error = 0;
  if (session.data != nullptr) {
    return error == 0 ? LinkIsUp(ctx, session) : Failed(session, EndReason::kBackendUnavailable);
  }
  if (error == 0) return BeginTls(ctx, session, since);
  if (!ConnectTimeIsOver(ctx, session, since)) return OpenFailed(ctx, session, since, error);
  CountConnectFailure(ctx, session, Classify(error));
  return TryNext(ctx, session, since);
}

// Forgets a leg that is gone, but for what it has counted.
void ForgetLeg(WorkerContext& ctx, Leg& leg) {
  DropInput(ctx, leg);
  DropOutput(ctx, leg);
  const uint64_t in = leg.octets_in;
  const uint64_t out = leg.octets_out;
  leg = Leg();
  leg.octets_in = in;
  leg.octets_out = out;
}

LinkResult StepClosing(WorkerContext& ctx, Session& session, const ClosingLink& closing) {
  Leg& leg = session.opened_leg();
  CloseLeg(ctx, session, leg);
  if (leg.open() || !leg.idle()) return kNothing;
  if (session.target.server >= 0) {
    ctx.shard->AddServer(ServerFamily::kBackendSessions, ChosenServer(session).series, 0, -1);
    session.target.server = -1;
  }
  ForgetLeg(ctx, leg);
  if (closing.tries_next) return TryNext(ctx, session, closing.since);
  session.link = NoLink{};
  return {.news = LinkNews::kClosed};
}

}  // namespace

void StartLink(WorkerContext& ctx, Session& session, uint32_t backend) {
  assert(IdOf(session.link) == LinkId::kNone);
  session.target.backend = backend;
  session.target.tried = 0;
  StartNextLink(ctx, session);
}

void StartNextLink(WorkerContext& ctx, Session& session) {
  session.target.backlog_retries = 0;
  session.link = Backoff{.since = ctx.now, .retry_at = ctx.now};
}

void StartDataLink(WorkerContext& ctx, Session& session) {
  assert(session.data != nullptr && IdOf(session.link) == LinkId::kNone);
  Leg& leg = session.opened_leg();
  leg.fd = static_cast<Fd>(session.slot);
  leg.in_flight |= kOpOpen;
  session.link = Connecting{.since = ctx.now};
  ctx.ring->OpenData(leg.fd, session.data->target, session.data->source,
                     Tag{Op::kUpOpen, session.slot, session.generation});
}

LinkResult AdvanceLink(WorkerContext& ctx, Session& session) {
  // By value: what follows replaces the alternative.
  const Link link = session.link;
  switch (IdOf(link)) {
    case LinkId::kNone:
    case LinkId::kUp:
    case LinkId::kCount:
      return kNothing;
    case LinkId::kConnecting:
      return StepConnecting(ctx, session, std::get<Connecting>(link).since);
    case LinkId::kBackoff: {
      const Backoff& backoff = std::get<Backoff>(link);
      if (ctx.now < backoff.retry_at) return kNothing;
      return TryNext(ctx, session, backoff.since);
    }
    case LinkId::kTlsHandshake:
      return StepTls(ctx, session, std::get<TlsHandshake>(link).since);
    case LinkId::kClosing:
      return StepClosing(ctx, session, std::get<ClosingLink>(link));
  }
  return kNothing;
}

void CloseLink(WorkerContext& ctx, Session& session) {
  switch (IdOf(session.link)) {
    case LinkId::kNone:
    case LinkId::kCount:
      return;
    case LinkId::kClosing:
      std::get<ClosingLink>(session.link).tries_next = false;
      return;
    case LinkId::kBackoff:
      session.link = NoLink{};
      session.target.server = -1;
      return;
    case LinkId::kConnecting:
    case LinkId::kTlsHandshake:
      session.target.server = -1;  // never counted as a session of the server
      break;
    case LinkId::kUp:
      break;
  }
  session.link = ClosingLink{};
  DropInput(ctx, session.opened_leg());
  CloseLeg(ctx, session, session.opened_leg());
}

void CloseLeg(WorkerContext& ctx, Session& session, Leg& leg) {
  if ((leg.in_flight & kOpOpen) != 0) ArmCancel(ctx, session, leg);
  if ((leg.in_flight & (kOpOpen | kOpCancel)) != 0) return;
  const bool accepted = IsAccepted(session, leg);
  if (!leg.open() || (leg.in_flight & kOpClose) != 0) return;
  leg.in_flight |= kOpClose;
  ctx.ring->CancelAndClose(
      leg.fd, Tag{accepted ? Op::kDownClose : Op::kUpClose, session.slot, session.generation});
}

void CloseServerSide(WorkerContext& ctx, Session& session) {
  if (session.reversed) {
    CloseLeg(ctx, session, session.up);
  } else if (session.data == nullptr || !session.data->kept) {
    CloseLink(ctx, session);
  }
}

void HurryLink(WorkerContext& ctx, Session& session) {
  if ((session.up.in_flight & kOpOpen) != 0) ArmCancel(ctx, session, session.up);
  if (auto* const backoff = std::get_if<Backoff>(&session.link)) backoff->retry_at = ctx.now;
}

}  // namespace starling
