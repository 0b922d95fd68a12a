#include "protocols/frames/relayed_dialogue.h"

namespace starling {

Step RelayedDialogue::OnClient(ByteView in, Output& out) {
  Step step;
  if (phase_ != Phase::kPlain) {
    step.verdict = Verdict::kHold;
  } else {
    Read(in, step, out.client);
  }
  return step;
}

// No leg is open before the relay, so nothing can come from one.
Step RelayedDialogue::OnBackend(ByteView in, Output& out) {
  Step step;
  step.consumed = in.size();
  SayRefusal(Refusal::kUnavailable, out.client);
  CloseMisplaced(step, Awaited::kNothing, Misplaced::kOctets);
  return step;
}

Step RelayedDialogue::OnEvent(const Event& event, Output& out) {
  Step step;
  switch (event.kind) {
    case EventKind::kStart:
      OnStart(event, step, out.client);
      return step;
    case EventKind::kUpgraded:
      assert(upgrading());
      OnUpgraded();
      return step;
    case EventKind::kLegUp:
      assert(event.inside_tls ? upgrading() : opening());
      OnLegUp(event, step, out.backend);
      return step;
    case EventKind::kLegFailed:
      OnLegFailed(step, out.client);
      return step;
    case EventKind::kPatienceOver:
      OnPatienceOver(step, out.client);
      return step;
    case EventKind::kClientEnd:
      if (!upgrading()) OnClientLeft(step);
      break;
    default:
      SayRefusal(RefusalOf(event), out.client);
      break;
  }
  Close(step, ReasonOf(event));
  return step;
}

void RelayedDialogue::OnLegUp(const Event& event, Step& step, Writer& /*backend*/) {
  if (event.inside_tls) step.verdict = Verdict::kRelay;
}

void RelayedDialogue::OnLegFailed(Step& step, Writer& out) {
  SayRefusal(Refusal::kUnavailable, out);
  Close(step, EndReason::kBackendUnavailable);
}

void RelayedDialogue::OpenLeg(Verdict verdict, Step& step) {
  assert(phase_ == Phase::kPlain);
  phase_ = Phase::kOpening;
  step.verdict = verdict;
}

void RelayedDialogue::Upgrade(Step& step) {
  assert(phase_ == Phase::kPlain);
  phase_ = Phase::kUpgrading;
  step.verdict = Verdict::kUpgrade;
}

}  // namespace starling
