// Runs the negotiator: before TLS, on a plaintext leg between the two sides, in the
// preamble on the fresh leg, and inside TLS.
#include <cassert>
#include <utility>

#include "gateway/session/steps.h"

namespace starling {
namespace {

// Larger than any reply of a negotiator, smaller than a TLS record.
constexpr size_t kEventRoom = 4096;

bool LegIsUp(const Session& session) { return session.leg_state == LegState::kUp; }

// Gives both writers their room. False: there is none now (a send must end first
// or a block come back).
bool MakeOutput(WorkerContext& ctx, Session& session, Output& out) {
  static_assert(kEventRoom >= kMinOutputRoom);
  const std::span<uint8_t> scratch(ctx.scratch);
  if (session.tls_up) {
    // What is written here goes through TLS afterwards; make sure that it can.
    if (OutRoom(ctx, session.down, kEventRoom + 1024).empty()) return false;
    out.client = Writer(scratch.first(kEventRoom));
  } else {
    const std::span<uint8_t> room = OutRoom(ctx, session.down, kMinOutputRoom);
    if (room.empty()) return false;
    out.client = Writer(room);
  }
  if (LegIsUp(session)) {
    const std::span<uint8_t> room = OutRoom(ctx, session.up, kMinOutputRoom);
    if (room.empty()) {
      // When blocks are short, nobody sits on an empty one.
      ReleaseIfEmpty(ctx, session.down.out);
      return false;
    }
    out.backend = Writer(room);
  } else {
    out.backend = Writer(scratch.subspan(kEventRoom, kEventRoom));
  }
  return true;
}

void TakeOutput(WorkerContext& ctx, Session& session, const Output& out) {
  if (session.tls_up) {
    SayToClient(ctx, session, out.client.written());
  } else {
    Produced(session.down, out.client.size());
  }
  if (LegIsUp(session)) Produced(session.up, out.backend.size());
  ReleaseIfEmpty(ctx, session.down.out);
  ReleaseIdleOutput(ctx, session.up);
}

void CountNotes(WorkerContext& ctx, Session& session, const Step& step) {
  const ListenerId id = session.listener->id;
  for (size_t i = 0; i < kSignalCount; ++i) {
    if ((step.signals >> i & 1u) != 0) ctx.shard->Add(Family::kSignals, id, i);
  }
  for (size_t i = 0; i < kAttackCount; ++i) {
    if ((step.attacks >> i & 1u) != 0) ctx.shard->Add(Family::kAttacks, id, i);
  }
  if (step.offered && !session.offered) {
    session.offered = true;
    ctx.shard->Add(Family::kOffered, id);
  }
}

uint32_t PlaintextBackend(const Session& session) {
  const ListenerConfig& config = *session.listener->config;
  return config.plaintext_backend >= 0 ? static_cast<uint32_t>(config.plaintext_backend)
                                       : config.backend;
}

// A data channel that was asked for, or is not wanted any more.
void ServeData(WorkerContext& ctx, Session& session, const Step& step) {
  Dialogue& dialogue = *session.dialogue;
  dialogue.data_ready = ServeDataAsk(ctx, session, step, dialogue.data_ready_at);
  dialogue.data_answered = step.data != DataAsk::kDrop;
}

void SetPatience(WorkerContext& ctx, Session& session, const Step& step) {
  MonoTime& due = session.dialogue->patience_at;
  if (step.verdict == Verdict::kUpgrade || step.patience == Patience::kUsual) {
    due = kNever;
  } else if (step.patience == Patience::kShort) {
    due = After(ctx.now, session.listener->config->limits.patience_ms);
  }
}

// What the verdict asks for. True: the dialogue goes on.
bool Apply(WorkerContext& ctx, Session& session, const Step& step, uint32_t reply_at) {
  Dialogue& dialogue = *session.dialogue;
  CountNotes(ctx, session, step);
  if (step.established && !dialogue.serving) {
    dialogue.serving = true;
    session.active_at = ctx.now;
    LogEstablished(ctx, session);
  }
  if (step.understood) dialogue.command_at = ctx.now;
  SetPatience(ctx, session, step);
  if (step.data != DataAsk::kNone) ServeData(ctx, session, step);
  switch (step.verdict) {
    case Verdict::kContinue:
      dialogue.hold = false;
      return true;
    case Verdict::kHold:
      dialogue.hold = true;
      return true;
    case Verdict::kOpenLeg:
      dialogue.hold = true;
      if (session.leg_state == LegState::kNone) {
        OpenLeg(ctx, session, PlaintextBackend(session));
      } else {
        dialogue.want_leg = true;
      }
      return true;
    case Verdict::kOpenAllLegs:
      dialogue.hold = true;
      OpenAllLegs(ctx, session, session.listener->config->backend);
      return true;
    case Verdict::kCloseLeg:
      dialogue.hold = false;
      CloseLeg(ctx, session);
      return true;
    case Verdict::kUpgrade:
      dialogue.go_ahead_at = reply_at;
      session.space_left = session.listener->config->protocol->space_after_upgrade;
      SetPhase(ctx, session, Phase::kUpgrade);
      return false;
    case Verdict::kRelay:
      HandOver(ctx, session);
      return false;
    case Verdict::kReadInside:
      dialogue.hold = false;
      SetPhase(ctx, session, Phase::kInside);
      return true;
    case Verdict::kClose:
      session.reply = step.reply;
      // Who began with TLS understands nothing else.
      if (step.reason == EndReason::kTlsOnPlainPort) SayAlert(ctx, session, kUnexpectedMessage);
      EndPolitely(ctx, session, step.reason);
      return false;
  }
  return false;
}

// Tells the negotiator of its data channel, when there is room for what it says: first
// whether it can be had, then how it ended. False: it has to wait, and reads nothing.
bool TellData(WorkerContext& ctx, Session& session) {
  Dialogue& dialogue = *session.dialogue;
  const Phase before = session.phase;
  while (session.phase == before && (dialogue.data_answered || dialogue.data_over)) {
    Output out;
    if (!MakeOutput(ctx, session, out)) return false;
    DataNews news;
    if (std::exchange(dialogue.data_answered, false)) {
      news.ready_at = dialogue.data_ready ? &dialogue.data_ready_at : nullptr;
    } else {
      dialogue.data_over = false;
      news.outcome = dialogue.data_outcome;
    }
    const Step step = dialogue.negotiator->OnData(news, out);
    TakeOutput(ctx, session, out);
    Apply(ctx, session, step, session.down.out.end);
  }
  return true;
}

// Who begins with TLS where the protocol has both is not the dialogue's.
bool TakesDirectTls(WorkerContext& ctx, Session& session, ByteView in) {
  const ProtocolRow& protocol = *session.listener->config->protocol;
  if (!protocol.direct_tls || session.phase != Phase::kDialogue || session.dialogue->fed ||
      in[0] != kHandshakeRecord) {
    return false;
  }
  DropDialogue(ctx, session);
  session.direct_tls = true;
  SetPhase(ctx, session, Phase::kHandshake);
  return true;
}

// One call with octets of a leg. True: something changed and the dialogue goes on.
bool Feed(WorkerContext& ctx, Session& session, Leg& leg) {
  const bool inside = IsDown(session, leg) && session.phase == Phase::kInside;
  const ByteView in = inside ? InsideInput(ctx, session) : Input(ctx, leg);
  if (in.empty()) return false;
  if (IsDown(session, leg)) {
    if (TakesDirectTls(ctx, session, in)) return false;
    session.dialogue->fed = true;
  }
  Output out;
  if (!MakeOutput(ctx, session, out)) return false;
  const uint32_t reply_at = session.down.out.end;
  const Phase before = session.phase;
  Negotiator& negotiator = *session.dialogue->negotiator;
  const Step step =
      IsDown(session, leg) ? negotiator.OnClient(in, out) : negotiator.OnBackend(in, out);
  assert(step.consumed <= in.size());
  const bool progress = step.consumed > 0 || out.client.size() > 0 || out.backend.size() > 0 ||
                        (step.verdict != Verdict::kContinue && step.verdict != Verdict::kHold);
  if (inside) {
    ConsumeInside(ctx, session, step.consumed);
  } else {
    Consume(ctx, leg, step.consumed);
  }
  TakeOutput(ctx, session, out);
  // The greeting is over when the negotiator makes something of it, or has something
  // to say to the server; a backend that dribbles one is still to meet its deadline.
  if (out.backend.size() > 0 || (!IsDown(session, leg) && out.client.size() > 0)) {
    session.dialogue->greeting_seen = true;
  }
  Apply(ctx, session, step, reply_at);
  return progress && session.phase == before && !session.dialogue->handing_over;
}

// What a side said last may be left unread until the data channel has ended: that side's
// end comes behind it.
bool HasData(const Dialogue& dialogue) {
  return dialogue.data_generation != 0 && !dialogue.data_kept;
}
bool HoldsForData(WorkerContext& ctx, Session& session) {
  return HasData(*session.dialogue) && !Input(ctx, session.up).empty();
}

// The end of data of either side, once each, when what came before is consumed.
void TellEnds(WorkerContext& ctx, Session& session) {
  Dialogue& dialogue = *session.dialogue;
  if (dialogue.all_legs) {
    if (session.up.end_of_data && LegIsUp(session)) CloseLeg(ctx, session);
    return;
  }
  // With all output sent, what the negotiator has left of the client is not for
  // want of room: nothing can become of it any more.
  const bool had_room = Flushed(session.down) && (!LegIsUp(session) || Flushed(session.up));
  const bool ended = session.down.end_of_data || session.client_closed_tls;
  const bool unread = HasData(dialogue) && !dialogue.opened.empty();
  if (ended && had_room && !unread && !dialogue.client_end_told && !dialogue.hold) {
    dialogue.client_end_told = true;
    const Phase before = session.phase;
    TellNegotiator(ctx, session, {.kind = EventKind::kClientEnd});
    if (session.phase != before) return;
    // Nothing can follow from the client. With a leg its last replies may be on
    // their way; without one there is nobody to wait for.
    if (!LegIsUp(session)) {
      EndPolitely(ctx, session, EndReason::kClientLeftEarly);
      return;
    }
    const bool cut_off = session.tls_up && !session.client_closed_tls;
    NoteReason(session, cut_off ? EndReason::kClientTruncated : EndReason::kClientClosed);
  }
  // Now, or when what was written last has been sent.
  if (dialogue.client_end_told && LegIsUp(session)) ArmShutdown(ctx, session, session.up);
  // The backend's last octets are sent first, so that there is room for a last word;
  // half a line of it is nothing.
  if (session.up.end_of_data && LegIsUp(session) && !dialogue.backend_end_told &&
      Flushed(session.down) && !HoldsForData(ctx, session)) {
    dialogue.backend_end_told = true;
    if (dialogue.client_end_told) {
      EndPolitely(ctx, session, EndReason::kClientClosed);
      return;
    }
    TellNegotiator(ctx, session, {.kind = EventKind::kBackendEnd, .inside_tls = session.tls_up});
  }
}

bool BrokenLeg(WorkerContext& ctx, Session& session) {
  if (session.down.recv_error != 0 || session.down.send_error != 0) {
    NoteReason(session, EndReason::kClientReset);
    if (!session.dialogue->client_end_told) {
      session.dialogue->client_end_told = true;
      TellNegotiator(ctx, session, {.kind = EventKind::kClientEnd});  // for its signals
    }
    EndNow(ctx, session, EndReason::kClientReset);
    return true;
  }
  if (LegIsUp(session) && (session.up.recv_error != 0 || session.up.send_error != 0)) {
    // What the backend said last may still be unread; a reset receive has none.
    if (session.up.recv_error == 0) {
      session.up.out.in_flight = 0;
      DropOutput(ctx, session.up);
      return false;
    }
    if (session.dialogue->all_legs) {
      CloseLeg(ctx, session);
      return true;
    }
    if (HoldsForData(ctx, session)) return false;
    const Phase before = session.phase;
    const EndReason reason = session.up.break_reason();
    NoteReason(session, reason);
    if (!session.dialogue->backend_end_told) {
      session.dialogue->backend_end_told = true;
      TellNegotiator(ctx, session, {.kind = EventKind::kBackendEnd, .inside_tls = session.tls_up});
    }
    // Whatever it made of that, the leg is gone.
    if (session.phase == before) EndPolitely(ctx, session, reason);
    return true;
  }
  return false;
}

// TLS with the server was cut off, and what came before is read as far as it goes; half a
// line of it is nothing. True: BrokenLeg has to look again.
bool WasCutOff(WorkerContext& ctx, Session& session) {
  Leg& up = session.up;
  if (!LegIsUp(session) || up.tls == nullptr || !up.tls->cut_off) return false;
  if (!Flushed(session.down) || HoldsForData(ctx, session)) return false;
  up.recv_error = kLegTlsError;
  return true;
}

}  // namespace

void StartDialogue(WorkerContext& ctx, Session& session) {
  const ListenerConfig& config = *session.listener->config;
  session.dialogue = ctx.dialogues.Make(*config.protocol, config.dialogue);
  SetPhase(ctx, session, Phase::kDialogue);
  const uint32_t backend = PlaintextBackend(session);
  TellNegotiator(ctx, session,
                 {.kind = EventKind::kStart,
                  .capabilities = session.listener->backends->Capabilities(backend),
                  .random = ctx.random ^ session.id * 0x9e3779b97f4a7c15u,
                  .client = &session.peer,
                  .local = &session.local});
}

void StartInside(WorkerContext& ctx, Session& session) {
  const ListenerConfig& config = *session.listener->config;
  session.dialogue = ctx.dialogues.Make(*config.protocol, config.dialogue);
  session.dialogue->hold = true;
}

void DropDialogue(WorkerContext& ctx, Session& session) {
  if (session.dialogue == nullptr) return;
  ReleaseBlock(ctx, session.dialogue->opened);
  ctx.dialogues.Destroy(session.dialogue);
  session.dialogue = nullptr;
}

void TellNegotiator(WorkerContext& ctx, Session& session, const Event& event) {
  if (session.dialogue->handing_over) return;  // it has said its last
  Output out;
  if (!MakeOutput(ctx, session, out)) {
    // The client does not read what it was told before; it cannot be told more.
    EndNow(ctx, session,
           event.kind == EventKind::kDeadline ? event.deadline : EndReason::kBufferLimit);
    return;
  }
  const uint32_t reply_at = session.down.out.end;
  const Step step = session.dialogue->negotiator->OnEvent(event, out);
  TakeOutput(ctx, session, out);
  Apply(ctx, session, step, reply_at);
}

bool StepDialogue(WorkerContext& ctx, Session& session) {
  if (BrokenLeg(ctx, session)) return true;
  if (session.dialogue->handing_over) return HandOver(ctx, session);
  const Phase before = session.phase;
  bool progress = true;
  bool any = session.dialogue->data_over || session.dialogue->data_answered;
  if (!TellData(ctx, session)) return false;
  if (session.phase != before) return true;
  while (progress && session.phase == before) {
    progress = false;
    if (session.leg_state == LegState::kUp && Feed(ctx, session, session.up)) progress = true;
    if (session.phase != before || session.dialogue->handing_over) return true;
    if (!TellData(ctx, session)) return false;
    if (session.phase != before) return true;
    if (!session.dialogue->hold && Feed(ctx, session, session.down)) progress = true;
    if (session.phase == before && !TellData(ctx, session)) return false;
    any = any || progress;
  }
  if (session.phase != before || session.dialogue->handing_over) return true;
  if (WasCutOff(ctx, session)) return true;
  TellEnds(ctx, session);
  return any || session.phase != before;
}

bool StepPreamble(WorkerContext& ctx, Session& session) {
  if (BrokenLeg(ctx, session)) return true;
  const Phase before = session.phase;
  while (session.phase == before && Feed(ctx, session, session.up)) {
  }
  if (session.phase != before) return true;
  if (WasCutOff(ctx, session)) return true;
  if (session.up.end_of_data && !session.dialogue->backend_end_told) {
    session.dialogue->backend_end_told = true;
    TellNegotiator(ctx, session, {.kind = EventKind::kBackendEnd, .inside_tls = true});
  }
  return session.phase != before;
}

}  // namespace starling
