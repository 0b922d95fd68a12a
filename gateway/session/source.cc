#include "gateway/session/source.h"

#include <optional>
#include <utility>

#include "gateway/limits.h"
#include "gateway/upstream/balance.h"

namespace starling {
namespace {

EndReason ReasonOf(OverShare over) {
  switch (over) {
    case OverShare::kNothing:
      return EndReason::kNone;
    case OverShare::kSessions:
      return EndReason::kSourceSessions;
    case OverShare::kConnections:
      return EndReason::kSourceConnections;
    case OverShare::kHandshakes:
      return EndReason::kSourceHandshakes;
    case OverShare::kFailures:
      return EndReason::kSourceFailures;
  }
  return EndReason::kNone;
}

// The client's fault, before it reached a server by TLS: how attacks and scans end. A check that
// connects and leaves does not count.
bool IsFailure(EndReason reason) {
  switch (reason) {
    case EndReason::kPlaintextInjection:
    case EndReason::kTlsOnPlainPort:
    case EndReason::kPlainOnTlsPort:
    case EndReason::kCrossProtocol:
    case EndReason::kLineTooLong:
    case EndReason::kBadOctet:
    case EndReason::kTooManyErrors:
    case EndReason::kTlsRequired:
    case EndReason::kPregreet:
    case EndReason::kHandshakeFailed:
    case EndReason::kHandshakeDeadline:
    case EndReason::kPreRelayDeadline:
    case EndReason::kPreRelaySilence:
    case EndReason::kPreRelayTotal:
    case EndReason::kPreRelayCrowded:
      return true;
    default:
      return false;
  }
}

bool Lists(const WorkerContext& ctx, const WorkerListener& listener, const SourceRule& rule,
           const Endpoint& client) {
  return rule.counted() && ctx.deny != nullptr && ctx.deny->Has(listener.id, client);
}

// Those without an address share what one of the others has.
SourceKey FairSource(const Session& session) {
  return SourceOf(session.peer, session.listener->sources->widths()).value_or(SourceKey{});
}

// A newcomer is known by its cells, behind a load balancer too.
SourceKey KeyOf(SourceCells cells) { return {.high = cells.first, .low = cells.second}; }

// By which the places of its source count; nullopt: they do not.
std::optional<SourceCells> CellsAtServers(const WorkerContext& ctx, const Session& session) {
  if (!session.listener->backends->limited(session.target.backend)) return std::nullopt;
  const SourceRules& rules = *session.listener->sources;
  if (rules.At(session.source.rule).role != SourceRole::kClient) return std::nullopt;
  const std::optional<SourceKey> source = SourceOf(session.peer, rules.widths());
  if (!source) return std::nullopt;
  return ctx.sources->shares.CellsAtServers(*source, BackendKey(session));
}

}  // namespace

EndReason EnterSource(WorkerContext& ctx, const WorkerListener& listener, const Endpoint& client,
                      SourceHold& hold) {
  hold = {.rule = listener.sources->Find(client)};
  const SourceRule& rule = listener.sources->At(hold.rule);
  if (Lists(ctx, listener, rule, client)) return EndReason::kDenied;
  const std::optional<SourceKey> source = SourceOf(client, listener.sources->widths());
  if (source) hold.cells = ctx.sources->shares.CellsOf(*source, rule.scope);
  if (!rule.counted() || !source) return EndReason::kNone;
  const OverShare over = ctx.sources->shares.Enter(hold.cells, rule.limits, ctx.now);
  hold.counted = over == OverShare::kNothing;
  return ReasonOf(over);
}

bool EnterChannel(WorkerContext& ctx, const Session& control, SourceHold& hold) {
  hold = control.source;
  if (!hold.counted) return true;
  const SourceRule& rule = control.listener->sources->At(hold.rule);
  hold.counted = ctx.sources->shares.EnterSession(hold.cells, rule.limits);
  return hold.counted;
}

void CountRefusal(WorkerContext& ctx, const WorkerListener& listener, const Endpoint& client,
                  EndReason reason) {
  ctx.shard->Add(Family::kRefused, listener.id, static_cast<size_t>(RefusedOf(reason)));
  ctx.sources->refusals.Note(SourceOf(client, listener.sources->widths()));
}

void NoteRefusal(WorkerContext& ctx, const Session& session) {
  ctx.sources->refusals.Note(SourceOf(session.peer, session.listener->sources->widths()));
}

bool MayAnswer(WorkerContext& ctx, const SourceHold& hold) {
  return ctx.sources->shares.TakeAnswer(hold.cells, ctx.now);
}

bool IsDenied(const WorkerContext& ctx, const WorkerListener& listener, const Endpoint& client) {
  return Lists(ctx, listener, listener.sources->At(listener.sources->Find(client)), client);
}

HandshakeShare TakeHandshake(WorkerContext& ctx, const Session& session) {
  if (!session.source.counted || session.data != nullptr) return HandshakeShare::kWithin;
  const SourceRule& rule = session.listener->sources->At(session.source.rule);
  const HandshakeShare share =
      ctx.sources->shares.TakeHandshake(session.source.cells, rule.limits, ctx.now);
  if (share == HandshakeShare::kNone) CountInVain(ctx, session);
  return share;
}

void CountInVain(WorkerContext& ctx, const Session& session) {
  CountRefusal(ctx, *session.listener, session.peer, EndReason::kSourceHandshakes);
}

uint64_t FairnessKey(const WorkerContext& ctx, const Session& session) {
  return ctx.sources->shares.HashOf(FairSource(session));
}

bool IsWasteful(const WorkerContext& ctx, const Session& session) {
  return ctx.sources->wasteful.Knows(FairSource(session), ctx.now, kWastefulFor);
}

void NoteWasteful(WorkerContext& ctx, const Session& session) {
  ctx.sources->wasteful.Remember(FairSource(session), ctx.now);
}

bool WasCrowdedOut(const WorkerContext& ctx, const SourceHold& source) {
  return ctx.sources->crowded_out.Knows(KeyOf(source.cells), ctx.now, kWastefulFor);
}

void NoteCrowdedOut(WorkerContext& ctx, const Session& session) {
  if (session.listener->sources->At(session.source.rule).role != SourceRole::kClient) return;
  ctx.sources->crowded_out.Remember(KeyOf(session.source.cells), ctx.now);
}

uint32_t BackendKey(const Session& session) {
  // Its servers may be others when the session leaves.
  const BackendConfig& backend = session.listener->backends->config(session.target.backend);
  return static_cast<uint32_t>(HashOf(backend.name));
}

uint64_t PlacesSpared(const WorkerContext& ctx, const Session& session) {
  const std::optional<SourceCells> cells = CellsAtServers(ctx, session);
  if (!cells) return 0;
  return (ctx.sources->shares.AtServers(*cells) + kPlacesPerFree - 1) / kPlacesPerFree;
}

void TakeServerShare(WorkerContext& ctx, Session& session) {
  const std::optional<SourceCells> cells = CellsAtServers(ctx, session);
  if (!cells) return;
  ctx.sources->shares.EnterServer(*cells);
  session.target.shared = true;
}

void LeaveServerShare(WorkerContext& ctx, Session& session) {
  if (!session.target.shared) return;
  session.target.shared = false;
  ctx.sources->shares.LeaveServer(*CellsAtServers(ctx, session));
}

void LeaveShare(WorkerContext& ctx, SourceHold& hold) {
  if (std::exchange(hold.counted, false)) ctx.sources->shares.Leave(hold.cells);
}

void LeaveSource(WorkerContext& ctx, Session& session) {
  const SourceRule& rule = session.listener->sources->At(session.source.rule);
  if (session.source.counted && session.data == nullptr && IsFailure(session.reason)) {
    ctx.sources->shares.NoteFailure(session.source.cells, rule.limits, ctx.now);
  }
  LeaveShare(ctx, session.source);
}

}  // namespace starling
