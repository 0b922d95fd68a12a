// Opens listening sockets. Not for: accepting, which is the ring's.
#pragma once

#include "absl/status/statusor.h"
#include "gateway/io/socket_address.h"
#include "protocols/contract/endpoint.h"

namespace starling {

// A listening OS socket, to be closed by the caller or given to
// Ring::AddListener. TCP: SO_REUSEPORT (workers and processes share addresses),
// IPv6 only for IPv6, TCP_NODELAY (accepted sockets inherit it). Errors name the
// address, what failed and, where one is known, the remedy.
absl::StatusOr<int> ListenOn(const SocketAddress& address, int backlog);

// For one data channel, at an address and a port from `first` to `last`, or any if those are
// 0; `*cursor` makes calls begin at one port after the other. Its connections are reset
// when they are closed before both sides have ended. The error is an errno.
struct DataSocket {
  int os_fd = -1;
  int error = 0;
  uint16_t port = 0;
};
DataSocket ListenForData(const Endpoint& address, uint16_t first, uint16_t last, uint32_t* cursor);

}  // namespace starling
