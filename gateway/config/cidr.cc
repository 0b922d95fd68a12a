#include <arpa/inet.h>

#include "absl/status/status.h"
#include "gateway/config/config.h"
#include "gateway/config/units.h"

namespace starling {
namespace {

// The address with all octets after the first `bits` bits at 0.
std::array<uint8_t, 16> Masked(std::array<uint8_t, 16> ip, unsigned bits) {
  for (unsigned i = 0; i < ip.size(); ++i) {
    const unsigned kept = bits > 8 * i ? bits - 8 * i : 0;
    if (kept < 8) ip[i] = static_cast<uint8_t>(ip[i] & (0xff00 >> kept));
  }
  return ip;
}

}  // namespace

bool Cidr::Contains(const Endpoint& endpoint) const {
  if (endpoint.family == Endpoint::Family::kNone || endpoint.family != network.family) return false;
  return Masked(endpoint.ip, bits) == network.ip;
}

absl::StatusOr<Cidr> Cidr::Parse(std::string_view text) {
  const size_t slash = text.find('/');
  const std::string address(text.substr(0, slash));
  Cidr range;
  unsigned all_bits = 0;
  if (inet_pton(AF_INET, address.c_str(), range.network.ip.data()) == 1) {
    range.network.family = Endpoint::Family::kV4;
    all_bits = 32;
  } else if (inet_pton(AF_INET6, address.c_str(), range.network.ip.data()) == 1) {
    range.network.family = Endpoint::Family::kV6;
    all_bits = 128;
  } else {
    return absl::InvalidArgumentError("not an IP address");
  }
  std::optional<uint64_t> bits = all_bits;
  if (slash != std::string_view::npos) bits = ParseNumber(text.substr(slash + 1));
  if (!bits || *bits > all_bits) {
    return absl::InvalidArgumentError("a prefix length has 0 to " + std::to_string(all_bits) +
                                      " bits");
  }
  range.bits = static_cast<uint8_t>(*bits);
  const std::array<uint8_t, 16> network = Masked(range.network.ip, range.bits);
  if (network != range.network.ip) {
    range.network.ip = network;
    return absl::InvalidArgumentError("bits are set after the prefix; the range is " +
                                      range.ToString());
  }
  return range;
}

std::string Cidr::ToString() const {
  return IpToString(network) + "/" + std::to_string(static_cast<unsigned>(bits));
}

}  // namespace starling
