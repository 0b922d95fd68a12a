// What a network can mean, and how much of the gateway each of its clients may have. Plain data
// of the configuration, apart from the rest of it, so that what counts them needs nothing else.
#pragma once

#include <cstdint>
#include <string_view>

namespace starling {

enum class SourceRole : uint8_t {
  kClient,    // has limits
  kBalancer,  // sends PROXY headers; its clients are looked up again by the address in them
  kProbe,     // checks whether the gateway is up
  kExempt,    // has no limits, and is not denied
  kTrusted,   // a source of many users: only the limits that its row gives
};
inline constexpr std::string_view kSourceRoleWords[] = {"client", "balancer", "probe", "exempt",
                                                        "trusted"};

// Some of the roles.
class SourceRoles {
 public:
  void Add(SourceRole role) { bits_ |= BitOf(role); }
  void Add(const SourceRoles& roles) { bits_ |= roles.bits_; }
  bool Has(SourceRole role) const { return (bits_ & BitOf(role)) != 0; }
  bool empty() const { return bits_ == 0; }

  bool operator==(const SourceRoles&) const = default;

 private:
  static uint8_t BitOf(SourceRole role) {
    return static_cast<uint8_t>(1u << static_cast<unsigned>(role));
  }
  uint8_t bits_ = 0;
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
