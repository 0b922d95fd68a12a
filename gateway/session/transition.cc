#include "gateway/session/transition.h"

#include <cassert>

#include "gateway/session/admission.h"
#include "gateway/session/data_channel.h"
#include "gateway/session/due.h"
#include "gateway/session/link.h"
#include "gateway/session/pregreet.h"
#include "gateway/session/report.h"
#include "gateway/session/say.h"

namespace starling {
namespace {

// --- what a session has for some stages only ---

void DropDialogue(WorkerContext& ctx, Session& session) {
  if (session.dialogue == nullptr) return;
  ctx.dialogues.Destroy(session.dialogue);
  session.dialogue = nullptr;
}

void MakeDialogue(WorkerContext& ctx, Session& session) {
  assert(session.dialogue == nullptr);
  const ListenerConfig& config = *session.listener->config;
  session.dialogue = ctx.dialogues.Make(*config.protocol, config.dialogue);
}

// --- one entry for each stage ---

Stage EnterTalking(WorkerContext& ctx, Session& session) {
  MakeDialogue(ctx, session);
  return Talking{.held = DelaysGreeting(ctx, session)};
}

Stage EnterUpgrading(WorkerContext& ctx, Session& session, const Next& next) {
  // What the plaintext server may still say is dropped with its link.
  CloseLink(ctx, session);
  return Upgrading{.go_ahead_at = next.value,
                   .space_left = session.listener->config->protocol->space_after_upgrade};
}

Stage EnterHandshaking(WorkerContext& ctx, Session& session, const Next& next) {
  if (const auto* const upgrading = std::get_if<Upgrading>(&session.stage)) {
    // The gateway's own parser and buffers held plaintext; none of it is carried over.
    session.client.DropInput(ctx);
    session.dialogue->hold = true;
    ctx.shard->Add(Family::kUpgrades, session.listener->id);
    return Handshaking{
        .tls_at = ctx.now, .start = TlsStart::kUpgraded, .space_left = upgrading->space_left};
  }
  DropDialogue(ctx, session);
  return Handshaking{.start = static_cast<TlsStart>(next.value)};
}

Stage EnterOpening(WorkerContext& ctx, Session& session) {
  if (session.data == nullptr) StartLink(ctx, session, session.listener->config->backend);
  return Opening{};
}

Stage EnterGreeting(WorkerContext& ctx, Session& session) {
  if (session.dialogue == nullptr) {
    MakeDialogue(ctx, session);
    session.dialogue->hold = true;
  }
  return Greeting{};
}

Stage EnterRelaying(WorkerContext& ctx, Session& session) {
  DropDialogue(ctx, session);
  session.active_at = ctx.now;
  LogEstablished(ctx, session);
  return Relaying{};
}

Stage EnterLastWords(WorkerContext& ctx, Session& session) {
  SayCloseNotify(ctx, session, IdOf(session.stage) == StageId::kRelaying);
  DropDialogue(ctx, session);
  CloseServerSide(ctx, session);
  return LastWords{};
}

Stage EnterLingering(WorkerContext& ctx, Session& session) {
  const auto* const relaying = std::get_if<Relaying>(&session.stage);
  CloseServerSide(ctx, session);
  return Lingering{.discarded = relaying == nullptr ? 0 : relaying->discarded};
}

Stage EnterClosing(WorkerContext& ctx, Session& session) {
  DropDialogue(ctx, session);
  session.client.DropInput(ctx);
  session.server.DropInput(ctx);
  if (session.data == nullptr || !session.data->kept()) CloseLink(ctx, session);
  return Closing{};
}

Stage Build(WorkerContext& ctx, Session& session, StageId stage, const Next& next) {
  switch (stage) {
    case StageId::kFree:
    case StageId::kCount:
      break;
    case StageId::kProxyHeader:
      return ProxyHeader{};
    case StageId::kDataWait:
      return DataWait{};
    case StageId::kTalking:
      return EnterTalking(ctx, session);
    case StageId::kUpgrading:
      return EnterUpgrading(ctx, session, next);
    case StageId::kHandshaking:
      return EnterHandshaking(ctx, session, next);
    case StageId::kOpening:
      return EnterOpening(ctx, session);
    case StageId::kGreeting:
      return EnterGreeting(ctx, session);
    case StageId::kInside:
      session.dialogue->hold = false;
      return Inside{};
    case StageId::kRelaying:
      return EnterRelaying(ctx, session);
    case StageId::kLastWords:
      return EnterLastWords(ctx, session);
    case StageId::kLingering:
      return EnterLingering(ctx, session);
    case StageId::kClosing:
      return EnterClosing(ctx, session);
  }
  assert(false);
  return Free{};
}

// An upload or download that ended early must look like that to its client: a close_notify
// would say that the file is whole.
bool IsCutShort(const Session& session) { return session.data != nullptr && session.tls_up(); }

StageId TargetOf(const Session& session, const Next& next) {
  if (next.kind == Next::Kind::kEnter) return next.stage;
  return next.polite && !IsCutShort(session) ? StageId::kLastWords : StageId::kClosing;
}

// What the stage that is left guarantees.
void CheckExit([[maybe_unused]] const Session& session, [[maybe_unused]] StageId entered) {
  switch (IdOf(session.stage)) {
    case StageId::kTalking:
    case StageId::kGreeting:
    case StageId::kInside:
      assert(session.dialogue != nullptr);
      return;
    case StageId::kUpgrading:
      // Nothing of the client waits behind the go-ahead, which is sent whole.
      assert(entered != StageId::kHandshaking ||
             (std::get<Upgrading>(session.stage).peek == Peek::kClean && session.client.flushed() &&
              session.client.in.empty()));
      return;
    case StageId::kHandshaking:
      assert(IsOver(entered) || session.tls_up());
      return;
    case StageId::kOpening:
      assert(IsOver(entered) || session.link_up());
      return;
    case StageId::kFree:
    case StageId::kProxyHeader:
    case StageId::kDataWait:
    case StageId::kRelaying:
    case StageId::kLastWords:
    case StageId::kLingering:
      return;
    case StageId::kClosing:
    case StageId::kCount:
      assert(false && "nothing follows Closing");
  }
}

// What the stage that was entered assumes.
void CheckEntry([[maybe_unused]] const Session& session) {
  CheckPair(IdOf(session.stage), IdOf(session.link), session.data != nullptr);
  switch (IdOf(session.stage)) {
    case StageId::kFree:
    case StageId::kCount:
      assert(false && "only the table frees a slot");
      return;
    case StageId::kProxyHeader:
    case StageId::kDataWait:
      assert(session.dialogue == nullptr && session.client.tls == nullptr);
      return;
    case StageId::kTalking:
    case StageId::kUpgrading:
      assert(session.dialogue != nullptr && session.client.tls == nullptr);
      return;
    case StageId::kHandshaking:
      assert(session.client.tls == nullptr);
      return;
    case StageId::kOpening:
      assert(session.tls_up() || session.data != nullptr);
      return;
    case StageId::kGreeting:
    case StageId::kInside:
      assert(session.dialogue != nullptr && session.tls_up());
      return;
    case StageId::kRelaying:
    case StageId::kLastWords:
    case StageId::kClosing:
      assert(session.dialogue == nullptr);
      return;
    case StageId::kLingering:
      assert(session.dialogue == nullptr && session.client.flushed());
  }
}

void CountPhase(WorkerContext& ctx, const Session& session, SessionPhase phase, int64_t change) {
  ctx.shard->Add(Family::kSessions, session.listener->id, static_cast<size_t>(phase), 0, change);
}

}  // namespace

void Apply(WorkerContext& ctx, Session& session, const Next& next) {
  assert(next.leaves() && next.kind != Next::Kind::kGone);
  const StageId left = IdOf(session.stage);
  const StageId entered = TargetOf(session, next);
  if (next.kind == Next::Kind::kEnd) NoteReason(session, next.reason);
  CheckExit(session, entered);
  if (left == StageId::kHandshaking) LeaveAdmission(ctx, session);
  // Data channels hear of an end while its session still stands where it ended.
  if (IsOver(entered)) EndData(ctx, session);
  session.stage = Build(ctx, session, entered, next);
  session.stage_at = ctx.now;
  CheckEntry(session);
  if (PhaseOf(left) == PhaseOf(entered)) return;
  CountPhase(ctx, session, PhaseOf(left), -1);
  CountPhase(ctx, session, PhaseOf(entered), 1);
}

}  // namespace starling
