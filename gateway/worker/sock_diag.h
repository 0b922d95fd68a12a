// Who else listens on an address: the kernel's socket diagnosis (sock_diag(7))
// and /proc, read when a process hands its addresses over.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "gateway/io/socket_address.h"

namespace starling {

// Inodes of all TCP sockets that listen on exactly this address and port in
// this network namespace; empty if the kernel does not say.
std::vector<uint64_t> ListenersOn(const SocketAddress& address);

// The inode of one of our own sockets. 0 if `fd` is not a socket.
uint64_t InodeOf(int fd);

// Processes other than this one that hold one of the sockets, as far as /proc
// lets us see. `unseen` counts sockets whose holder was not found.
std::set<int> HoldersOf(const std::vector<uint64_t>& inodes, size_t& unseen);

}  // namespace starling
