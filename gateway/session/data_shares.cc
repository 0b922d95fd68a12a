#include "gateway/session/data_shares.h"

#include <algorithm>
#include <cassert>

namespace starling {
namespace {

// Clients without an address count as one.
SourceKey KeyOf(const Endpoint& client) { return SourceOf(client, {}).value_or(SourceKey{}); }

}  // namespace

bool DataShares::Take(const Endpoint& client, uint32_t most) {
  const SourceKey key = KeyOf(client);
  const auto found = std::ranges::find(shares_, key, &Share::client);
  if (found == shares_.end()) {
    if (most == 0) return false;
    shares_.push_back({.client = key, .waiting = 1});
    return true;
  }
  if (found->waiting >= most) return false;
  ++found->waiting;
  return true;
}

void DataShares::Leave(const Endpoint& client) {
  const auto found = std::ranges::find(shares_, KeyOf(client), &Share::client);
  assert(found != shares_.end() && found->waiting > 0);
  if (--found->waiting > 0) return;
  *found = shares_.back();
  shares_.pop_back();
}

}  // namespace starling
