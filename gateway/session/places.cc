#include "gateway/session/places.h"

#include <cassert>

namespace starling {

Places::Places(uint32_t sessions, uint32_t for_new)
    : sessions_(sessions), for_new_(for_new), own_(kMaxListenerNames) {}

void Places::SetShares(const std::vector<PlaceShare>& shares) {
  held_ = 0;
  for (size_t id = 0; id < own_.size(); ++id) {
    const PlaceShare share = id < shares.size() ? shares[id] : PlaceShare();
    own_[id].size = share.reserved;
    own_[id].most = share.most;
    held_ += own_[id].held();
  }
}

uint32_t Places::shared_free() const {
  const uint32_t taken = held_ + shared_used_;
  return taken < sessions_ ? sessions_ - taken : 0;
}

bool Places::BelowMost(uint32_t listener) const {
  const Own& own = own_[listener];
  return own.most == 0 || own.sessions < own.most;
}

std::optional<PlacePool> Places::FindFree(uint32_t listener, bool new_source) const {
  const Own& own = own_[listener];
  if (used_ >= sessions_ || !BelowMost(listener)) return std::nullopt;
  if (own.used < own.size) return static_cast<PlacePool>(listener);
  if (shared_free() > (new_source ? 0 : for_new_)) return kSharedPlaces;
  return std::nullopt;
}

bool Places::SparesNewSources(PlacePool own) const {
  return own != kSharedPlaces || shared_free() + 1 > for_new_;
}

void Places::Take(uint32_t listener, PlacePool pool) {
  ++used_;
  ++own_[listener].sessions;
  if (pool == kSharedPlaces) {
    ++shared_used_;
    return;
  }
  assert(pool == listener);
  Own& own = own_[listener];
  held_ -= own.held();
  ++own.used;
  ++own_used_;
  held_ += own.held();
}

void Places::Leave(uint32_t listener, PlacePool pool) {
  assert(used_ > 0 && own_[listener].sessions > 0);
  --used_;
  --own_[listener].sessions;
  if (pool == kSharedPlaces) {
    --shared_used_;
    return;
  }
  Own& own = own_[listener];
  held_ -= own.held();
  --own.used;
  --own_used_;
  held_ += own.held();
}

}  // namespace starling
