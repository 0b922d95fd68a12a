// Tests of the memory of sources that were seen lately.
#include "gateway/sources/recent_sources.h"

#include <gtest/gtest.h>

#include <memory>

namespace starling {
namespace {

constexpr std::chrono::hours kWeek{7 * 24};
constexpr MonoTime kStart{std::chrono::hours(10'000)};

SourceKey Source(uint64_t number) { return {.high = 0x20010db8, .low = number}; }

std::unique_ptr<RecentSources> Make() {
  return std::make_unique<RecentSources>(HashKey{7, 9}, std::chrono::hours(1));
}

TEST(RecentSources, RemembersForAsLongAsAsked) {
  const auto sources = Make();
  EXPECT_FALSE(sources->Knows(Source(1), kStart, kWeek));
  sources->Remember(Source(1), kStart);
  EXPECT_TRUE(sources->Knows(Source(1), kStart, kWeek));
  EXPECT_FALSE(sources->Knows(Source(2), kStart, kWeek));
  EXPECT_TRUE(sources->Knows(Source(1), kStart + kWeek - std::chrono::hours(1), kWeek));
  EXPECT_FALSE(sources->Knows(Source(1), kStart + kWeek, kWeek));
  EXPECT_FALSE(sources->Knows(Source(1), kStart + std::chrono::hours(1), std::chrono::hours(1)));
  // One that is seen again is known from then on.
  sources->Remember(Source(1), kStart + kWeek);
  EXPECT_TRUE(sources->Knows(Source(1), kStart + kWeek * 3 / 2, kWeek));
}

TEST(RecentSources, KnowsTimesToItsUnit) {
  RecentSources sources(HashKey{7, 9}, std::chrono::seconds(1));
  sources.Remember(Source(1), kStart);
  constexpr std::chrono::seconds kKeep{600};
  EXPECT_TRUE(sources.Knows(Source(1), kStart + kKeep - std::chrono::seconds(1), kKeep));
  EXPECT_FALSE(sources.Knows(Source(1), kStart + kKeep, kKeep));
}

// The number of hours has 16 bits.
TEST(RecentSources, GoesOnAfterSevenYears) {
  const auto sources = Make();
  for (const int hour : {0, 65'534, 65'535, 65'536, 131'070}) {
    const MonoTime at{std::chrono::hours(hour)};
    sources->Remember(Source(1), at);
    EXPECT_TRUE(sources->Knows(Source(1), at, kWeek)) << hour;
    EXPECT_TRUE(sources->Knows(Source(1), at + kWeek / 2, kWeek)) << hour;
    EXPECT_FALSE(sources->Knows(Source(1), at + kWeek, kWeek)) << hour;
  }
}

// What recent_sources.h states.
TEST(RecentSources, MistakesAreAsSeldomAsStated) {
  const auto sources = Make();
  constexpr uint64_t kHalf = RecentSources::kCells / 2, kAll = 2 * RecentSources::kCells;
  for (uint64_t i = 0; i < kHalf; ++i) sources->Remember(Source(i), kStart);
  uint64_t forgotten = 0;
  for (uint64_t i = 0; i < kHalf; ++i)
    forgotten += sources->Knows(Source(i), kStart, kWeek) ? 0 : 1;
  EXPECT_LE(forgotten, kHalf / 20);
  EXPECT_GT(forgotten, 0u);
  // Full, and asked for sources that never were there.
  for (uint64_t i = kHalf; i < kAll; ++i) sources->Remember(Source(i), kStart);
  uint64_t mistaken = 0;
  constexpr uint64_t kStrangers = 500'000;
  for (uint64_t i = 0; i < kStrangers; ++i) {
    mistaken += sources->Knows(Source(kAll + i), kStart, kWeek) ? 1 : 0;
  }
  EXPECT_LE(mistaken, kStrangers * 4 / 65'536 * 3 / 2);
  EXPECT_GT(mistaken, 0u);
}

TEST(RecentSources, AFullSetForgetsTheOldest) {
  const auto sources = Make();
  sources->Remember(Source(0), kStart);
  const MonoTime later = kStart + std::chrono::hours(1);
  constexpr uint64_t kOthers = 3 * RecentSources::kCells;
  for (uint64_t i = 1; i < kOthers; ++i) sources->Remember(Source(i), later);
  EXPECT_FALSE(sources->Knows(Source(0), later, kWeek));
  EXPECT_TRUE(sources->Knows(Source(kOthers - 1), later, kWeek));
}

}  // namespace
}  // namespace starling
