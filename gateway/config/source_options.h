// What a network can mean, and how much of the gateway each of its clients may have. Plain data
// of the configuration, apart from the rest of it, so that what counts them needs nothing else.
#pragma once

#include <cstdint>

namespace starling {

enum class SourceRole : uint8_t {
  kClient,    // has limits
  kBalancer,  // sends PROXY headers; its clients are looked up again by the address in them
  kProbe,     // checks whether the gateway is up
  kExempt,    // has no limits, and is not denied
  kTrusted,   // a source of many users: only the limits that its row gives
};

// 0: no limit.
struct SourceLimits {
  uint32_t sessions = 1'000;  // at once
  uint32_t connections_per_second = 100;
  uint32_t connections_burst = 1'000;
  uint32_t handshakes_per_second = 50;
  uint32_t handshakes_burst = 1'000;
  uint32_t failures_per_minute = 600;

  bool operator==(const SourceLimits&) const = default;
};

}  // namespace starling
