// An IP address and port as plain data, for PROXY headers, a session's peers and log lines.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace starling {

struct Endpoint {
  enum class Family : uint8_t { kNone, kV4, kV6 };

  Family family = Family::kNone;  // kNone: unknown or a Unix socket
  uint16_t port = 0;              // host order
  std::array<uint8_t, 16> ip{};   // network order; IPv4 in the first four

  bool operator==(const Endpoint&) const = default;
};

// "192.0.2.1:25", "[2001:db8::1]:25", or "-" for kNone.
std::string ToString(const Endpoint& endpoint);
// The address alone, without port or brackets.
std::string IpToString(const Endpoint& endpoint);

inline bool SameHost(const Endpoint& a, const Endpoint& b) {
  return a.family == b.family && a.ip == b.ip;
}

}  // namespace starling
