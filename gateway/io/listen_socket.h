// Opens listening sockets.
//
// Not for: accepting, which the ring does (ring.h).
#pragma once

#include "absl/status/statusor.h"
#include "gateway/io/socket_address.h"
#include "protocols/contract/endpoint.h"

namespace starling {

// A listening OS socket, which the caller must close or give to Ring::AddListener. TCP
// sockets get SO_REUSEPORT, so that workers and processes share addresses, and
// TCP_NODELAY, which accepted sockets inherit. IPv6 sockets accept only IPv6. An error
// names the address, the failed call and, if known, the remedy.
absl::StatusOr<int> ListenOn(const SocketAddress& address, int backlog);

// A listening socket for one data channel, at a port from `first` to `last`, or at any
// port if those are 0. `*cursor` makes successive calls begin at successive ports.
// Closing its connections before both sides have ended resets them. `error` is an errno;
// the caller must close `os_fd`.
struct DataSocket {
  int os_fd = -1;
  int error = 0;
  uint16_t port = 0;
};
DataSocket ListenForData(const Endpoint& address, uint16_t first, uint16_t last, uint32_t* cursor);

}  // namespace starling
