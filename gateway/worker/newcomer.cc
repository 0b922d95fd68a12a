#include "gateway/worker/newcomer.h"

#include <cassert>

#include "gateway/session/pump.h"
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

// There is no room for anybody.
void Refuse(WorkerContext& ctx, const Newcomer& newcomer, SourceHold& source, Limit limit,
            EndReason reason) {
  CountRefusal(ctx, *newcomer.listener, newcomer.peer, reason);
  ctx.shard->AddWorker(WorkerFamily::kLimitReached, static_cast<size_t>(limit));
  if (source.counted) ctx.sources->shares.Leave(source.cells);
  Session* session = ctx.table.TakeRefusal();
  if (session == nullptr) session = ctx.table.Take();
  // There are never more accepts armed than slots available.
  assert(session != nullptr);
  Tell(ctx, newcomer, *session, source, reason);
}

// This source gets no slot. It learns why while that is cheap, and never takes a slot that
// another client could have.
void TurnAway(WorkerContext& ctx, const Newcomer& newcomer, const SourceHold& source,
              EndReason reason) {
  CountRefusal(ctx, *newcomer.listener, newcomer.peer, reason);
  const bool told = reason != EndReason::kDenied && MayAnswer(ctx, source);
  Session* const session = told ? ctx.table.TakeRefusal() : nullptr;
  if (session != nullptr) {
    Tell(ctx, newcomer, *session, source, reason);
    return;
  }
  ctx.ring->Discard(newcomer.fd);
  ctx.sources->refusals.NoteLeftOut();
}

}  // namespace

Session* Receive(WorkerContext& ctx, const Newcomer& newcomer) {
  SourceHold source;
  const EndReason over = EnterSource(ctx, *newcomer.listener, newcomer.peer, source);
  if (over != EndReason::kNone) {
    TurnAway(ctx, newcomer, source, over);
    return nullptr;
  }
  // Sessions that are there keep the last blocks.
  if (ctx.pool.in_use() >= ctx.pool.limit() - ctx.pool.limit() / 16) {
    Refuse(ctx, newcomer, source, Limit::kOutputBuffers, EndReason::kBufferLimit);
    return nullptr;
  }
  Session* const session = ctx.table.Take();
  if (session == nullptr) {
    Refuse(ctx, newcomer, source, Limit::kSessions, EndReason::kSessionLimit);
    return nullptr;
  }
  session->listener = newcomer.listener;
  session->source = source;
  BeginSession(ctx, *session, newcomer.fd, newcomer.peer, newcomer.local);
  return session;
}

}  // namespace starling
