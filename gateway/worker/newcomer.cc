#include "gateway/worker/newcomer.h"

#include "gateway/memory/memory_reserve.h"
#include "gateway/session/crowding.h"
#include "gateway/session/pump.h"
#include "gateway/session/report.h"
#include "gateway/session/source.h"

namespace starling {
namespace {

// In `session`, a slot without a session.
void Tell(WorkerContext& ctx, const Newcomer& newcomer, Session& session, const SourceHold& source,
          EndReason reason) {
  session.listener = newcomer.listener;
  session.source = source;
  session.source.counted = false;
  BeginRefusal(ctx, session, newcomer.fd, newcomer.peer, newcomer.local, reason);
}

// No slot is left for this client. It learns why while that is cheap.
void TurnAway(WorkerContext& ctx, const Newcomer& newcomer, bool told, EndReason reason) {
  CountRefusal(ctx, *newcomer.listener, newcomer.peer, reason);
  Session* const session = told ? ctx.table.TakeRefusal() : nullptr;
  if (session != nullptr) {
    Tell(ctx, newcomer, *session, newcomer.source, reason);
    return;
  }
  if (told) CountLimit(ctx, Limit::kRefusals);
  ctx.ring->Discard(newcomer.fd);
  ctx.sources->refusals.NoteLeftOut();
}

// There is no room for it, whatever its source may have.
void Refuse(WorkerContext& ctx, const Newcomer& newcomer, Limit limit, EndReason reason) {
  CountLimit(ctx, limit);
  if (newcomer.source.counted) ctx.sources->shares.Leave(newcomer.source.cells);
  TurnAway(ctx, newcomer, /*told=*/true, reason);
}

// It comes around the load balancer, though only the balancer may connect here. Its session ends
// as soon as it begins, so it must not take the place of another.
bool IsUntrusted(const Newcomer& newcomer) {
  const WorkerListener& listener = *newcomer.listener;
  return listener.config->proxy_in.required() &&
         listener.sources->At(newcomer.source.rule).role != SourceRole::kBalancer;
}

}  // namespace

Reception Receive(WorkerContext& ctx, Newcomer& newcomer, Session*& session) {
  if (!newcomer.entered) {
    const EndReason over = EnterSource(ctx, *newcomer.listener, newcomer.peer, newcomer.source);
    if (over != EndReason::kNone) {
      const bool told = over != EndReason::kDenied && MayAnswer(ctx, newcomer.source);
      TurnAway(ctx, newcomer, told, over);
      return Reception::kGone;
    }
    newcomer.entered = true;
  }
  // Sessions that are there keep the last blocks, and what memory there is.
  if (ctx.pool.in_use() >= ctx.pool.limit() - ctx.pool.limit() / 16) {
    Refuse(ctx, newcomer, Limit::kOutputBuffers, EndReason::kBufferLimit);
    return Reception::kGone;
  }
  if (ctx.memory_short || MemoryIsShort()) {
    Refuse(ctx, newcomer, Limit::kMemory, EndReason::kMemoryLimit);
    return Reception::kGone;
  }
  if (IsUntrusted(newcomer) && !ctx.places.FindFree(newcomer.listener->id, /*new_source=*/false)) {
    Refuse(ctx, newcomer, Limit::kSessions, EndReason::kSessionLimit);
    return Reception::kGone;
  }
  switch (TakePlace(ctx, *newcomer.listener, newcomer.source, session)) {
    case Room::kTaken:
      BeginSession(ctx, *session, newcomer.fd, newcomer.peer, newcomer.local);
      return Reception::kBegun;
    case Room::kLater:
      return Reception::kLater;
    case Room::kNone:
      break;
  }
  Refuse(ctx, newcomer, Limit::kSessions, EndReason::kSessionLimit);
  return Reception::kGone;
}

}  // namespace starling
