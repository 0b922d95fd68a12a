// Which sources were turned away how often, since somebody last asked: for one line in the log
// instead of thousands. Few sources are named, and of those the heaviest are never missed: a
// source with more than one of kPlaces-th of all refusals has a place.
//
// For all workers. A worker never waits: when two refuse at the same moment, one of them leaves
// the source unnamed. Not for: metrics, where no address appears.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "gateway/sources/source_key.h"
#include "gateway/sync/mutex.h"

namespace starling {

class RefusalTally {
 public:
  struct Heavy {
    SourceKey source;
    uint64_t refused = 0;
  };
  struct Report {
    uint64_t refused = 0;
    uint64_t left_out = 0;  // without a line of their own in the log
    std::vector<Heavy> heaviest;
  };

  // nullopt: from a client without an address.
  void Note(const std::optional<SourceKey>& source);
  void NoteLeftOut() { left_out_.fetch_add(1, std::memory_order_relaxed); }

  // What came since the last call, with at most `most` sources.
  Report Take(size_t most);

 private:
  static constexpr size_t kPlaces = 32;

  std::atomic<uint64_t> refused_{0};
  std::atomic<uint64_t> left_out_{0};
  Mutex mutex_;
  // The "space saving" algorithm (Metwally, Agrawal and El Abbadi, 2005): a new source takes the
  // place of the lightest one, and its count.
  std::array<Heavy, kPlaces> places_ ABSL_GUARDED_BY(mutex_){};
};

}  // namespace starling
