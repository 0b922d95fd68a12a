// Writes down what a completion says. Nothing is decided here: the pump does that.
#include <cerrno>

#include "gateway/session/data_channel.h"
#include "gateway/session/pregreet.h"
#include "gateway/session/pump.h"
#include "gateway/session/report.h"

namespace starling {
namespace {

// A peer that does not switch Nagle's algorithm off sends a small segment when the one before
// is acknowledged, and the kernel waits up to 40 ms for an answer to acknowledge it with. So a
// peer may hold octets back where the gateway does not answer at once: until TLS is up (behind
// a PROXY header, or a part of a flight or of a command), and behind a server's ticket. What
// comes later is relayed, and acknowledged as without the gateway.
bool MayHoldBack(const Session& session, const Side& side) {
  if (!IsClient(session, side)) return side.tls != nullptr && !side.tls->spoken;
  const StageId stage = IdOf(session.stage);
  return stage == StageId::kProxyHeader || stage == StageId::kHandshaking ||
         (stage == StageId::kTalking && IdOf(session.link) == LinkId::kNone);
}

void RecordRecv(WorkerContext& ctx, Session& session, Side& side, const Completion& completion) {
  side.Received(completion);
  if (side.starved) {
    ctx.starved_of_receives = true;
    ctx.Starve(session);
    CountLimit(ctx, Limit::kReceiveBuffers);
  }
  if (completion.result <= 0) return;
  const bool client = IsClient(session, side);
  if (client) NotePregreet(ctx, session);
  if (side.acknowledge == Acknowledge::kNo && MayHoldBack(session, side)) {
    side.acknowledge = Acknowledge::kUnlessSent;
  }
  if (!client) session.server_owes = false;
  session.active_at = ctx.now;
  ctx.shard->Add(Family::kBytes, session.listener->id,
                 static_cast<size_t>(client ? Direction::kDownstreamIn : Direction::kUpstreamIn), 0,
                 completion.result);
}

void RecordSend(WorkerContext& ctx, Session& session, Side& side, const Completion& completion) {
  side.Sent(ctx, completion);
  if (completion.result <= 0) return;
  ctx.sent += static_cast<uint32_t>(completion.result);
  if (!IsClient(session, side)) session.server_owes = true;
  session.active_at = ctx.now;
  ctx.shard->Add(Family::kBytes, session.listener->id,
                 static_cast<size_t>(IsClient(session, side) ? Direction::kDownstreamOut
                                                             : Direction::kUpstreamOut),
                 0, completion.result);
}

void RecordPeek(Session& session, const Completion& completion) {
  session.client.Peeked(completion);
  auto* const upgrading = std::get_if<Upgrading>(&session.stage);
  if (upgrading == nullptr) return;
  if (completion.result == -EAGAIN) upgrading->peek = Peek::kClean;
  if (completion.result > 0) upgrading->peek = Peek::kStray;
}

// The connect of the opened side, with the header that went with it.
void RecordOpened(WorkerContext& ctx, Session& session, const Completion& completion) {
  Side& side = session.opened();
  const uint64_t before = side.octets_out;
  side.Connected(ctx, completion);
  if (completion.result != 0) return;
  ctx.shard->Add(Family::kBytes, session.listener->id, static_cast<size_t>(Direction::kUpstreamOut),
                 0, static_cast<int64_t>(side.octets_out - before));
  session.link_address = completion.local;
}

}  // namespace

void Record(WorkerContext& ctx, const Completion& completion) {
  Session* const found = ctx.table.Find(completion.tag.slot, completion.tag.generation);
  if (found == nullptr) {
    ctx.shard->AddWorker(WorkerFamily::kStale);
    if (completion.buffer != kNoBuffer) ctx.ring->ReturnBuffer(completion.buffer);
    return;
  }
  Session& session = *found;
  Side& side = session.SideOf(completion.tag.side);
  switch (completion.tag.op) {
    case Op::kRecv:
      RecordRecv(ctx, session, side, completion);
      break;
    case Op::kSend:
      RecordSend(ctx, session, side, completion);
      break;
    case Op::kPeek:
      RecordPeek(session, completion);
      break;
    case Op::kShutdown:
      side.Finished(kOpShutdown);
      break;
    case Op::kCancel:
      side.Finished(kOpCancel);
      break;
    case Op::kDataAccept:
      RecordDataAccept(session, completion);
      break;
    case Op::kOpen:
      RecordOpened(ctx, session, completion);
      break;
    case Op::kClose:
      side.Closed();
      break;
    case Op::kNone:
    case Op::kAccept:
    case Op::kWake:
    case Op::kCount:
      break;
  }
  ctx.Ready(session);
}

}  // namespace starling
