#include "gateway/session/pump.h"

#include <algorithm>
#include <cassert>
#include <cerrno>

#include "gateway/session/steps.h"

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
  return session.phase == Phase::kProxyHeader || session.phase == Phase::kHandshake ||
         (session.phase == Phase::kDialogue && session.leg_state == LegState::kNone);
}

void RecordRecv(WorkerContext& ctx, Session& session, Leg& leg, const Completion& completion) {
  Finished(leg, kOpRecv);
  const int32_t n = completion.result;
  if (n > 0) {
    const bool down = IsDown(session, leg);
    if (down && session.phase == Phase::kDialogue && leg.octets_out == 0 &&
        session.listener->config->protocol->server_first && !session.dialogue->pregreet) {
      session.dialogue->pregreet = true;
      CountAttack(ctx, session, Attack::kPregreet);
    }
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
    ctx.shard->AddWorker(WorkerFamily::kLimitReached, static_cast<size_t>(Limit::kReceiveBuffers));
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
  if (session.phase != Phase::kUpgrade) return;
  if (completion.result == -EAGAIN) {
    session.dialogue->go_ahead_begun = true;
  } else if (completion.result == 0) {
    session.down.end_of_data = true;
  } else if (completion.result < 0) {
    session.down.recv_error = static_cast<int16_t>(-completion.result);
  } else {
    session.dialogue->stray_octet = true;
  }
}

void RecordClosed(Leg& leg) {
  Finished(leg, kOpClose);
  leg.fd = kNoFd;
}

// One of the steps, by phase. True: another look is worthwhile.
bool StepByPhase(WorkerContext& ctx, Session& session) {
  switch (session.phase) {
    case Phase::kFree:
      return false;
    case Phase::kProxyHeader:
      return StepProxyHeader(ctx, session);
    case Phase::kDataWait:
      return StepDataWait(ctx, session);
    case Phase::kDialogue:
      return StepLeg(ctx, session) || StepDialogue(ctx, session);
    case Phase::kUpgrade:
      return StepUpgrade(ctx, session);
    case Phase::kHandshake:
      return StepDataJoin(ctx, session) || StepHandshake(ctx, session);
    case Phase::kOpening:
      return session.data != nullptr ? StepDataJoin(ctx, session) : StepLeg(ctx, session);
    case Phase::kPreamble:
      return StepPreamble(ctx, session);
    case Phase::kInside:
      return StepDialogue(ctx, session);
    case Phase::kRelay:
      return StepRelay(ctx, session);
    case Phase::kLastWords:
      return StepLastWords(ctx, session);
    case Phase::kLinger:
      return StepLinger(ctx, session);
    case Phase::kClosing:
      return StepClosing(ctx, session);
  }
  return false;
}

bool NoBlockToSend(const Leg& leg) {
  return leg.out.data == nullptr && (leg.tls == nullptr || leg.tls->out.data == nullptr);
}

bool MayReceiveFromClient(const Session& session) {
  // Behind its close_notify only the end of the connection is to come; one that sends
  // more is not listened to before the session lingers.
  if (session.client_closed_tls) return session.lingered == 0;
  return !session.plain_pending && NoBlockToSend(session.up) && session.up.send_error == 0 &&
         session.up.recv_error == 0 && session.down.in.empty();
}

// The same for a dialogue inside TLS.
bool MayReceiveInside(const Session& session) {
  const Dialogue& dialogue = *session.dialogue;
  return !session.client_closed_tls && !session.plain_pending && !dialogue.hold &&
         !dialogue.handing_over && Flushed(session.down) && Flushed(session.up) &&
         session.down.in.empty();
}

// Receives are armed where the octets can be used: never while a verdict, a
// handshake slot or a leg is waited for, never ahead of a full output.
void ArmReceives(WorkerContext& ctx, Session& session) {
  Leg& down = session.down;
  Leg& up = session.up;
  switch (session.phase) {
    case Phase::kProxyHeader:
    case Phase::kLinger:
      ArmRecv(ctx, session, down);
      break;
    case Phase::kHandshake:
      if (!session.waiting_admission) ArmRecv(ctx, session, down);
      break;
    case Phase::kDialogue:
      // Before the greeting is sent as well, so that a client that talks first is
      // seen to.
      if (!session.dialogue->hold && (Flushed(down) || down.octets_out == 0) &&
          (session.leg_state != LegState::kUp || Flushed(up))) {
        ArmRecv(ctx, session, down);
      }
      if (session.leg_state == LegState::kUp && Flushed(down)) ArmRecv(ctx, session, up);
      if (session.leg_state == LegState::kTlsHandshake) ArmRecv(ctx, session, up);
      break;
    case Phase::kOpening:
      if (session.leg_state == LegState::kTlsHandshake) ArmRecv(ctx, session, up);
      break;
    case Phase::kPreamble:
      if (Flushed(down)) ArmRecv(ctx, session, up);
      break;
    case Phase::kInside:
      if (MayReceiveInside(session)) ArmRecv(ctx, session, down);
      if (Flushed(down)) ArmRecv(ctx, session, up);
      break;
    case Phase::kRelay:
      if (MayReceiveFromClient(session)) ArmRecv(ctx, session, down);
      if (down.out.data == nullptr && down.send_error == 0 && down.recv_error == 0 &&
          up.in.empty() && (up.tls == nullptr || up.tls->in.empty())) {
        ArmRecv(ctx, session, up);
      }
      break;
    default:
      break;
  }
}

void ArmSends(WorkerContext& ctx, Session& session) {
  if (session.phase == Phase::kClosing) return;
  // The go-ahead waits for the peek; what was said before it need not, but one
  // send keeps them in order.
  if (session.phase != Phase::kUpgrade || session.dialogue->go_ahead_begun) {
    ArmSend(ctx, session, session.down);
  }
  if (session.leg_state == LegState::kUp || session.leg_state == LegState::kTlsHandshake) {
    ArmSend(ctx, session, session.up);
  }
}

void SetTimer(WorkerContext& ctx, Session& session) {
  const MonoTime next = NextDeadline(ctx, session);
  // A deadline that moves away is found out when the old one is met.
  if (next >= session.timer) return;
  session.timer = next;
  ctx.timers.Set(session.slot, next);
}

void Begin(WorkerContext& ctx, Session& session, Fd fd, const Endpoint& peer,
           const Endpoint& local) {
  session.listener->owner->Ref();
  session.id = ctx.next_session++;
  session.down.fd = fd;
  session.down.tcp = peer.family != Endpoint::Family::kNone;
  session.peer = peer;
  session.local = local;
  session.accepted_at = session.phase_at = session.active_at = ctx.now;
  ctx.shard->Add(Family::kAccepted, session.listener->id);
  ctx.shard->Add(Family::kSessions, session.listener->id,
                 static_cast<size_t>(SessionPhase::kNegotiate));
  session.counted = SessionPhase::kNegotiate;
}

bool FromProxy(const ListenerConfig& config, const Endpoint& peer) {
  return std::any_of(config.proxy_from.begin(), config.proxy_from.end(),
                     [&](const Cidr& cidr) { return cidr.Contains(peer); });
}

}  // namespace

