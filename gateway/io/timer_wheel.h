// Deadlines of one worker's sessions: a hierarchical wheel with one entry a
// slot, O(1) to set and to clear. Resolution 1 ms (rounded up: never early).
//
// Not for: what a deadline means; whoever is woken compares times itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "gateway/io/clock.h"

namespace starling {

class TimerWheel {
 public:
  TimerWheel(size_t slots, MonoTime now);

  // Replaces the slot's earlier deadline; kNever clears it.
  void Set(uint32_t slot, MonoTime deadline);
  void Clear(uint32_t slot) { Set(slot, kNever); }
  MonoTime Get(uint32_t slot) const;

  // Appends the slots whose deadline is at or before `now`, and clears them.
  void Expire(MonoTime now, std::vector<uint32_t>& out);

  // A time not later than the next deadline; kNever if there is none.
  MonoTime Next() const;

 private:
  static constexpr int kLevels = 4;
  static constexpr int kBits = 8;  // 256 buckets a level: 2^32 ms in all
  static constexpr uint32_t kNil = UINT32_MAX;

  struct Entry {
    uint64_t tick = 0;  // 0: not set
    uint32_t next = kNil;
    uint32_t prev = kNil;
    uint32_t bucket = kNil;
  };

  uint64_t TickOf(MonoTime t) const;
  void Link(uint32_t slot);
  void Unlink(uint32_t slot);
  void Cascade(int level);

  MonoTime origin_;
  uint64_t now_tick_ = 0;
  size_t armed_ = 0;
  std::vector<Entry> entries_;
  std::vector<uint32_t> buckets_;  // heads, kLevels x 2^kBits
  std::vector<uint64_t> occupied_; // a bit a bucket
};

}  // namespace starling
