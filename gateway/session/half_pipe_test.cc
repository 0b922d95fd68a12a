// A direction of a relay, between plaintext and TLS in all four pairs.
#include "gateway/session/half_pipe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>

#include "gateway/session/side_testing.h"

namespace starling {
namespace {

struct Pair {
  const char* name;
  bool from_tls;
  bool to_tls;
};

class HalfPipeTest : public testing::TestWithParam<Pair> {
 protected:
  void SetUp() override {
    if (GetParam().from_tls) from_.BeginTls(*context_);
    if (GetParam().to_tls) to_.BeginTls(*context_);
  }
  HalfPipe Pipe() { return {worker_, from_.side, to_.side}; }
  // A turn's end: receive buffers go back.
  void EndTurn() {
    EXPECT_TRUE(from_.side.StashChunk(worker_));
    EXPECT_EQ(worker_.fake.BuffersOut(), 0u);
  }
  void PeerEnds() {
    if (GetParam().from_tls) {
      from_.client->CloseNotify();
      from_.Arrive(std::exchange(from_.client->output, {}));
    } else {
      from_.ArriveEnd();
    }
  }

  SideWorker worker_;
  std::unique_ptr<TlsContext> context_ = MakeTestContext();
  TestSide from_{worker_, 1};
  TestSide to_{worker_, 2};
};

INSTANTIATE_TEST_SUITE_P(Pairs, HalfPipeTest,
                         testing::Values(Pair{"PlainToPlain", false, false},
                                         Pair{"TlsToPlain", true, false},
                                         Pair{"PlainToTls", false, true},
                                         Pair{"TlsToTls", true, true}),
                         [](const auto& pair) { return std::string(pair.param.name); });

TEST_P(HalfPipeTest, CarriesAllInOrderWhateverTheSizes) {
  const std::string text = Pattern(500'000);
  std::string wire = from_.PeerWrites(text);
  std::string got;
  size_t turn = 0;
  while (!wire.empty() || !Pipe().MayReceive()) {
    if (Pipe().MayReceive()) {
      const size_t size = std::min<size_t>({wire.size(), kLargeReceive, 1 + turn * 977 % 40'000});
      from_.Arrive(wire.substr(0, size));
      wire.erase(0, size);
    }
    Pipe().Move();
    EndTurn();
    // The kernel takes some of it, at times.
    if (turn++ % 3 != 0 && to_.Send()) {
      const std::string sent = to_.Sent(1 + turn * 1'531 % 30'000);
      if (to_.client == nullptr) got += sent;
      if (to_.client != nullptr) to_.client->input += sent;
    }
    Pipe().Move();
    ASSERT_LT(turn, 10'000u);
  }
  got += to_.PeerReads();
  EXPECT_TRUE(got == text);
  EXPECT_EQ(worker_.BlocksOut(), 0u);
}

TEST_P(HalfPipeTest, AReaderLeavesTheRestToThePipe) {
  from_.Arrive(from_.PeerWrites("read this, relay that"));
  ASSERT_EQ(Text(from_.side.Input(worker_)), "read this, relay that");
  from_.side.Consume(worker_, 11);
  Pipe().Move();
  EXPECT_EQ(to_.PeerReads(), "relay that");
}

TEST_P(HalfPipeTest, TheEndGoesBehindAllThatCame) {
  FakeRing::Asked asked;
  from_.Arrive(from_.PeerWrites("all of it"));
  Pipe().Move();
  PeerEnds();
  Pipe().Move();
  ASSERT_TRUE(from_.side.input_over() && from_.side.ended());
  Pipe().PassOnEnd(kTestOwner, /*whole=*/true, /*by_close=*/false);
  EXPECT_FALSE(worker_.fake.Take(2, Op::kShutdown, &asked));
  EXPECT_FALSE(Pipe().Over(true, false));
  EXPECT_EQ(to_.PeerReads(), "all of it");
  if (GetParam().to_tls) EXPECT_TRUE(to_.client->closed());
  Pipe().PassOnEnd(kTestOwner, /*whole=*/true, /*by_close=*/false);
  EXPECT_TRUE(worker_.fake.Take(2, Op::kShutdown, &asked));
  to_.side.Finished(kOpShutdown);
  EXPECT_TRUE(Pipe().Over(true, false));
}

TEST_P(HalfPipeTest, ASourceThatBrokeOffIsNotSaidToBeWhole) {
  FakeRing::Asked asked;
  from_.Arrive(from_.PeerWrites("half of i"));
  Pipe().Move();
  from_.ArriveEnd(-ECONNRESET);
  EXPECT_EQ(to_.PeerReads(), "half of i");
  Pipe().PassOnEnd(kTestOwner, /*whole=*/false, /*by_close=*/false);
  EXPECT_TRUE(worker_.fake.Take(2, Op::kShutdown, &asked));
  to_.side.Finished(kOpShutdown);
  EXPECT_TRUE(Pipe().Over(false, false));
  EXPECT_EQ(to_.PeerReads(), "");
  if (GetParam().to_tls) EXPECT_FALSE(to_.client->closed());
}

TEST_P(HalfPipeTest, WhatBothHaveSaidTheCloseTells) {
  FakeRing::Asked asked;
  PeerEnds();
  Pipe().Move();
  Pipe().PassOnEnd(kTestOwner, /*whole=*/true, /*by_close=*/true);
  EXPECT_EQ(Pipe().Over(true, true), !GetParam().to_tls);  // close_notify is still to be sent
  to_.PeerReads();
  EXPECT_TRUE(Pipe().Over(true, true));
  EXPECT_FALSE(worker_.fake.Take(2, Op::kShutdown, &asked));
  if (GetParam().to_tls) EXPECT_TRUE(to_.client->closed());
}

TEST_P(HalfPipeTest, WithoutItsSinkItDropsAndIsOver) {
  from_.Arrive(from_.PeerWrites("for nobody"));
  Pipe().Move();
  ASSERT_TRUE(to_.Send());
  from_.Arrive(from_.PeerWrites("nor this"));
  FakeRing::Asked asked;
  ASSERT_TRUE(worker_.fake.Take(2, Op::kSend, &asked));
  EXPECT_FALSE(Pipe().MayReceive());
  to_.side.Sent(worker_, {.tag = asked.tag, .result = -EPIPE});
  Pipe().Drop();
  EXPECT_TRUE(Pipe().Over(true, false));
  EXPECT_FALSE(Pipe().MayReceive());
  EXPECT_EQ(worker_.BlocksOut(), 0u);
  EXPECT_EQ(worker_.fake.BuffersOut(), 0u);
}

}  // namespace
}  // namespace starling
