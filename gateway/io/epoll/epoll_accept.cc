// Listening sockets and accepts.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "gateway/io/epoll/epoll.h"
#include "gateway/io/listen_socket.h"

namespace starling::epoll {

absl::StatusOr<Fd> EpollRing::AddListener(int os_fd, bool want_local) {
  if (free_listeners_.empty()) {
    close(os_fd);
    return absl::ResourceExhaustedError(
        absl::StrCat("a worker can have at most ", options_.listeners, " listening sockets"));
  }
  const SocketAddress bound = LocalAddress(os_fd);
  // An accept must not wait if the client has gone in the meantime.
  fcntl(os_fd, F_SETFL, fcntl(os_fd, F_GETFL) | O_NONBLOCK);
  const Fd fd = free_listeners_.back();
  free_listeners_.pop_back();
  Fill(fd, os_fd, State::kListener, bound.is_unix());
  Listener& listener = ListenerAt(fd);
  listener = Listener();
  listener.look_up_local = want_local && bound.is_wildcard();
  if (!bound.is_wildcard()) listener.local = bound.endpoint();
  if (const int error = Watch(fd, At(fd)); error != 0) {
    Release(fd);
    return absl::ResourceExhaustedError(
        absl::StrCat("epoll: cannot register a listening socket: ", strerror(error)));
  }
  return fd;
}

DataListener EpollRing::AddDataListener(const Endpoint& address, uint16_t first, uint16_t last,
                                        uint32_t* cursor) {
  const DataSocket socket = ListenForData(address, first, last, cursor);
  if (socket.error != 0) return {};
  SetBuffers(socket.os_fd, options_.buffers);
  const absl::StatusOr<Fd> fd = AddListener(socket.os_fd, /*want_local=*/false);
  if (!fd.ok()) return {};
  return {.fd = *fd, .port = socket.port};
}

void EpollRing::CancelAccepts(Fd fd) {
  Listener& listener = ListenerAt(fd);
  while (listener.first != kNoAccept) {
    at_once_.push_back({.tag = TakeArmed(listener), .result = -ECANCELED});
  }
}

void EpollRing::RemoveListener(Fd fd) { Release(fd); }

void EpollRing::Discard(Fd accepted) { Release(accepted); }

void EpollRing::ArmAccept(Fd fd, Tag tag) {
  if (free_accept_ == kNoAccept) {
    at_once_.push_back({.tag = tag, .result = -EBUSY});
    return;
  }
  const uint32_t index = free_accept_;
  free_accept_ = std::exchange(accepts_[index].next, kNoAccept);
  accepts_[index].tag = tag;
  Listener& listener = ListenerAt(fd);
  (listener.first == kNoAccept ? listener.first : accepts_[listener.last].next) = index;
  listener.last = index;
  if (At(fd).readable) List(fd, At(fd));
}

Tag EpollRing::TakeArmed(Listener& listener) {
  const uint32_t index = listener.first;
  listener.first = std::exchange(accepts_[index].next, free_accept_);
  free_accept_ = index;
  return accepts_[index].tag;
}

// At most as many as are armed. So clients that keep coming cannot hold up the connections, which
// run in the same turn.
void EpollRing::RunAccepts(Fd fd, Entry& entry, std::vector<Completion>& out) {
  Listener& listener = ListenerAt(fd);
  while (listener.first != kNoAccept) {
    Completion completion = AcceptOne(listener, entry);
    if (completion.result == -EAGAIN) {
      entry.readable = false;
      return;
    }
    completion.tag = TakeArmed(listener);
    out.push_back(completion);
  }
}

Completion EpollRing::AcceptOne(const Listener& listener, const Entry& entry) {
  Completion completion;
  sockaddr_storage peer{};
  socklen_t length = sizeof peer;
  Count(Call::kAccept);
  const int os_fd = accept4(entry.os_fd, reinterpret_cast<sockaddr*>(&peer), &length,
                            SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (os_fd < 0) {
    completion.result = errno == EINTR ? -ECONNABORTED : -errno;
    return completion;
  }
  if (free_accepted_.empty()) {
    Count(Call::kClose);
    close(os_fd);
    completion.result = -ENFILE;
    return completion;
  }
  const Fd fd = free_accepted_.back();
  free_accepted_.pop_back();
  Fill(fd, os_fd, State::kOpen, entry.is_unix);
  At(fd).readable = At(fd).writable = true;  // nothing is known, so the first call finds out
  completion.result = fd;
  completion.peer =
      SocketAddress::FromKernel(reinterpret_cast<const sockaddr*>(&peer), length).endpoint();
  completion.local = listener.look_up_local ? LocalAddress(os_fd).endpoint() : listener.local;
  return completion;
}

}  // namespace starling::epoll
