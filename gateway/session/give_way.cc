#include "gateway/session/give_way.h"

#include <utility>
#include <variant>

#include "gateway/session/say.h"
#include "gateway/session/stages/stages.h"

namespace starling {

Next GiveWay(WorkerContext& ctx, Session& session) {
  constexpr EndReason kReason = EndReason::kCrowdedOut;
  const bool polite = std::exchange(session.gives_way, Leave::kNot) == Leave::kPolitely;
  if (!polite) return EndNow(kReason);
  if (const auto* const talking = std::get_if<Talking>(&session.stage);
      talking != nullptr && !talking->greeted) {
    return Refuse(ctx, session, Refusal::kTooBusy, kReason);
  }
  if (IdOf(session.stage) == StageId::kHandshaking) return BreakOffHandshake(ctx, session, kReason);
  const Due due{.kind = DueKind::kPreRelay, .reason = kReason};
  const Next next =
      std::visit([&](auto& stage) { return Overdue(ctx, session, stage, due); }, session.stage);
  return next.leaves() ? next : EndNow(kReason);
}

}  // namespace starling
