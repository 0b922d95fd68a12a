#include "gateway/session/place_queue.h"

#include <variant>

#include "gateway/limits.h"
#include "gateway/session/crowding.h"
#include "gateway/session/fair_queue.h"
#include "gateway/session/report.h"
#include "gateway/session/source.h"

namespace starling {
namespace {

FairQueue& QueueOf(const Session& session) {
  return *session.listener->owner->queue(session.target.backend);
}

Backends& BackendsOf(const Session& session) { return *session.listener->backends; }

// It goes on in its next step: looks for a place, or learns that it has lost its own in the queue.
void CallAt(WorkerContext& ctx, uint32_t slot, MonoTime at) {
  std::get<Backoff>(ctx.table.At(slot).link).retry_at = at;
  ctx.again.push_back(slot);
}
void Call(WorkerContext& ctx, uint32_t slot) { CallAt(ctx, slot, ctx.now); }

void CallNext(WorkerContext& ctx, const FairQueue& queue) {
  if (!queue.empty()) Call(ctx, queue.Next(0));
}

void TakeOut(WorkerContext& ctx, Session& session) {
  FairQueue& queue = QueueOf(session);
  if (queue.Next(0) == session.slot) {
    queue.Take(0);  // another source is next
  } else {
    queue.Leave(session.slot);
  }
  session.target.waits = session.target.made_room = false;
  BackendsOf(session).LeaveQueue(session.target.backend);
  ctx.shard->AddWorker(WorkerFamily::kQueued, 0, -1);
}

// The source with most sessions has less then, and still no less than the newcomer's.
bool MakeRoom(WorkerContext& ctx, FairQueue& queue, uint64_t source) {
  const FairQueue::Heaviest heaviest = queue.HeaviestOf(0);
  if (heaviest.count <= queue.Count(source, 0) + 1) return false;
  Session& victim = ctx.table.At(heaviest.newest);
  TakeOut(ctx, victim);
  victim.target.displaced = true;
  Call(ctx, victim.slot);
  return true;
}

}  // namespace

bool JoinQueue(WorkerContext& ctx, Session& session) {
  Target& target = session.target;
  if (target.waits) return true;
  CountLimit(ctx, Limit::kServerSessions);
  FairQueue& queue = QueueOf(session);
  const uint64_t source = FairnessKey(ctx, session);
  const auto joins = [&] { return BackendsOf(session).JoinQueue(target.backend); };
  if (!joins() && !(MakeRoom(ctx, queue, source) && joins())) {
    CountLimit(ctx, Limit::kBackendQueue);
    return false;
  }
  queue.Join(session.slot, source, 0);
  target.waits = true;
  ctx.shard->AddWorker(WorkerFamily::kQueued, 0, 1);
  return true;
}

void LeaveQueue(WorkerContext& ctx, Session& session) {
  if (!session.target.waits) return;
  const bool turn = MayLookForPlace(session);
  TakeOut(ctx, session);
  if (turn) CallNext(ctx, QueueOf(session));
}

bool MayLookForPlace(const Session& session) {
  return !session.target.waits || QueueOf(session).Next(0) == session.slot;
}

void FoundNoPlace(WorkerContext& ctx, Session& session, bool spared) {
  if (!session.target.waits) return;
  FairQueue& queue = QueueOf(session);
  if (spared) {
    // Each of the others may find the same, so the next one looks after the usual while.
    const uint32_t next = queue.Following(session.slot);
    queue.TurnTo(next);
    if (next != session.slot) CallAt(ctx, next, After(ctx.now, kPlaceRetryMs));
  } else if (session.target.tried != 0) {
    queue.Take(0);
    CallNext(ctx, queue);
    queue.Join(session.slot, FairnessKey(ctx, session), 0);
  } else if (!session.target.made_room) {
    session.target.made_room = MakeRoomAtServers(ctx, session);
  }
}

MonoTime NextLook(WorkerContext& ctx, Session& session, MonoTime since) {
  // A server that hangs gives no place back, and answers nobody: a probe finds out.
  if (ctx.now >= After(since, kDoubtFullMs)) {
    BackendsOf(session).DoubtFull(session.target.backend, session.target.tried);
  }
  // What a client has said hides its reset.
  if (!ListensInQueue(session)) session.client.CheckWhole(ctx, session.ref());
  return After(ctx.now, MayLookForPlace(session) ? kPlaceRetryMs : kWaiterCheckMs);
}

bool ListensInQueue(const Session& session) {
  const Side& client = session.client;
  return session.target.waits && client.in.empty() && client.chunk == kNoBuffer &&
         (client.tls == nullptr || client.tls->opened.empty());
}

Next WatchClientInQueue(WorkerContext& ctx, Session& session) {
  if (!session.target.waits) return Stay();
  Side& client = session.client;
  if (client.failed()) return EndNow(EndReason::kClientReset);
  // Its end of TLS is no word: the end of TCP is waited for behind it. A client that has said
  // something may have no more to say, and still wait for the answer.
  if (!client.Input(ctx).empty() || !client.input_over()) return Stay();
  return client.inflow == Inflow::kEnded ? EndNow(EndReason::kClientLeftEarly) : Stay();
}

}  // namespace starling
