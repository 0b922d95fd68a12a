#include "gateway/session/link.h"

#include <cassert>
#include <cerrno>
#include <memory>

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
  session.server.tcp = !server.address.is_unix();
  session.server.Opening(static_cast<Fd>(session.slot));
  // The log shows our own port, so that a session can be found in the log of a server that
  // does not know its clients; asking for it costs three system calls.
  const bool want_local = !server.address.is_unix() && backend.proxy == ProxyOut::kNone;
  ctx.ring->OpenUpstream(session.server.fd, server.address, session.server.out.view(), want_local,
                         session.server.TagOf(Op::kOpen, session.ref()));
  return kNothing;
}

LinkResult ConnectNext(WorkerContext& ctx, Session& session, MonoTime since) {
  uint32_t& cursor =
      session.tls_up() ? session.listener->cursor : session.listener->plaintext_cursor;
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
  session.server.tls = NewSideTls();
  session.link = TlsHandshake{.since = since};
  const auto server = static_cast<uint32_t>(session.target.server);
  return session.server.tls->session.Connect(*upstream, server) ? kLookAgain : kNoMemory;
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
  if (!session.server.tls->session.ForgetOffer()) MarkTried(session);
  session.target.server = -1;
  session.link = ClosingLink{.since = since, .tries_next = true};
  session.server.DropInput(ctx);
  session.server.Close(ctx, session.ref());
  return kLookAgain;
}

LinkResult StepTls(WorkerContext& ctx, Session& session, MonoTime since) {
  Side& server = session.server;
  if (ConnectTimeIsOver(ctx, session, since)) {
    return TlsFailed(ctx, session, since, TlsFailure::kTimeout);
  }
  if (server.failed()) {
    return TlsFailed(ctx, session, since, TlsFailure::kReset);
  }
  const Side::HandshakeStep step = server.Handshake(ctx);
  switch (step.result) {
    case TlsResult::kOk: {
      const TlsFacts facts = server.tls->session.Facts();
      session.upstream_tls = {
          .up = true, .resumed = facts.resumed, .version = facts.version, .cipher = facts.cipher};
      ctx.shard->AddServer(ServerFamily::kBackendTlsHandshakes, ChosenServer(session).series,
                           facts.resumed ? 1 : 0);
      return LinkIsUp(ctx, session);
    }
    case TlsResult::kNeedInput:
      if (step.consumed) return kLookAgain;
      if (server.inflow != Inflow::kEnded) return kNothing;
      return TlsFailed(ctx, session, since, TlsFailure::kClosed);
    case TlsResult::kNeedRoom:
      return kNothing;
    case TlsResult::kClosed:
    case TlsResult::kFailed:
      break;
  }
  return TlsFailed(ctx, session, since, server.tls->session.failure());
}

LinkResult StepConnecting(WorkerContext& ctx, Session& session, MonoTime since) {
  Side& side = session.opened();
  // A cancel that came too late for the connect must not meet what is armed next.
  if (side.has(kOpOpen | kOpCancel)) return kNothing;
  const int error = side.TakeOpenError();
  if (session.data != nullptr) {
    return error == 0 ? LinkIsUp(ctx, session) : Failed(session, EndReason::kBackendUnavailable);
  }
  if (error == 0) return BeginTls(ctx, session, since);
  if (!ConnectTimeIsOver(ctx, session, since)) return OpenFailed(ctx, session, since, error);
  CountConnectFailure(ctx, session, Classify(error));
  return TryNext(ctx, session, since);
}

LinkResult StepClosing(WorkerContext& ctx, Session& session, const ClosingLink& closing) {
  Side& side = session.opened();
  CloseSide(ctx, session, side);
  if (side.open() || !side.idle()) return kNothing;
  if (session.target.server >= 0) {
    ctx.shard->AddServer(ServerFamily::kBackendSessions, ChosenServer(session).series, 0, -1);
    session.target.server = -1;
  }
  // What a data channel's sides did is reported at its end; it has no other link after this.
  if (session.data == nullptr) side.Forget(ctx);
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
  Side& side = session.opened();
  side.Opening(static_cast<Fd>(session.slot));
  session.link = Connecting{.since = ctx.now};
  ctx.ring->OpenData(side.fd, session.data->target, session.data->source,
                     side.TagOf(Op::kOpen, session.ref()));
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
  session.opened().DropInput(ctx);
  CloseSide(ctx, session, session.opened());
}

void CloseSide(WorkerContext& ctx, Session& session, Side& side) {
  if (side.has(kOpOpen)) side.Cancel(ctx, session.ref());
  if (!side.has(kOpOpen | kOpCancel)) side.Close(ctx, session.ref());
}

void CloseServerSide(WorkerContext& ctx, Session& session) {
  if (session.reversed()) {
    CloseSide(ctx, session, session.server);
  } else if (session.data == nullptr || !session.data->kept()) {
    CloseLink(ctx, session);
  }
}

void HurryLink(WorkerContext& ctx, Session& session) {
  if (session.server.has(kOpOpen)) session.server.Cancel(ctx, session.ref());
  if (auto* const backoff = std::get_if<Backoff>(&session.link)) backoff->retry_at = ctx.now;
}

}  // namespace starling
