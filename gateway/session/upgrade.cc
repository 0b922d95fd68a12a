// The point of upgrade (RFC 3207 section 4.2, RFC 2595, RFC 5804 section 2.2 and
// CVE-2011-0411): nothing may follow the command, the go-ahead is sent whole, and
// only then TLS begins with every parser and buffer wiped. A protocol's row may let some
// white space follow, which is dropped here.
#include <algorithm>
#include <string_view>

#include "gateway/session/steps.h"

namespace starling {
namespace {

// The go-ahead has not been sent and will not be; earlier replies still may be.
void DropGoAhead(WorkerContext& ctx, Session& session) {
  Block& out = session.down.out;
  if (!out.empty() && session.dialogue->go_ahead_at >= out.begin + out.in_flight) {
    out.end = session.dialogue->go_ahead_at;
    ReleaseIfEmpty(ctx, out);
  }
}

void RefuseInjection(WorkerContext& ctx, Session& session) {
  DropGoAhead(ctx, session);
  CountAttack(ctx, session, Attack::kPlaintextInjection);
  EndPolitely(ctx, session, EndReason::kPlaintextInjection);
}

// Whether anything follows the command that may not. An octet that was seen to wait is
// judged when it has been received.
bool IsInjection(WorkerContext& ctx, Session& session) {
  SkipSpace(ctx, session);
  return !Input(ctx, session.down).empty() ||
         (session.dialogue->stray_octet && session.space_left == 0);
}

void BeginTls(WorkerContext& ctx, Session& session) {
  ctx.shard->Add(Family::kUpgrades, session.listener->id);
  session.upgraded = true;
  session.tls_at = ctx.now;
  TellNegotiator(ctx, session, {.kind = EventKind::kUpgraded});
  if (session.phase != Phase::kUpgrade) return;
  // The receive blocks of the dialogue held plaintext; none is carried over.
  DropInput(ctx, session.down);
  session.dialogue->hold = true;
  SetPhase(ctx, session, Phase::kHandshake);
}

}  // namespace

void SkipSpace(WorkerContext& ctx, Session& session) {
  const ByteView in = Input(ctx, session.down);
  if (in.empty() || session.space_left == 0) return;
  const size_t most = std::min<size_t>(in.size(), session.space_left);
  const std::string_view may_be_space = AsText(in.first(most));
  const size_t count = std::min(may_be_space.find_first_not_of(" \t\r\n"), most);
  session.space_left -= static_cast<uint8_t>(count);
  Consume(ctx, session.down, count);
  if (session.phase == Phase::kUpgrade) session.dialogue->stray_octet = false;
}

bool StepUpgrade(WorkerContext& ctx, Session& session) {
  Leg& down = session.down;
  Dialogue& dialogue = *session.dialogue;
  if (down.recv_error != 0 || down.send_error != 0) {
    EndNow(ctx, session, EndReason::kClientReset);
    return true;
  }
  if (!dialogue.go_ahead_begun) {
    if (IsInjection(ctx, session)) {
      RefuseInjection(ctx, session);
      return true;
    }
    if (down.end_of_data) {
      DropGoAhead(ctx, session);
      EndPolitely(ctx, session, EndReason::kClientLeftEarly);
      return true;
    }
    if (session.leg_state != LegState::kNone) {
      // What the plaintext leg may still say is dropped with it.
      CloseLeg(ctx, session);
      if (session.leg_state != LegState::kNone) return false;
    }
    if (dialogue.stray_octet) {
      // It may be white space. What waits is received at once.
      ArmRecv(ctx, session, down);
      return false;
    }
    if ((down.in_flight & kOpRecv) != 0) {
      ArmCancel(ctx, session, down);
      return false;
    }
    if ((down.in_flight & (kOpCancel | kOpPeek)) == 0) {
      down.in_flight |= kOpPeek;
      ctx.ring->Peek(down.fd, Tag{Op::kDownPeek, session.slot, session.generation});
    }
    return false;
  }
  // The peek was clean and the go-ahead is on its way.
  if (!Flushed(down)) return false;
  BeginTls(ctx, session);
  return true;
}

}  // namespace starling
