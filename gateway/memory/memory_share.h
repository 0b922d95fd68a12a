// What a worker may take of the memory until the main thread looks again.
//
// Not for: how much that is (memory_budget.h), or what happens beyond it (session/relief.h).
#pragma once

#include <cstdint>

namespace starling {

// Octets. As it is made, it bounds nothing.
struct MemoryShare {
  uint64_t hold = UINT64_MAX;   // from so many in its blocks on, relays do not receive
  uint64_t most = UINT64_MAX;   // beyond so many, sessions end at once
  uint64_t moved = UINT64_MAX;  // so many may go to peers: the kernel may have to keep them
  bool ends = false;            // false: sessions never end for it

  bool operator==(const MemoryShare&) const = default;
};

}  // namespace starling
