#include "gateway/session/negotiation.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "gateway/session/data_channel.h"
#include "gateway/session/link.h"
#include "gateway/session/report.h"
#include "gateway/session/say.h"

namespace starling {
namespace {

// Gives a side's writer its room: in the side's output, or where TLS is up in `scratch`,
// from which it is sealed. What is said to a side that takes no more is lost.
bool MakeWriter(WorkerContext& ctx, Side& side, std::span<uint8_t> scratch, size_t wanted,
                Writer& writer) {
  std::span<uint8_t> room = scratch;
  if (!side.send_failed()) {
    room = side.secure() ? scratch.first(std::min(side.WriteRoom(ctx, wanted), scratch.size()))
                         : side.OutRoom(ctx, wanted);
  }
  writer = Writer(room);
  return !room.empty();
}

// Gives both writers their room. False: no room now. A send must complete first, or another
// session return a block.
bool MakeOutput(WorkerContext& ctx, Session& session, Output& out) {
  static_assert(kClientScratch >= kMinOutputRoom);
  const std::span<uint8_t> scratch(ctx.scratch);
  const std::span<uint8_t> for_client = scratch.first(kClientScratch);
  const std::span<uint8_t> for_server = scratch.subspan(kClientScratch);
  const size_t wanted = session.tls_up() ? kClientScratch : kMinOutputRoom;
  bool room = MakeWriter(ctx, session.client, for_client, wanted, out.client);
  if (room && session.link_up()) {
    room = MakeWriter(ctx, session.server, for_server, kMinOutputRoom, out.backend);
  } else {
    out.backend = Writer(for_server);
  }
  if (room) return true;
  // When blocks are short, a session must not keep an empty one.
  ReleaseIfEmpty(ctx, session.client.out);
  ReleaseIfEmpty(ctx, session.server.out);
  return false;
}

void TakeWritten(WorkerContext& ctx, Side& side, const Writer& writer) {
  if (side.send_failed()) return;
  if (side.secure()) {
    (void)side.Write(ctx, writer.written());  // what breaks here is in the side's state
  } else {
    side.out.Append(writer.size());
  }
  ReleaseIfEmpty(ctx, side.out);
}

// Decided: what was said to the client could not be sealed, and the session ends.
Next TakeOutput(WorkerContext& ctx, Session& session, const Output& out) {
  TakeWritten(ctx, session.client, out.client);
  if (session.link_up()) TakeWritten(ctx, session.server, out.backend);
  return CheckSealing(session);
}

void CountNotes(WorkerContext& ctx, Session& session, const Step& step) {
  const ListenerId id = session.listener->id;
  const bool is_check = LooksLikeCheck(session);
  for (size_t i = 0; i < kSignalCount; ++i) {
    if (!is_check && (step.signals >> i & 1u) != 0) ctx.shard->Add(Family::kSignals, id, i);
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
      // A client whose message goes to all servers has nothing more to say, and may leave.
      hold = session.target.all_servers;
      assert(IdOf(session.stage) == StageId::kTalking);
      CloseLink(ctx, session);
      return Again();
    case Verdict::kUpgrade:
      return Enter(StageId::kUpgrading, reply_at);
    case Verdict::kRelay:
      // What it has left unread goes to the server.
      return Enter(StageId::kRelaying);
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
  if (dialogue.data_channels != nullptr) {
    const DataRequest request = dialogue.data_channels->TakeDataRequest();
    if (request.ask != DataAsk::kNone) ServeDataRequest(ctx, session, request);
  }
  return ApplyVerdict(ctx, session, step, reply_at);
}

// One call with octets of `side`.
Next Feed(WorkerContext& ctx, Session& session, Side& side, ByteView in) {
  if (in.empty()) return Stay();
  const bool of_client = IsClient(session, side);
  Output out;
  if (!MakeOutput(ctx, session, out)) return Stay();
  const uint32_t reply_at = session.client.out.end;
  Dialogue& dialogue = *session.dialogue;
  Negotiator& negotiator = *dialogue.negotiator;
  dialogue.check.Enter(in);
  const Step step = of_client ? negotiator.OnClient(in, out) : negotiator.OnBackend(in, out);
  dialogue.check.Leave(step, in.size(), out);
  side.Consume(ctx, step.consumed);
  if (const Next next = TakeOutput(ctx, session, out); next.decided()) return next;
  const bool said = out.client.size() > 0 || out.backend.size() > 0;
  // The greeting is over when the negotiator makes something of it, or has something
  // to say to the server; a backend that dribbles one is still to meet its deadline.
  Dialogue::ServerTalk& talk = dialogue.server_talk;
  if (talk == Dialogue::ServerTalk::kSilent &&
      (out.backend.size() > 0 || (!of_client && out.client.size() > 0))) {
    talk = Dialogue::ServerTalk::kGreeted;
  }
  if (!of_client && step.reason == EndReason::kBackendProtocol) SuspectServer(session);
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
  Output out;
  if (!MakeOutput(ctx, session, out)) {
    // The client does not read what it was told before; it cannot be told more.
    return EndNow(event.kind == EventKind::kDeadline ? event.deadline : EndReason::kBufferLimit);
  }
  const uint32_t reply_at = session.client.out.end;
  Dialogue& dialogue = *session.dialogue;
  dialogue.check.Enter(event);
  const Step step = dialogue.negotiator->OnEvent(event, out);
  dialogue.check.Leave(step, 0, out);
  if (const Next next = TakeOutput(ctx, session, out); next.decided()) return next;
  return ApplyStep(ctx, session, step, reply_at);
}

Next FeedServer(WorkerContext& ctx, Session& session) {
  return Feed(ctx, session, session.server, session.server.Input(ctx));
}

Next FeedClient(WorkerContext& ctx, Session& session) {
  return Feed(ctx, session, session.client, session.client.Input(ctx));
}

Next TellDataNews(WorkerContext& ctx, Session& session, bool& waits) {
  Dialogue& dialogue = *session.dialogue;
  waits = !AnswerDataRequest(ctx, session);
  if (waits) return Stay();
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
  dialogue.check.Enter();
  const Step step = dialogue.data_channels->OnData(news, out);
  dialogue.check.Leave(step, 0, out);
  if (const Next unsealed = TakeOutput(ctx, session, out); unsealed.decided()) return unsealed;
  const Next next = ApplyStep(ctx, session, step, session.client.out.end);
  return next.decided() ? next : Again();
}

Next TellDeadline(WorkerContext& ctx, Session& session, EndReason reason, EventKind told) {
  NoteReason(session, reason);
  const Next next =
      Tell(ctx, session, {.kind = told, .inside_tls = session.tls_up(), .deadline = reason});
  return next.leaves() ? next : EndPolitely(reason);
}

Next TellPatienceOver(WorkerContext& ctx, Session& session) {
  session.dialogue->patience_at = kNever;
  return Tell(ctx, session, {.kind = EventKind::kPatienceOver, .inside_tls = session.tls_up()});
}

}  // namespace starling
