// What each call of a negotiator may assume and must leave behind (negotiator.h), asserted by its
// caller: the session, and the drivers of tests and fuzz targets. A dialogue or a session that
// breaks the contract stops the process. Nothing here depends on what a peer sends.
//
// Not for: what a dialogue's own phases assume (each asserts that itself).
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>

#include "protocols/contract/negotiator.h"

namespace starling {

constexpr uint32_t Bit(Verdict verdict) { return 1u << static_cast<unsigned>(verdict); }

// One for each negotiator, for as long as that lives.
class CallCheck {
 public:
  // Before OnClient and OnBackend.
  void Enter(ByteView in) const {
    assert(!over_);
    assert(!in.empty());
  }
  // Before OnEvent.
  void Enter(const Event& event) {
    assert(!over_);
    // Of all legs, the next one is up when the one before has ended.
    leg_ = event.kind == EventKind::kLegUp || (leg_ && event.kind != EventKind::kLegFailed);
  }
  // Before OnData.
  void Enter() const {
    assert(!over_);
    assert(leg_);
  }

  // After any of them. `given`: the octets of the call, 0 for an event or news.
  void Leave(const Step& step, size_t given, const Output& out) {
    const uint32_t verdict = Bit(step.verdict);
    assert(step.consumed <= given);
    assert((step.verdict == Verdict::kClose) == (step.reason != EndReason::kNone));
    assert(leg_ || out.backend.size() == 0);
    assert((verdict & (leg_ ? kOpensLeg : Bit(Verdict::kCloseLeg))) == 0);
    over_ = (verdict & kLast) != 0;
    leg_ = leg_ && (verdict & kEndsLeg) == 0;
  }

 private:
  static constexpr uint32_t kOpensLeg = Bit(Verdict::kOpenLeg) | Bit(Verdict::kOpenAllLegs);
  static constexpr uint32_t kEndsLeg = Bit(Verdict::kCloseLeg) | Bit(Verdict::kUpgrade);
  static constexpr uint32_t kLast = Bit(Verdict::kClose) | Bit(Verdict::kRelay);

  bool over_ = false;  // no further call may be made
  bool leg_ = false;   // one is open, as far as the negotiator was told
};

}  // namespace starling
