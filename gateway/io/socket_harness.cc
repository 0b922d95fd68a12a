#include "gateway/io/socket_harness.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <random>
#include <string>

#include "gateway/io/listen_socket.h"

namespace starling {
namespace {

constexpr int kPatience = 5000;  // ms; only a failing test waits this long

SocketAddress Fresh(Transport transport, std::string_view tcp) {
  static std::atomic<int> counter{0};
  if (transport == Transport::kTcp) return *SocketAddress::Parse(tcp);
  // Bazel runs tests side by side in PID namespaces of their own, but in one network namespace.
  static const std::string run = std::to_string(std::random_device()());
  return *SocketAddress::Parse("@starling-ring-" + run + "-" + std::to_string(++counter));
}

int NewListener(const SocketAddress& address, int backlog) {
  auto fd = ListenOn(address, backlog);
  EXPECT_TRUE(fd.ok()) << fd.status();
  return fd.ok() ? *fd : -1;
}

}  // namespace

SocketHarness::~SocketHarness() {
  for (const auto& [fd, reading] : open_) close(fd);
}

int SocketHarness::Listen(Transport transport, bool wildcard, SocketAddress* address) {
  const int fd = NewListener(Fresh(transport, wildcard ? "0.0.0.0:0" : "127.0.0.1:0"), 128);
  *address = LocalAddress(fd);
  if (wildcard) {
    Endpoint endpoint = address->endpoint();
    endpoint.ip = {127, 0, 0, 1};
    *address = SocketAddress::From(endpoint);
  }
  return fd;
}

PeerId SocketHarness::Connect(const SocketAddress& address) {
  const int fd = socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, address.get(), address.length()) != 0) {
    close(fd);
    return kNoPeer;
  }
  fcntl(fd, F_SETFL, O_NONBLOCK);
  return Keep(fd);
}

PeerId SocketHarness::ListenBackend(Transport transport, int backlog, SocketAddress* address) {
  const int fd = NewListener(Fresh(transport, "127.0.0.1:0"), backlog);
  fcntl(fd, F_SETFL, O_NONBLOCK);
  *address = LocalAddress(fd);
  return Keep(fd);
}

PeerId SocketHarness::AcceptBackend(PeerId listener) {
  const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  return fd < 0 ? kNoPeer : Keep(fd);
}

SocketAddress SocketHarness::RefusingAddress() {
  const int fd = NewListener(Fresh(Transport::kTcp, "127.0.0.1:0"), 1);
  const SocketAddress address = LocalAddress(fd);
  close(fd);
  return address;
}

size_t SocketHarness::Write(PeerId peer, std::string_view data) {
  const ssize_t written = send(peer, data.data(), data.size(), MSG_NOSIGNAL);
  return written < 0 ? 0 : static_cast<size_t>(written);
}

std::string SocketHarness::Read(PeerId peer, size_t max) {
  std::string all;
  std::string part(65536, '\0');
  while (all.size() < max) {
    const ssize_t size = recv(peer, part.data(), std::min(part.size(), max - all.size()), 0);
    if (size > 0) {
      all.append(part, 0, size);
      continue;
    }
    // Gives the kernel time to deliver octets in flight.
    pollfd ready{peer, POLLIN, 0};
    if (size == 0 || errno != EAGAIN || poll(&ready, 1, 20) <= 0) break;
  }
  return all;
}

bool SocketHarness::AtEnd(PeerId peer) {
  char octet;
  pollfd ready{peer, POLLIN, 0};
  poll(&ready, 1, kPatience);
  return recv(peer, &octet, 1, MSG_PEEK) == 0;
}

bool SocketHarness::Acknowledged(PeerId peer) {
  tcp_info info{};
  socklen_t length = sizeof(info);
  EXPECT_EQ(getsockopt(peer, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
  return info.tcpi_unacked == 0;
}

void SocketHarness::ShutdownWrite(PeerId peer) { shutdown(peer, SHUT_WR); }

void SocketHarness::Close(PeerId peer) {
  close(peer);
  open_.erase(peer);
}

void SocketHarness::Reset(PeerId peer) {
  const linger now{1, 0};
  setsockopt(peer, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  Close(peer);
}

PeerId SocketHarness::Keep(int fd) {
  open_[fd] = true;
  return fd;
}

}  // namespace starling
