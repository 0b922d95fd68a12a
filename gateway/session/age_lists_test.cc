#include "gateway/session/age_lists.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <vector>

namespace starling {
namespace {

constexpr MonoTime kStart{std::chrono::hours(7)};
constexpr MonoTime kSettled = kStart + kFreshHalfOpen;

AgeListKey Shared(uint32_t source) { return {.source = source}; }

TEST(AgeLists, AnEmptyOneHasNobody) {
  AgeLists lists(4);
  EXPECT_EQ(lists.Heaviest(kSharedPlaces), 0u);
  EXPECT_EQ(lists.OldestOfHeaviest(kSharedPlaces), AgeLists::kNone);
  EXPECT_EQ(lists.WeightWithOneMore(Shared(1), 1), 1u);
  EXPECT_FALSE(lists.Has(3));
  lists.Remove(3);
}

TEST(AgeLists, TheOldestOfTheHeaviestSource) {
  AgeLists lists(8);
  lists.Add(7, Shared(1), 1, kStart);  // older than all, and alone
  lists.Add(5, Shared(2), 1, kStart);
  lists.Add(0, Shared(2), 1, kStart);
  lists.Add(3, Shared(2), 1, kStart);
  lists.Settle(kSettled);
  EXPECT_EQ(lists.Heaviest(kSharedPlaces), 3u);
  EXPECT_EQ(lists.OldestOfHeaviest(kSharedPlaces), 5u);
  lists.Remove(0);  // from the middle
  EXPECT_EQ(lists.OldestOfHeaviest(kSharedPlaces), 5u);
  lists.Remove(5);
  // Both have one: it is the one that has been there for longest.
  EXPECT_EQ(lists.Heaviest(kSharedPlaces), 1u);
  EXPECT_EQ(lists.OldestOfHeaviest(kSharedPlaces), 7u);
  lists.Remove(7);
  EXPECT_EQ(lists.OldestOfHeaviest(kSharedPlaces), 3u);
  lists.Remove(3);
  EXPECT_EQ(lists.Heaviest(kSharedPlaces), 0u);
}

TEST(AgeLists, OfSourcesWithOneEachTheOldest) {
  AgeLists lists(100);
  for (uint32_t slot = 0; slot < 100; ++slot) lists.Add(99 - slot, Shared(slot * 7'919), 1, kStart);
  for (uint32_t slot = 0; slot < 100; ++slot) {
    ASSERT_EQ(lists.OldestOfHeaviest(kSharedPlaces), 99 - slot);
    lists.Remove(99 - slot);
  }
}

TEST(AgeLists, ManyUsersWeighLess) {
  AgeLists lists(40);
  for (uint32_t slot = 0; slot < 33; ++slot) lists.Add(slot, Shared(1), 16, kStart);
  lists.Settle(kSettled);
  EXPECT_EQ(lists.WeightWithOneMore(Shared(1), 16), 3u);
  for (uint32_t slot = 33; slot < 37; ++slot) lists.Add(slot, Shared(2), 1, kStart);
  lists.Settle(kSettled);
  EXPECT_EQ(lists.OldestOfHeaviest(kSharedPlaces), 33u);
  lists.Remove(33);
  lists.Remove(34);
  EXPECT_EQ(lists.OldestOfHeaviest(kSharedPlaces), 0u);
  lists.Remove(0);
  lists.Remove(1);
  EXPECT_EQ(lists.WeightWithOneMore(Shared(1), 16), 2u);
  lists.Add(0, Shared(1), 16, kStart);
  EXPECT_EQ(lists.WeightWithOneMore(Shared(1), 16), 3u);
}

TEST(AgeLists, ABusySourceGoesBehindOneThatStays) {
  AgeLists lists(8);
  lists.Add(0, Shared(1), 16, kStart);
  lists.Add(1, Shared(2), 1, kStart);
  EXPECT_EQ(lists.OldestOfHeaviest(kSharedPlaces), 0u);
  lists.Add(2, Shared(1), 16, kStart);
  lists.Add(3, Shared(1), 16, kStart);
  lists.Remove(2);
  EXPECT_EQ(lists.OldestOfHeaviest(kSharedPlaces), 0u);
  lists.Remove(0);  // it was there for longest, and its source still has the other
  EXPECT_EQ(lists.OldestOfHeaviest(kSharedPlaces), 1u);
  lists.Remove(1);
  EXPECT_EQ(lists.OldestOfHeaviest(kSharedPlaces), 3u);
}

TEST(AgeLists, TheHeaviestOfTheOthers) {
  AgeLists lists(8);
  EXPECT_EQ(lists.OldestOfHeaviestBut(Shared(1)), AgeLists::kNone);
  lists.Add(0, Shared(1), 1, kStart);
  EXPECT_EQ(lists.OldestOfHeaviestBut(Shared(1)), AgeLists::kNone);
  EXPECT_EQ(lists.OldestOfHeaviestBut(Shared(2)), 0u);
  lists.Add(1, Shared(2), 1, kStart);
  lists.Add(2, Shared(3), 1, kStart);
  EXPECT_EQ(lists.OldestOfHeaviestBut(Shared(1)), 1u);
  EXPECT_EQ(lists.OldestOfHeaviestBut(Shared(2)), 0u);
  EXPECT_EQ(lists.OldestOfHeaviestBut({.pool = 3, .source = 1}), AgeLists::kNone);
  // Of a source that is the heaviest alone.
  lists.Add(3, Shared(1), 1, kStart);
  lists.Settle(kSettled);
  EXPECT_EQ(lists.HeaviestBut(Shared(1)), 1u);
  EXPECT_EQ(lists.OldestOfHeaviestBut(Shared(1)), 1u);
  EXPECT_EQ(lists.HeaviestBut(Shared(2)), 2u);
  for (uint32_t slot = 4; slot < 8; ++slot) lists.Add(slot, Shared(1), 1, kStart);
  EXPECT_EQ(lists.HeaviestBut(Shared(1)), 0u);
  EXPECT_EQ(lists.OldestOfHeaviestBut(Shared(1)), AgeLists::kNone);
}

TEST(AgeLists, AFewOfANewSourceWeighAsOne) {
  AgeLists lists(16);
  for (uint32_t slot = 0; slot < 4; ++slot) {
    EXPECT_EQ(lists.WeightWithOneMore(Shared(1), 1), 1u);
    lists.Add(slot, Shared(1), 1, kStart + std::chrono::seconds(slot));
  }
  EXPECT_EQ(lists.Heaviest(kSharedPlaces), 1u);
  EXPECT_EQ(lists.WeightWithOneMore(Shared(1), 1), 5u);
  lists.Add(4, Shared(2), 1, kSettled);
  lists.Settle(kSettled - std::chrono::milliseconds(1));
  EXPECT_EQ(lists.Heaviest(kSharedPlaces), 1u);
  lists.Settle(kSettled);
  EXPECT_EQ(lists.Heaviest(kSharedPlaces), 4u);
  // A fifth one makes it a crowd at once.
  for (uint32_t slot = 5; slot < 8; ++slot) lists.Add(slot, Shared(2), 1, kSettled);
  lists.Remove(0);
  lists.Remove(1);
  EXPECT_EQ(lists.Heaviest(kSharedPlaces), 2u);
  lists.Add(8, Shared(2), 1, kSettled);
  EXPECT_EQ(lists.Heaviest(kSharedPlaces), 5u);
  lists.Remove(8);
  EXPECT_EQ(lists.Heaviest(kSharedPlaces), 4u) << "it is one already";
  // It begins anew.
  for (uint32_t slot = 4; slot < 8; ++slot) lists.Remove(slot);
  lists.Add(0, Shared(2), 1, kSettled);
  lists.Add(1, Shared(2), 1, kSettled);
  EXPECT_EQ(lists.Heaviest(kSharedPlaces), 2u);
  EXPECT_EQ(lists.HeaviestBut(Shared(1)), 1u);
}

TEST(AgeLists, PoolsAreApart) {
  AgeLists lists(8);
  lists.Add(0, {.pool = 3, .source = 1}, 1, kStart);
  lists.Add(1, {.pool = 3, .source = 1}, 1, kStart);
  lists.Add(2, Shared(1), 1, kStart);
  lists.Settle(kSettled);
  EXPECT_EQ(lists.Heaviest(3), 2u);
  EXPECT_EQ(lists.OldestOfHeaviest(3), 0u);
  EXPECT_EQ(lists.Heaviest(kSharedPlaces), 1u);
  EXPECT_EQ(lists.OldestOfHeaviest(kSharedPlaces), 2u);
  EXPECT_EQ(lists.OldestOfHeaviest(2), AgeLists::kNone);
}

// What the lists say, found by looking through all of it.
class Model {
 public:
  void Add(uint32_t slot, const AgeListKey& key) { sessions_.push_back({slot, key}); }
  void Remove(uint32_t slot) {
    std::erase_if(sessions_, [slot](const Session& session) { return session.slot == slot; });
  }
  uint32_t Count(const AgeListKey& key) const {
    return static_cast<uint32_t>(std::ranges::count(sessions_, key, &Session::key));
  }
  uint32_t Heaviest(PlacePool pool) const {
    uint32_t heaviest = 0;
    for (const Session& session : sessions_) {
      if (session.key.pool == pool) heaviest = std::max(heaviest, Count(session.key));
    }
    return heaviest;
  }
  std::optional<uint32_t> OldestOf(const AgeListKey& key) const {
    const auto found = std::ranges::find(sessions_, key, &Session::key);
    return found == sessions_.end() ? std::nullopt : std::optional(found->slot);
  }
  std::optional<AgeListKey> KeyOf(uint32_t slot) const {
    const auto found = std::ranges::find(sessions_, slot, &Session::slot);
    return found == sessions_.end() ? std::nullopt : std::optional(found->key);
  }

 private:
  struct Session {
    uint32_t slot;
    AgeListKey key;
  };
  std::vector<Session> sessions_;  // by age
};

TEST(AgeLists, AgreesWithALookAtAllOfThem) {
  constexpr uint32_t kSlots = 48;
  AgeLists lists(kSlots);
  Model model;
  uint32_t random = 7;
  const auto below = [&random](uint32_t bound) {
    random = random * 1'664'525 + 1'013'904'223;
    return (random >> 8) % bound;
  };
  for (int step = 0; step < 20'000; ++step) {
    const uint32_t slot = below(kSlots);
    if (lists.Has(slot)) {
      lists.Remove(slot);
      model.Remove(slot);
    } else {
      const AgeListKey key{.pool = below(3) == 0 ? PlacePool{5} : kSharedPlaces,
                           .source = below(9) * 64};  // many in one bucket
      lists.Add(slot, key, 1, kStart);
      lists.Settle(kSettled);
      model.Add(slot, key);
      ASSERT_EQ(lists.WeightWithOneMore(key, 1), model.Count(key) + 1);
    }
    for (const PlacePool pool : {PlacePool{5}, kSharedPlaces}) {
      const uint32_t heaviest = lists.Heaviest(pool);
      ASSERT_EQ(heaviest, model.Heaviest(pool)) << step;
      if (heaviest == 0) continue;
      const uint32_t oldest = lists.OldestOfHeaviest(pool);
      const std::optional<AgeListKey> key = model.KeyOf(oldest);
      ASSERT_TRUE(key && key->pool == pool) << step;
      ASSERT_EQ(model.Count(*key), heaviest) << step;
      ASSERT_EQ(model.OldestOf(*key), oldest) << step;
    }
  }
}

}  // namespace
}  // namespace starling
