// What a call of a negotiator may assume, and what it must leave behind (negotiator.h), as
// assertions in one place for each frame. A dialogue that breaks the contract stops the process
// in tests, fuzz targets and service alike. Nothing here depends on what a peer sends.
#pragma once

#include <cassert>
#include <cstddef>

#include "protocols/contract/negotiator.h"

namespace starling {

class CallCheck {
 public:
  // On entry of OnEvent, and of OnClient and OnBackend.
  void Enter() const { assert(!over_); }
  void Enter(ByteView in) const {
    assert(!in.empty());
    assert(!over_);
  }

  // On exit. `given`: the octets of the call, 0 for an event. `leg`: one was open on entry, or
  // the event says that it is.
  const Step& Leave(const Step& step, size_t given, const Output& out, bool leg) {
    const bool opens = step.verdict == Verdict::kOpenLeg || step.verdict == Verdict::kOpenAllLegs;
    assert(step.consumed <= given);
    assert((step.verdict == Verdict::kClose) == (step.reason != EndReason::kNone));
    assert(leg || out.backend.size() == 0);
    assert(!leg || !opens);
    assert(leg || step.verdict != Verdict::kCloseLeg);
    over_ = step.verdict == Verdict::kClose || step.verdict == Verdict::kRelay;
    return step;
  }

 private:
  bool over_ = false;  // no further call may be made
};

}  // namespace starling
