// Half-open sessions by source, each source's in the order of their age, and which source has the
// most of them. So a newcomer finds the session that gives way to it without a look at the table:
// each call takes a few steps, however many sessions and sources there are.
//
// A source is new for a while (kFreshHalfOpen) after it got its first half-open session. Until then
// a few of them (kFewSessions) weigh as one: a mail program opens as many at once, and is no
// heavier than an address with one.
//
// A source is known by a hash of 32 bits: two that have the same one count as one. Each pool of
// places (places.h) has lists of its own, since a session gives its place to others of the same
// pool only. One object a worker, one thread.
//
// Not for: which sessions are half-open, or what becomes of one that gives way (crowding.h).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "gateway/io/clock.h"
#include "gateway/limits.h"
#include "gateway/memory/zeroed_array.h"
#include "gateway/session/places.h"

namespace starling {

// A source in a pool, by the source's hash.
struct AgeListKey {
  PlacePool pool = kSharedPlaces;
  uint32_t source = 0;

  bool operator==(const AgeListKey&) const = default;
};

class AgeLists {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr uint8_t kAnyStep = UINT8_MAX;

  explicit AgeLists(uint32_t slots);

  // The youngest of its source from now on. So many sessions of the source weigh as one:
  // `sessions_of_weight`, at least 1.
  void Add(uint32_t slot, const AgeListKey& key, uint16_t sessions_of_weight, MonoTime now,
           uint8_t step = 0);
  // Does nothing if the slot is in no list.
  void Remove(uint32_t slot);
  bool Has(uint32_t slot) const { return entries_[slot].group != 0; }
  // The slot is in a list, and was added at this step. kAnyStep: at any.
  bool HasAt(uint32_t slot, uint8_t step) const {
    return Has(slot) && (step == kAnyStep || entries_[slot].step == step);
  }

  // Sources that are new no longer have their full weight from now on. To be called before the
  // questions below.
  void Settle(MonoTime now);
  // The number of half-open sessions of a source, by its weight, rounded up, once it has one more.
  uint32_t WeightWithOneMore(const AgeListKey& key, uint16_t sessions_of_weight) const;
  // The weight of the heaviest source of a pool; 0: it has none.
  uint32_t Heaviest(PlacePool pool) const;
  // The oldest session of that source. Of several heaviest sources, of the one that has had both
  // its weight and its oldest session for longest. kNone: there is no session.
  uint32_t OldestOfHeaviest(PlacePool pool) const;
  // The same, of all sources of that pool but this one. 0 and kNone: there is no other source, or
  // this one is heavier than all others and no source of few sessions.
  uint32_t HeaviestBut(const AgeListKey& source) const;
  uint32_t OldestOfHeaviestBut(const AgeListKey& source) const;

  // Memory of one slot, touched when a session is half-open in it for the first time.
  static constexpr size_t octets_a_slot();

 private:
  // Links are an index and 1; 0: none. So memory that was never touched is right as it is.
  using Link = uint32_t;
  struct Entry {  // a slot
    Link older = 0;
    Link younger = 0;
    Link group = 0;  // 0: in no list
    uint8_t step = 0;
  };
  struct Group {  // a source in a pool
    AgeListKey key;
    uint32_t count = 0;
    uint16_t sessions_of_weight = 1;
    bool is_new = true;
    uint32_t since_ms = 0;  // only the lower digits, which is enough for differences
    Link oldest = 0;
    Link youngest = 0;
    Link next_in_bucket = 0;  // of the hash table; of a free group, the next free one
    Link before = 0;          // in its level
    Link after = 0;
    Link older_new = 0;  // among the sources that are new
    Link younger_new = 0;

    uint32_t weight() const { return Weight(count, sessions_of_weight, is_new); }
  };
  // The sources of one weight, in the order in which they came to it or got another oldest session.
  struct Level {
    Link first = 0;
    Link last = 0;
  };
  struct Ranking {              // a pool
    std::vector<Level> levels;  // by weight - 1
    uint32_t heaviest = 0;
  };
  static uint32_t Weight(uint32_t sessions, uint32_t sessions_of_weight, bool is_new) {
    const uint32_t weight = (sessions + sessions_of_weight - 1) / sessions_of_weight;
    return is_new && weight <= kFewSessions ? std::min(weight, 1u) : weight;
  }
  Link& BucketOf(const AgeListKey& key);
  uint32_t BucketIndex(const AgeListKey& key) const;
  Link Find(const AgeListKey& key) const;
  Link FindHeaviestBut(const AgeListKey& source) const;
  Link MakeGroup(const AgeListKey& key, uint16_t sessions_of_weight, MonoTime now);
  void DropGroup(Link link);
  void LeaveNew(Group& group);
  void EnterLevel(Link link);
  void LeaveLevel(Link link, uint32_t weight);
  Ranking& RankingOf(PlacePool pool);

  const uint32_t slots_;
  const uint32_t bucket_mask_;
  ZeroedArray<Entry> entries_;
  ZeroedArray<Group> groups_;  // as many as slots: each has a session
  ZeroedArray<Link> buckets_;
  Link free_group_ = 0;
  Link oldest_new_ = 0;
  Link youngest_new_ = 0;
  uint32_t groups_made_ = 0;       // those above were never used
  std::vector<Ranking> rankings_;  // by pool
};

constexpr size_t AgeLists::octets_a_slot() {
  return sizeof(Entry) + sizeof(Group) + 2 * sizeof(Link) + sizeof(Level);
}
static_assert(AgeLists::octets_a_slot() <= 80);

}  // namespace starling
