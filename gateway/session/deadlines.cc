// The times of a session: which of its deadlines is next, and what happens when
// one is met. The wheel only wakes; what is due is decided here.
#include <algorithm>

#include "gateway/session/steps.h"

namespace starling {
namespace {

const ListenerLimits& Limits(const Session& session) { return session.listener->config->limits; }

bool BeforeRelay(const Session& session) {
  switch (session.phase) {
    case Phase::kProxyHeader:
    case Phase::kDataWait:
    case Phase::kDialogue:
    case Phase::kUpgrade:
    case Phase::kHandshake:
    case Phase::kOpening:
    case Phase::kPreamble:
    case Phase::kInside:
      return true;
    default:
      return false;
  }
}

// A plaintext leg is established work: it is bounded by idleness, like a relay.
bool OnPlaintextLeg(const Session& session) {
  return session.phase == Phase::kDialogue && session.plaintext_leg;
}

// So is a dialogue that reads inside TLS for good.
bool Serves(const Session& session) {
  return session.phase == Phase::kInside && session.dialogue->serving;
}

bool WaitsForGreeting(const Session& session) {
  if (session.leg_state != LegState::kUp || session.dialogue == nullptr) return false;
  return session.phase == Phase::kPreamble ||
         (session.phase == Phase::kDialogue && !session.dialogue->greeting_seen);
}

struct Due {
  MonoTime at = kNever;
  EndReason reason = EndReason::kNone;
};

// When all that comes before relaying began. A client that upgrades after work in plaintext
// has been served already: each of the few phases that are left has the time once more.
MonoTime BeganAt(const Session& session) {
  return session.plaintext_leg ? session.phase_at : session.accepted_at;
}
MonoTime FirstCommandDue(const Session& session) {
  return After(BeganAt(session), Limits(session).pre_relay_ms);
}

MonoTime CommandAt(const Session& session) {
  return session.dialogue == nullptr ? kNever : session.dialogue->command_at;
}

// A client that has given a command may take its time, as long as there are places for
// others. However many commands it gives, the time in all is bounded.
bool MayTakeItsTime(const Session& session) {
  return BeforeRelay(session) && !OnPlaintextLeg(session) && !Serves(session) &&
         CommandAt(session) != kNever;
}

// What the session waits for is the client's next command. The handshake, the connect and
// the server's greeting have times of their own, and the client has nothing to say then.
bool AwaitsCommand(const Session& session) {
  return (session.phase == Phase::kDialogue || session.phase == Phase::kInside) &&
         !session.dialogue->hold;
}

Due PreRelay(const WorkerContext& ctx, const Session& session) {
  if (!BeforeRelay(session) || OnPlaintextLeg(session) || Serves(session)) return {};
  const MonoTime first = FirstCommandDue(session);
  if (!MayTakeItsTime(session)) return {first, EndReason::kPreRelayDeadline};
  if (ctx.Crowded() && ctx.now >= first) return {first, EndReason::kPreRelayCrowded};
  const ListenerLimits& limits = Limits(session);
  const MonoTime total = After(BeganAt(session), limits.pre_relay_total_ms);
  if (!AwaitsCommand(session)) return {total, EndReason::kPreRelayTotal};
  const MonoTime silent_since = std::max(CommandAt(session), session.phase_at);
  const MonoTime silence = After(silent_since, limits.pre_relay_silence_ms);
  if (total <= silence) return {total, EndReason::kPreRelayTotal};
  return {silence, EndReason::kPreRelaySilence};
}

// From then on the session is in the list of those that a crowded table ends; until then
// the timer must know of that moment.
MonoTime OvertimeFrom(const WorkerContext& ctx, const Session& session) {
  if (!MayTakeItsTime(session)) return kNever;
  const MonoTime first = FirstCommandDue(session);
  return ctx.now < first ? first : kNever;
}

MonoTime PatienceDue(const Session& session) {
  const bool reads = session.phase == Phase::kDialogue || session.phase == Phase::kInside;
  if (!reads || OnPlaintextLeg(session) || Serves(session)) return kNever;
  return session.dialogue->patience_at;
}

MonoTime ProxyHeaderDue(const Session& session) {
  if (session.phase != Phase::kProxyHeader) return kNever;
  return After(session.accepted_at, Limits(session).proxy_header_ms);
}

MonoTime HandshakeDue(const Session& session) {
  if (session.phase != Phase::kHandshake || session.tls_at == kNever) return kNever;
  return After(session.tls_at, Limits(session).handshake_ms);
}

// Whether StepLeg runs and acts on the leg's times. In other phases the leg is only
// being closed, and a time in the past would keep the worker from ever waiting.
bool StepsLeg(const Session& session) {
  return session.phase == Phase::kDialogue || session.phase == Phase::kOpening;
}

MonoTime ConnectDue(const Session& session) {
  if (!StepsLeg(session)) return kNever;
  if (session.leg_state != LegState::kConnecting && session.leg_state != LegState::kRetryWait &&
      session.leg_state != LegState::kTlsHandshake) {
    return kNever;
  }
  if ((session.up.in_flight & kOpCancel) != 0) return kNever;  // met, and under way
  return After(session.leg_at, Limits(session).connect_ms);
}

MonoTime RetryDue(const Session& session) {
  return StepsLeg(session) && session.leg_state == LegState::kRetryWait ? session.retry_at : kNever;
}

MonoTime GreetingDue(const Session& session) {
  if (!WaitsForGreeting(session)) return kNever;
  const ListenerLimits& limits = Limits(session);
  // One of many that are sent one message each, and have nothing to say to it.
  if (OpensAllLegs(session)) return After(session.leg_at, limits.connect_ms);
  return After(session.leg_at, limits.greeting_ms);
}

MonoTime RecordDue(const Session& session) {
  const bool opens = session.phase == Phase::kRelay || session.phase == Phase::kInside;
  if (!opens || session.record_at == kNever) return kNever;
  return After(session.record_at, Limits(session).record_ms);
}

MonoTime IdleDue(const Session& session) {
  if (session.phase != Phase::kRelay && !OnPlaintextLeg(session) && !Serves(session)) {
    return kNever;
  }
  // Its data channel has an idle time of its own.
  const Dialogue* dialogue = session.dialogue;
  if (dialogue != nullptr && dialogue->data_generation != 0 && !dialogue->data_kept) return kNever;
  const ListenerLimits& limits = Limits(session);
  const bool half_closed = session.reason != EndReason::kNone;
  uint32_t ms = limits.idle_ms;
  // What was sent last to a slow client of a data channel is not there yet, so that one has
  // the time of all that is idle, where there is such a limit.
  const bool shorter = session.data == nullptr && limits.half_close_ms < ms;
  if (half_closed && (ms == 0 || shorter)) ms = limits.half_close_ms;
  return ms == 0 ? kNever : After(session.active_at, ms);
}

MonoTime SentWholeDue(const Session& session) {
  return IsSentWhole(session) ? After(session.active_at, Limits(session).linger_ms) : kNever;
}

MonoTime LingerDue(const Session& session) {
  if (session.phase != Phase::kLinger && session.phase != Phase::kLastWords) return kNever;
  return After(session.phase_at, Limits(session).linger_ms);
}

// Who says nothing at all on a port of implicit TLS mostly waits for a greeting.
bool WaitsForWords(const Session& session) {
  const ProtocolRow& protocol = *session.listener->config->protocol;
  return session.phase == Phase::kHandshake && session.tls_at == kNever && !session.upgraded &&
         protocol.server_first && protocol.refuse != nullptr;
}

// The server's answer is late, and not a word of the client's.
bool WaitsForServer(const Session& session) {
  return session.phase == Phase::kOpening || session.phase == Phase::kPreamble ||
         (session.phase == Phase::kDialogue && session.dialogue->hold);
}

// `told`: where a dialogue speaks for the client's protocol.
void EndByDeadline(WorkerContext& ctx, Session& session, EndReason reason, EventKind told) {
  NoteReason(session, reason);
  if (session.data != nullptr) return EndNow(ctx, session, reason);
  if (InDialogue(session)) {
    TellNegotiator(ctx, session, {.kind = told, .inside_tls = session.tls_up, .deadline = reason});
  } else if (session.tls_up) {
    Refuse(ctx, session, Refusal::kUnavailable, reason);  // it waits for its server
  } else if (WaitsForWords(session)) {
    Refuse(ctx, session, Refusal::kTlsExpected, reason);
  } else {
    EndNow(ctx, session, reason);
  }
  // A dialogue that had no last words.
  if (InDialogue(session)) EndPolitely(ctx, session, reason);
}

void EndPreRelay(WorkerContext& ctx, Session& session, EndReason reason) {
  const bool for_server = WaitsForServer(session);
  EndByDeadline(ctx, session, reason,
                for_server ? EventKind::kGreetingDeadline : EventKind::kDeadline);
}

// The dialogue knows what the client waits for, and gives the reason.
void EndPatience(WorkerContext& ctx, Session& session) {
  session.dialogue->patience_at = kNever;
  TellNegotiator(ctx, session, {.kind = EventKind::kPatienceOver, .inside_tls = session.tls_up});
}

}  // namespace

MonoTime NextDeadline(const WorkerContext& ctx, const Session& session) {
  return std::min({PreRelay(ctx, session).at, OvertimeFrom(ctx, session), PatienceDue(session),
                   ProxyHeaderDue(session), HandshakeDue(session), ConnectDue(session),
                   GreetingDue(session), RecordDue(session), IdleDue(session), LingerDue(session),
                   RetryDue(session), SentWholeDue(session)});
}

void CheckDeadlines(WorkerContext& ctx, Session& session) {
  const MonoTime now = ctx.now;
  if (now >= ProxyHeaderDue(session)) {
    EndNow(ctx, session, EndReason::kProxyHeaderDeadline);
  } else if (now >= HandshakeDue(session)) {
    CountFailure(ctx, session, TlsFailure::kTimeout);
    EndNow(ctx, session, EndReason::kHandshakeDeadline);
  } else if (now >= GreetingDue(session)) {
    if (OpensAllLegs(session)) {
      CloseLeg(ctx, session);  // the other servers have their turn
    } else {
      EndByDeadline(ctx, session, EndReason::kGreetingDeadline, EventKind::kGreetingDeadline);
    }
  } else if (const Due due = PreRelay(ctx, session); now >= due.at) {
    EndPreRelay(ctx, session, due.reason);
  } else if (now >= PatienceDue(session)) {
    EndPatience(ctx, session);
  } else if (now >= ConnectDue(session)) {
    // The step of the leg goes on when the cancelled connect has completed.
    if ((session.up.in_flight & kOpOpen) != 0) ArmCancel(ctx, session, session.up);
    if (session.leg_state == LegState::kRetryWait) session.retry_at = now;
  } else if (now >= SentWholeDue(session)) {
    TellSentWhole(ctx, session);
  } else if (now >= RecordDue(session)) {
    EndNow(ctx, session, EndReason::kRecordDeadline);
  } else if (now >= IdleDue(session)) {
    // Half closed: the reason is already there. Otherwise a protocol's own words
    // could be taken for the server's in the middle of a reply: close_notify only.
    if (session.phase == Phase::kDialogue || session.phase == Phase::kInside) {
      EndByDeadline(ctx, session, EndReason::kIdleDeadline, EventKind::kDeadline);
    } else {
      EndPolitely(ctx, session, EndReason::kIdleDeadline);
    }
  } else if (now >= LingerDue(session)) {
    EndNow(ctx, session, session.reason);
  }
}

void NoteOvertime(WorkerContext& ctx, Session& session) {
  const bool listed = session.overtime_place != 0;
  if (!MayTakeItsTime(session) || ctx.now < FirstCommandDue(session)) {
    LeaveOvertime(ctx, session);
  } else if (!listed) {
    ctx.overtime.push_back(session.slot);
    session.overtime_place = static_cast<uint32_t>(ctx.overtime.size());
  }
}

void LeaveOvertime(WorkerContext& ctx, Session& session) {
  if (session.overtime_place == 0) return;
  // The last one takes its place.
  const uint32_t last = ctx.overtime.back();
  ctx.overtime[session.overtime_place - 1] = last;
  ctx.table.At(last).overtime_place = session.overtime_place;
  ctx.overtime.pop_back();
  session.overtime_place = 0;
}

}  // namespace starling
