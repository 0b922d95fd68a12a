#include "gateway/io/socket_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"

namespace starling {
namespace {

constexpr size_t kPathOffset = offsetof(sockaddr_un, sun_path);

absl::Status Bad(std::string_view text, std::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("\"", std::string(text), "\": ", std::string(why)));
}

// "@name" is an abstract name; everything else is a path.
absl::Status ParseUnix(std::string_view text, std::string_view name, sockaddr_un* out,
                       socklen_t* length) {
  const bool abstract = !name.empty() && name.front() == '@';
  if (name.empty() || name == "@") return Bad(text, "the name of the Unix socket is missing");
  if (name.find('\0') != std::string_view::npos) return Bad(text, "the name contains a NUL octet");
  // A path needs room for its final NUL; an abstract name begins with a NUL instead of
  // the "@".
  const size_t limit = sizeof(out->sun_path) - (abstract ? 0 : 1);
  if (name.size() > limit) {
    return Bad(text, absl::StrCat("the name of a Unix socket may have at most ", limit, " octets"));
  }
  out->sun_family = AF_UNIX;
  memcpy(out->sun_path, name.data(), name.size());
  if (abstract) out->sun_path[0] = '\0';
  *length = static_cast<socklen_t>(kPathOffset + name.size() + (abstract ? 0 : 1));
  return absl::OkStatus();
}

bool ParsePort(std::string_view text, uint16_t* port) {
  const char* end = text.data() + text.size();
  auto [rest, error] = std::from_chars(text.data(), end, *port);
  // Some programs read a leading zero as octal.
  const bool zero = text.size() > 1 && text[0] == '0';
  return error == std::errc() && rest == end && !text.empty() && !zero;
}

bool IsMappedV4(const in6_addr& ip) { return IN6_IS_ADDR_V4MAPPED(&ip); }

}  // namespace

absl::StatusOr<SocketAddress> SocketAddress::Parse(std::string_view text) {
  SocketAddress address;
  constexpr std::string_view kUnix = "unix:";
  if (text.starts_with(kUnix) || text.starts_with('@')) {
    std::string_view name = text.starts_with('@') ? text : text.substr(kUnix.size());
    absl::Status status =
        ParseUnix(text, name, reinterpret_cast<sockaddr_un*>(&address.storage_), &address.length_);
    if (!status.ok()) return status;
    return address;
  }
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    return Bad(text, "expected ADDRESS:PORT, [ADDRESS]:PORT, unix:/path or unix:@name");
  }
  std::string_view host = text.substr(0, colon);
  Endpoint endpoint;
  if (!ParsePort(text.substr(colon + 1), &endpoint.port)) {
    return Bad(text, "the port is not a number from 0 to 65535");
  }
  if (host.starts_with('[') && host.ends_with(']')) {
    const std::string inner(host.substr(1, host.size() - 2));
    if (inner.find('\0') != std::string::npos ||
        inet_pton(AF_INET6, inner.c_str(), endpoint.ip.data()) != 1) {
      return Bad(text, "not an IPv6 address between the brackets");
    }
    endpoint.family = Endpoint::Family::kV6;
  } else if (host.find(':') != std::string_view::npos) {
    return Bad(text, "an IPv6 address needs brackets: [ADDRESS]:PORT");
  } else {
    const std::string name(host);
    if (name.find('\0') != std::string::npos ||
        inet_pton(AF_INET, name.c_str(), endpoint.ip.data()) != 1) {
      return Bad(text, "no IPv4 address; host names are not resolved");
    }
    endpoint.family = Endpoint::Family::kV4;
  }
  return From(endpoint);
}

SocketAddress SocketAddress::From(const Endpoint& endpoint) {
  SocketAddress address;
  if (endpoint.family == Endpoint::Family::kV4) {
    auto* in = reinterpret_cast<sockaddr_in*>(&address.storage_);
    in->sin_family = AF_INET;
    in->sin_port = htons(endpoint.port);
    memcpy(&in->sin_addr, endpoint.ip.data(), sizeof(in->sin_addr));
    address.length_ = sizeof(*in);
  } else if (endpoint.family == Endpoint::Family::kV6) {
    auto* in = reinterpret_cast<sockaddr_in6*>(&address.storage_);
    in->sin6_family = AF_INET6;
    in->sin6_port = htons(endpoint.port);
    memcpy(&in->sin6_addr, endpoint.ip.data(), sizeof(in->sin6_addr));
    address.length_ = sizeof(*in);
  }
  return address;
}

SocketAddress SocketAddress::FromKernel(const sockaddr* address, socklen_t length) {
  SocketAddress result;
  if (length < sizeof(sa_family_t)) return result;  // an unnamed peer may have no address at all
  result.length_ = std::min<socklen_t>(length, sizeof(result.storage_));
  memcpy(&result.storage_, address, result.length_);
  return result;
}

bool SocketAddress::is_local() const {
  if (is_unix()) return true;
  const Endpoint e = endpoint();
  if (e.family == Endpoint::Family::kV4) return e.ip[0] == 127;
  static constexpr std::array<uint8_t, 16> kLoopback6 = {0, 0, 0, 0, 0, 0, 0, 0,
                                                         0, 0, 0, 0, 0, 0, 0, 1};
  return e.family == Endpoint::Family::kV6 && e.ip == kLoopback6;
}

bool SocketAddress::is_wildcard() const {
  const Endpoint e = endpoint();
  return e.family != Endpoint::Family::kNone && e.ip == std::array<uint8_t, 16>{};
}

Endpoint SocketAddress::endpoint() const {
  Endpoint endpoint;
  if (family() == AF_INET && length_ >= sizeof(sockaddr_in)) {
    const auto* in = reinterpret_cast<const sockaddr_in*>(&storage_);
    endpoint.family = Endpoint::Family::kV4;
    endpoint.port = ntohs(in->sin_port);
    memcpy(endpoint.ip.data(), &in->sin_addr, sizeof(in->sin_addr));
  } else if (family() == AF_INET6 && length_ >= sizeof(sockaddr_in6)) {
    const auto* in = reinterpret_cast<const sockaddr_in6*>(&storage_);
    // An IPv4 client of a dual-stack socket, which only another process can have made.
    const bool v4 = IsMappedV4(in->sin6_addr);
    endpoint.family = v4 ? Endpoint::Family::kV4 : Endpoint::Family::kV6;
    endpoint.port = ntohs(in->sin6_port);
    const uint8_t* ip = in->sin6_addr.s6_addr;
    if (v4) {
      memcpy(endpoint.ip.data(), ip + 12, 4);
    } else {
      memcpy(endpoint.ip.data(), ip, 16);
    }
  }
  return endpoint;
}

std::string SocketAddress::ToString() const {
  if (!is_unix()) return starling::ToString(endpoint());
  const auto* un = reinterpret_cast<const sockaddr_un*>(&storage_);
  const size_t size = length_ > kPathOffset ? length_ - kPathOffset : 0;
  if (size == 0) return "unix:";  // unnamed
  if (un->sun_path[0] == '\0')
    return absl::StrCat("unix:@", std::string(un->sun_path + 1, size - 1));
  return absl::StrCat("unix:", std::string(un->sun_path, strnlen(un->sun_path, size)));
}

SocketAddress LocalAddress(int os_fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof(storage);
  auto* address = reinterpret_cast<sockaddr*>(&storage);
  if (getsockname(os_fd, address, &length) != 0) return {};
  return SocketAddress::FromKernel(address, length);
}

}  // namespace starling
