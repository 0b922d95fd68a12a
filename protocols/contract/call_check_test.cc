// Each way to break the contract of a negotiator's calls stops the process, and the calls of an
// ordinary session do not.
#include "protocols/contract/call_check.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>

namespace starling {
namespace {

constexpr std::array<uint8_t, 2> kOctets = {'a', 'b'};

class CallCheckTest : public ::testing::Test {
 protected:
  void Event(EventKind kind) { check_.Enter(starling::Event{.kind = kind}); }
  void Leave(Verdict verdict, size_t consumed = 0, EndReason reason = EndReason::kNone) {
    check_.Leave(Step{.consumed = consumed, .verdict = verdict, .reason = reason}, kOctets.size(),
                 out_);
  }
  void Give(Verdict verdict) {
    check_.Enter(kOctets);
    Leave(verdict);
  }
  void LegIsUp() {
    Event(EventKind::kLegUp);
    Leave(Verdict::kContinue);
  }
  void SayToLeg() { ASSERT_TRUE(out_.backend.Append("x")); }

  CallCheck check_;
  std::array<uint8_t, 16> client_{}, backend_{};
  Output out_{Writer(client_), Writer(backend_)};
};
using CallCheckDeathTest = CallCheckTest;

TEST_F(CallCheckTest, AllowsASessionWithALeg) {
  Event(EventKind::kStart);
  Leave(Verdict::kContinue);
  Give(Verdict::kOpenLeg);
  LegIsUp();
  SayToLeg();
  Give(Verdict::kContinue);
  out_.backend = Writer(backend_);
  Give(Verdict::kUpgrade);
  Event(EventKind::kUpgraded);
  Leave(Verdict::kContinue);
  LegIsUp();
  Give(Verdict::kRelay);
}

TEST_F(CallCheckTest, AllowsOneLegAfterTheOther) {
  Give(Verdict::kOpenAllLegs);
  LegIsUp();
  LegIsUp();
  Give(Verdict::kCloseLeg);
  LegIsUp();
  Event(EventKind::kLegFailed);
  Leave(Verdict::kClose, 0, EndReason::kBackendUnavailable);
}

TEST_F(CallCheckDeathTest, NothingMayFollowTheEnd) {
  Event(EventKind::kStart);
  Leave(Verdict::kClose, 0, EndReason::kGoodbye);
  EXPECT_DEATH(check_.Enter(kOctets), "over_");
  EXPECT_DEATH(Event(EventKind::kDrain), "over_");
  EXPECT_DEATH(check_.Enter(), "over_");
}

TEST_F(CallCheckDeathTest, NothingMayFollowARelay) {
  LegIsUp();
  Give(Verdict::kRelay);
  EXPECT_DEATH(check_.Enter(kOctets), "over_");
}

TEST_F(CallCheckDeathTest, OctetsAreGivenAndNotMoreConsumed) {
  EXPECT_DEATH(check_.Enter(ByteView()), "empty");
  EXPECT_DEATH(Leave(Verdict::kContinue, kOctets.size() + 1), "consumed");
}

TEST_F(CallCheckDeathTest, AReasonComesWithTheEndAlone) {
  EXPECT_DEATH(Leave(Verdict::kClose), "reason");
  EXPECT_DEATH(Leave(Verdict::kContinue, 0, EndReason::kGoodbye), "reason");
}

TEST_F(CallCheckDeathTest, OnlyAnOpenLegIsSpokenToOrClosed) {
  EXPECT_DEATH(Leave(Verdict::kCloseLeg), "leg_");
  EXPECT_DEATH(check_.Enter(), "leg_");  // news of data channels
  SayToLeg();
  EXPECT_DEATH(Leave(Verdict::kContinue), "leg_");
}

TEST_F(CallCheckDeathTest, AClosedOrFailedLegIsNotOpen) {
  for (const Verdict ends : {Verdict::kCloseLeg, Verdict::kUpgrade}) {
    LegIsUp();
    Give(ends);
    EXPECT_DEATH(Leave(Verdict::kCloseLeg), "leg_");
  }
  LegIsUp();
  Event(EventKind::kLegFailed);
  EXPECT_DEATH(Leave(Verdict::kCloseLeg), "leg_");
}

TEST_F(CallCheckDeathTest, NoLegIsOpenedBesideOne) {
  LegIsUp();
  EXPECT_DEATH(Leave(Verdict::kOpenLeg), "leg_");
  EXPECT_DEATH(Leave(Verdict::kOpenAllLegs), "leg_");
}

}  // namespace
}  // namespace starling
