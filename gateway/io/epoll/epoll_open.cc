// Opens connections: socket, options, connect, header, local address.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "gateway/io/epoll/epoll.h"

namespace starling::epoll {

void EpollRing::SetOption(int os_fd, int level, int name, int value) {
  Count(Call::kOption);
  setsockopt(os_fd, level, name, &value, sizeof value);
}

int EpollRing::MakeSocket(const SocketAddress& address, const Endpoint& source, bool data) {
  Count(Call::kSocket);
  const int os_fd = socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (os_fd < 0) return -errno;
  if (address.is_unix()) return os_fd;
  SetOption(os_fd, IPPROTO_TCP, TCP_NODELAY, 1);
  const SocketBuffers& buffers = options_.buffers;
  if (buffers.unsent != 0) SetOption(os_fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, buffers.unsent);
  if (buffers.send != 0) SetOption(os_fd, SOL_SOCKET, SO_SNDBUF, buffers.send);
  if (buffers.receive != 0) SetOption(os_fd, SOL_SOCKET, SO_RCVBUF, buffers.receive);
  if (data) {
    const linger reset{.l_onoff = 1, .l_linger = 0};
    Count(Call::kOption);
    setsockopt(os_fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  }
  if (source.family == Endpoint::Family::kNone) return os_fd;
  // Without this option, the bind would reserve a port for this connection alone.
  SetOption(os_fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
  Endpoint from = source;
  from.port = 0;
  const SocketAddress local = SocketAddress::From(from);
  if (bind(os_fd, local.get(), local.length()) == 0) return os_fd;
  const int error = errno;
  close(os_fd);
  return -error;
}

void EpollRing::OpenUpstream(Fd fd, const SocketAddress& address, std::span<const uint8_t> header,
                             const Endpoint& source, bool want_local, Tag tag) {
  const bool unix_address = address.is_unix();
  Open(fd, address, header, MakeSocket(address, unix_address ? Endpoint() : source, /*data=*/false),
       want_local && !unix_address, tag);
}

void EpollRing::OpenData(Fd fd, const SocketAddress& address, const Endpoint& source, Tag tag) {
  Open(fd, address, {}, MakeSocket(address, source, /*data=*/true), /*want_local=*/false, tag);
}

// `os_fd`: as from MakeSocket.
void EpollRing::Open(Fd fd, const SocketAddress& address, std::span<const uint8_t> header,
                     int os_fd, bool want_local, Tag tag) {
  if (fd != static_cast<Fd>(tag.slot) || At(fd).state != State::kFree) {
    Die("an upstream descriptor is not free", EEXIST);
  }
  if (os_fd < 0) {
    at_once_.push_back({.tag = tag, .result = os_fd});
    return;
  }
  Fill(fd, os_fd, State::kConnecting, address.is_unix());
  Entry& entry = At(fd);
  entry.armed = kSending;
  entry.send_tag = Pack(tag);
  entry.data = header.data();
  entry.size = static_cast<uint32_t>(header.size());
  entry.want_local = want_local;
  Count(Call::kConnect);
  if (connect(os_fd, address.get(), address.length()) == 0) {
    entry.state = State::kHeader;
    entry.writable = true;
    return List(fd, entry);
  }
  const int error = errno == EINPROGRESS || errno == EINTR ? Watch(fd, entry) : errno;
  if (error != 0) EndOpen(fd, entry, -error, at_once_);
}

// Runs when the kernel says that the socket may be written to, or is broken.
void EpollRing::RunOpen(Fd fd, Entry& entry, std::vector<Completion>& out) {
  if (entry.state == State::kConnecting) {
    int error = 0;
    socklen_t length = sizeof error;
    Count(Call::kOption);
    if (getsockopt(entry.os_fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
    if (error != 0) return EndOpen(fd, entry, -error, out);
    entry.state = State::kHeader;
  }
  int32_t result = Push(entry);
  if (result == -EAGAIN) {
    entry.writable = false;
    result = -Watch(fd, entry);
    if (result == 0) return;
  }
  EndOpen(fd, entry, result, out);
}

void EpollRing::EndOpen(Fd fd, Entry& entry, int32_t result, std::vector<Completion>& out) {
  Completion completion{.tag = Unpack(entry.send_tag), .result = result};
  entry.armed = 0;
  if (result != 0) {
    Release(fd);
  } else {
    entry.state = State::kOpen;
    if (entry.want_local) completion.local = LocalAddress(entry.os_fd).endpoint();
  }
  out.push_back(completion);
}

}  // namespace starling::epoll
