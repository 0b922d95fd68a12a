#include "gateway/config/checks.h"

#include <algorithm>
#include <string_view>

#include "absl/status/status.h"

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

absl::StatusOr<SocketAddress> ParseServer(const std::string& text) {
  absl::StatusOr<SocketAddress> address = SocketAddress::Parse(text);
  if (!address.ok() || (!address->is_unix() && address->endpoint().port == 0)) {
    return Expected(
        "an IP address and a port above 0, such as 127.0.0.1:10143 or [::1]:10143, or a Unix "
        "socket, such as "
        "unix:/path or unix:@name",
        address.status(), text);
  }
  return address;
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
