// An entry is on the level of the highest digit (base 256) in which its tick differs from
// the current one. So entries of a lower level always expire before those of a higher
// level. When the first tick of a bucket on a higher level comes, its entries move to the
// lower levels. Only the top level wraps around.
#include "gateway/io/timer_wheel.h"

#include <algorithm>
#include <bit>

namespace starling {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr int64_t kNanosPerTick = 1'000'000;

}  // namespace

TimerWheel::TimerWheel(size_t slots, MonoTime now) : origin_(now), entries_(slots) {
  heads_.fill(kNil);
}

uint64_t TimerWheel::TickOf(MonoTime t) const {
  if (t <= origin_) return 0;
  const int64_t nanos = (t - origin_).count();
  return static_cast<uint64_t>(nanos / kNanosPerTick) + (nanos % kNanosPerTick != 0);
}

MonoTime TimerWheel::TimeOf(uint64_t tick) const { return origin_ + milliseconds(tick); }

uint32_t TimerWheel::BucketOf(uint64_t tick) const {
  if (tick <= now_tick_) return kDue;
  // A deadline beyond the wheel's range waits in the last bucket and is placed again when
  // that bucket comes up.
  constexpr int kTopShift = (kLevels - 1) * kBits;
  tick = std::min(tick, now_tick_ + (uint64_t{kBuckets - 1} << kTopShift));
  const int bit = 63 - std::countl_zero(tick ^ now_tick_);
  const int level = std::min(bit / kBits, kLevels - 1);
  return level * kBuckets + (tick >> level * kBits & (kBuckets - 1));
}

void TimerWheel::Link(uint32_t slot) {
  Entry& entry = entries_[slot];
  entry.bucket = BucketOf(entry.tick);
  uint32_t& head = heads_[entry.bucket];
  entry.prev = kNil;
  entry.next = head;
  if (head != kNil) entries_[head].prev = slot;
  head = slot;
  if (entry.bucket != kDue) occupied_[entry.bucket / 64] |= uint64_t{1} << entry.bucket % 64;
}

void TimerWheel::Unlink(uint32_t slot) {
  Entry& entry = entries_[slot];
  if (entry.prev != kNil) {
    entries_[entry.prev].next = entry.next;
  } else {
    heads_[entry.bucket] = entry.next;
    if (entry.next == kNil && entry.bucket != kDue) {
      occupied_[entry.bucket / 64] &= ~(uint64_t{1} << entry.bucket % 64);
    }
  }
  if (entry.next != kNil) entries_[entry.next].prev = entry.prev;
}

void TimerWheel::Set(uint32_t slot, MonoTime deadline) {
  Entry& entry = entries_[slot];
  const uint64_t tick = deadline == kNever ? kNoTick : TickOf(deadline);
  if (entry.tick == tick) return;
  if (entry.tick != kNoTick) {
    Unlink(slot);
    --armed_;
  }
  entry.tick = tick;
  if (tick != kNoTick) {
    Link(slot);
    ++armed_;
  }
}

MonoTime TimerWheel::Get(uint32_t slot) const {
  const uint64_t tick = entries_[slot].tick;
  return tick == kNoTick ? kNever : TimeOf(tick);
}

uint32_t TimerWheel::Distance(int level, uint32_t digit) const {
  const uint64_t* words = &occupied_[level * kBuckets / 64];
  const bool round = level == kLevels - 1;
  for (uint32_t at = digit + 1; at < (round ? digit + kBuckets : kBuckets);) {
    const uint32_t bit = at & (kBuckets - 1);
    const uint64_t word = words[bit / 64] >> bit % 64;
    if (word != 0) {
      const uint32_t found = at + std::countr_zero(word) - digit;
      return found < kBuckets ? found : 0;
    }
    at += 64 - bit % 64;
  }
  return 0;
}

uint64_t TimerWheel::NextBucket(uint32_t* bucket) const {
  for (int level = 0; level < kLevels; ++level) {
    const int shift = level * kBits;
    const uint32_t digit = now_tick_ >> shift & (kBuckets - 1);
    const uint32_t distance = Distance(level, digit);
    if (distance == 0) continue;
    *bucket = level * kBuckets + ((digit + distance) & (kBuckets - 1));
    return ((now_tick_ >> shift) + distance) << shift;
  }
  return kNoTick;
}

void TimerWheel::Drain(uint32_t bucket, std::vector<uint32_t>& out) {
  uint32_t slot = heads_[bucket];
  heads_[bucket] = kNil;
  if (bucket != kDue) occupied_[bucket / 64] &= ~(uint64_t{1} << bucket % 64);
  while (slot != kNil) {
    Entry& entry = entries_[slot];
    const uint32_t next = entry.next;
    if (entry.tick <= now_tick_) {
      entry.tick = kNoTick;
      --armed_;
      out.push_back(slot);
    } else {
      Link(slot);
    }
    slot = next;
  }
}

void TimerWheel::Expire(MonoTime now, std::vector<uint32_t>& out) {
  const uint64_t target =
      now <= origin_ ? 0 : static_cast<uint64_t>((now - origin_).count() / kNanosPerTick);
  Drain(kDue, out);
  uint32_t bucket = 0;
  for (uint64_t tick = NextBucket(&bucket); tick <= target && tick != kNoTick;
       tick = NextBucket(&bucket)) {
    now_tick_ = tick;
    Drain(bucket, out);
  }
  now_tick_ = std::max(now_tick_, target);
}

MonoTime TimerWheel::Next() const {
  if (heads_[kDue] != kNil) return TimeOf(now_tick_);
  uint32_t bucket = 0;
  const uint64_t tick = NextBucket(&bucket);
  return tick == kNoTick ? kNever : TimeOf(tick);
}

}  // namespace starling
