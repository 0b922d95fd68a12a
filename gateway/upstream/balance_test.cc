#include "gateway/upstream/balance.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace starling {
namespace {

std::vector<Candidate> Make(const std::vector<double>& weights) {
  std::vector<Candidate> candidates;
  for (const double weight : weights) {
    const int index = static_cast<int>(candidates.size());
    candidates.push_back({index, weight, 0, HashOf("127.0.0.1:" + std::to_string(index))});
  }
  return candidates;
}

// By index: how many of `count` sessions each gets.
std::map<int, int> Shares(Balance balance, const std::vector<Candidate>& candidates, int count) {
  std::map<int, int> shares;
  uint32_t cursor = 0;
  for (int i = 0; i < count; ++i) {
    const uint64_t source = HashOf(0, 0x0a000000u + static_cast<uint32_t>(i));
    ++shares[Choose(balance, candidates, static_cast<uint32_t>(candidates.size()), cursor, source)];
  }
  return shares;
}

TEST(Balance, RoundRobinGoesRound) {
  const std::vector<Candidate> candidates = Make({2, 2, 2});
  uint32_t cursor = 0;
  for (const int want : {0, 1, 2, 0, 1, 2}) {
    EXPECT_EQ(Choose(Balance::kRoundRobin, candidates, 3, cursor, 0), want);
  }
  cursor = UINT32_MAX;  // any value will do
  const int first = Choose(Balance::kRoundRobin, candidates, 3, cursor, 0);
  EXPECT_EQ(Choose(Balance::kRoundRobin, candidates, 3, cursor, 0), (first + 1) % 3);
}

TEST(Balance, RoundRobinByWeight) {
  const std::vector<Candidate> candidates = Make({1, 3, 0.5});
  // Each has its share of any few sessions in a row, to within two or so.
  uint32_t cursor = 12'345;
  for (int run = 0; run < 50; ++run) {
    std::map<int, int> shares;
    for (int i = 0; i < 45; ++i) {
      ++shares[Choose(Balance::kRoundRobin, candidates, 3, cursor, 0)];
    }
    EXPECT_NEAR(shares[0], 10, 2.1);
    EXPECT_NEAR(shares[1], 30, 3.1);
    EXPECT_NEAR(shares[2], 5, 2.1);
  }
}

TEST(Balance, LeastSessions) {
  std::vector<Candidate> candidates = Make({1, 1, 2});
  candidates[0].sessions = 5;
  candidates[1].sessions = 4;
  candidates[2].sessions = 8;
  uint32_t cursor = 0;
  EXPECT_EQ(Choose(Balance::kLeastSessions, candidates, 3, cursor, 0), 2);  // 4.5 a weight
  candidates[2].sessions = 10;
  EXPECT_EQ(Choose(Balance::kLeastSessions, candidates, 3, cursor, 0), 1);
}

TEST(Balance, LeastSessionsGoesRoundAmongEquals) {
  const std::vector<Candidate> candidates = Make({1, 1, 1});
  uint32_t cursor = 1;
  for (const int want : {1, 2, 0, 1}) {
    EXPECT_EQ(Choose(Balance::kLeastSessions, candidates, 3, cursor, 0), want);
  }
}

TEST(Balance, SourceHashIsTheSameEachTime) {
  const std::vector<Candidate> candidates = Make({1, 1, 1});
  uint32_t cursor = 0;
  for (uint32_t i = 0; i < 100; ++i) {
    const uint64_t source = HashOf(0, i);
    const int chosen = Choose(Balance::kSourceHash, candidates, 3, cursor, source);
    EXPECT_EQ(Choose(Balance::kSourceHash, candidates, 3, cursor, source), chosen);
  }
  EXPECT_EQ(cursor, 0u);
}

TEST(Balance, SourceHashByWeight) {
  const std::map<int, int> shares = Shares(Balance::kSourceHash, Make({1, 3, 0.5}), 45'000);
  EXPECT_NEAR(shares.at(0), 10'000, 500);
  EXPECT_NEAR(shares.at(1), 30'000, 500);
  EXPECT_NEAR(shares.at(2), 5'000, 500);
}

// Only the sources of the server that left, or that came, go elsewhere.
TEST(Balance, SourceHashMovesOnlyItsShare) {
  const std::vector<Candidate> all = Make({1, 1, 1, 1});
  std::vector<Candidate> three = all;
  three.erase(three.begin() + 1);
  uint32_t cursor = 0;
  int moved = 0;
  for (uint32_t i = 0; i < 10'000; ++i) {
    const uint64_t source = HashOf(0, i);
    const int before = Choose(Balance::kSourceHash, all, 4, cursor, source);
    const int after = Choose(Balance::kSourceHash, three, 4, cursor, source);
    if (before == 1) {
      ++moved;
      EXPECT_NE(after, 1);
    } else {
      EXPECT_EQ(after, before);
    }
  }
  EXPECT_NEAR(moved, 2'500, 200);
}

// 0 stands for a client without an address.
TEST(Balance, NothingHashesToZero) {
  EXPECT_NE(HashOf(0, 0), 0u);
  EXPECT_NE(HashOf(0, 1), HashOf(1, 0));
}

// A client without an address, on a Unix socket, has no server of its own.
TEST(Balance, WithoutASourceItGoesRound) {
  const std::vector<Candidate> candidates = Make({1, 1});
  uint32_t cursor = 0;
  for (const int want : {0, 1, 0, 1}) {
    EXPECT_EQ(Choose(Balance::kSourceHash, candidates, 2, cursor, 0), want);
  }
}

}  // namespace
}  // namespace starling
