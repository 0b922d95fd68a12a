// Opens listening sockets. Not for: accepting, which is the ring's.
#pragma once

#include "absl/status/statusor.h"
#include "gateway/io/socket_address.h"

namespace starling {

// A listening OS socket, to be closed by the caller or given to
// Ring::AddListener. TCP: SO_REUSEPORT (workers and processes share addresses),
// IPv6 only for IPv6, TCP_NODELAY (accepted sockets inherit it). Errors name the
// address, what failed and, where one is known, the remedy.
absl::StatusOr<int> ListenOn(const SocketAddress& address, int backlog);

}  // namespace starling
