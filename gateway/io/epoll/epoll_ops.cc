// Operations on a connection. A receive and a send may have to wait; the others run at once.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "gateway/io/epoll/epoll.h"

namespace starling::epoll {
namespace {

ssize_t Receive(int os_fd, std::span<uint8_t> into, int flags) {
  for (;;) {
    const ssize_t n = recv(os_fd, into.data(), into.size(), flags);
    if (n >= 0) return n;
    if (errno != EINTR) return -errno;
  }
}

bool MoreWaits(int os_fd) {
  int octets = 0;
  return ioctl(os_fd, FIONREAD, &octets) == 0 && octets > 0;
}

}  // namespace

void EpollRing::Recv(Fd fd, BufferGroup group, uint32_t max, Tag tag) {
  Entry& entry = At(fd);
  if (entry.state != State::kOpen) Die("a receive on what is not open", EBADF);
  if (entry.armed & kReceiving) Die("two receives on a descriptor", EBUSY);
  entry.armed |= kReceiving;
  entry.receive_tag = Pack(tag);
  entry.group = group;
  entry.max = max;
  if (entry.readable) return List(fd, entry);
  if (const int error = Watch(fd, entry); error != 0) {
    EndReceive(entry, {.result = -error}, at_once_);
  }
}

void EpollRing::EndReceive(Entry& entry, Completion completion, std::vector<Completion>& out) {
  entry.armed &= ~kReceiving;
  completion.tag = Unpack(entry.receive_tag);
  out.push_back(completion);
}

// Receives into the next free buffer, and takes it only if octets have come.
void EpollRing::RunReceive(Fd fd, Entry& entry, std::vector<Completion>& out) {
  ReceiveBuffers& buffers = buffers_[static_cast<size_t>(entry.group)];
  if (buffers.empty()) return EndReceive(entry, {.result = -ENOBUFS}, out);
  const uint32_t max = std::min(entry.max, buffers.size());
  Count(Call::kRecv);
  const auto n = static_cast<int32_t>(Receive(entry.os_fd, buffers.Next().first(max), 0));
  if (n == -EAGAIN) {
    entry.readable = false;
    if (const int error = Watch(fd, entry); error != 0) EndReceive(entry, {.result = -error}, out);
    return;
  }
  Completion completion{.result = n};
  if (n > 0) {
    completion.buffer = buffers.Take();
    completion.more = n == static_cast<int32_t>(max) && MoreWaits(entry.os_fd);
    // What comes later is an event of its own. On a Unix socket a receive may end before a
    // descriptor that somebody has sent along.
    if (!completion.more && !entry.uneven && !entry.is_unix) entry.readable = false;
  }
  EndReceive(entry, completion, out);
}

void EpollRing::Peek(Fd fd, Tag tag) {
  uint8_t octet = 0;
  Count(Call::kRecv);
  const ssize_t n = Receive(At(fd).os_fd, {&octet, 1}, MSG_PEEK | MSG_DONTWAIT);
  at_once_.push_back({.tag = tag, .result = static_cast<int32_t>(n)});
}

int32_t EpollRing::AskForError(int os_fd) {
  Count(Call::kSend);
  return send(os_fd, nullptr, 0, MSG_NOSIGNAL) == 0 ? 0 : -errno;
}

void EpollRing::Send(Fd fd, std::span<const uint8_t> data, Tag tag) {
  Entry& entry = At(fd);
  if (entry.state != State::kOpen) Die("a send on what is not open", EBADF);
  if (entry.armed & kSending) Die("two sends on a descriptor", EBUSY);
  entry.armed |= kSending;
  entry.send_tag = Pack(tag);
  entry.data = data.data();
  entry.size = static_cast<uint32_t>(data.size());
  entry.done = 0;
  // A send of nothing asks for errors, whether or not there is room.
  if (data.empty()) return EndSend(entry, AskForError(entry.os_fd), at_once_);
  if (entry.writable) return List(fd, entry);
  if (const int error = Watch(fd, entry); error != 0) EndSend(entry, -error, at_once_);
}

int32_t EpollRing::Push(Entry& entry) {
  while (entry.done < entry.size) {
    Count(Call::kSend);
    const ssize_t n =
        send(entry.os_fd, entry.data + entry.done, entry.size - entry.done, MSG_NOSIGNAL);
    if (n >= 0) {
      entry.done += static_cast<uint32_t>(n);
    } else if (errno != EINTR) {
      return -errno;
    }
  }
  return 0;
}

void EpollRing::EndSend(Entry& entry, int32_t result, std::vector<Completion>& out) {
  entry.armed &= ~kSending;
  // After an error, what went is the result; the error is the next send's.
  if (entry.done > 0) result = static_cast<int32_t>(entry.done);
  out.push_back({.tag = Unpack(entry.send_tag), .result = result});
}

void EpollRing::RunSend(Fd fd, Entry& entry, std::vector<Completion>& out) {
  int32_t result = Push(entry);
  if (result == -EAGAIN) {
    entry.writable = false;
    result = -Watch(fd, entry);
    if (result == 0) return;
  }
  EndSend(entry, result, out);
}

// A send that was asked for before something else of the same connection goes before it.
void EpollRing::RunShortcut(Fd fd, Entry& entry) {
  if ((entry.armed & kSending) != 0 && entry.state == State::kOpen && entry.writable) {
    RunSend(fd, entry, at_once_);
  }
}

void EpollRing::ShutdownWrite(Fd fd, Tag tag) {
  Entry& entry = At(fd);
  RunShortcut(fd, entry);
  Count(Call::kShutdown);
  const int result = shutdown(entry.os_fd, SHUT_WR) == 0 ? 0 : -errno;
  at_once_.push_back({.tag = tag, .result = result});
}

void EpollRing::Acknowledge(Fd fd) { SetOption(At(fd).os_fd, IPPROTO_TCP, TCP_QUICKACK, 1); }

void EpollRing::EndAll(Fd fd, Entry& entry) {
  if (entry.state == State::kConnecting || entry.state == State::kHeader) {
    return EndOpen(fd, entry, -ECANCELED, at_once_);
  }
  RunShortcut(fd, entry);
  if (entry.armed & kSending) EndSend(entry, -ECANCELED, at_once_);
  if (entry.armed & kReceiving) EndReceive(entry, {.result = -ECANCELED}, at_once_);
}

void EpollRing::Cancel(Fd fd, Tag tag) {
  EndAll(fd, At(fd));
  at_once_.push_back({.tag = tag});
}

// The index of an open that has failed may be free already.
void EpollRing::CancelAndClose(Fd fd, Tag tag) {
  EndAll(fd, At(fd));
  if (At(fd).state != State::kFree) Release(fd);
  at_once_.push_back({.tag = tag});
}

}  // namespace starling::epoll
