#include "gateway/session/data_shares.h"

#include <algorithm>
#include <cassert>

namespace starling {
namespace {

Endpoint NetworkOf(const Endpoint& client) {
  Endpoint network = client;
  network.port = 0;
  if (network.family == Endpoint::Family::kV6) {
    std::fill(network.ip.begin() + 8, network.ip.end(), uint8_t{0});
  }
  return network;
}

}  // namespace

bool DataShares::Take(const Endpoint& client, uint32_t most) {
  const Endpoint network = NetworkOf(client);
  const auto found = std::ranges::find(shares_, network, &Share::client);
  if (found == shares_.end()) {
    if (most == 0) return false;
    shares_.push_back({.client = network, .waiting = 1});
    return true;
  }
  if (found->waiting >= most) return false;
  ++found->waiting;
  return true;
}

void DataShares::Leave(const Endpoint& client) {
  const auto found = std::ranges::find(shares_, NetworkOf(client), &Share::client);
  assert(found != shares_.end() && found->waiting > 0);
  if (--found->waiting > 0) return;
  *found = shares_.back();
  shares_.pop_back();
}

}  // namespace starling
