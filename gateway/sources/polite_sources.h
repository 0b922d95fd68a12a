// Sources that have once waited for a server's greeting, as mail clients do. For some days their
// clients need not show it again. One object for the process, for all workers.
//
// A fixed array of cells in sets of four. A keyed hash gives a source its set; a cell has 16
// further bits of the hash and the hour. So a source that never waited is taken for one that did
// where those bits agree: at most four times in 65,536. A full set forgets the source that waited
// longest ago. With as many sources as half of the cells, one in twenty is forgotten early, and
// only waits once more.
//
// It is empty when the process starts: a successor process does not know what this one has learnt.
// Reloads do not touch it. Not for: whether a listener delays its greeting (session/pregreet.h).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "gateway/io/clock.h"
#include "gateway/memory/zeroed_array.h"
#include "gateway/sources/keyed_hash.h"
#include "gateway/sources/source_key.h"

namespace starling {

class PoliteSources {
 public:
  static constexpr size_t kCells = size_t{1} << 20;  // 4 MiB

  // `key` is random and stays secret.
  explicit PoliteSources(const HashKey& key) : key_(key) {}

  // Whether it has waited within the last `keep`, to the hour.
  bool Knows(const SourceKey& source, MonoTime now, std::chrono::seconds keep) const;
  // It has waited. Where two workers write to one set at the same moment, one of two sources may be
  // forgotten.
  void Remember(const SourceKey& source, MonoTime now);

 private:
  static constexpr size_t kOfSet = 4;

  struct Place {
    size_t set = 0;  // its first cell
    uint16_t tag = 0;
  };
  Place PlaceOf(const SourceKey& source) const;

  const HashKey key_;
  using Cell = std::atomic<uint32_t>;
  static_assert(Cell::is_always_lock_free);
  ZeroedArray<Cell> cells_{kCells};  // tag and hour; 0: unused
};

}  // namespace starling
