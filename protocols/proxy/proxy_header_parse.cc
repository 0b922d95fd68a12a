#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <string_view>

#include "protocols/frames/dialogue.h"
#include "protocols/proxy/crc32c.h"
#include "protocols/proxy/proxy_header.h"
#include "protocols/proxy/proxy_wire.h"

namespace starling {

namespace {

using Status = ProxyParse::Status;
using Family = Endpoint::Family;

constexpr std::string_view kV1Begin = "PROXY ";

ProxyParse Bad(std::string_view error) {
  ProxyParse parse;
  parse.status = Status::kBad;
  parse.error = error;
  return parse;
}

// A header that names no client.
ProxyParse Nameless(size_t consumed, bool local) {
  ProxyParse parse;
  parse.status = Status::kDone;
  parse.consumed = consumed;
  parse.local = local;
  return parse;
}

// Whether `in` is a prefix of `prefix`, or begins with it.
bool MayBegin(ByteView in, ByteView prefix) {
  size_t count = std::min(in.size(), prefix.size());
  return std::equal(in.begin(), in.begin() + count, prefix.begin());
}

uint16_t ReadU16(ByteView in, size_t at) { return static_cast<uint16_t>(in[at] << 8 | in[at + 1]); }

uint32_t ReadU32(ByteView in, size_t at) {
  return static_cast<uint32_t>(ReadU16(in, at)) << 16 | ReadU16(in, at + 2);
}

// Section 2.1: canonical decimal without leading zeros, 0 to 65535.
bool ReadPort(std::string_view text, uint16_t& port) {
  if (text.empty() || (text.size() > 1 && text[0] == '0')) return false;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size();
}

bool ReadAddress(std::string_view text, Family family, Endpoint& endpoint) {
  std::array<char, INET6_ADDRSTRLEN> terminated{};
  if (text.size() >= terminated.size()) return false;
  if (text.find('\0') != std::string_view::npos) return false;
  std::copy(text.begin(), text.end(), terminated.begin());
  endpoint.family = family;
  return inet_pton(family == Family::kV4 ? AF_INET : AF_INET6, terminated.data(),
                   endpoint.ip.data()) == 1;
}

ProxyParse ParseV1(ByteView in) {
  std::string_view text = AsText(in.first(std::min(in.size(), kMaxProxyV1)));
  size_t end = text.find("\r\n");
  if (end == std::string_view::npos) {
    if (text.size() == kMaxProxyV1) return Bad("version 1: no CRLF within 107 octets");
    return {};
  }
  size_t consumed = end + 2;
  std::string_view rest = text.substr(kV1Begin.size(), end - kV1Begin.size());
  std::string_view name = TakeWord(rest);
  if (name == "UNKNOWN") return Nameless(consumed, /*local=*/false);
  if (name != "TCP4" && name != "TCP6") return Bad("version 1: not TCP4, TCP6 or UNKNOWN");
  Family family = name == "TCP4" ? Family::kV4 : Family::kV6;

  ProxyParse parse;
  if (!ReadAddress(TakeWord(rest), family, parse.source) ||
      !ReadAddress(TakeWord(rest), family, parse.destination)) {
    return Bad("version 1: bad address");
  }
  if (!ReadPort(TakeWord(rest), parse.source.port) || !ReadPort(rest, parse.destination.port)) {
    return Bad("version 1: bad port");
  }
  parse.status = Status::kDone;
  parse.consumed = consumed;
  return parse;
}

// Checks the framing of all TLVs, and the checksum if there is one. `header` is the whole
// header, and its TLVs begin at `at`. Returns what is wrong, or an empty text.
std::string_view CheckTlvs(ByteView header, size_t at) {
  size_t crc_at = 0;
  while (at < header.size()) {
    if (header.size() - at < kTlvHead) return "version 2: truncated TLV";
    size_t size = ReadU16(header, at + 1);
    size_t value_at = at + kTlvHead;
    if (size > header.size() - value_at) return "version 2: TLV longer than the header";
    if (header[at] == static_cast<uint8_t>(ProxyTlvType::kCrc32c)) {
      if (size != kCrcSize) return "version 2: CRC32C is not four octets";
      if (crc_at != 0) return "version 2: more than one CRC32C";
      crc_at = value_at;
    }
    at = value_at + size;
  }
  if (crc_at == 0) return {};
  constexpr std::array<uint8_t, kCrcSize> kZero{};
  Crc32c crc;
  crc.Add(header.first(crc_at));
  crc.Add(kZero);
  crc.Add(header.subspan(crc_at + kCrcSize));
  if (crc.value() != ReadU32(header, crc_at)) return "version 2: CRC32C does not match";
  return {};
}

// The size of the address block. Returns false for families that section 2.2 does not know.
bool AddressSize(uint8_t family, size_t& size) {
  switch (family) {
    case kFamilyUnspec:
      size = 0;
      return true;
    case kFamilyTcp4:
    case kFamilyUdp4:
      size = 12;
      return true;
    case kFamilyTcp6:
    case kFamilyUdp6:
      size = 36;
      return true;
    case kFamilyUnixStream:
    case kFamilyUnixDatagram:
      size = 216;
      return true;
    default:
      return false;
  }
}

Endpoint ReadEndpoint(ByteView header, size_t ip_at, size_t ip_size, size_t port_at) {
  Endpoint endpoint;
  endpoint.family = ip_size == 4 ? Family::kV4 : Family::kV6;
  endpoint.port = ReadU16(header, port_at);
  std::copy_n(header.begin() + ip_at, ip_size, endpoint.ip.begin());
  return endpoint;
}

ProxyParse ParseV2(ByteView in) {
  if (in.size() > 12 && (in[12] & 0xf0) != kProxyVersion2) return Bad("version 2: other version");
  if (in.size() < kProxyV2Head) return {};
  uint8_t command = in[12] & 0x0f;
  uint8_t family = in[13];
  size_t total = kProxyV2Head + ReadU16(in, kProxyLengthAt);
  if (command != kProxyCommandLocal && command != kProxyCommandProxy) {
    return Bad("version 2: unknown command");
  }
  if (total > kMaxProxyV2In) return Bad("version 2: longer than 4096 octets");
  size_t address_size = 0;
  if (command == kProxyCommandProxy) {
    if (!AddressSize(family, address_size)) return Bad("version 2: unknown family");
    if (kProxyV2Head + address_size > total) return Bad("version 2: too short for its family");
  }
  if (in.size() < total) return {};
  // LOCAL: the receiver discards all that follows unread, including the family.
  if (command == kProxyCommandLocal) return Nameless(total, /*local=*/true);

  ByteView header = in.first(total);
  std::string_view error = CheckTlvs(header, kProxyV2Head + address_size);
  if (!error.empty()) return Bad(error);
  // The gateway's clients have IP addresses. Other families count as UNSPEC, as the
  // specification demands.
  if (family != kFamilyTcp4 && family != kFamilyTcp6) return Nameless(total, /*local=*/false);
  size_t ip_size = family == kFamilyTcp4 ? 4 : 16;
  size_t ports_at = kProxyV2Head + 2 * ip_size;
  ProxyParse parse;
  parse.status = Status::kDone;
  parse.consumed = total;
  parse.source = ReadEndpoint(header, kProxyV2Head, ip_size, ports_at);
  parse.destination = ReadEndpoint(header, kProxyV2Head + ip_size, ip_size, ports_at + 2);
  return parse;
}

}  // namespace

ProxyParse ParseProxy(ByteView in) {
  if (MayBegin(in, kProxySignature)) {
    return in.size() < kProxySignature.size() ? ProxyParse{} : ParseV2(in);
  }
  if (MayBegin(in, AsBytes(kV1Begin))) {
    return in.size() < kV1Begin.size() ? ProxyParse{} : ParseV1(in);
  }
  return Bad("neither version 1 nor version 2");
}

}  // namespace starling
