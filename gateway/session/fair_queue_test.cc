// Tests of the order in which slots of many sources have their turns.
#include "gateway/session/fair_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace starling {
namespace {

std::vector<uint32_t> TakeAll(FairQueue& queue, uint32_t rank) {
  std::vector<uint32_t> taken;
  for (uint32_t slot = queue.Take(rank); slot != FairQueue::kNone; slot = queue.Take(rank)) {
    taken.push_back(slot);
  }
  return taken;
}

TEST(FairQueue, OneSourceIsServedInOrder) {
  FairQueue queue(10, 10, 1);
  for (const uint32_t slot : {7, 2, 9}) queue.Join(slot, 5, 0);
  EXPECT_EQ(TakeAll(queue, 0), (std::vector<uint32_t>{7, 2, 9}));
  EXPECT_TRUE(queue.empty());
}

TEST(FairQueue, SourcesTakeTurns) {
  FairQueue queue(2'000, 2'000, 1);
  for (uint32_t slot = 0; slot < 1'000; ++slot) queue.Join(slot, 1, 0);
  EXPECT_EQ(queue.Take(0), 0u);
  queue.Join(1'000, 2, 0);
  queue.Join(1'001, 2, 0);
  queue.Join(1'002, 3, 0);
  EXPECT_EQ(queue.Ahead(2, 0), 3u + 2);
  EXPECT_EQ(queue.Ahead(4, 0), 3u);
  std::vector<uint32_t> order = TakeAll(queue, 0);
  order.resize(6);
  EXPECT_EQ(order, (std::vector<uint32_t>{1, 1'000, 1'002, 2, 1'001, 3}));
}

// Also where hashes differ only in bits that choose no bucket.
TEST(FairQueue, SourcesOfOneBucketAreTwo) {
  FairQueue queue(8, 8, 2);
  const uint64_t far = uint64_t{1} << 40;
  for (const uint32_t slot : {0, 1, 2}) queue.Join(slot, 3, 0);
  queue.Join(3, 3 + far, 0);
  queue.Join(4, 2 + far, 1);  // a rank changes the bucket, too
  queue.Join(5, 3 + 2 * far, 0);
  EXPECT_EQ(queue.Count(3, 0), 3u);
  EXPECT_EQ(queue.Count(3 + far, 0), 1u);
  EXPECT_EQ(queue.Count(2, 1), 0u);
  queue.Leave(3);
  EXPECT_EQ(queue.Count(3 + far, 0), 0u);
  EXPECT_EQ(TakeAll(queue, 0), (std::vector<uint32_t>{0, 5, 1, 2}));
  EXPECT_EQ(TakeAll(queue, 1), (std::vector<uint32_t>{4}));
}

TEST(FairQueue, RanksHaveTurnsOfTheirOwn) {
  FairQueue queue(10, 10, 3);
  queue.Join(0, 1, 2);
  queue.Join(1, 1, 1);
  queue.Join(2, 1, 0);
  EXPECT_EQ(queue.size(), 3u);
  EXPECT_EQ(queue.size(1), 1u);
  EXPECT_EQ(queue.Ahead(9, 0), 1u);
  EXPECT_EQ(queue.Ahead(9, 2), 3u);
  EXPECT_EQ(TakeAll(queue, 1), (std::vector<uint32_t>{1}));
  EXPECT_EQ(TakeAll(queue, 0), (std::vector<uint32_t>{2}));
  EXPECT_EQ(TakeAll(queue, 2), (std::vector<uint32_t>{0}));
}

TEST(FairQueue, ALookAheadLeavesTheTurnsAsTheyAre) {
  FairQueue queue(10, 10, 1);
  for (const uint32_t slot : {0, 1}) queue.Join(slot, 1, 0);
  for (const uint32_t slot : {2, 3}) queue.Join(slot, 2, 0);
  queue.Join(4, 3, 0);
  EXPECT_EQ(queue.Following(0), 2u);
  EXPECT_EQ(queue.Following(2), 4u);
  EXPECT_EQ(queue.Following(4), 0u);
  EXPECT_EQ(queue.Next(0), 0u);
  queue.TurnTo(2);
  EXPECT_EQ(TakeAll(queue, 0), (std::vector<uint32_t>{2, 4, 0, 3, 1}));
}

TEST(FairQueue, ASourceCanGetAnotherRank) {
  FairQueue queue(10, 10, 2);
  for (const uint32_t slot : {0, 1}) queue.Join(slot, 1, 0);
  queue.Join(2, 2, 0);
  queue.Join(3, 1, 1);
  queue.Move(1, 0, 1);
  queue.Move(7, 0, 1);
  EXPECT_EQ(queue.size(0), 1u);
  EXPECT_EQ(queue.Count(1, 1), 3u);
  EXPECT_EQ(TakeAll(queue, 0), (std::vector<uint32_t>{2}));
  EXPECT_EQ(TakeAll(queue, 1), (std::vector<uint32_t>{3, 0, 1}));
}

TEST(FairQueue, ATurnCanPassToTheNextSource) {
  FairQueue queue(10, 10, 1);
  EXPECT_EQ(queue.Next(0), FairQueue::kNone);
  for (const uint32_t slot : {0, 1}) queue.Join(slot, 1, 0);
  queue.Join(2, 2, 0);
  EXPECT_EQ(queue.Next(0), 0u);
  queue.Skip(0);
  EXPECT_EQ(queue.Next(0), 2u);
  EXPECT_EQ(TakeAll(queue, 0), (std::vector<uint32_t>{2, 0, 1}));
}

TEST(FairQueue, NamesTheHeaviestSource) {
  FairQueue queue(10, 10, 1);
  EXPECT_EQ(queue.HeaviestOf(0).count, 0u);
  for (const uint32_t slot : {4, 5, 6}) queue.Join(slot, 1, 0);
  for (const uint32_t slot : {0, 1}) queue.Join(slot, 2, 0);
  EXPECT_EQ(queue.HeaviestOf(0).count, 3u);
  EXPECT_EQ(queue.HeaviestOf(0).oldest, 4u);
  EXPECT_EQ(queue.HeaviestOf(0).newest, 6u);
  queue.Leave(5);
  queue.Leave(5);
  queue.Leave(6);
  EXPECT_EQ(queue.HeaviestOf(0).count, 2u);
  EXPECT_EQ(queue.HeaviestOf(0).newest, 1u);
  TakeAll(queue, 0);
  EXPECT_EQ(queue.HeaviestOf(0).count, 0u);
}

TEST(FairQueue, IsFullAtItsMost) {
  FairQueue queue(10, 2, 1);
  queue.Join(8, 1, 0);
  EXPECT_FALSE(queue.full());
  queue.Join(9, 2, 0);
  EXPECT_TRUE(queue.full());
  queue.Leave(8);
  EXPECT_FALSE(queue.full());
}

// The same, written as simply as can be.
class Model {
 public:
  void Join(uint32_t slot, uint64_t source) {
    if (sources_[source].empty()) turns_.push_back(source);
    sources_[source].push_back(slot);
  }
  void Leave(uint32_t slot) {
    for (auto& [source, slots] : sources_) {
      const auto found = std::ranges::find(slots, slot);
      if (found == slots.end()) continue;
      slots.erase(found);
      if (slots.empty()) std::erase(turns_, source);
    }
  }
  uint32_t Take() {
    if (turns_.empty()) return FairQueue::kNone;
    const uint64_t source = turns_.front();
    turns_.pop_front();
    const uint32_t slot = sources_[source].front();
    sources_[source].pop_front();
    if (!sources_[source].empty()) turns_.push_back(source);
    return slot;
  }
  uint32_t Most() const {
    size_t most = 0;
    for (const auto& [source, slots] : sources_) most = std::max(most, slots.size());
    return static_cast<uint32_t>(most);
  }
  // How many go before a newcomer.
  uint64_t Ahead(uint64_t source) const {
    Model later = *this;
    later.Join(999, source);
    uint64_t ahead = 0;
    while (later.Take() != 999) ++ahead;
    return ahead;
  }

 private:
  std::map<uint64_t, std::deque<uint32_t>> sources_;
  std::deque<uint64_t> turns_;
};

TEST(FairQueue, AgreesWithASimpleOne) {
  std::mt19937 random(1);
  FairQueue queue(64, 48, 1);
  Model model;
  for (int i = 0; i < 20'000; ++i) {
    const auto slot = static_cast<uint32_t>(random() % 64);
    const uint64_t source = random() % 7 * 64 + random() % 2;
    switch (random() % 4) {
      case 0:
      case 1:
        if (queue.full() || queue.Has(slot)) break;
        ASSERT_LE(queue.Ahead(source, 0), model.Ahead(source)) << i;
        ASSERT_GE(queue.Ahead(source, 0) + 14, model.Ahead(source)) << i;
        queue.Join(slot, source, 0);
        model.Join(slot, source);
        break;
      case 2:
        queue.Leave(slot);
        model.Leave(slot);
        break;
      default:
        ASSERT_EQ(queue.Take(0), model.Take()) << i;
    }
    ASSERT_EQ(queue.HeaviestOf(0).count, model.Most()) << i;
  }
}

}  // namespace
}  // namespace starling
