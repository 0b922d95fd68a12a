#include "gateway/sources/shares.h"

#include <gtest/gtest.h>

#include <chrono>
#include <set>

namespace starling {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr HashKey kKey{0x0706050403020100, 0x0f0e0d0c0b0a0908};
constexpr MonoTime kStart = MonoTime(std::chrono::hours(1));

SourceKey Source(uint64_t number) { return {.high = 0x20010db8'00000000 + number, .low = 0}; }

// The values for 8 and 16 octets of the reference implementation's list of vectors.
TEST(KeyedHash, IsSipHash) {
  EXPECT_EQ(KeyedHash(kKey, {0x0706050403020100}), 0x93f5f5799a932462);
  EXPECT_EQ(KeyedHash(kKey, {0x0706050403020100, 0x0f0e0d0c0b0a0908}), 0x3f2acc7f57c29bdb);
}

TEST(SourceCells, DifferForOneSource) {
  EXPECT_EQ(SourceCells::Of(0x00010002), (SourceCells{2, 1}));
  EXPECT_EQ(SourceCells::Of(0x00020002), (SourceCells{2, 3}));
  EXPECT_EQ(SourceCells::Of(0xffffffff), (SourceCells{0xffff, 0xfffe}));
}

TEST(SourceCells, DependOnKeyAndScope) {
  const SourceShares one(kKey), other(HashKey{1, 2});
  EXPECT_EQ(one.CellsOf(Source(1), 0), one.CellsOf(Source(1), 0));
  EXPECT_FALSE(one.CellsOf(Source(1), 0) == one.CellsOf(Source(1), 1));
  EXPECT_FALSE(one.CellsOf(Source(1), 0) == other.CellsOf(Source(1), 0));
}

TEST(TokenBuckets, GiveTheBurstAndThenTheRate) {
  TokenBuckets buckets;
  const SourceCells cells{1, 2};
  const auto rate = TokenBuckets::Rate::PerSecond(10, 5);
  const auto taken = [&](MonoTime now) {
    int count = 0;
    while (buckets.Take(cells, rate, now)) ++count;
    return count;
  };
  EXPECT_EQ(taken(kStart), 5);
  EXPECT_EQ(taken(kStart + milliseconds(99)), 0);
  EXPECT_EQ(taken(kStart + milliseconds(100)), 1);
  EXPECT_EQ(taken(kStart + milliseconds(350)), 2) << "what was not asked for is not lost";
  EXPECT_EQ(taken(kStart + seconds(100)), 5) << "and never more than the burst comes together";
  // An attempt that is refused costs nothing.
  for (int i = 0; i < 1'000; ++i) EXPECT_FALSE(buckets.Take(cells, rate, kStart + seconds(100)));
  EXPECT_EQ(taken(kStart + seconds(100) + milliseconds(100)), 1);
}

TEST(TokenBuckets, WithoutALimitEveryoneIsServed) {
  TokenBuckets buckets;
  for (int i = 0; i < 10'000; ++i) {
    ASSERT_TRUE(buckets.Take({1, 2}, TokenBuckets::Rate::PerSecond(0, 1), kStart));
  }
  // And counts nothing that would matter once there is one.
  EXPECT_TRUE(buckets.Take({1, 2}, TokenBuckets::Rate::PerSecond(1, 1), kStart));
}

TEST(TokenBuckets, AChargeIsBounded) {
  TokenBuckets buckets;
  const SourceCells cells{1, 2};
  const auto rate = TokenBuckets::Rate::PerMinute(60);
  for (int i = 0; i < 59; ++i) buckets.Charge(cells, rate, kStart);
  EXPECT_FALSE(buckets.Empty(cells, rate, kStart));
  buckets.Charge(cells, rate, kStart);
  EXPECT_TRUE(buckets.Empty(cells, rate, kStart));
  for (int i = 0; i < 100'000; ++i) buckets.Charge(cells, rate, kStart);
  EXPECT_TRUE(buckets.Empty(cells, rate, kStart + seconds(60)));
  EXPECT_FALSE(buckets.Empty(cells, rate, kStart + seconds(61)));
}

// A source whose one cell is full of another's is served by the other one.
TEST(TokenBuckets, TheLowerCellCounts) {
  TokenBuckets buckets;
  const auto rate = TokenBuckets::Rate::PerSecond(10, 5);
  while (buckets.Take({1, 2}, rate, kStart)) {
  }
  int count = 0;
  while (buckets.Take({2, 3}, rate, kStart)) ++count;
  EXPECT_EQ(count, 5);
  EXPECT_FALSE(buckets.Take({1, 3}, rate, kStart)) << "each of the two is somebody's";
}

TEST(Counts, TakeAndLeaveAreExact) {
  Counts counts;
  const SourceCells cells{7, 8}, beside{8, 9};
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 4; ++i) EXPECT_TRUE(counts.Take(cells, 4));
    EXPECT_FALSE(counts.Take(cells, 4));
    EXPECT_EQ(counts.Get(cells), 4u);
    EXPECT_TRUE(counts.Take(beside, 1)) << "of its two cells one is free";
    counts.Leave(beside);
    // A limit that a reload has lowered meanwhile does not matter to those that leave.
    EXPECT_FALSE(counts.Take(cells, 1));
    for (int i = 0; i < 4; ++i) counts.Leave(cells);
    EXPECT_EQ(counts.Get(cells), 0u);
  }
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(counts.Take(cells, 0));
}

TEST(SourceShares, RefuseByEachMeasure) {
  SourceShares shares(kKey);
  const SourceCells cells = shares.CellsOf(Source(1), 0);
  const SourceLimits limits{.sessions = 3,
                            .connections_per_second = 1,
                            .connections_burst = 5,
                            .handshakes_per_second = 1,
                            .handshakes_burst = 2,
                            .failures_per_minute = 2};
  for (int i = 0; i < 3; ++i) EXPECT_EQ(shares.Enter(cells, limits, kStart), OverShare::kNothing);
  EXPECT_EQ(shares.Enter(cells, limits, kStart), OverShare::kSessions);
  EXPECT_EQ(shares.Sessions(cells), 3u);
  for (int i = 0; i < 3; ++i) shares.Leave(cells);
  EXPECT_EQ(shares.Enter(cells, limits, kStart), OverShare::kNothing);
  EXPECT_EQ(shares.Enter(cells, limits, kStart), OverShare::kNothing);
  EXPECT_EQ(shares.Enter(cells, limits, kStart), OverShare::kConnections);
  EXPECT_EQ(shares.Sessions(cells), 2u) << "who is refused holds nothing";
  const auto take = [&](MonoTime at) { return shares.TakeHandshake(cells, limits, at); };
  EXPECT_EQ(take(kStart), HandshakeShare::kWithin);
  EXPECT_EQ(take(kStart), HandshakeShare::kWithin);
  // As many again when nobody else wants to, and then none.
  EXPECT_EQ(take(kStart), HandshakeShare::kOver);
  EXPECT_EQ(take(kStart), HandshakeShare::kOver);
  EXPECT_EQ(take(kStart), HandshakeShare::kNone);
  // What was over the share is paid back: over time the rate is as without it.
  EXPECT_EQ(take(kStart + std::chrono::seconds(1)), HandshakeShare::kOver);
  EXPECT_EQ(take(kStart + std::chrono::seconds(1)), HandshakeShare::kNone);
  EXPECT_EQ(take(kStart + std::chrono::seconds(4)), HandshakeShare::kWithin);
  shares.NoteFailure(cells, limits, kStart);
  shares.NoteFailure(cells, limits, kStart);
  EXPECT_EQ(shares.Enter(cells, limits, kStart + seconds(10)), OverShare::kFailures);
  EXPECT_EQ(shares.Enter(cells, limits, kStart + seconds(30)), OverShare::kNothing);
  // Nobody else has any of that.
  EXPECT_EQ(shares.Enter(shares.CellsOf(Source(2), 0), limits, kStart), OverShare::kNothing);
}

// What cells.h promises: with a thousand sources over their share, fewer than one of a thousand
// others is refused because of them. Each measure by itself.
TEST(SourceShares, NoisySourcesHarmFewQuietOnes) {
  constexpr uint64_t kNoisy = 1'000, kQuiet = 100'000;
  SourceShares shares(kKey);
  const SourceLimits limits{.sessions = 10,
                            .connections_per_second = 10,
                            .connections_burst = 10,
                            .handshakes_per_second = 10,
                            .handshakes_burst = 10,
                            .failures_per_minute = 10};
  const SourceLimits only_failures{.sessions = 0,
                                   .connections_per_second = 0,
                                   .handshakes_per_second = 0,
                                   .failures_per_minute = 10};
  for (uint64_t i = 0; i < kNoisy; ++i) {
    const SourceCells cells = shares.CellsOf(Source(i), 0);
    while (shares.Enter(cells, limits, kStart) == OverShare::kNothing) {
    }
    while (shares.TakeHandshake(cells, limits, kStart) != HandshakeShare::kNone) {
    }
  }
  uint64_t sessions = 0, handshakes = 0;
  for (uint64_t i = kNoisy; i < kNoisy + kQuiet; ++i) {
    const SourceCells cells = shares.CellsOf(Source(i), 0);
    if (shares.Enter(cells, limits, kStart) == OverShare::kNothing) {
      shares.Leave(cells);
    } else {
      ++sessions;
    }
  }
  for (uint64_t i = kNoisy; i < kNoisy + 1'000; ++i) {
    const SourceCells own = shares.CellsOf(Source(i), 0);
    if (shares.TakeHandshake(own, limits, kStart) != HandshakeShare::kWithin) ++handshakes;
  }
  EXPECT_LT(sessions, kQuiet / 1'000);
  EXPECT_LE(handshakes, 5u);
  for (uint64_t i = 0; i < kNoisy; ++i) {
    for (int n = 0; n < 20; ++n) {
      shares.NoteFailure(shares.CellsOf(Source(i), 0), only_failures, kStart);
    }
  }
  uint64_t failures = 0;
  for (uint64_t i = kNoisy; i < kNoisy + kQuiet; ++i) {
    const SourceCells cells = shares.CellsOf(Source(i), 0);
    if (shares.Enter(cells, only_failures, kStart) != OverShare::kNothing) {
      ++failures;
    } else {
      shares.Leave(cells);
    }
  }
  EXPECT_GT(failures, 0u) << "the test is too small to see anything";
  EXPECT_LT(failures, kQuiet / 1'000);
}

TEST(SourceShares, AnswersAreFew) {
  SourceShares shares(kKey);
  const SourceCells cells = shares.CellsOf(Source(1), 0);
  int answers = 0;
  while (shares.TakeAnswer(cells, kStart)) ++answers;
  EXPECT_EQ(answers, 20);
  EXPECT_TRUE(shares.TakeAnswer(cells, kStart + milliseconds(200)));
}

}  // namespace
}  // namespace starling
