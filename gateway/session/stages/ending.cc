// The end of a session: last words, linger, close. Once nothing is in flight its slot is
// free.
#include "gateway/session/data_channel.h"
#include "gateway/session/link.h"
#include "gateway/session/stages/stages.h"

namespace starling {
namespace {

Dues LingerDue(const Session& session) {
  Dues dues;
  dues.Add(After(session.stage_at, LimitsOf(session).linger_ms), DueKind::kLinger);
  return dues;
}

}  // namespace

Next Act(WorkerContext& ctx, Session& session, LastWords& /*stage*/) {
  Side& client = session.client;
  client.DropInput(ctx);
  CloseServerSide(ctx, session);
  AdvanceLink(ctx, session);
  if (client.failed()) return EndNow(session.reason);
  if (!client.flushed()) return Stay();
  client.EndOutput(ctx, session.ref());
  return client.has(kOpShutdown) ? Stay() : Enter(StageId::kLingering);
}

Dues DueOf(const WorkerContext& /*ctx*/, const Session& session, const LastWords& /*stage*/) {
  return LingerDue(session);
}

Next Overdue(WorkerContext& /*ctx*/, Session& session, LastWords& /*stage*/, const Due& /*due*/) {
  return EndNow(session.reason);
}

Receives Wanted(WorkerContext& /*ctx*/, Session& /*session*/, const LastWords& /*stage*/) {
  return {};
}

Next Act(WorkerContext& ctx, Session& session, Lingering& stage) {
  Side& client = session.client;
  CloseServerSide(ctx, session);
  AdvanceLink(ctx, session);
  stage.discarded += static_cast<uint32_t>(client.RawInput(ctx).size());
  client.DropInput(ctx);
  const bool ended =
      client.inflow != Inflow::kOpen || stage.discarded >= LimitsOf(session).linger_bytes;
  return ended ? EndNow(session.reason) : Stay();
}

Dues DueOf(const WorkerContext& /*ctx*/, const Session& session, const Lingering& /*stage*/) {
  return LingerDue(session);
}

Next Overdue(WorkerContext& /*ctx*/, Session& session, Lingering& /*stage*/, const Due& /*due*/) {
  return EndNow(session.reason);
}

Receives Wanted(WorkerContext& /*ctx*/, Session& /*session*/, const Lingering& /*stage*/) {
  return {.client = true};
}

Next Act(WorkerContext& ctx, Session& session, Closing& /*stage*/) {
  session.client.DropInput(ctx);
  session.server.DropInput(ctx);
  CloseSide(ctx, session, session.accepted());
  if (session.data != nullptr && session.data->kept()) return Stay();
  CloseLink(ctx, session);
  AdvanceLink(ctx, session);
  if (session.client.open() || session.server.open()) return Stay();
  if (!CloseDataListener(ctx, session)) return Stay();
  return session.client.idle() && session.server.idle() ? Gone() : Stay();
}

Dues DueOf(const WorkerContext& /*ctx*/, const Session& /*session*/, const Closing& /*stage*/) {
  return {};
}

Next Overdue(WorkerContext& /*ctx*/, Session& /*session*/, Closing& /*stage*/, const Due& /*due*/) {
  return Stay();
}

Receives Wanted(WorkerContext& /*ctx*/, Session& /*session*/, const Closing& /*stage*/) {
  return {};
}

}  // namespace starling
