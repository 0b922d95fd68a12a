// The end of a session: last words, linger, close. Once nothing is in flight its slot is
// free.
#include "gateway/session/data_channel.h"
#include "gateway/session/leg_io.h"
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
  Leg& down = session.down;
  DropInput(ctx, down);
  CloseServerSide(ctx, session);
  AdvanceLink(ctx, session);
  if (down.recv_error != 0 || down.send_error != 0) return EndNow(session.reason);
  if (!Flushed(down)) return Stay();
  ArmShutdown(ctx, session, down);
  return (down.in_flight & kOpShutdown) != 0 ? Stay() : Enter(StageId::kLingering);
}

Dues DueOf(const WorkerContext& /*ctx*/, const Session& session, const LastWords& /*stage*/) {
  return LingerDue(session);
}

Next Overdue(WorkerContext& /*ctx*/, Session& session, LastWords& /*stage*/, const Due& /*due*/) {
  return EndNow(session.reason);
}

Receives Wanted(const Session& /*session*/, const LastWords& /*stage*/) { return {}; }

Next Act(WorkerContext& ctx, Session& session, Lingering& stage) {
  Leg& down = session.down;
  CloseServerSide(ctx, session);
  AdvanceLink(ctx, session);
  stage.discarded += static_cast<uint32_t>(Input(ctx, down).size());
  DropInput(ctx, down);
  const bool ended =
      down.end_of_data || down.recv_error != 0 || stage.discarded >= LimitsOf(session).linger_bytes;
  return ended ? EndNow(session.reason) : Stay();
}

Dues DueOf(const WorkerContext& /*ctx*/, const Session& session, const Lingering& /*stage*/) {
  return LingerDue(session);
}

Next Overdue(WorkerContext& /*ctx*/, Session& session, Lingering& /*stage*/, const Due& /*due*/) {
  return EndNow(session.reason);
}

Receives Wanted(const Session& /*session*/, const Lingering& /*stage*/) { return {.client = true}; }

Next Act(WorkerContext& ctx, Session& session, Closing& /*stage*/) {
  DropInput(ctx, session.down);
  DropInput(ctx, session.up);
  CloseLeg(ctx, session, session.accepted_leg());
  if (session.data != nullptr && session.data->kept) return Stay();
  CloseLink(ctx, session);
  AdvanceLink(ctx, session);
  if (session.down.open() || session.up.open()) return Stay();
  if (!CloseDataListener(ctx, session)) return Stay();
  return session.down.idle() && session.up.idle() ? Gone() : Stay();
}

Dues DueOf(const WorkerContext& /*ctx*/, const Session& /*session*/, const Closing& /*stage*/) {
  return {};
}

Next Overdue(WorkerContext& /*ctx*/, Session& /*session*/, Closing& /*stage*/, const Due& /*due*/) {
  return Stay();
}

Receives Wanted(const Session& /*session*/, const Closing& /*stage*/) { return {}; }

}  // namespace starling
