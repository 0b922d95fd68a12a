#include "gateway/session/pump.h"

#include <algorithm>
#include <cassert>

#include "gateway/limits.h"
#include "gateway/session/crowding.h"
#include "gateway/session/data_channel.h"
#include "gateway/session/due.h"
#include "gateway/session/give_way.h"
#include "gateway/session/negotiation.h"
#include "gateway/session/report.h"
#include "gateway/session/say.h"
#include "gateway/session/source.h"
#include "gateway/session/stages/stages.h"
#include "gateway/session/transition.h"

namespace starling {
namespace {

bool HearsEvents(StageId stage) {
  return stage == StageId::kTalking || stage == StageId::kGreeting || stage == StageId::kInside;
}

// The gateway ends all sessions.
Next Obey(WorkerContext& ctx, Session& session) {
  const StageId stage = IdOf(session.stage);
  // A client that was just accepted is greeted first.
  const auto* const talking = std::get_if<Talking>(&session.stage);
  if (session.order.reason == EndReason::kNone || (talking != nullptr && !talking->greeted)) {
    return Stay();
  }
  const Order order = std::exchange(session.order, {});
  if (stage == StageId::kClosing) return Stay();
  if (IsOver(stage)) return order.polite ? Stay() : EndNow(order.reason);
  if (!order.polite || session.data != nullptr || stage == StageId::kProxyHeader ||
      stage == StageId::kUpgrading) {
    return EndNow(order.reason);
  }
  NoteReason(session, order.reason);
  if (stage == StageId::kOpening) return Refuse(ctx, session, Refusal::kShutdown, order.reason);
  if (!HearsEvents(stage)) return EndPolitely(order.reason);
  const Next next = Tell(ctx, session, {.kind = EventKind::kDrain, .inside_tls = session.tls_up()});
  return next.leaves() ? next : EndPolitely(order.reason);
}

Dues DuesOf(const WorkerContext& ctx, const Session& session) {
  return std::visit([&](const auto& stage) { return DueOf(ctx, session, stage); }, session.stage);
}

// What came from outside the session's own sockets: a letter, an order, a time. Once a pump.
Next TakeNews(WorkerContext& ctx, Session& session) {
  if (const Next next = ReadDataLetter(ctx, session); next.decided()) return next;
  if (session.gives_way != Leave::kNot) return GiveWay(ctx, session);
  if (const Next next = Obey(ctx, session); next.decided()) return next;
  const Due due = DuesOf(ctx, session).first();
  if (ctx.now < due.at) return Stay();
  return std::visit([&](auto& stage) { return Overdue(ctx, session, stage, due); }, session.stage);
}

Next StepStage(WorkerContext& ctx, Session& session) {
  return std::visit([&](auto& stage) { return Act(ctx, session, stage); }, session.stage);
}

void Release(WorkerContext& ctx, Session& session) {
  assert(session.dialogue == nullptr);
  ReportEnd(ctx, session);
  session.client.DropInput(ctx);
  session.server.DropInput(ctx);
  session.client.DropOutput(ctx);
  session.server.DropOutput(ctx);
  ctx.timers.Clear(session.slot);
  LeaveOvertime(ctx, session);
  LeaveSource(ctx, session);
  WorkerConfig& owner = *session.listener->owner;
  FreePlace(ctx, session);
  owner.Unref();
}

// Steps until nothing more can be done now. False: the session is over, and its slot free.
bool Run(WorkerContext& ctx, Session& session) {
  [[maybe_unused]] size_t entered = 0;
  uint32_t rounds = 0;
  Next next = TakeNews(ctx, session);
  if (!next.decided()) next = StepStage(ctx, session);
  for (;;) {
    switch (next.kind) {
      case Next::Kind::kStay:
        if (session.order.reason == EndReason::kNone) return true;
        next = Obey(ctx, session);
        if (!next.decided()) return true;
        continue;
      case Next::Kind::kAgain:
        if (++rounds < kRoundsPerPump) break;
        CountLimit(ctx, Limit::kRounds);
        ctx.again.push_back(session.slot);
        return true;
      case Next::Kind::kEnter:
      case Next::Kind::kEnd:
        Apply(ctx, session, next);
        ++entered;
        assert(entered <= kStages);
        break;
      case Next::Kind::kGone:
        Release(ctx, session);
        return false;
    }
    next = StepStage(ctx, session);
  }
}

// Receives are armed where the octets can be used: never while a verdict, a
// handshake slot or a link is waited for, never ahead of a full output, and for a relay only while
// the worker's share of the memory lasts.
void ArmReceives(WorkerContext& ctx, Session& session) {
  const Receives wanted =
      std::visit([&](const auto& stage) { return Wanted(ctx, session, stage); }, session.stage);
  if ((wanted.client || wanted.server) && IdOf(session.stage) == StageId::kRelaying &&
      ctx.HoldsRelays()) {
    CountLimit(ctx, Limit::kQueued);
    ctx.held = true;
    return ctx.Starve(session);
  }
  if (wanted.client) session.client.Receive(ctx, session.ref());
  if (wanted.server) session.server.Receive(ctx, session.ref());
}

void ArmSends(WorkerContext& ctx, Session& session) {
  if (IdOf(session.stage) == StageId::kClosing) return;
  // The go-ahead waits for the peek; what was said before it need not, but one
  // send keeps them in order.
  const auto* const upgrading = std::get_if<Upgrading>(&session.stage);
  if (upgrading == nullptr || upgrading->peek == Peek::kClean) {
    session.client.Send(ctx, session.ref());
  }
  const LinkId link = IdOf(session.link);
  if (link == LinkId::kUp || IsHeard(link)) session.server.Send(ctx, session.ref());
}

void ArmAcknowledges(WorkerContext& ctx, Session& session) {
  // A hello that waits for admission is complete: its sender holds nothing back.
  if (ctx.admissions.waiting.Has(session.slot)) return;
  session.client.AcknowledgeNow(ctx);
  session.server.AcknowledgeNow(ctx);
}

void NoteStarved(WorkerContext& ctx, Session& session) {
  if (!ctx.out_of_blocks) return;
  CountLimit(ctx, Limit::kOutputBuffers);
  ctx.starved_at = std::max(ctx.starved_at, ctx.BlocksOut());
  ctx.Starve(session);
}

void SetTimer(WorkerContext& ctx, Session& session, MonoTime next) {
  // A deadline that moves away is found out when the old one is met.
  if (next >= session.timer) return;
  session.timer = next;
  ctx.timers.Set(session.slot, next);
}

void Begin(WorkerContext& ctx, Session& session, Fd fd, const Endpoint& peer,
           const Endpoint& local) {
  session.listener->owner->Ref();
  session.id = ctx.next_session++;
  session.client.fd = fd;
  session.client.tcp = peer.family != Endpoint::Family::kNone;
  session.peer = peer;
  session.local = local;
  session.accepted_at = session.stage_at = session.active_at = ctx.now;
  ctx.shard->Add(Family::kAccepted, session.listener->id);
  ctx.shard->Add(Family::kSessions, session.listener->id,
                 static_cast<size_t>(PhaseOf(StageId::kFree)));
}

StageId FirstStage(const Session& session) {
  const ListenerConfig& config = *session.listener->config;
  const bool headed = RoleOf(session) == SourceRole::kBalancer || config.proxy_in.required();
  if (headed) return StageId::kProxyHeader;
  return config.tls == TlsMode::kStartTls ? StageId::kTalking : StageId::kHandshaking;
}

}  // namespace

void BeginSession(WorkerContext& ctx, Session& session, Fd fd, const Endpoint& peer,
                  const Endpoint& local) {
  Begin(ctx, session, fd, peer, local);
  const StageId first = FirstStage(session);
  Apply(ctx, session, Enter(first));
  if (first != StageId::kProxyHeader) {
    NoteClient(ctx, session);
  } else if (const SourceRole role = RoleOf(session);
             role != SourceRole::kBalancer && role != SourceRole::kProbe) {
    CountAttack(ctx, session, Attack::kUntrustedProxy);
    Apply(ctx, session, EndNow(EndReason::kProxyHeaderUntrusted));
  }
  NoteHalfOpen(ctx, session);
  ctx.Ready(session);
}

void BeginRefusal(WorkerContext& ctx, Session& session, Fd fd, const Endpoint& peer,
                  const Endpoint& local, EndReason reason) {
  Begin(ctx, session, fd, peer, local);
  Apply(ctx, session, Refuse(ctx, session, Refusal::kTooBusy, reason));
  ctx.Ready(session);
}

void EndByGateway(WorkerContext& ctx, Session& session, EndReason reason, bool polite) {
  if (session.free()) return;
  session.order = {.reason = reason, .polite = polite};
  ctx.Ready(session);
}

void Pump(WorkerContext& ctx, Session& session) {
  session.queued = false;
  if (session.free()) return;
  ctx.out_of_blocks = false;
  if (!Run(ctx, session)) return;
  CheckPair(IdOf(session.stage), IdOf(session.link), session.data != nullptr);
  // Before the receives: what is left of one and not stashed forbids the next.
  session.client.StashChunk(ctx);
  session.server.StashChunk(ctx);
  ArmReceives(ctx, session);
  ArmSends(ctx, session);
  ArmAcknowledges(ctx, session);
  NoteStarved(ctx, session);
  const Dues dues = DuesOf(ctx, session);
  NoteOvertime(ctx, session, dues.crowded_from);
  SetTimer(ctx, session, std::min(dues.first().at, NoteHalfOpen(ctx, session)));
}

}  // namespace starling
