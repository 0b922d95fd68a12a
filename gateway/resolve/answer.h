// What a name may resolve to: the question, and what a look-up of it found. Plain data.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "gateway/metrics/list.h"
#include "protocols/contract/endpoint.h"

namespace starling {

// A name of servers.
struct NameQuery {
  std::string name;   // of a host; with `srv`, that of SRV records
  uint16_t port = 0;  // with `srv` the records have it
  bool srv = false;

  auto operator<=>(const NameQuery&) const = default;
};

using LookupCounts = std::array<uint64_t, kLookupResults>;

// In the order of their priorities and then of their octets: however a DNS server turns its list
// round, those that there is room for are always the same.
struct FoundAddress {
  uint32_t priority = 0;
  Endpoint::Family family = Endpoint::Family::kNone;
  std::array<uint8_t, 16> ip{};
  uint16_t port = 0;
  uint32_t weight = 1;

  auto operator<=>(const FoundAddress&) const = default;
};

struct Answer {
  LookupResult result = LookupResult::kFailure;
  std::vector<FoundAddress> addresses;  // sorted, each once, at most kMaxServers
  uint32_t ttl_s = 0;
  size_t left_out = 0;  // addresses beyond those
  std::string error;    // of a look-up that failed
};

// Sorts the addresses, keeps each once, and leaves out those that there is no room for.
void Tidy(Answer& answer);

}  // namespace starling
