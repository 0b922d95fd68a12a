// The end of a session: last words, linger, close; then the slot is free.
#include <cstring>

#include "gateway/session/pump.h"
#include "gateway/session/steps.h"

namespace starling {
namespace {

void CloseDown(WorkerContext& ctx, Session& session) {
  Leg& down = session.down;
  if (session.data != nullptr) return CloseDataLeg(ctx, session, down);
  if (!down.open() || (down.in_flight & kOpClose) != 0) return;
  down.in_flight |= kOpClose;
  ctx.ring->CancelAndClose(down.fd, Tag{Op::kDownClose, session.slot, session.generation});
}

void Release(WorkerContext& ctx, Session& session) {
  ReportEnd(ctx, session);
  DropInput(ctx, session.down);
  DropInput(ctx, session.up);
  ReleaseBlock(ctx, session.down.out);
  DropOutput(ctx, session.up);
  DropDialogue(ctx, session);
  session.tls.Reset();
  ctx.timers.Clear(session.slot);
  LeaveOvertime(ctx, session);
  session.listener->owner->Unref();
  ctx.table.Free(session);
}

// close_notify goes after the last words; an alert that is there already is the
// last word itself. Of a relay that the backend's reset cut off it would say that
// the client has had the whole.
void SayCloseNotify(WorkerContext& ctx, Session& session) {
  if (!session.tls_up || session.close_notify_sent || session.tls_failure != TlsFailure::kNone) {
    return;
  }
  if (session.down.write_ended) return;
  // Octets of the server that the client will not get: it must not take what it has
  // for the whole.
  if (session.phase == Phase::kRelay &&
      (session.up.was_reset() || !Input(ctx, session.up).empty())) {
    return;
  }
  const std::span<uint8_t> room = OutRoom(ctx, session.down, 512);
  if (room.empty()) return;
  TlsSession::Io io{.in = {}, .consumed = 0, .out = room, .written = 0};
  session.tls.CloseNotify(io);
  Produced(session.down, io.written);
  session.close_notify_sent = true;
  ReleaseIfEmpty(ctx, session.down.out);
}

}  // namespace

void EndNow(WorkerContext& ctx, Session& session, EndReason reason) {
  NoteReason(session, reason);
  LeaveHandshake(ctx, session);
  DropInput(ctx, session.down);
  DropInput(ctx, session.up);
  SetPhase(ctx, session, Phase::kClosing);
}

void EndPolitely(WorkerContext& ctx, Session& session, EndReason reason) {
  // A close_notify would say that a file is whole.
  if (session.data != nullptr && session.tls_up) return EndNow(ctx, session, reason);
  NoteReason(session, reason);
  LeaveHandshake(ctx, session);
  SayCloseNotify(ctx, session);
  SetPhase(ctx, session, Phase::kLastWords);
}

void Refuse(WorkerContext& ctx, Session& session, Refusal refusal, EndReason reason) {
  const ListenerConfig& config = *session.listener->config;
  const bool can_say =
      session.tls_up || config.tls == TlsMode::kStartTls || refusal == Refusal::kTlsExpected;
  if (can_say && config.protocol->refuse != nullptr) {
    uint8_t text[1024];
    Writer writer{std::span<uint8_t>(text)};
    config.protocol->refuse(refusal, config.dialogue, writer);
    SayToClient(ctx, session, writer.written());
  } else if (!session.tls_up && !can_say) {
    SayAlert(ctx, session, kInternalError);
  }
  EndPolitely(ctx, session, reason);
}

bool StepLastWords(WorkerContext& ctx, Session& session) {
  Leg& down = session.down;
  DropInput(ctx, down);
  // The backend's leg has no part in what is said now.
  CloseLeg(ctx, session);
  if (down.recv_error != 0 || down.send_error != 0) {
    EndNow(ctx, session, session.reason);
    return true;
  }
  if (!Flushed(down)) return false;
  ArmShutdown(ctx, session, down);
  if ((down.in_flight & kOpShutdown) != 0) return false;
  SetPhase(ctx, session, Phase::kLinger);
  return true;
}

bool StepLinger(WorkerContext& ctx, Session& session) {
  Leg& down = session.down;
  CloseLeg(ctx, session);
  session.lingered += static_cast<uint32_t>(Input(ctx, down).size());
  DropInput(ctx, down);
  if (!down.end_of_data && down.recv_error == 0 &&
      session.lingered < session.listener->config->limits.linger_bytes) {
    return false;
  }
  EndNow(ctx, session, session.reason);
  return true;
}

bool StepClosing(WorkerContext& ctx, Session& session) {
  DropInput(ctx, session.down);
  DropInput(ctx, session.up);
  CloseDown(ctx, session);
  if (session.data != nullptr && session.data->kept) return false;
  CloseLeg(ctx, session);
  if (session.down.open() || session.up.open()) return false;
  if (!CloseDataListener(ctx, session)) return false;
  if (!session.down.idle() || !session.up.idle()) return false;
  Release(ctx, session);
  return true;
}

void EndByGateway(WorkerContext& ctx, Session& session, EndReason reason, bool polite) {
  switch (session.phase) {
    case Phase::kFree:
    case Phase::kClosing:
      return;
    case Phase::kLastWords:
    case Phase::kLinger:
      if (!polite) EndNow(ctx, session, reason);
      return;
    default:
      break;
  }
  if (!polite || session.data != nullptr || session.phase == Phase::kProxyHeader ||
      session.phase == Phase::kUpgrade) {
    EndNow(ctx, session, reason);
    return;
  }
  NoteReason(session, reason);
  if (session.phase == Phase::kOpening) {
    Refuse(ctx, session, Refusal::kShutdown, reason);
    return;
  }
  if (InDialogue(session)) {
    TellNegotiator(ctx, session, {.kind = EventKind::kDrain, .inside_tls = session.tls_up});
    if (!InDialogue(session)) return;
  }
  EndPolitely(ctx, session, reason);
}

}  // namespace starling
