// A data channel waits for its first connection, of one host. Others are turned away.
#include "gateway/session/data_channel.h"
#include "gateway/session/link.h"
#include "gateway/session/report.h"
#include "gateway/session/stages/stages.h"

namespace starling {

Next Act(WorkerContext& ctx, Session& session, DataWait& /*stage*/) {
  DataChannel& data = *session.data;
  Side& side = session.accepted();
  if (data.accept == DataChannel::Accept::kFailed) return EndNow(EndReason::kBufferLimit);
  if (data.accept == DataChannel::Accept::kAccepted) {
    JoinData(ctx, session);
    // A server's connection says nothing by itself; TLS with the client comes behind it.
    return Enter(session.reversed() ? StageId::kOpening : StageId::kHandshaking);
  }
  if (!side.idle()) return Stay();
  if (side.open()) {
    CountAttack(ctx, session, Attack::kDataStranger);
    CloseSide(ctx, session, side);
    return Stay();
  }
  side.in_flight |= kOpAccept;
  ctx.ring->ArmAccept(data.listener, side.TagOf(Op::kDataAccept, session.ref()));
  return Stay();
}

Dues DueOf(const WorkerContext& ctx, const Session& session, const DataWait& /*stage*/) {
  Dues dues;
  AddPreRelay(ctx, session, /*awaits_command=*/false, dues);
  return dues;
}

Next Overdue(WorkerContext& /*ctx*/, Session& /*session*/, DataWait& /*stage*/, const Due& due) {
  return EndNow(due.reason);
}

Receives Wanted(WorkerContext& /*ctx*/, Session& /*session*/, const DataWait& /*stage*/) {
  return {};
}

}  // namespace starling
