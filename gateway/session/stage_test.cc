// The table of pairs of stages and links, and that a pair which is not in it is noticed.
#include "gateway/session/stage.h"

#include <gtest/gtest.h>

namespace starling {
namespace {

// One more way to say what the table says, for the pairs that security rests on.
TEST(StageTest, NoLinkOutlivesTheUpgrade) {
  for (size_t i = 0; i < kLinks; ++i) {
    const auto link = static_cast<LinkId>(i);
    EXPECT_EQ(IsAllowed(StageId::kHandshaking, link, false), link == LinkId::kNone) << NameOf(link);
    EXPECT_EQ(IsAllowed(StageId::kUpgrading, link, false),
              link == LinkId::kNone || link == LinkId::kClosing)
        << NameOf(link);
  }
}

TEST(StageTest, OctetsPassOnlyWhereTheLinkIsUp) {
  for (const StageId stage : {StageId::kGreeting, StageId::kInside, StageId::kRelaying}) {
    for (size_t i = 0; i < kLinks; ++i) {
      const auto link = static_cast<LinkId>(i);
      EXPECT_EQ(IsAllowed(stage, link, false), link == LinkId::kUp) << NameOf(stage);
    }
  }
}

TEST(StageTest, ADataChannelNeverNegotiates) {
  for (const StageId stage : {StageId::kProxyHeader, StageId::kTalking, StageId::kUpgrading,
                              StageId::kGreeting, StageId::kInside}) {
    for (size_t i = 0; i < kLinks; ++i) {
      EXPECT_FALSE(IsAllowed(stage, static_cast<LinkId>(i), true)) << NameOf(stage);
    }
  }
}

TEST(StageDeathTest, AnIllegalPairIsNoticed) {
  CheckPair(StageId::kRelaying, LinkId::kUp, false);
  EXPECT_DEATH(CheckPair(StageId::kRelaying, LinkId::kClosing, false), "may not stand beside");
  EXPECT_DEATH(CheckPair(StageId::kHandshaking, LinkId::kUp, false), "may not stand beside");
  EXPECT_DEATH(CheckPair(StageId::kTalking, LinkId::kUp, true), "may not stand beside");
}

TEST(StageTest, EachStageHasItsTypeAndName) {
  EXPECT_EQ(IdOf(Stage(ProxyHeader{})), StageId::kProxyHeader);
  EXPECT_EQ(IdOf(Stage(DataWait{})), StageId::kDataWait);
  EXPECT_EQ(IdOf(Stage(Talking{})), StageId::kTalking);
  EXPECT_EQ(IdOf(Stage(Upgrading{})), StageId::kUpgrading);
  EXPECT_EQ(IdOf(Stage(Handshaking{})), StageId::kHandshaking);
  EXPECT_EQ(IdOf(Stage(Opening{})), StageId::kOpening);
  EXPECT_EQ(IdOf(Stage(Greeting{})), StageId::kGreeting);
  EXPECT_EQ(IdOf(Stage(Inside{})), StageId::kInside);
  EXPECT_EQ(IdOf(Stage(Relaying{})), StageId::kRelaying);
  EXPECT_EQ(IdOf(Stage(LastWords{})), StageId::kLastWords);
  EXPECT_EQ(IdOf(Stage(Lingering{})), StageId::kLingering);
  EXPECT_EQ(IdOf(Stage(Closing{})), StageId::kClosing);
  EXPECT_EQ(IdOf(Link(Backoff{})), LinkId::kBackoff);
  EXPECT_EQ(IdOf(Link(ClosingLink{})), LinkId::kClosing);
  EXPECT_EQ(NameOf(StageId::kClosing), "closing");
  EXPECT_EQ(NameOf(LinkId::kClosing), "closing");
}

}  // namespace
}  // namespace starling
