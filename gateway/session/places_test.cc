#include "gateway/session/places.h"

#include <gtest/gtest.h>

#include <optional>
#include <utility>
#include <vector>

namespace starling {
namespace {

constexpr uint32_t kMx = 0, kImaps = 1, kPop3s = 2;

// Takes what there is for a listener; how many places that are.
uint32_t TakeAll(Places& places, uint32_t listener, bool new_source = false) {
  uint32_t taken = 0;
  for (; const std::optional<PlacePool> pool = places.FindFree(listener, new_source); ++taken) {
    places.Take(listener, *pool);
  }
  return taken;
}

TEST(Places, WhatIsReservedIsForItsListenerAlone) {
  Places places(100, 0);
  places.SetShares({{.reserved = 10}, {.reserved = 20}, {}});
  EXPECT_EQ(places.shared_free(), 70u);
  EXPECT_EQ(places.reserved_free(), 30u);
  EXPECT_EQ(TakeAll(places, kPop3s), 70u);
  EXPECT_EQ(TakeAll(places, kMx), 10u);
  EXPECT_EQ(TakeAll(places, kImaps), 20u);
  EXPECT_EQ(places.used(), 100u);
}

TEST(Places, AListenerHasItsOwnBesideTheShared) {
  Places places(100, 0);
  places.SetShares({{.reserved = 10}, {.reserved = 20}});
  EXPECT_EQ(TakeAll(places, kMx), 80u);
  EXPECT_EQ(places.reserved_free(), 20u);
  // It is its own place that is free first, and it stays its own.
  places.Leave(kMx, kMx);
  EXPECT_EQ(TakeAll(places, kImaps), 20u);
  EXPECT_EQ(places.FindFree(kMx, false), PlacePool{kMx});
}

TEST(Places, TheLastSharedOnesAreForNewSources) {
  Places places(100, 5);
  places.SetShares({{.reserved = 10}, {}});
  EXPECT_EQ(TakeAll(places, kImaps, /*new_source=*/false), 85u);
  EXPECT_EQ(TakeAll(places, kMx, /*new_source=*/false), 10u) << "a listener's own are for all";
  EXPECT_EQ(TakeAll(places, kMx, /*new_source=*/true), 5u);
  // One that ends makes room for them first.
  places.Leave(kImaps, kSharedPlaces);
  EXPECT_EQ(places.FindFree(kImaps, false), std::nullopt);
  EXPECT_EQ(places.FindFree(kImaps, true), kSharedPlaces);
}

TEST(Places, WhoHasAPlaceMaySpareTheNewSources) {
  Places places(10, 3);
  places.SetShares({{.reserved = 1}});
  places.Take(kMx, kMx);
  for (int i = 0; i < 6; ++i) {
    places.Take(kMx, kSharedPlaces);
    EXPECT_TRUE(places.SparesNewSources(kSharedPlaces)) << i;
  }
  places.Take(kMx, kSharedPlaces);
  EXPECT_FALSE(places.SparesNewSources(kSharedPlaces));
  EXPECT_TRUE(places.SparesNewSources(kMx)) << "a new source may not have the listener's own place";
}

TEST(Places, AListenerMayHaveSoManyAndNoMore) {
  Places places(100, 0);
  places.SetShares({{.reserved = 10, .most = 30}, {}});
  EXPECT_EQ(TakeAll(places, kMx), 30u);
  EXPECT_FALSE(places.BelowMost(kMx));
  EXPECT_EQ(TakeAll(places, kImaps), 70u);
}

TEST(Places, AReloadMovesTheReservations) {
  Places places(100, 0);
  places.SetShares({{.reserved = 40}, {}});
  EXPECT_EQ(TakeAll(places, kMx), 100u);
  // Other listeners have reservations now; no place is free before sessions end.
  places.SetShares({{}, {.reserved = 10}, {.reserved = 10}});
  EXPECT_EQ(places.FindFree(kImaps, true), std::nullopt);
  for (int i = 0; i < 10; ++i) places.Leave(kMx, kSharedPlaces);
  EXPECT_EQ(places.FindFree(kMx, true), std::nullopt) << "what others lack comes first";
  EXPECT_EQ(TakeAll(places, kImaps), 10u);
  // What it has left of its own goes to the others as well.
  for (int i = 0; i < 40; ++i) places.Leave(kMx, kMx);
  EXPECT_EQ(TakeAll(places, kMx), 30u);
  EXPECT_EQ(TakeAll(places, kPop3s), 10u);
  EXPECT_EQ(places.used(), 100u);
}

// Whatever comes, goes and is reloaded: never more than there are, never another's own.
TEST(Places, TheSumIsRight) {
  uint32_t random = 1;
  const auto below = [&random](uint32_t bound) {
    random = random * 1'664'525 + 1'013'904'223;
    return (random >> 8) % bound;
  };
  Places places(60, 3);
  std::vector<std::pair<uint32_t, PlacePool>> sessions;
  for (int step = 0; step < 200'000; ++step) {
    const uint32_t what = below(1'000);
    if (what == 0) {
      std::vector<PlaceShare> shares(below(4));
      for (PlaceShare& share : shares) share = {.reserved = below(15), .most = below(2) * 50};
      places.SetShares(shares);
    } else if (what < 520) {
      const uint32_t listener = below(4);
      const std::optional<PlacePool> pool = places.FindFree(listener, below(2) == 0);
      if (!pool) continue;
      ASSERT_TRUE(*pool == listener || *pool == kSharedPlaces);
      places.Take(listener, *pool);
      sessions.emplace_back(listener, *pool);
    } else if (!sessions.empty()) {
      const uint32_t index = below(static_cast<uint32_t>(sessions.size()));
      places.Leave(sessions[index].first, sessions[index].second);
      sessions[index] = sessions.back();
      sessions.pop_back();
    }
    ASSERT_EQ(places.used(), sessions.size());
    ASSERT_LE(places.used(), 60u);
    if (places.shared_free() > 0) {
      ASSERT_EQ(places.used() + places.shared_free() + places.reserved_free(), 60u);
    }
  }
}

}  // namespace
}  // namespace starling
