// Tests of the memory of sources that have waited for a greeting.
#include "gateway/sources/polite_sources.h"

#include <gtest/gtest.h>

#include <memory>

namespace starling {
namespace {

constexpr std::chrono::hours kWeek{7 * 24};
constexpr MonoTime kStart{std::chrono::hours(10'000)};

SourceKey Source(uint64_t number) { return {.high = 0x20010db8, .low = number}; }

std::unique_ptr<PoliteSources> Make() { return std::make_unique<PoliteSources>(HashKey{7, 9}); }

TEST(PoliteSources, RemembersForAsLongAsAsked) {
  const auto sources = Make();
  EXPECT_FALSE(sources->Knows(Source(1), kStart, kWeek));
  sources->Remember(Source(1), kStart);
  EXPECT_TRUE(sources->Knows(Source(1), kStart, kWeek));
  EXPECT_FALSE(sources->Knows(Source(2), kStart, kWeek));
  EXPECT_TRUE(sources->Knows(Source(1), kStart + kWeek - std::chrono::hours(1), kWeek));
  EXPECT_FALSE(sources->Knows(Source(1), kStart + kWeek, kWeek));
  EXPECT_FALSE(sources->Knows(Source(1), kStart + std::chrono::hours(1), std::chrono::hours(1)));
  // Who waits again is known from then on.
  sources->Remember(Source(1), kStart + kWeek);
  EXPECT_TRUE(sources->Knows(Source(1), kStart + kWeek * 3 / 2, kWeek));
}

// The number of hours has 16 bits.
TEST(PoliteSources, GoesOnAfterSevenYears) {
  const auto sources = Make();
  for (const int hour : {0, 65'534, 65'535, 65'536, 131'070}) {
    const MonoTime at{std::chrono::hours(hour)};
    sources->Remember(Source(1), at);
    EXPECT_TRUE(sources->Knows(Source(1), at, kWeek)) << hour;
    EXPECT_TRUE(sources->Knows(Source(1), at + kWeek / 2, kWeek)) << hour;
    EXPECT_FALSE(sources->Knows(Source(1), at + kWeek, kWeek)) << hour;
  }
}

// What polite_sources.h states.
TEST(PoliteSources, MistakesAreAsSeldomAsStated) {
  const auto sources = Make();
  constexpr uint64_t kHalf = PoliteSources::kCells / 2, kAll = 2 * PoliteSources::kCells;
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

TEST(PoliteSources, AFullSetForgetsTheOldest) {
  const auto sources = Make();
  sources->Remember(Source(0), kStart);
  const MonoTime later = kStart + std::chrono::hours(1);
  constexpr uint64_t kOthers = 3 * PoliteSources::kCells;
  for (uint64_t i = 1; i < kOthers; ++i) sources->Remember(Source(i), later);
  EXPECT_FALSE(sources->Knows(Source(0), later, kWeek));
  EXPECT_TRUE(sources->Knows(Source(kOthers - 1), later, kWeek));
}

}  // namespace
}  // namespace starling
