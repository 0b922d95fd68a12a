#include "gateway/session/pregreet.h"

#include <optional>

#include "gateway/session/due.h"
#include "gateway/session/report.h"
#include "gateway/session/say.h"
#include "gateway/session/source.h"

namespace starling {
namespace {

std::optional<SourceKey> SourceOfClient(const Session& session) {
  return SourceOf(session.peer, session.listener->sources->widths());
}

void Count(WorkerContext& ctx, const Session& session, GreetingDelay result) {
  ctx.shard->Add(Family::kGreetingDelays, session.listener->id, static_cast<size_t>(result));
}

Next RefusePregreet(WorkerContext& ctx, Session& session) {
  NoteRefusal(ctx, session);
  // A client that begins with TLS understands nothing else.
  const ByteView in = session.client.Input(ctx);
  if (in.empty() || in[0] != kHandshakeRecord) {
    return Refuse(ctx, session, Refusal::kPregreet, EndReason::kPregreet);
  }
  SayAlert(ctx, session, kUnexpectedMessage);
  return EndPolitely(EndReason::kPregreet);
}

}  // namespace

bool DelaysGreeting(WorkerContext& ctx, const Session& session) {
  const WorkerListener& listener = *session.listener;
  if (listener.config->greeting_delay_ms == 0) return false;
  const std::optional<SourceKey> source = SourceOfClient(session);
  const SourceRole role = listener.sources->At(session.source.rule).role;
  if (role != SourceRole::kClient || !source) return false;
  const std::chrono::seconds keep(listener.owner->config().limits.pregreet_memory_s);
  if (!ctx.sources->polite.Knows(*source, ctx.now, keep)) return true;
  Count(ctx, session, GreetingDelay::kKnown);
  return false;
}

Next AwaitGreeting(WorkerContext& ctx, Session& session, Talking& stage) {
  const ListenerConfig& config = *session.listener->config;
  // Not one that spoke: nothing more is received of it before its greeting.
  if (session.client.failed()) {
    Count(ctx, session, GreetingDelay::kLeft);
    return EndNow(EndReason::kClientReset);
  }
  if (stage.pregreet && config.pregreet == Pregreet::kRefuse) return RefusePregreet(ctx, session);
  if (!stage.pregreet && session.client.inflow == Inflow::kEnded) {
    Count(ctx, session, GreetingDelay::kLeft);
    return EndPolitely(EndReason::kClientLeftEarly);
  }
  // When the gateway itself ends, it does not wait for the rest of the delay.
  const bool ordered = session.order.reason != EndReason::kNone;
  if (!ordered && ctx.now < After(session.stage_at, config.greeting_delay_ms)) return Stay();
  stage.held = false;
  if (stage.pregreet || ordered) return Stay();
  Count(ctx, session, GreetingDelay::kPassed);
  ctx.sources->polite.Remember(*SourceOfClient(session), ctx.now);
  return Stay();
}

void NotePregreet(WorkerContext& ctx, Session& session) {
  auto* const talking = std::get_if<Talking>(&session.stage);
  if (talking == nullptr || talking->pregreet || session.client.octets_out > 0) return;
  if (!session.listener->config->protocol->server_first) return;
  talking->pregreet = true;
  CountAttack(ctx, session, Attack::kPregreet);
  if (!talking->held) return;
  Count(ctx, session, GreetingDelay::kPregreet);
  // A client that is refused has a line when its session ends.
  if (session.listener->config->pregreet == Pregreet::kCount) LogPregreet(ctx, session);
}

}  // namespace starling
