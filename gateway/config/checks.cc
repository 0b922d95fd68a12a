#include "gateway/config/checks.h"

#include <algorithm>
#include <string_view>

#include "absl/status/status.h"
#include "gateway/config/units.h"

namespace starling {
namespace {

bool IsAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// One to `max` letters, digits and characters of `others`.
bool IsWord(std::string_view text, std::string_view others, size_t max) {
  return !text.empty() && text.size() <= max && std::all_of(text.begin(), text.end(), [&](char c) {
    return IsAlphanumeric(c) || others.find(c) != std::string_view::npos;
  });
}

// A name that DNS can have (RFC 1035 section 2.3.4), with a dot behind it or without.
bool IsDnsName(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  if (!IsWord(name, "-_.", 253)) return false;
  while (!name.empty()) {
    const size_t end = std::min(name.find('.'), name.size());
    if (end == 0 || end > 63 || name.front() == '-' || name[end - 1] == '-') return false;
    name.remove_prefix(std::min(end + 1, name.size()));
  }
  return true;
}

// Not one that was meant to be an address, as 192.0.2.300.
bool IsHostName(std::string_view name) {
  std::string_view last = name;
  if (last.ends_with('.')) last.remove_suffix(1);
  last.remove_prefix(last.rfind('.') == std::string_view::npos ? 0 : last.rfind('.') + 1);
  const bool number = std::ranges::all_of(last, [](char c) { return c >= '0' && c <= '9'; });
  return IsDnsName(name) && !number;
}

// "host:port" or "srv:_service._proto.domain". Without a name: it is neither.
ServerName ParseServerName(std::string_view text) {
  constexpr std::string_view kSrv = "srv:";
  if (text.starts_with(kSrv)) {
    const std::string_view name = text.substr(kSrv.size());
    if (!IsDnsName(name) || !name.starts_with('_')) return {};
    return {.host = std::string(name), .srv = true};
  }
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || !IsHostName(text.substr(0, colon))) return {};
  const std::optional<uint64_t> port = ParseNumber(text.substr(colon + 1));
  if (!port || *port == 0 || *port > UINT16_MAX) return {};
  return {.host = std::string(text.substr(0, colon)), .port = static_cast<uint16_t>(*port)};
}

// What the option expects, and why the address parser rejected the text.
absl::Status Expected(std::string_view form, const absl::Status& parsed, std::string_view text) {
  std::string message(form);
  if (!parsed.ok()) {
    const std::string quoted = "\"" + std::string(text) + "\": ";
    std::string_view why(parsed.message().data(), parsed.message().size());
    if (why.starts_with(quoted)) why.remove_prefix(quoted.size());
    message.append(" (").append(why).append(")");
  }
  return absl::InvalidArgumentError(message);
}

}  // namespace

std::optional<Complaint> CheckName(const std::string& text) {
  if (IsWord(text, "-_.", 64)) return std::nullopt;
  return Complaint{.expected = "a name of 1 to 64 letters, digits, '-', '_' and '.'"};
}

std::optional<Complaint> CheckHostname(const std::string& text) {
  std::string_view name = text;
  const bool literal = name.size() > 2 && name.front() == '[' && name.back() == ']';
  if (literal) name = name.substr(1, name.size() - 2);
  if (IsWord(name, literal ? ".:" : "-_.", 253)) return std::nullopt;
  return Complaint{.expected = "a host name, or an address in brackets"};
}

std::optional<Complaint> CheckAccount(const std::string& text) {
  if (IsWord(text, "-_.$", 64)) return std::nullopt;
  return Complaint{.expected = "the name of a user or group"};
}

std::optional<Complaint> CheckPath(const std::string& text) {
  if (!text.empty() && text.size() < 4096) return std::nullopt;
  return Complaint{.expected = "the name of a file"};
}

absl::StatusOr<SocketAddress> ParseBind(const std::string& text) {
  absl::StatusOr<SocketAddress> address = SocketAddress::Parse(text);
  if (!address.ok() || address->is_unix() || address->endpoint().port == 0) {
    return Expected("an IP address and a port above 0, such as 0.0.0.0:25 or [::]:25",
                    address.status(), text);
  }
  return address;
}

absl::StatusOr<ServerConfig> ParseServer(const std::string& text) {
  absl::StatusOr<SocketAddress> address = SocketAddress::Parse(text);
  if (address.ok() && (address->is_unix() || address->endpoint().port != 0)) {
    return ServerConfig(*std::move(address));
  }
  ServerConfig server;
  server.by_name = ParseServerName(text);
  if (server.is_named()) return server;
  return Expected(
      "an IP address and a port above 0, such as 127.0.0.1:10143 or [::1]:10143, a Unix socket, "
      "such as unix:/path or unix:@name, a host name and a port, such as imap.example.org:143, or "
      "the name of SRV records, such as srv:_imap._tcp.example.org",
      address.status(), text);
}

absl::StatusOr<SocketAddress> ParseDnsServer(const std::string& text) {
  constexpr uint16_t kPort = 53;
  if (const absl::StatusOr<Cidr> alone = Cidr::Parse(text);
      alone.ok() && text.find('/') == std::string::npos) {
    Endpoint endpoint = alone->network;
    endpoint.port = kPort;
    return SocketAddress::From(endpoint);
  }
  absl::StatusOr<SocketAddress> address = SocketAddress::Parse(text);
  if (address.ok() && !address->is_unix() && address->endpoint().port != 0) return address;
  return Expected(
      "an IP address of a DNS server, with its port if that is not 53, such as "
      "192.0.2.53 or 127.0.0.1:5353",
      address.status(), text);
}

absl::StatusOr<Endpoint> ParseSource(const std::string& text) {
  const absl::StatusOr<Cidr> address = Cidr::Parse(text);
  const bool whole = address.ok() && text.find('/') == std::string::npos;
  if (whole) return address->network;
  return Expected("an IP address of this machine, as 127.0.0.2 or 192.0.2.1", address.status(),
                  text);
}

absl::StatusOr<Cidr> ParseRange(const std::string& text) {
  absl::StatusOr<Cidr> range = Cidr::Parse(text);
  if (range.ok()) return range;
  return Expected("an IP address or a range, such as 192.0.2.0/24 or 2001:db8::/32", range.status(),
                  text);
}

}  // namespace starling
