// The point of upgrade (RFC 3207 section 4.2, RFC 2595, RFC 5804 section 2.2 and
// CVE-2011-0411): nothing may follow the command, the go-ahead is sent whole, and
// only then TLS begins with every parser and buffer wiped.
#include <cstring>

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

bool StepUpgrade(WorkerContext& ctx, Session& session) {
  Leg& down = session.down;
  Dialogue& dialogue = *session.dialogue;
  if (down.recv_error != 0 || down.send_error != 0) {
    EndNow(ctx, session, EndReason::kClientReset);
    return true;
  }
  if (!dialogue.go_ahead_begun) {
    if (dialogue.stray_octet || !Input(ctx, down).empty()) {
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
