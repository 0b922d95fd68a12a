#include "gateway/worker/newcomer.h"

#include <cassert>

#include "gateway/session/pump.h"

namespace starling {
namespace {

void Refuse(WorkerContext& ctx, const Newcomer& newcomer, Refused refused, Limit limit,
            EndReason reason) {
  ctx.shard->Add(Family::kRefused, newcomer.listener->id, static_cast<size_t>(refused));
  ctx.shard->AddWorker(WorkerFamily::kLimitReached, static_cast<size_t>(limit));
  Session* session = ctx.table.TakeRefusal();
  if (session == nullptr) session = ctx.table.Take();
  // There are never more accepts armed than slots available.
  assert(session != nullptr);
  session->listener = newcomer.listener;
  BeginRefusal(ctx, *session, newcomer.fd, newcomer.peer, newcomer.local, reason);
}

}  // namespace

Session* Receive(WorkerContext& ctx, const Newcomer& newcomer) {
  // Sessions that are there keep the last blocks.
  if (ctx.pool.in_use() >= ctx.pool.limit() - ctx.pool.limit() / 16) {
    Refuse(ctx, newcomer, Refused::kBufferLimit, Limit::kOutputBuffers, EndReason::kBufferLimit);
    return nullptr;
  }
  Session* const session = ctx.table.Take();
  if (session == nullptr) {
    Refuse(ctx, newcomer, Refused::kSessionLimit, Limit::kSessions, EndReason::kSessionLimit);
    return nullptr;
  }
  session->listener = newcomer.listener;
  BeginSession(ctx, *session, newcomer.fd, newcomer.peer, newcomer.local);
  return session;
}

}  // namespace starling
