// The places of a worker's session table, and who may take which: each listener has some of its
// own, which no other listener takes, and all listeners share the rest. The last of that rest are
// for sources that have no session yet.
//
// Only numbers. Not for: the slots themselves (session_table.h), or whose session gives way when
// no place is free (age_lists.h, crowding.h).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "gateway/limits.h"

namespace starling {

// Which places: a listener's own, by its ListenerId, or the shared rest.
using PlacePool = uint16_t;
inline constexpr PlacePool kSharedPlaces = kMaxListenerNames;
// Of sessions that have no place yet.
inline constexpr PlacePool kNoPlace = kSharedPlaces + 1;

// What a listener may have of a worker's sessions.
struct PlaceShare {
  uint32_t reserved = 0;  // places that are its own
  uint32_t most = 0;      // places in all; 0: any number
};

class Places {
 public:
  // The last `for_new` of the shared places are for sources without a session.
  Places(uint32_t sessions, uint32_t for_new);

  // By ListenerId; other listeners have no share of their own any more. Sessions keep the places
  // that they have: where a listener has fewer of its own now, or others have more, the numbers are
  // right again once enough sessions have ended.
  void SetShares(const std::vector<PlaceShare>& shares);

  // Where a session of this listener may begin. nullopt: no place is free for it.
  std::optional<PlacePool> FindFree(uint32_t listener, bool new_source) const;
  // Whether the listener may have one more session. Always, if it has no limit.
  bool BelowMost(uint32_t listener) const;
  bool HasMost(uint32_t listener) const { return own_[listener].most != 0; }
  // Whether the shared places that are free are more than those for new sources. `own` counts as
  // free: the place of a session that may have to leave it.
  bool SparesNewSources(PlacePool own) const;

  void Take(uint32_t listener, PlacePool pool);
  void Leave(uint32_t listener, PlacePool pool);

  uint32_t used() const { return used_; }
  uint32_t shared_free() const;
  uint32_t reserved_free() const { return held_ - own_used_; }

 private:
  struct Own {
    uint32_t size = 0;
    uint32_t used = 0;
    uint32_t most = 0;
    uint32_t sessions = 0;  // of the listener, in its own places and in shared ones
    uint32_t held() const { return size > used ? size : used; }
  };

  const uint32_t sessions_;
  const uint32_t for_new_;
  std::vector<Own> own_;   // by ListenerId
  uint32_t held_ = 0;      // places that are no shared ones: the sum of held()
  uint32_t own_used_ = 0;  // of those
  uint32_t shared_used_ = 0;
  uint32_t used_ = 0;
};

}  // namespace starling
