// Writes down what a completion says. Nothing is decided here: the pump does that.
#include <cassert>
#include <cerrno>

#include "gateway/session/data_channel.h"
#include "gateway/session/leg_io.h"
#include "gateway/session/pump.h"
#include "gateway/session/report.h"

namespace starling {
namespace {

// After a receive that a small buffer was too small for, so many use large ones:
// messages of a few KiB each would otherwise take two receives each time.
constexpr uint8_t kLargeReceives = 8;

void Finished(Leg& leg, LegOp op) {
  assert((leg.in_flight & op) != 0);
  leg.in_flight &= static_cast<uint8_t>(~op);
}

// A peer that does not switch Nagle's algorithm off sends a small segment when the one before
// is acknowledged, and the kernel waits up to 40 ms for an answer to acknowledge it with. So a
// peer may hold octets back where the gateway does not answer at once: until TLS is up (behind
// a PROXY header, or a part of a flight or of a command), and behind a server's ticket. What
// comes later is relayed, and acknowledged as without the gateway.
bool MayHoldBack(const Session& session, const Leg& leg) {
  if (!IsDown(session, leg)) return leg.tls != nullptr && !leg.tls->spoken;
  const StageId stage = IdOf(session.stage);
  return stage == StageId::kProxyHeader || stage == StageId::kHandshaking ||
         (stage == StageId::kTalking && IdOf(session.link) == LinkId::kNone);
}

// A client of a protocol in which the server speaks first has not waited for that.
void NotePregreet(WorkerContext& ctx, Session& session) {
  auto* const talking = std::get_if<Talking>(&session.stage);
  if (talking == nullptr || talking->pregreet || session.down.octets_out > 0) return;
  if (!session.listener->config->protocol->server_first) return;
  talking->pregreet = true;
  CountAttack(ctx, session, Attack::kPregreet);
}

void RecordRecv(WorkerContext& ctx, Session& session, Leg& leg, const Completion& completion) {
  Finished(leg, kOpRecv);
  const int32_t n = completion.result;
  if (n > 0) {
    const bool down = IsDown(session, leg);
    if (down) NotePregreet(ctx, session);
    leg.chunk = completion.buffer;
    leg.chunk_begin = 0;
    leg.chunk_end = static_cast<uint32_t>(n);
    leg.octets_in += static_cast<uint32_t>(n);
    if (completion.more || n >= static_cast<int32_t>(kSmallReceive)) {
      leg.large = kLargeReceives;
    } else if (leg.large > 0) {
      --leg.large;
    }
    if (leg.acknowledge == Acknowledge::kNo && MayHoldBack(session, leg)) {
      leg.acknowledge = Acknowledge::kUnlessSent;
    }
    session.active_at = ctx.now;
    ctx.shard->Add(Family::kBytes, session.listener->id, down ? 0 : 2, 0, n);
  } else if (n == 0 && leg.tls != nullptr) {
    leg.tls->tcp_ended = true;
  } else if (n == 0) {
    leg.end_of_data = true;
  } else if (n == -ENOBUFS) {
    leg.starved = true;
    ctx.starved_of_receives = true;
    ctx.Starve(session);
    CountLimit(ctx, Limit::kReceiveBuffers);
  } else if (n != -ECANCELED && n != -EAGAIN && n != -EINTR) {
    leg.recv_error = static_cast<int16_t>(-n);
  }
}

void RecordSend(WorkerContext& ctx, Session& session, Leg& leg, const Completion& completion) {
  Finished(leg, kOpSend);
  leg.out.in_flight = 0;
  const int32_t n = completion.result;
  if (n > 0) {
    leg.out.begin += static_cast<uint32_t>(n);
    leg.octets_out += static_cast<uint32_t>(n);
    session.active_at = ctx.now;
    ctx.shard->Add(Family::kBytes, session.listener->id, IsDown(session, leg) ? 1 : 3, 0, n);
    ReleaseIfEmpty(ctx, leg.out);
  } else if (n != -ECANCELED && n != -EAGAIN && n != -EINTR) {
    leg.send_error = static_cast<int16_t>(n == 0 ? EPIPE : -n);
  }
}

void RecordPeek(Session& session, const Completion& completion) {
  Finished(session.down, kOpPeek);
  auto* const upgrading = std::get_if<Upgrading>(&session.stage);
  if (upgrading == nullptr) return;
  if (completion.result == -EAGAIN) {
    upgrading->peek = Peek::kClean;
  } else if (completion.result == 0) {
    session.down.end_of_data = true;
  } else if (completion.result < 0) {
    session.down.recv_error = static_cast<int16_t>(-completion.result);
  } else {
    upgrading->peek = Peek::kStray;
  }
}

void RecordClosed(Leg& leg) {
  Finished(leg, kOpClose);
  leg.fd = kNoFd;
}

// The connect of the opened side, with the header that went with it.
void RecordOpened(WorkerContext& ctx, Session& session, const Completion& completion) {
  Leg& leg = session.opened_leg();
  Finished(leg, kOpOpen);
  if (completion.result == 0) {
    const uint32_t header = leg.out.in_flight;
    leg.octets_out += header;
    ctx.shard->Add(Family::kBytes, session.listener->id, 3, 0, header);
    session.up_local = completion.local;
  } else {
    leg.send_error = static_cast<int16_t>(-completion.result);
    leg.fd = kNoFd;  // the ring has freed it
  }
  leg.out.in_flight = 0;
  ReleaseBlock(ctx, leg.out);
}

}  // namespace

void Record(WorkerContext& ctx, const Completion& completion) {
  Session* found = ctx.table.Find(completion.tag.slot, completion.tag.generation);
  if (found == nullptr) {
    ctx.shard->AddWorker(WorkerFamily::kStale);
    if (completion.buffer != kNoBuffer) ctx.ring->ReturnBuffer(completion.buffer);
    return;
  }
  Session& session = *found;
  switch (completion.tag.op) {
    case Op::kDownRecv:
      RecordRecv(ctx, session, session.accepted_leg(), completion);
      break;
    case Op::kUpRecv:
      RecordRecv(ctx, session, session.opened_leg(), completion);
      break;
    case Op::kDownSend:
      RecordSend(ctx, session, session.accepted_leg(), completion);
      break;
    case Op::kUpSend:
      RecordSend(ctx, session, session.opened_leg(), completion);
      break;
    case Op::kDownPeek:
      RecordPeek(session, completion);
      break;
    case Op::kDownShutdown:
      Finished(session.accepted_leg(), kOpShutdown);
      break;
    case Op::kUpShutdown:
      Finished(session.opened_leg(), kOpShutdown);
      break;
    case Op::kDownCancel:
      Finished(session.accepted_leg(), kOpCancel);
      break;
    case Op::kUpCancel:
      Finished(session.opened_leg(), kOpCancel);
      break;
    case Op::kDataAccept:
      RecordDataAccept(session, completion);
      break;
    case Op::kUpOpen:
      RecordOpened(ctx, session, completion);
      break;
    case Op::kDownClose:
      RecordClosed(session.accepted_leg());
      break;
    case Op::kUpClose:
      RecordClosed(session.opened_leg());
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
