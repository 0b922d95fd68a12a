#include "gateway/session/age_lists.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace starling {

AgeLists::AgeLists(uint32_t slots)
    : slots_(slots),
      bucket_mask_(std::bit_ceil(std::max(slots, 2u)) - 1),
      entries_(slots),
      groups_(slots),
      buckets_(size_t{bucket_mask_} + 1),
      rankings_(size_t{kNoPlace} + 1) {
  rankings_[kSharedPlaces].levels.reserve(slots);
}

uint32_t AgeLists::BucketIndex(const AgeListKey& key) const {
  // The source's bits are all equally good; a source is seldom in more than two pools.
  return (key.source + key.pool) & bucket_mask_;
}

AgeLists::Link& AgeLists::BucketOf(const AgeListKey& key) { return buckets_[BucketIndex(key)]; }

AgeLists::Link AgeLists::Find(const AgeListKey& key) const {
  Link link = buckets_[BucketIndex(key)];
  while (link != 0 && groups_[link - 1].key != key) link = groups_[link - 1].next_in_bucket;
  return link;
}

AgeLists::Link AgeLists::MakeGroup(const AgeListKey& key, uint32_t sessions_of_weight) {
  Link link = free_group_;
  if (link != 0) {
    free_group_ = groups_[link - 1].next_in_bucket;
  } else {
    assert(groups_made_ < slots_);
    link = ++groups_made_;
  }
  Link& bucket = BucketOf(key);
  groups_[link - 1] = {
      .key = key, .sessions_of_weight = sessions_of_weight, .next_in_bucket = bucket};
  bucket = link;
  return link;
}

void AgeLists::DropGroup(Link link) {
  Group& group = groups_[link - 1];
  Link* at = &BucketOf(group.key);
  while (*at != link) at = &groups_[*at - 1].next_in_bucket;
  *at = group.next_in_bucket;
  group.next_in_bucket = free_group_;
  free_group_ = link;
}

AgeLists::Ranking& AgeLists::RankingOf(PlacePool pool) { return rankings_[pool]; }

void AgeLists::EnterLevel(Link link) {
  Group& group = groups_[link - 1];
  Ranking& ranking = RankingOf(group.key.pool);
  const uint32_t weight = group.weight();
  if (ranking.levels.size() < weight) ranking.levels.resize(weight);
  Level& level = ranking.levels[weight - 1];
  group.before = level.last;
  group.after = 0;
  (level.last == 0 ? level.first : groups_[level.last - 1].after) = link;
  level.last = link;
  ranking.heaviest = std::max(ranking.heaviest, weight);
}

void AgeLists::LeaveLevel(Link link, uint32_t weight) {
  const Group& group = groups_[link - 1];
  Ranking& ranking = RankingOf(group.key.pool);
  Level& level = ranking.levels[weight - 1];
  (group.before == 0 ? level.first : groups_[group.before - 1].after) = group.after;
  (group.after == 0 ? level.last : groups_[group.after - 1].before) = group.before;
  // A source changes by one step at a time: it is the heaviest on the level below, or was the last.
  if (weight == ranking.heaviest && level.first == 0) --ranking.heaviest;
}

void AgeLists::Add(uint32_t slot, const AgeListKey& key, uint32_t sessions_of_weight) {
  assert(!Has(slot) && sessions_of_weight > 0);
  Link link = Find(key);
  const bool made = link == 0;
  if (made) link = MakeGroup(key, sessions_of_weight);
  Group& group = groups_[link - 1];
  const uint32_t before = group.weight();
  ++group.count;
  entries_[slot] = {.older = group.youngest, .group = link};
  (group.youngest == 0 ? group.oldest : entries_[group.youngest - 1].younger) = slot + 1;
  group.youngest = slot + 1;
  if (group.weight() == before) return;
  if (!made) LeaveLevel(link, before);
  EnterLevel(link);
}

void AgeLists::Remove(uint32_t slot) {
  if (!Has(slot)) return;
  const Entry entry = entries_[slot];
  entries_[slot] = {};
  Group& group = groups_[entry.group - 1];
  (entry.older == 0 ? group.oldest : entries_[entry.older - 1].younger) = entry.younger;
  (entry.younger == 0 ? group.youngest : entries_[entry.younger - 1].older) = entry.older;
  const uint32_t before = group.weight();
  --group.count;
  // Many users behind one address come and go, and their source is always there. It goes behind
  // those whose oldest session has stayed.
  if (group.weight() == before && entry.older != 0) return;
  LeaveLevel(entry.group, before);
  if (group.count == 0) {
    DropGroup(entry.group);
  } else {
    EnterLevel(entry.group);
  }
}

uint32_t AgeLists::WeightWithOneMore(const AgeListKey& key, uint32_t sessions_of_weight) const {
  const Link link = Find(key);
  if (link == 0) return 1;
  return Weight(groups_[link - 1].count + 1, sessions_of_weight);
}

uint32_t AgeLists::Heaviest(PlacePool pool) const { return rankings_[pool].heaviest; }

uint32_t AgeLists::OldestOfHeaviest(PlacePool pool) const {
  const Ranking& ranking = rankings_[pool];
  if (ranking.heaviest == 0) return kNone;
  return groups_[ranking.levels[ranking.heaviest - 1].first - 1].oldest - 1;
}

uint32_t AgeLists::OldestOfHeaviestBut(const AgeListKey& source) const {
  const Ranking& ranking = rankings_[source.pool];
  if (ranking.heaviest == 0) return kNone;
  Link link = ranking.levels[ranking.heaviest - 1].first;
  if (groups_[link - 1].key == source) link = groups_[link - 1].after;
  return link == 0 ? kNone : groups_[link - 1].oldest - 1;
}

}  // namespace starling