void BeginSession(WorkerContext& ctx, Session& session, Fd fd, const Endpoint& peer,
                  const Endpoint& local) {
  Begin(ctx, session, fd, peer, local);
  const ListenerConfig& config = *session.listener->config;
  if (!config.proxy_from.empty()) {
    SetPhase(ctx, session, Phase::kProxyHeader);
    if (!FromProxy(config, peer)) {
      CountAttack(ctx, session, Attack::kUntrustedProxy);
      EndNow(ctx, session, EndReason::kProxyHeaderUntrusted);
    }
  } else if (config.tls == TlsMode::kStartTls) {
    StartDialogue(ctx, session);
  } else {
    SetPhase(ctx, session, Phase::kHandshake);
  }
  ctx.Ready(session);
}

void BeginRefusal(WorkerContext& ctx, Session& session, Fd fd, const Endpoint& peer,
                  const Endpoint& local, EndReason reason) {
  Begin(ctx, session, fd, peer, local);
  Refuse(ctx, session, Refusal::kTooBusy, reason);
  ctx.Ready(session);
}

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
      RecordLegOpened(ctx, session, completion);
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

void Pump(WorkerContext& ctx, Session& session) {
  session.queued = false;
  if (session.phase == Phase::kFree) return;
  ctx.out_of_blocks = false;
  const uint32_t generation = session.generation;
  if (session.leg_state == LegState::kClosing && !session.up.open() && session.up.idle()) {
    LegClosed(ctx, session);
  }
  if (ctx.now >= NextDeadline(ctx, session)) CheckDeadlines(ctx, session);
  while (StepByPhase(ctx, session)) {
    if (session.generation != generation) return;  // over, and the slot is free
  }
  if (session.generation != generation) return;
  // Before the receives: what is left of one and not stashed forbids the next.
  StashChunk(ctx, session.down);
  StashChunk(ctx, session.up);
  ArmReceives(ctx, session);
  ArmSends(ctx, session);
  ArmAcknowledge(ctx, session, session.down);
  ArmAcknowledge(ctx, session, session.up);
  if (ctx.out_of_blocks) {
    ctx.shard->AddWorker(WorkerFamily::kLimitReached, static_cast<size_t>(Limit::kOutputBuffers));
    ctx.starved_at = std::max(ctx.starved_at, ctx.BlocksOut());
    ctx.Starve(session);
  }
  NoteOvertime(ctx, session);
  SetTimer(ctx, session);
}

}  // namespace starling
