// A socket address in the kernel's form: IPv4, IPv6, a Unix path or an abstract Unix
// name. Parses the notation of the configuration.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "protocols/contract/endpoint.h"

namespace starling {

class SocketAddress {
 public:
  SocketAddress() = default;

  // "192.0.2.1:25", "[::1]:25", "unix:/path", "unix:@name" or "@name". Does not resolve
  // host names; the error says so.
  static absl::StatusOr<SocketAddress> Parse(std::string_view text);
  static SocketAddress From(const Endpoint& endpoint);
  static SocketAddress FromKernel(const sockaddr* address, socklen_t length);

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t length() const { return length_; }
  int family() const { return storage_.ss_family; }
  bool is_unix() const { return family() == AF_UNIX; }
  // Unix, 127.0.0.0/8 or ::1: plaintext to this address does not cross a network.
  bool is_local() const;
  bool is_wildcard() const;  // 0.0.0.0 or ::

  Endpoint endpoint() const;     // Family::kNone for Unix
  std::string ToString() const;  // as Parse reads it

  bool operator==(const SocketAddress& other) const {
    return length_ == other.length_ && std::memcmp(&storage_, &other.storage_, length_) == 0;
  }

 private:
  // Large enough for sockaddr_un, the longest of the three.
  sockaddr_storage storage_{};
  socklen_t length_ = 0;
};

// The address of a socket's own end. Without a family if the kernel does not say it.
SocketAddress LocalAddress(int os_fd);

}  // namespace starling
