#include "gateway/session/link_tries.h"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>

#include "gateway/limits.h"
#include "gateway/session/due.h"
#include "gateway/session/place_queue.h"
#include "gateway/session/proxy_out.h"
#include "gateway/session/report.h"
#include "gateway/session/source.h"
#include "gateway/session/try_limit.h"
#include "gateway/sources/source_key.h"
#include "gateway/upstream/balance.h"
#include "protocols/frames/greeting.h"

namespace starling {
namespace {

constexpr LinkResult kNothing = {};
constexpr LinkResult kLookAgain = {.news = LinkNews::kMoved};
constexpr LinkResult kNoMemory = {.news = LinkNews::kNoMemory};

// Only a deadline cancels a connect.
ConnectFailure Classify(int error) {
  return ConnectFailureOf(error == ECANCELED ? ETIMEDOUT : error);
}

Backends& BackendsOf(const Session& session) { return *session.listener->backends; }

ServerId ChosenId(const Session& session) {
  return BackendsOf(session).IdOf(session.target.backend, session.target.server);
}

const Server& ChosenServer(const Session& session) {
  return BackendsOf(session).server(ChosenId(session));
}

uint64_t ChosenBit(const Session& session) {
  return session.target.server < 0 ? 0 : 1ull << session.target.server;
}

ServerPace& PaceOf(const Session& session) { return ChosenServer(session).state->pace; }

// What ServerPace counts of the present wait. `late`: it has met the limit of a try.
uint32_t LateMs(const WorkerContext& ctx, bool late, MonoTime since) {
  return late ? MillisBetween(since, ctx.now) : 0;
}

void MarkTried(Session& session) { session.target.tried |= ChosenBit(session); }

void CountConnectFailure(WorkerContext& ctx, const Session& session, ConnectFailure failure) {
  ctx.shard->AddServer(ServerFamily::kConnectFailures, ChosenServer(session).series,
                       static_cast<size_t>(failure));
}

void CountGreetingFailure(WorkerContext& ctx, const Session& session, GreetingFailure failure) {
  ctx.shard->AddServer(ServerFamily::kGreetingFailures, ChosenServer(session).series,
                       static_cast<size_t>(failure));
}

LinkResult Failed(WorkerContext& ctx, Session& session, EndReason reason) {
  LeaveServer(ctx, session);
  LeaveQueue(ctx, session);
  session.link = NoLink{};
  return {.news = LinkNews::kFailed, .reason = reason};
}

// --- The choice ---

// Clients that share limits share a server, too: those of one IPv4 address, or of a /64 of IPv6.
uint64_t HashOfClient(const Session& session) {
  const std::optional<SourceKey> source = SourceOf(session.peer, SourceWidths{});
  return source ? HashOf(source->high, source->low) : 0;
}

// One try at the server chosen; its completion goes on from here.
LinkResult Connect(WorkerContext& ctx, Session& session, MonoTime since) {
  const BackendConfig& backend = BackendsOf(session).config(session.target.backend);
  if (!WriteProxyHeader(ctx, session, backend)) {
    LeaveServer(ctx, session);
    session.link = NoLink{};
    return kNoMemory;
  }
  const Server& server = ChosenServer(session);
  session.target.stays = false;
  session.link = Connecting{.since = since, .try_at = ctx.now};
  session.server.tcp = !server.address.is_unix();
  session.server.Opening(static_cast<Fd>(session.slot));
  // The log shows our own port, so that a session can be found in the log of a server that
  // does not know its clients; asking for it costs three system calls.
  const bool want_local = !server.address.is_unix() && backend.proxy == ProxyOut::kNone;
  ctx.ring->OpenUpstream(session.server.fd, server.address, session.server.out.view(),
                         SourceFor(backend, server.address, session.id), want_local,
                         session.server.TagOf(Op::kOpen, session.ref()));
  return kNothing;
}

// Every server that is up has as many sessions as it may have.
LinkResult WaitForPlace(WorkerContext& ctx, Session& session, MonoTime since) {
  if (!JoinQueue(ctx, session)) return Failed(ctx, session, EndReason::kBackendUnavailable);
  session.link = Backoff{.since = since, .retry_at = NextLook(ctx, session, since)};
  return kNothing;
}

// No other server is left, and one of those that were asked only had a full backlog.
LinkResult AskAllAgain(WorkerContext& ctx, Session& session, MonoTime since) {
  Target& target = session.target;
  target.tried = 0;
  target.backlog_full = false;
  session.link = Backoff{.since = since,
                         .retry_at = After(ctx.now, kBacklogRetryMs << target.backlog_retries)};
  if (target.backlog_retries < kBacklogDoublings) ++target.backlog_retries;
  return kNothing;
}

LinkResult ConnectNext(WorkerContext& ctx, Session& session, MonoTime since) {
  Target& target = session.target;
  if (target.displaced) return Failed(ctx, session, EndReason::kBackendUnavailable);
  if (!MayLookForPlace(session)) return WaitForPlace(ctx, session, since);
  WorkerListener& listener = *session.listener;
  uint32_t& first = session.tls_up() ? listener.cursor : listener.plaintext_cursor;
  // A retry takes nobody's turn: a sick server would get each session, or none.
  uint32_t& cursor = target.retries ? listener.retry_cursor : first;
  const Backends::Picked picked =
      BackendsOf(session).Pick(target.backend, {.cursor = &cursor,
                                                .tried = target.tried,
                                                .source = HashOfClient(session),
                                                .now = ctx.now,
                                                .next_trial = After(ctx.now, TrialWaitOf(session)),
                                                .retries = target.retries,
                                                .waited = target.waits,
                                                .spares = PlacesSpared(ctx, session),
                                                .all = target.all_servers});
  if (picked.full) {
    FoundNoPlace(ctx, session, picked.spared);
    return WaitForPlace(ctx, session, since);
  }
  LeaveQueue(ctx, session);
  target.server = picked.server;
  if (picked.server >= 0) {
    target.retries = true;
    TakeServerShare(ctx, session);
    return Connect(ctx, session, since);
  }
  if (target.backlog_full) return AskAllAgain(ctx, session, since);
  return Failed(ctx, session,
                target.silent ? EndReason::kGreetingDeadline : EndReason::kBackendUnavailable);
}

// --- Connecting ---

// The gateway itself may be short of descriptors or ports, or the session short of time.
bool IsServersFault(const WorkerContext& ctx, const Session& session, const Connecting& connecting,
                    ConnectFailure failure) {
  if (failure == ConnectFailure::kOther || failure == ConnectFailure::kNoPort) return false;
  if (failure != ConnectFailure::kTimeout) return true;
  const ListenerLimits& limits = LimitsOf(session);
  return ctx.now >= After(connecting.try_at, std::min(limits.connect_try_ms, limits.connect_ms));
}

// A full backlog of a Unix socket: the other servers are asked first, and then all again.
LinkResult BacklogFull(WorkerContext& ctx, Session& session, MonoTime since) {
  Target& target = session.target;
  if (target.backlog_retries == 0) CountConnectFailure(ctx, session, ConnectFailure::kBacklogFull);
  BackendsOf(session).Suspect(ChosenId(session));
  target.backlog_full = true;
  MarkTried(session);
  LeaveServer(ctx, session);
  return TryNext(ctx, session, since);
}

LinkResult OpenFailed(WorkerContext& ctx, Session& session, const Connecting& connecting,
                      int error) {
  Backends& backends = BackendsOf(session);
  const ConnectFailure failure = Classify(error);
  if (failure == ConnectFailure::kBacklogFull) return BacklogFull(ctx, session, connecting.since);
  // Servers that failed are asked again between those whose backlog is full.
  if (session.target.backlog_retries == 0) CountConnectFailure(ctx, session, failure);
  if (failure == ConnectFailure::kNoPort) backends.NoteOutOfPorts(ChosenId(session));
  if (IsServersFault(ctx, session, connecting, failure)) backends.MarkDown(ChosenId(session));
  session.target.silent = false;
  MarkTried(session);
  LeaveServer(ctx, session);
  return TryNext(ctx, session, connecting.since);
}

LinkResult LinkIsUp(WorkerContext& ctx, Session& session) {
  session.link = Up{.since = ctx.now};
  session.active_at = ctx.now;
  if (session.data != nullptr) return {.news = LinkNews::kUp};
  MarkTried(session);
  session.last_server = ChosenServer(session).series;
  session.target.counted = true;
  ctx.shard->AddServer(ServerFamily::kBackendSessions, session.last_server);
  return {.news = LinkNews::kUp};
}

// Octets can pass. Where the server greets, the gateway waits for that first.
LinkResult CanTalk(WorkerContext& ctx, Session& session, MonoTime since, uint32_t late_ms) {
  PaceOf(session).NoteAnswer(Wait::kReach, late_ms);
  if (session.listener->config->protocol->read_greeting == nullptr) {
    BackendsOf(session).ConfirmTrial(ChosenId(session), ctx.now);
    return LinkIsUp(ctx, session);
  }
  session.target.stays = false;
  session.link = ReadsGreeting{.since = ctx.now, .connect_ms = MillisBetween(since, ctx.now)};
  return kLookAgain;
}

// The socket is there; a server that is to be reached by TLS is up when that is.
LinkResult Connected(WorkerContext& ctx, Session& session, const Connecting& connecting) {
  const MonoTime since = connecting.since;
  if (!BackendsOf(session).config(session.target.backend).tls.enabled) {
    return CanTalk(ctx, session, since, LateMs(ctx, session.target.stays, connecting.try_at));
  }
  UpstreamTls* const upstream = session.listener->owner->upstream_tls(session.target.backend);
  session.server.tls = NewSideTls();
  session.target.stays = false;
  session.link = TlsHandshake{.since = since, .try_at = ctx.now};
  const Server& server = ChosenServer(session);
  const UpstreamPeer peer{.server = static_cast<uint32_t>(session.target.server),
                          .occupant = server.occupant,
                          .name = server.tls_name};
  return session.server.tls->session.Connect(*upstream, peer) ? kLookAgain : kNoMemory;
}

// --- Failures of a server that has accepted ---

// Closes the connection; the next server is tried then. The server is not marked down, since
// it answers: a probe finds out whether it does so as it should.
LinkResult LeaveForNext(WorkerContext& ctx, Session& session, MonoTime since) {
  BackendsOf(session).Suspect(ChosenId(session));
  session.link = ClosingLink{.since = since, .tries_next = true};
  session.server.DropInput(ctx);
  session.server.Close(ctx, session.ref());
  return kLookAgain;
}

LinkResult TlsFailed(WorkerContext& ctx, Session& session, MonoTime since, TlsFailure failure) {
  session.upstream_tls = {.failure = failure};
  session.target.silent = false;
  ctx.shard->AddServer(ServerFamily::kBackendTlsFailures, ChosenServer(session).series,
                       static_cast<size_t>(failure));
  CountConnectFailure(ctx, session, ConnectFailure::kTls);
  // The session that was to be resumed may be the cause: the certificate in it expires,
  // though the server has a new one. Then the same server may be tried again without it. Of a
  // server that says nothing it is not the cause.
  if (failure == TlsFailure::kTimeout || !session.server.tls->session.ForgetOffer()) {
    MarkTried(session);
  }
  return LeaveForNext(ctx, session, since);
}

LinkResult GreetingFailed(WorkerContext& ctx, Session& session, const ReadsGreeting& greeting,
                          GreetingFailure failure) {
  CountGreetingFailure(ctx, session, failure);
  Target& target = session.target;
  target.silent = failure == GreetingFailure::kSilent;
  target.greeting_ms += MillisBetween(greeting.since, ctx.now);
  MarkTried(session);
  return LeaveForNext(ctx, session, ctx.now - std::chrono::milliseconds(greeting.connect_ms));
}

// Better than nonsense is one that is down, too: it may be well again.
bool HasAnother(const WorkerContext& ctx, const Session& session) {
  Backends::Request request = RetryOf(ctx, session);
  request.all = true;
  return BackendsOf(session).HasOther(session.target.backend, request, ChosenId(session));
}

// A refusal may concern this client alone, and another server must not let it in: it is
// passed on, and a probe judges.
void JudgeGreeting(WorkerContext& ctx, Session& session, const ReadsGreeting& greeting,
                   GreetingStatus status) {
  const bool late = session.target.stays || greeting.doubted;
  PaceOf(session).NoteAnswer(Wait::kGreeting, LateMs(ctx, late, greeting.since));
  if (status == GreetingStatus::kWelcome) {
    BackendsOf(session).MarkUp(ChosenId(session), ctx.now);
    return;
  }
  if (status == GreetingStatus::kRefusal) {
    CountGreetingFailure(ctx, session, GreetingFailure::kRefusal);
    BackendsOf(session).NoteRefusal(ChosenId(session));
  } else {
    CountGreetingFailure(ctx, session, GreetingFailure::kNonsense);
    BackendsOf(session).Suspect(ChosenId(session));
  }
}

}  // namespace

void StartNextLink(WorkerContext& ctx, Session& session) {
  session.target.backlog_retries = 0;
  session.target.backlog_full = false;
  session.link = Backoff{.since = ctx.now, .retry_at = ctx.now};
}

LinkResult TryNext(WorkerContext& ctx, Session& session, MonoTime since) {
  const ListenerLimits& limits = LimitsOf(session);
  if (session.target.greeting_ms >= limits.greeting_ms) {
    return Failed(ctx, session, EndReason::kGreetingDeadline);
  }
  if (ctx.now < After(since, limits.connect_ms)) return ConnectNext(ctx, session, since);
  if (!session.target.all_servers) return Failed(ctx, session, EndReason::kConnectDeadline);
  StartNextLink(ctx, session);  // each of many servers has the whole time
  return kLookAgain;
}

LinkResult StepBackoff(WorkerContext& ctx, Session& session, const Backoff& backoff) {
  return ctx.now < backoff.retry_at ? kNothing : TryNext(ctx, session, backoff.since);
}

LinkResult StepConnecting(WorkerContext& ctx, Session& session, const Connecting& connecting) {
  Side& side = session.opened();
  // A cancel that came too late for the connect must not meet what is armed next.
  if (side.has(kOpOpen | kOpCancel)) return kNothing;
  const int error = side.TakeOpenError();
  if (session.data != nullptr) {
    return error == 0 ? LinkIsUp(ctx, session)
                      : Failed(ctx, session, EndReason::kBackendUnavailable);
  }
  if (error == 0) return Connected(ctx, session, connecting);
  return OpenFailed(ctx, session, connecting, error);
}

LinkResult StepTls(WorkerContext& ctx, Session& session, const TlsHandshake& handshake) {
  const MonoTime since = handshake.since;
  Side& server = session.server;
  if (ctx.now >= TryEnds(session) && !StaysOn(ctx, session)) {
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
      return CanTalk(ctx, session, since, LateMs(ctx, session.target.stays, handshake.try_at));
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

// Looks at what the server says, and leaves it where it is.
LinkResult StepGreeting(WorkerContext& ctx, Session& session, const ReadsGreeting& greeting) {
  Side& server = session.server;
  const ByteView said = server.Input(ctx);
  const GreetingStatus status = ReadGreeting(*session.listener->config->protocol, said);
  // Nothing was passed on, and nonsense is no refusal of this client.
  if (status == GreetingStatus::kOther && HasAnother(ctx, session)) {
    return GreetingFailed(ctx, session, greeting, GreetingFailure::kNonsense);
  }
  if (status != GreetingStatus::kNeedMore) {
    JudgeGreeting(ctx, session, greeting, status);
    return LinkIsUp(ctx, session);
  }
  std::get<ReadsGreeting>(session.link).begun = AsText(said).find('\n') != std::string_view::npos;
  if (ctx.out_of_blocks) {
    // The rest of what it says may wait, as long as there is time. That none is left is not the
    // server's fault.
    return ctx.now < TryEnds(session) ? kNothing : kNoMemory;
  }
  if (server.was_reset()) return GreetingFailed(ctx, session, greeting, GreetingFailure::kReset);
  if (server.inflow == Inflow::kEnded || server.tls_over()) {
    return GreetingFailed(ctx, session, greeting, GreetingFailure::kClosed);
  }
  if (ctx.now >= TryEnds(session) && !StaysOn(ctx, session)) {
    return GreetingFailed(ctx, session, greeting, GreetingFailure::kSilent);
  }
  return kNothing;
}

void LeaveServer(WorkerContext& ctx, Session& session) {
  Target& target = session.target;
  if (target.server < 0) return;
  if (target.counted) {
    ctx.shard->AddServer(ServerFamily::kBackendSessions, ChosenServer(session).series, 0, -1);
    target.counted = false;
  }
  BackendsOf(session).Leave(ChosenId(session));
  LeaveServerShare(ctx, session);
  target.server = -1;
}

}  // namespace starling
