#include "gateway/session/fair_queue.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace starling {

FairQueue::FairQueue(uint32_t slots, uint32_t most, uint32_t ranks)
    : most_(std::min(most, slots)),
      bucket_mask_(std::bit_ceil(std::max(most_, 1u)) - 1),
      nodes_(slots),
      groups_(most_),
      buckets_(size_t{bucket_mask_} + 1) {
  for (uint32_t rank = 0; rank < ranks; ++rank) ranks_.emplace_back(most_);
}

uint32_t FairQueue::Find(uint64_t source, uint32_t rank) const {
  uint32_t found = buckets_[Index(source, rank)];
  while (found != kNone && (groups_[found].source != source || groups_[found].rank != rank)) {
    found = groups_[found].same_bucket;
  }
  return found;
}

uint32_t FairQueue::MakeGroup(uint64_t source, uint32_t rank) {
  const bool fresh = unused_ == kNone;
  const uint32_t made = fresh ? groups_made_++ : unused_;
  assert(made < most_);
  Group& group = groups_[made];
  if (!fresh) unused_ = group.same_bucket;
  Link& bucket = Bucket(source, rank);
  group = {.source = source, .rank = rank, .same_bucket = bucket};
  bucket = made;
  // A new source has its turn after all others that wait.
  Rank& own = ranks_[rank];
  if (own.turn == kNone) {
    group.in_turn = {made, made};
    own.turn = made;
  } else {
    Group& next = groups_[own.turn];
    group.in_turn = {next.in_turn.before, own.turn};
    groups_[next.in_turn.before].in_turn.after = made;
    next.in_turn.before = made;
  }
  return made;
}

void FairQueue::DropGroup(uint32_t index) {
  Group& group = groups_[index];
  Rank& own = ranks_[group.rank];
  const auto [before, after] = group.in_turn;
  if (own.turn == index) own.turn = after == index ? kNone : uint32_t{after};
  groups_[before].in_turn.after = after;
  groups_[after].in_turn.before = before;
  Link* link = &Bucket(group.source, group.rank);
  while (*link != index) link = &groups_[*link].same_bucket;
  *link = group.same_bucket;
  group.same_bucket = unused_;
  unused_ = index;
}

// By one more or one less.
void FairQueue::SetCount(uint32_t index, uint32_t count) {
  Group& group = groups_[index];
  Rank& own = ranks_[group.rank];
  if (group.count > 0) {
    const auto [before, after] = group.as_heavy;
    (before == kNone ? own.by_count[group.count] : groups_[before].as_heavy.after) = after;
    if (after != kNone) groups_[after].as_heavy.before = before;
  }
  if (count > group.count) {
    ++own.at_least[count];
  } else {
    --own.at_least[group.count];
  }
  group.count = count;
  if (count > 0) {
    group.as_heavy = {kNone, own.by_count[count]};
    if (own.by_count[count] != kNone) groups_[own.by_count[count]].as_heavy.before = index;
    own.by_count[count] = index;
  }
  own.most = std::max(own.most, count);
  // The heaviest one is only one lighter than before.
  if (own.most > 0 && own.by_count[own.most] == kNone) --own.most;
}

void FairQueue::Join(uint32_t slot, uint64_t source, uint32_t rank) {
  assert(!full() && !Has(slot));
  uint32_t index = Find(source, rank);
  if (index == kNone) index = MakeGroup(source, rank);
  Group& group = groups_[index];
  nodes_[slot] = {.in_group = {group.newest, kNone}, .group = index};
  (group.newest == kNone ? group.oldest : nodes_[group.newest].in_group.after) = slot;
  group.newest = slot;
  SetCount(index, group.count + 1);
  ++ranks_[rank].size;
  ++size_;
}

void FairQueue::Leave(uint32_t slot) {
  if (!Has(slot)) return;
  const uint32_t index = nodes_[slot].group;
  Group& group = groups_[index];
  const auto [before, after] = nodes_[slot].in_group;
  (before == kNone ? group.oldest : nodes_[before].in_group.after) = after;
  (after == kNone ? group.newest : nodes_[after].in_group.before) = before;
  nodes_[slot] = {};
  --ranks_[group.rank].size;
  --size_;
  SetCount(index, group.count - 1);
  if (group.count == 0) DropGroup(index);
}

uint32_t FairQueue::Next(uint32_t rank) const {
  const Rank& own = ranks_[rank];
  return own.turn == kNone ? kNone : uint32_t{groups_[own.turn].oldest};
}

uint32_t FairQueue::Take(uint32_t rank) {
  const uint32_t slot = Next(rank);
  if (slot == kNone) return kNone;
  Skip(rank);  // whether or not this source has more
  Leave(slot);
  return slot;
}

void FairQueue::Skip(uint32_t rank) {
  Rank& own = ranks_[rank];
  own.turn = groups_[own.turn].in_turn.after;
}

void FairQueue::Move(uint64_t source, uint32_t from, uint32_t to) {
  for (uint32_t index = Find(source, from); index != kNone; index = Find(source, from)) {
    const uint32_t slot = groups_[index].oldest;
    Leave(slot);
    Join(slot, source, to);
  }
}

uint32_t FairQueue::Count(uint64_t source, uint32_t rank) const {
  const uint32_t index = Find(source, rank);
  return index == kNone ? 0 : groups_[index].count;
}

uint64_t FairQueue::Ahead(uint64_t source, uint32_t rank) const {
  uint64_t ahead = 0;
  for (uint32_t lower = 0; lower < rank; ++lower) ahead += ranks_[lower].size;
  // In each round of turns, every source that has so many slots or more has one. A new source has
  // the last turn of the first round; another one may have the first turn of its last round.
  const Rank& own = ranks_[rank];
  const uint32_t rounds = std::min(std::max(Count(source, rank), 1u), own.most);
  for (uint32_t round = 1; round <= rounds; ++round) ahead += own.at_least[round];
  return ahead;
}

FairQueue::Heaviest FairQueue::HeaviestOf(uint32_t rank) const {
  const Rank& own = ranks_[rank];
  if (own.most == 0) return {};
  const Group& group = groups_[own.by_count[own.most]];
  return {.count = group.count, .oldest = group.oldest, .newest = group.newest};
}

}  // namespace starling
