#include "gateway/sources/source_key.h"

#include <algorithm>
#include <array>

namespace starling {
namespace {

constexpr uint64_t kMappedV4 = uint64_t{0xffff} << 32;  // the low half of ::ffff:0:0

uint64_t ReadU64(const uint8_t* octets) {
  uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | octets[i];
  return value;
}

void WriteU64(uint64_t value, uint8_t* octets) {
  for (int i = 7; i >= 0; --i, value >>= 8) octets[i] = static_cast<uint8_t>(value);
}

// `kept` of 64 bits.
uint64_t Mask(uint32_t kept) { return kept == 0 ? 0 : ~uint64_t{0} << (64 - std::min(kept, 64u)); }

}  // namespace

Endpoint HostOf(const Endpoint& endpoint) {
  Endpoint host = endpoint;
  host.port = 0;
  const bool mapped = endpoint.family == Endpoint::Family::kV6 && ReadU64(&endpoint.ip[0]) == 0 &&
                      ReadU64(&endpoint.ip[8]) >> 32 == 0xffff;
  if (!mapped) return host;
  host.family = Endpoint::Family::kV4;
  host.ip = {};
  std::copy_n(endpoint.ip.begin() + 12, 4, host.ip.begin());
  return host;
}

std::optional<SourceKey> SourceOf(const Endpoint& client, const SourceWidths& widths) {
  const Endpoint host = HostOf(client);
  switch (host.family) {
    case Endpoint::Family::kV4:
      return SourceKey{.high = 0,
                       .low = kMappedV4 | ((ReadU64(&host.ip[0]) & Mask(widths.v4)) >> 32)};
    case Endpoint::Family::kV6:
      return SourceKey{.high = ReadU64(&host.ip[0]) & Mask(widths.v6),
                       .low = ReadU64(&host.ip[8]) & Mask(widths.v6 > 64 ? widths.v6 - 64 : 0)};
    case Endpoint::Family::kNone:
      break;
  }
  return std::nullopt;
}

std::string ToString(const SourceKey& source, const SourceWidths& widths) {
  Endpoint network{.family = Endpoint::Family::kV6};
  WriteU64(source.high, &network.ip[0]);
  WriteU64(source.low, &network.ip[8]);
  network = HostOf(network);
  const bool v4 = network.family == Endpoint::Family::kV4;
  const uint32_t width = v4 ? widths.v4 : widths.v6;
  const std::string text = IpToString(network);
  return width == (v4 ? 32u : 128u) ? text : text + "/" + std::to_string(width);
}

}  // namespace starling
