#include "gateway/io/listen_socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace starling {
namespace {

const char* Remedy(int error, const SocketAddress& address) {
  switch (error) {
    case EACCES:
      return address.is_unix()
                 ? "; the folder must be writable for the gateway's user"
                 : "; ports below 1024 need root at start or CAP_NET_BIND_SERVICE (setcap "
                   "cap_net_bind_service=+ep, or AmbientCapabilities= in the systemd unit)";
    case EADDRINUSE:
      return address.is_unix()
                 ? "; another process listens there, or it left the file behind: remove it"
                 : "; another program listens there (see ss -ltnp), or another gateway that runs "
                   "under a different user";
    case EADDRNOTAVAIL:
      return "; no interface of this machine has this address";
    case EAFNOSUPPORT:
      return "; the kernel does not support this kind of address (is IPv6 disabled?)";
    case EMFILE:
      return "; raise the limit of open files (ulimit -n, LimitNOFILE=)";
    default:
      return "";
  }
}

absl::Status Failed(const char* what, const SocketAddress& address) {
  const int error = errno;
  const std::string message = absl::StrCat("cannot listen on ", address.ToString(), ": ", what,
                                           ": ", strerror(error), Remedy(error, address));
  return error == EACCES ? absl::PermissionDeniedError(message) : absl::UnavailableError(message);
}

absl::Status Configure(int fd, const SocketAddress& address) {
  if (address.is_unix()) return absl::OkStatus();
  struct Option {
    int level;
    int name;
    const char* what;
    bool wanted;
  };
  const Option kOptions[] = {
      {SOL_SOCKET, SO_REUSEADDR, "SO_REUSEADDR", true},
      {SOL_SOCKET, SO_REUSEPORT, "SO_REUSEPORT", true},
      {IPPROTO_IPV6, IPV6_V6ONLY, "IPV6_V6ONLY", address.family() == AF_INET6},
      {IPPROTO_TCP, TCP_NODELAY, "TCP_NODELAY", true},
  };
  const int on = 1;
  for (const Option& option : kOptions) {
    if (option.wanted && setsockopt(fd, option.level, option.name, &on, sizeof(on)) != 0) {
      return Failed(option.what, address);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<int> ListenOn(const SocketAddress& address, int backlog) {
  const int fd = socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return Failed("socket", address);
  absl::Status status = Configure(fd, address);
  if (status.ok() && bind(fd, address.get(), address.length()) != 0) {
    status = Failed("bind", address);
  }
  if (status.ok() && listen(fd, backlog) != 0) status = Failed("listen", address);
  if (!status.ok()) {
    close(fd);
    return status;
  }
  return fd;
}

namespace {

// Without SO_REUSEPORT: no other listener may share the port, in particular not another
// worker's.
int MakeDataSocket(int family) {
  const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return fd;
  const int on = 1;
  const linger reset{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  // Accepted sockets inherit both options.
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
  return fd;
}

}  // namespace

DataSocket ListenForData(const Endpoint& address, uint16_t first, uint16_t last, uint32_t* cursor) {
  // Room for the real client and a few strangers.
  constexpr int kBacklog = 8;
  const uint32_t ports = last - first + 1u;
  Endpoint at = address;
  at.port = 0;
  DataSocket result{.os_fd = MakeDataSocket(SocketAddress::From(at).family())};
  result.error = result.os_fd < 0 ? errno : EADDRINUSE;
  for (uint32_t tries = ports; result.os_fd >= 0 && tries > 0; --tries) {
    if (first != 0) at.port = static_cast<uint16_t>(first + (*cursor)++ % ports);
    const SocketAddress local = SocketAddress::From(at);
    // bind alone does not suffice: two sockets can bind the same port as long as neither
    // listens.
    if (bind(result.os_fd, local.get(), local.length()) == 0 &&
        listen(result.os_fd, kBacklog) == 0) {
      result.port = LocalAddress(result.os_fd).endpoint().port;
      result.error = 0;
      return result;
    }
    result.error = errno;
    close(result.os_fd);
    const bool again = result.error == EADDRINUSE && tries > 1;
    result.os_fd = again ? MakeDataSocket(local.family()) : -1;
  }
  return result;
}

}  // namespace starling
