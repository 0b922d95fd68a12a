// Slots that wait, in an order that is fair to their sources: the sources take turns, and within
// one source the slot that has waited longest goes first. So what one source asks for delays each
// other source by one turn at most, however much it is.
//
// Slots of a lower rank go before all those of a higher one. Each rank has turns of its own.
//
// Joining and leaving take the same time however many wait. All memory is allocated when the queue
// is made, and touched when it is used. Sources are told apart by a keyed hash of 64 bits, so that
// nobody can aim at the queue of somebody else.
//
// Not for: what the slots wait for, and who is let in (admission.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "gateway/memory/zeroed_array.h"

namespace starling {

class FairQueue {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  // For slots below `slots`, of which up to `most` wait at once.
  FairQueue(uint32_t slots, uint32_t most, uint32_t ranks);

  uint32_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  bool full() const { return size_ == most_; }
  uint32_t size(uint32_t rank) const { return ranks_[rank].size; }
  uint32_t most() const { return most_; }
  // How many sources have slots of a rank.
  uint32_t sources(uint32_t rank) const { return most_ == 0 ? 0 : ranks_[rank].at_least[1]; }
  bool Has(uint32_t slot) const { return nodes_[slot].group != kNone; }

  // The queue is not full, and the slot is not in it.
  void Join(uint32_t slot, uint64_t source, uint32_t rank);
  // Nothing happens if the slot is not in the queue.
  void Leave(uint32_t slot);
  // The slot whose turn it is among those of a rank; kNone: nobody waits.
  uint32_t Next(uint32_t rank) const;
  // The same, and it leaves the queue.
  uint32_t Take(uint32_t rank);
  // It is the next source's turn. Somebody waits with that rank.
  void Skip(uint32_t rank);
  // The slot whose turn it would be after one that Next or this gave.
  uint32_t Following(uint32_t slot) const {
    return groups_[groups_[nodes_[slot].group].in_turn.after].oldest;
  }
  // It is the turn of such a slot.
  void TurnTo(uint32_t slot) {
    const uint32_t group = nodes_[slot].group;
    ranks_[groups_[group].rank].turn = group;
  }

  // All slots of a source that wait with one rank wait with another from now on.
  void Move(uint64_t source, uint32_t from, uint32_t to);

  // How many slots of that source wait with that rank.
  uint32_t Count(uint64_t source, uint32_t rank) const;
  // How many would go before a newcomer of that source at least, if nobody else came or left. There
  // may be one more of each other source. It takes longer the more the source has.
  uint64_t Ahead(uint64_t source, uint32_t rank) const;

  // The source with most slots of a rank: how many it has, and those that have been there longest
  // and least. Without slots of that rank, `count` is 0.
  struct Heaviest {
    uint32_t count = 0;
    uint32_t oldest = kNone;
    uint32_t newest = kNone;
  };
  Heaviest HeaviestOf(uint32_t rank) const;

 private:
  using Link = OrNothing<uint32_t>;
  struct Links {
    Link before;
    Link after;
  };
  struct Node {
    Links in_group;
    Link group;
  };
  // The slots of one source that wait with one rank.
  struct Group {
    uint64_t source = 0;
    uint32_t rank = 0;
    uint32_t count = 0;
    Link oldest;
    Link newest;
    Link same_bucket;  // the next one there; of an unused group the next unused one
    Links in_turn;     // a ring of all groups of the rank
    Links as_heavy;    // those with as many slots
  };
  struct Rank {
    uint32_t size = 0;
    uint32_t turn = kNone;           // the group that is next
    uint32_t most = 0;               // slots that one group has
    ZeroedArray<Link> by_count;      // the first group with so many slots
    ZeroedArray<uint32_t> at_least;  // how many groups have so many slots or more

    explicit Rank(size_t most_slots) : by_count(most_slots + 1), at_least(most_slots + 1) {}
  };

  Link& Bucket(uint64_t source, uint32_t rank) { return buckets_[Index(source, rank)]; }
  size_t Index(uint64_t source, uint32_t rank) const { return (source + rank) & bucket_mask_; }
  uint32_t Find(uint64_t source, uint32_t rank) const;
  uint32_t MakeGroup(uint64_t source, uint32_t rank);
  void DropGroup(uint32_t index);
  void SetCount(uint32_t index, uint32_t count);

  const uint32_t most_;
  const uint32_t bucket_mask_;
  uint32_t size_ = 0;
  ZeroedArray<Node> nodes_;  // by slot
  ZeroedArray<Group> groups_;
  ZeroedArray<Link> buckets_;  // a hash table of groups
  std::deque<Rank> ranks_;
  uint32_t unused_ = kNone;   // the first group that was used and is not now
  uint32_t groups_made_ = 0;  // those from here on were never used
};

}  // namespace starling
