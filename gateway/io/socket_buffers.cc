#include "gateway/io/socket_buffers.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace starling {
namespace {

// Of SO_BUF_LOCK, which needs Linux 5.14. Their names are in a kernel header that clashes with
// libc.
constexpr int kSendLock = 1;
constexpr int kReceiveLock = 2;

int Get(int os_fd, int option) {
  int value = 0;
  socklen_t length = sizeof value;
  return getsockopt(os_fd, SOL_SOCKET, option, &value, &length) == 0 ? value : 0;
}

void Set(int os_fd, int option, int value) {
  setsockopt(os_fd, SOL_SOCKET, option, &value, sizeof value);
}

// A new socket's size, which adapts to the connection.
void Unlock(int os_fd, int option, int lock) {
  const int locks = Get(os_fd, SO_BUF_LOCK);
  if ((locks & lock) == 0) return;
  const int fresh = socket(Get(os_fd, SO_DOMAIN), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fresh < 0) return;
  Set(os_fd, option, Get(fresh, option) / 2);  // the kernel doubles it
  close(fresh);
  Set(os_fd, SO_BUF_LOCK, locks & ~lock);
}

void SetOne(int os_fd, int option, int lock, int octets) {
  if (octets == 0) return Unlock(os_fd, option, lock);
  Set(os_fd, option, octets);
}

}  // namespace

void SetBuffers(int os_fd, const SocketBuffers& buffers) {
  setsockopt(os_fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &buffers.unsent, sizeof buffers.unsent);
  SetOne(os_fd, SO_SNDBUF, kSendLock, buffers.send);
  SetOne(os_fd, SO_RCVBUF, kReceiveLock, buffers.receive);
}

}  // namespace starling
