// How much the kernel may hold for one TCP socket.
//
// Not for: the blocks of the gateway itself (session/block.h).
#pragma once

namespace starling {

// In octets, as the kernel's calls take them. 0 leaves the choice to the kernel.
struct SocketBuffers {
  // The kernel takes no more while it holds so many octets that it has not sent yet
  // (TCP_NOTSENT_LOWAT). What the peer has not acknowledged comes on top, so this costs no speed.
  int unsent = 0;
  // SO_SNDBUF and SO_RCVBUF. The kernel doubles them, because it counts its own overhead too, and
  // no longer adapts the buffer to the connection.
  int send = 0;
  int receive = 0;

  bool operator==(const SocketBuffers&) const = default;
};

// On a TCP socket, or a listening one whose connections inherit what is set. Gives the kernel its
// choice back where that was taken before. Limits that cannot be set are left out: the socket
// works without them.
void SetBuffers(int os_fd, const SocketBuffers& buffers);

}  // namespace starling
