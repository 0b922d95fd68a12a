// The deadlines of one worker's sessions: a hierarchical timer wheel with one entry per
// slot. Setting and clearing are O(1). Its resolution is 1 ms, rounded up, so that no
// deadline expires early. For one thread; allocates nothing after the constructor, and touches the
// memory of a slot when it has its first deadline.
//
// Not for: the meaning of a deadline; a woken session compares the times itself.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "gateway/io/clock.h"
#include "gateway/memory/zeroed_array.h"

namespace starling {

class TimerWheel {
 public:
  TimerWheel(size_t slots, MonoTime now);

  // Replaces the slot's earlier deadline; kNever clears it.
  void Set(uint32_t slot, MonoTime deadline);
  void Clear(uint32_t slot) { Set(slot, kNever); }
  // The deadline, rounded up to the wheel's resolution; kNever if no timer is set.
  MonoTime Get(uint32_t slot) const;

  // Appends the slots whose (rounded) deadline is at or before `now`, and clears them. A
  // deadline that was already past when it was set expires with the next call.
  void Expire(MonoTime now, std::vector<uint32_t>& out);

  // A time not later than the next (rounded) deadline; kNever without deadlines. Calling
  // Expire() at that time makes progress: something expires, or Next() moves on, a few
  // times per deadline at most.
  MonoTime Next() const;

  size_t armed() const { return armed_; }

 private:
  static constexpr int kLevels = 4;
  static constexpr int kBits = 8;  // 256 buckets per level: 2^32 ms altogether
  static constexpr uint32_t kBuckets = 1u << kBits;
  static constexpr uint32_t kDue = kLevels * kBuckets;  // the bucket of past deadlines
  static constexpr uint32_t kNil = UINT32_MAX;
  static constexpr uint64_t kNoTick = UINT64_MAX;

  struct Entry {
    OrNothing<uint64_t> tick;  // kNoTick at first
    OrNothing<uint32_t> next;  // kNil
    OrNothing<uint32_t> prev;
    OrNothing<uint32_t> bucket;
  };

  uint64_t TickOf(MonoTime t) const;  // rounded up
  MonoTime TimeOf(uint64_t tick) const;
  uint32_t BucketOf(uint64_t tick) const;
  void Link(uint32_t slot);
  void Unlink(uint32_t slot);
  // The distance (1..255) from `digit` to the next occupied bucket on `level`; 0 if all are
  // empty. The top level wraps around.
  uint32_t Distance(int level, uint32_t digit) const;
  // The tick of the next occupied bucket, and the bucket.
  uint64_t NextBucket(uint32_t* bucket) const;
  void Drain(uint32_t bucket, std::vector<uint32_t>& out);

  MonoTime origin_;
  uint64_t now_tick_ = 0;
  size_t armed_ = 0;
  ZeroedArray<Entry> entries_;
  std::array<uint32_t, kDue + 1> heads_;
  std::array<uint64_t, kLevels * kBuckets / 64> occupied_{};  // one bit per bucket
};

}  // namespace starling
