#include "gateway/session/age_lists.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace starling {
namespace {

uint32_t Milliseconds(MonoTime at) {
  const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch());
  return static_cast<uint32_t>(since.count());
}

}  // namespace

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

AgeLists::Link AgeLists::MakeGroup(const AgeListKey& key, uint16_t sessions_of_weight,
                                   MonoTime now) {
  Link link = free_group_;
  if (link != 0) {
    free_group_ = groups_[link - 1].next_in_bucket;
  } else {
    assert(groups_made_ < slots_);
    link = ++groups_made_;
  }
  Link& bucket = BucketOf(key);
  groups_[link - 1] = {.key = key,
                       .sessions_of_weight = sessions_of_weight,
                       .since_ms = Milliseconds(now),
                       .next_in_bucket = bucket,
                       .older_new = youngest_new_};
  bucket = link;
  (youngest_new_ == 0 ? oldest_new_ : groups_[youngest_new_ - 1].younger_new) = link;
  youngest_new_ = link;
  return link;
}

void AgeLists::LeaveNew(Group& group) {
  if (!group.is_new) return;
  group.is_new = false;
  const Link older = group.older_new;
  const Link younger = group.younger_new;
  (older == 0 ? oldest_new_ : groups_[older - 1].younger_new) = younger;
  (younger == 0 ? youngest_new_ : groups_[younger - 1].older_new) = older;
}

void AgeLists::Settle(MonoTime now) {
  constexpr uint32_t kNewFor = std::chrono::milliseconds(kFreshHalfOpen).count();
  const uint32_t now_ms = Milliseconds(now);
  while (oldest_new_ != 0 && now_ms - groups_[oldest_new_ - 1].since_ms >= kNewFor) {
    const Link link = oldest_new_;
    Group& group = groups_[link - 1];
    const uint32_t before = group.weight();
    LeaveNew(group);
    if (group.weight() == before) continue;
    LeaveLevel(link, before);
    EnterLevel(link);
  }
}

void AgeLists::DropGroup(Link link) {
  Group& group = groups_[link - 1];
  LeaveNew(group);
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
  // A source becomes lighter by one step at a time: it is the heaviest on the level below, or was
  // the last. One that becomes heavier is the heaviest on its new level.
  if (weight == ranking.heaviest && level.first == 0) --ranking.heaviest;
}

void AgeLists::Add(uint32_t slot, const AgeListKey& key, uint16_t sessions_of_weight, MonoTime now,
                   uint8_t step) {
  assert(!Has(slot) && sessions_of_weight > 0);
  Link link = Find(key);
  const bool made = link == 0;
  if (made) link = MakeGroup(key, sessions_of_weight, now);
  Group& group = groups_[link - 1];
  const uint32_t before = group.weight();
  ++group.count;
  if (group.weight() > kFewSessions) LeaveNew(group);
  entries_[slot] = {.older = group.youngest, .group = link, .step = step};
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

uint32_t AgeLists::WeightWithOneMore(const AgeListKey& key, uint16_t sessions_of_weight) const {
  const Link link = Find(key);
  if (link == 0) return 1;
  const Group& group = groups_[link - 1];
  return Weight(group.count + 1, sessions_of_weight, group.is_new);
}

uint32_t AgeLists::Heaviest(PlacePool pool) const { return rankings_[pool].heaviest; }

uint32_t AgeLists::OldestOfHeaviest(PlacePool pool) const {
  const Ranking& ranking = rankings_[pool];
  if (ranking.heaviest == 0) return kNone;
  return groups_[ranking.levels[ranking.heaviest - 1].first - 1].oldest - 1;
}

AgeLists::Link AgeLists::FindHeaviestBut(const AgeListKey& source) const {
  const Ranking& ranking = rankings_[source.pool];
  for (uint32_t weight = ranking.heaviest; weight > 0; --weight) {
    Link link = ranking.levels[weight - 1].first;
    if (link != 0 && groups_[link - 1].key == source) link = groups_[link - 1].after;
    if (link != 0 || weight > kFewSessions) return link;
  }
  return 0;
}

uint32_t AgeLists::HeaviestBut(const AgeListKey& source) const {
  const Link link = FindHeaviestBut(source);
  return link == 0 ? 0 : groups_[link - 1].weight();
}

uint32_t AgeLists::OldestOfHeaviestBut(const AgeListKey& source) const {
  const Link link = FindHeaviestBut(source);
  return link == 0 ? kNone : groups_[link - 1].oldest - 1;
}

}  // namespace starling
