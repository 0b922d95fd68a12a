// Counts of many sources in a fixed array: each source has two cells, and the lower one counts.
// So a source is charged for others only if it shares both of its cells with such as have much.
// With n sources over their share, the part of the others that is refused because of them is
// (1 - exp(-2n / kSourceCells))^2: fewer than one in a thousand with 1,000 of them at once.
//
// All workers share the arrays; each access is one relaxed atomic operation.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "gateway/memory/zeroed_array.h"

namespace starling {

// 512 KiB of each measure. A cell that no source has touched takes no memory.
inline constexpr size_t kSourceCells = size_t{1} << 16;

// The two cells of a source, in each array. They differ.
struct SourceCells {
  uint16_t first = 0;
  uint16_t second = 1;

  // From a hash whose bits are all equally good.
  static SourceCells Of(uint64_t hash) {
    const auto first = static_cast<uint16_t>(hash);
    const auto second = static_cast<uint16_t>(hash >> 16);
    return {first, static_cast<uint16_t>(second == first ? second ^ 1 : second)};
  }
  bool operator==(const SourceCells&) const = default;
};

class CellArray {
 public:
  using Cell = std::atomic<uint64_t>;
  static_assert(Cell::is_always_lock_free);

  Cell& At(size_t index) { return cells_[index]; }
  const Cell& At(size_t index) const { return cells_[index]; }

 private:
  ZeroedArray<Cell> cells_{kSourceCells};
};

}  // namespace starling
