// Sources of which one thing was seen lately, and when: that they waited for a greeting, say. One
// object for the process and that thing, for all workers.
//
// A fixed array of cells in sets of four. A keyed hash gives a source its set; a cell has 16
// further bits of the hash and the time in units. So a source of which nothing was seen is taken
// for another one where those bits agree: at most four times in 65,536. A full set forgets the
// source that was seen longest ago. With as many sources as half of the cells, one in twenty is
// forgotten early.
//
// It is empty when the process starts: a successor process does not know what this one has learnt.
// Reloads do not touch it. Not for: what follows from that thing (session/pregreet.h,
// session/admission.h).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "gateway/io/clock.h"
#include "gateway/memory/zeroed_array.h"
#include "gateway/sources/keyed_hash.h"
#include "gateway/sources/source_key.h"

namespace starling {

class RecentSources {
 public:
  static constexpr size_t kCells = size_t{1} << 20;  // 4 MiB

  // `key` is random and stays secret. Times are known to the `unit`; after 65,535 units they begin
  // again, and nothing is to be kept half as long.
  RecentSources(const HashKey& key, std::chrono::seconds unit) : key_(key), unit_(unit) {}

  // Whether it was seen within the last `keep`.
  bool Knows(const SourceKey& source, MonoTime now, std::chrono::seconds keep) const;
  // It is seen now. Where two workers write to one set at the same moment, one of two sources may
  // be forgotten.
  void Remember(const SourceKey& source, MonoTime now);

 private:
  static constexpr size_t kOfSet = 4;

  struct Place {
    size_t set = 0;  // its first cell
    uint16_t tag = 0;
  };
  Place PlaceOf(const SourceKey& source) const;
  uint32_t UnitOf(MonoTime time) const {
    return static_cast<uint32_t>(time.time_since_epoch() / unit_);
  }

  const HashKey key_;
  const std::chrono::seconds unit_;
  using Cell = std::atomic<uint32_t>;
  static_assert(Cell::is_always_lock_free);
  ZeroedArray<Cell> cells_{kCells};  // tag and time; 0: unused
};

}  // namespace starling
