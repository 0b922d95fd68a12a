#include "gateway/session/negotiation.h"

#include <cassert>
#include <utility>

#include "gateway/session/data_channel.h"
#include "gateway/session/inside_tls.h"
#include "gateway/session/leg_io.h"
#include "gateway/session/link.h"
#include "gateway/session/report.h"
#include "gateway/session/say.h"

namespace starling {
namespace {

// Larger than any reply of a negotiator, smaller than a TLS record.
constexpr size_t kEventRoom = 4096;

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
  if (session.link_up()) {
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
  if (session.link_up()) Produced(session.up, out.backend.size());
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

void SetPatience(WorkerContext& ctx, Session& session, const Step& step) {
  MonoTime& due = session.dialogue->patience_at;
  if (step.verdict == Verdict::kUpgrade || step.patience == Patience::kUsual) {
    due = kNever;
  } else if (step.patience == Patience::kShort) {
    due = After(ctx.now, session.listener->config->limits.patience_ms);
  }
}

// A plaintext leg is asked for; Talking is the only stage that can have one.
Next OpenPlaintextLink(WorkerContext& ctx, Session& session) {
  if (IdOf(session.link) == LinkId::kNone) {
    StartLink(ctx, session, PlaintextBackend(session));
  } else {
    std::get<Talking>(session.stage).wants_link = true;
  }
  return Again();
}

Next OpenAllLinks(WorkerContext& ctx, Session& session) {
  assert(IdOf(session.stage) == StageId::kTalking);
  session.target.all_servers = true;
  StartLink(ctx, session, session.listener->config->backend);
  return Again();
}

// What a verdict wants, in the stage that the session is in.
Next ApplyVerdict(WorkerContext& ctx, Session& session, const Step& step, uint32_t reply_at) {
  bool& hold = session.dialogue->hold;
  switch (step.verdict) {
    case Verdict::kContinue:
      hold = false;
      return Stay();
    case Verdict::kHold:
      hold = true;
      return Stay();
    case Verdict::kOpenLeg:
      hold = true;
      return OpenPlaintextLink(ctx, session);
    case Verdict::kOpenAllLegs:
      hold = true;
      return OpenAllLinks(ctx, session);
    case Verdict::kCloseLeg:
      hold = false;
      assert(IdOf(session.stage) == StageId::kTalking);
      CloseLink(ctx, session);
      return Again();
    case Verdict::kUpgrade:
      return Enter(StageId::kUpgrading, reply_at);
    case Verdict::kRelay:
      return HandOver(ctx, session);
    case Verdict::kReadInside:
      return Enter(StageId::kInside);
    case Verdict::kClose:
      session.reply = step.reply;
      // A client that began with TLS understands nothing else.
      if (step.reason == EndReason::kTlsOnPlainPort) SayAlert(ctx, session, kUnexpectedMessage);
      return EndPolitely(step.reason);
  }
  return Stay();
}

Next ApplyStep(WorkerContext& ctx, Session& session, const Step& step, uint32_t reply_at) {
  Dialogue& dialogue = *session.dialogue;
  CountNotes(ctx, session, step);
  if (step.established && !dialogue.serving) {
    dialogue.serving = true;
    session.active_at = ctx.now;
    LogEstablished(ctx, session);
  }
  if (step.understood) dialogue.command_at = ctx.now;
  SetPatience(ctx, session, step);
  if (step.data != DataAsk::kNone) ServeDataAsk(ctx, session, step);
  return ApplyVerdict(ctx, session, step, reply_at);
}

template <typename ConsumeFn>
Next Feed(WorkerContext& ctx, Session& session, ByteView in, bool of_client, ConsumeFn consume) {
  Output out;
  if (!MakeOutput(ctx, session, out)) return Stay();
  const uint32_t reply_at = session.down.out.end;
  Negotiator& negotiator = *session.dialogue->negotiator;
  const Step step = of_client ? negotiator.OnClient(in, out) : negotiator.OnBackend(in, out);
  assert(step.consumed <= in.size());
  consume(step.consumed);
  TakeOutput(ctx, session, out);
  const bool said = out.client.size() > 0 || out.backend.size() > 0;
  // The greeting is over when the negotiator makes something of it, or has something
  // to say to the server; a backend that dribbles one is still to meet its deadline.
  if (out.backend.size() > 0 || (!of_client && out.client.size() > 0)) {
    session.dialogue->greeting_seen = true;
  }
  const Next next = ApplyStep(ctx, session, step, reply_at);
  if (next.decided()) return next;
  return step.consumed > 0 || said ? Again() : Stay();
}

}  // namespace

uint32_t PlaintextBackend(const Session& session) {
  const ListenerConfig& config = *session.listener->config;
  return config.plaintext_backend >= 0 ? static_cast<uint32_t>(config.plaintext_backend)
                                       : config.backend;
}

Next Tell(WorkerContext& ctx, Session& session, const Event& event) {
  const auto* const inside = std::get_if<Inside>(&session.stage);
  if (inside != nullptr && inside->handing_over) return Stay();  // it has said its last
  Output out;
  if (!MakeOutput(ctx, session, out)) {
    // The client does not read what it was told before; it cannot be told more.
    return EndNow(event.kind == EventKind::kDeadline ? event.deadline : EndReason::kBufferLimit);
  }
  const uint32_t reply_at = session.down.out.end;
  const Step step = session.dialogue->negotiator->OnEvent(event, out);
  TakeOutput(ctx, session, out);
  return ApplyStep(ctx, session, step, reply_at);
}

Next FeedServer(WorkerContext& ctx, Session& session) {
  const ByteView in = Input(ctx, session.up);
  if (in.empty()) return Stay();
  return Feed(ctx, session, in, /*of_client=*/false,
              [&](size_t octets) { Consume(ctx, session.up, octets); });
}

Next FeedClient(WorkerContext& ctx, Session& session, ByteView client) {
  if (client.empty()) return Stay();
  const bool inside = IdOf(session.stage) == StageId::kInside;
  return Feed(ctx, session, client, /*of_client=*/true, [&](size_t octets) {
    inside ? ConsumeOpened(ctx, session, octets) : Consume(ctx, session.down, octets);
  });
}

Next TellDataNews(WorkerContext& ctx, Session& session, bool& waits) {
  Dialogue& dialogue = *session.dialogue;
  const bool answered = dialogue.data_answer != Dialogue::DataAnswer::kNone;
  if (!answered && dialogue.data_over.kind == DataLetter::Kind::kNone) return Stay();
  Output out;
  waits = !MakeOutput(ctx, session, out);
  if (waits) return Stay();
  DataNews news;
  if (answered) {
    const auto answer = std::exchange(dialogue.data_answer, Dialogue::DataAnswer::kNone);
    news.ready_at = answer == Dialogue::DataAnswer::kReady ? &dialogue.data_ready_at : nullptr;
  } else {
    news.outcome = std::exchange(dialogue.data_over, {}).outcome;
  }
  const Step step = dialogue.negotiator->OnData(news, out);
  TakeOutput(ctx, session, out);
  const Next next = ApplyStep(ctx, session, step, session.down.out.end);
  return next.decided() ? next : Again();
}

Next TellDeadline(WorkerContext& ctx, Session& session, EndReason reason, EventKind told) {
  NoteReason(session, reason);
  const Next next =
      Tell(ctx, session, {.kind = told, .inside_tls = session.tls_up, .deadline = reason});
  return next.leaves() ? next : EndPolitely(reason);
}

Next TellPatienceOver(WorkerContext& ctx, Session& session) {
  session.dialogue->patience_at = kNever;
  return Tell(ctx, session, {.kind = EventKind::kPatienceOver, .inside_tls = session.tls_up});
}

}  // namespace starling
