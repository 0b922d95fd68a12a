#include "gateway/resolve/answer.h"

#include <algorithm>
#include <utility>

#include "gateway/limits.h"

namespace starling {

void Tidy(Answer& answer) {
  std::vector<FoundAddress>& addresses = answer.addresses;
  std::ranges::sort(addresses);
  // Sorted by priority: of two mentions, the one that is used first stays.
  std::vector<FoundAddress> kept;
  for (const FoundAddress& address : addresses) {
    const bool known = std::ranges::any_of(kept, [&](const FoundAddress& other) {
      return other.family == address.family && other.ip == address.ip && other.port == address.port;
    });
    if (known) continue;
    if (kept.size() < kMaxServers) {
      kept.push_back(address);
    } else {
      ++answer.left_out;
    }
  }
  addresses = std::move(kept);
}

}  // namespace starling
