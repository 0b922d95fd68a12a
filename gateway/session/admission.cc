#include "gateway/session/admission.h"

#include <cassert>

#include "gateway/session/report.h"

namespace starling {
namespace {

// A session that does not wait must not stay in the queue: dead entries would fill it.
void LeaveQueue(WorkerContext& ctx, const Session& session, Handshaking& stage) {
  if (!stage.queued) return;
  stage.queued = false;
  std::erase(ctx.admission, session.slot);
}

}  // namespace

Admission Admit(WorkerContext& ctx, Session& session, Handshaking& stage) {
  const GlobalLimits& limits = ctx.limits;
  if (!stage.holds_place && ctx.handshakes_in_flight >= limits.handshakes_in_flight) {
    if (!stage.queued) CountLimit(ctx, Limit::kHandshakesInFlight);
  } else if (ctx.key_operations > 0) {
    --ctx.key_operations;
    if (!stage.holds_place) ++ctx.handshakes_in_flight;
    stage.holds_place = true;
    LeaveQueue(ctx, session, stage);  // a timer may have brought it here before its turn
    return Admission::kGranted;
  }
  if (stage.queued) return Admission::kQueued;
  if (ctx.key_operations == 0 && ctx.admits) CountLimit(ctx, Limit::kKeyOperations);
  if (ctx.admission.size() >= limits.handshake_queue) {
    CountLimit(ctx, Limit::kHandshakeQueue);
    return Admission::kFull;
  }
  stage.queued = true;
  ctx.admission.push_back(session.slot);
  return Admission::kQueued;
}

void LeaveAdmission(WorkerContext& ctx, Session& session) {
  Handshaking& stage = std::get<Handshaking>(session.stage);
  LeaveQueue(ctx, session, stage);
  if (!stage.holds_place) return;
  stage.holds_place = false;
  assert(ctx.handshakes_in_flight > 0);
  --ctx.handshakes_in_flight;
}

}  // namespace starling
