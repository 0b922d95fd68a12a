// Which clients are one source: those of one IPv4 address, or of one /64 of IPv6, since
// whoever has one address of a /64 has all of them. The widths are options.
//
// Not for: what a source may have (shares.h), or what a network means (rules.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "protocols/contract/endpoint.h"

namespace starling {

// How many leading bits of an address tell two sources apart.
struct SourceWidths {
  uint32_t v4 = 32;
  uint32_t v6 = 64;

  bool operator==(const SourceWidths&) const = default;
};

// The network of a source, as IPv6: IPv4 is ::ffff:0:0/96.
struct SourceKey {
  uint64_t high = 0;
  uint64_t low = 0;

  bool operator==(const SourceKey&) const = default;
};

// The same address without a port, and as IPv4 if it is an IPv4 address in IPv6's form.
Endpoint HostOf(const Endpoint& endpoint);

// nullopt: the client came by a Unix socket, or a load balancer does not know it.
std::optional<SourceKey> SourceOf(const Endpoint& client, const SourceWidths& widths);

// "192.0.2.7" or "2001:db8::/64", for the log.
std::string ToString(const SourceKey& source, const SourceWidths& widths);

}  // namespace starling
