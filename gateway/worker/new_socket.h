// A listening socket for a worker to take over: one of the sockets of `listener` (an
// index into the configuration's) bound to `address`. A caller that wants to steer it
// later keeps a duplicate, and then it stays open until that is closed too.
#pragma once

#include <cstdint>

#include "gateway/io/socket_address.h"

namespace starling {

struct NewSocket {
  uint32_t listener = 0;
  int os_fd = -1;
  SocketAddress address;
};

}  // namespace starling
