// `load backend`: the server behind the gateway. It sends back what it gets, and
// ends when its client ends.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "bench/load_options.h"
#include "bench/poller.h"
#include "bench/usage.h"

namespace starling::bench {

namespace {

constexpr size_t kProxyFixed = 16;  // octets of a v2 header before what it has the length of
constexpr uint64_t kListener = UINT64_MAX;

class EchoServer {
 public:
  explicit EchoServer(bool proxy) : proxy_(proxy) {}

  bool Listen(const SocketAddress& address) {
    if (address.is_unix()) {
      const auto* name = reinterpret_cast<const sockaddr_un*>(address.get());
      if (name->sun_path[0] != 0) unlink(name->sun_path);
    }
    listener_ = socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (!address.is_unix()) setsockopt(listener_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (listener_ < 0 || bind(listener_, address.get(), address.length()) != 0 ||
        listen(listener_, SOMAXCONN) != 0) {
      std::fprintf(stderr, "load: %s: %s\n", address.ToString().c_str(), std::strerror(errno));
      return false;
    }
    poller_.Add(listener_, kListener);
    return true;
  }

  [[noreturn]] void Run() {
    for (;;) {
      poller_.Wait(-1, [this](uint64_t tag, bool ended) {
        if (tag == kListener) {
          Accept();
        } else {
          Serve(static_cast<int>(tag), ended);
        }
      });
    }
  }

 private:
  struct Peer {
    bool open = false;
    std::array<uint8_t, kProxyFixed> header;
    size_t header_got = 0;
    size_t header_left = 0;  // octets to swallow
    std::string unsent;
  };

  void Accept() {
    for (;;) {
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      if (peers_.size() <= static_cast<size_t>(fd)) peers_.resize(static_cast<size_t>(fd) + 1);
      Peer& peer = peers_[static_cast<size_t>(fd)];
      peer = Peer{};
      peer.open = true;
      peer.header_left = proxy_ ? kProxyFixed : 0;
      poller_.Add(fd, static_cast<uint64_t>(fd));
    }
  }

  // Takes a PROXY header off the front of what came.
  static std::span<uint8_t> SkipHeader(Peer& peer, std::span<uint8_t> octets) {
    while (peer.header_left > 0 && !octets.empty()) {
      const size_t taken = std::min(peer.header_left, octets.size());
      if (peer.header_got < kProxyFixed) {
        std::copy_n(octets.data(), taken, peer.header.data() + peer.header_got);
      }
      peer.header_got += taken;
      peer.header_left -= taken;
      octets = octets.subspan(taken);
      if (peer.header_got == kProxyFixed) {
        peer.header_left = static_cast<size_t>(peer.header[14] << 8 | peer.header[15]);
      }
    }
    return octets;
  }

  // False if the socket took less. That it is broken is for the next recv to find.
  static bool Send(int fd, Peer& peer, std::span<const uint8_t> octets) {
    if (octets.empty()) return true;
    const ssize_t sent = send(fd, octets.data(), octets.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return true;
    const size_t done = sent < 0 ? 0 : static_cast<size_t>(sent);
    peer.unsent.assign(octets.begin() + static_cast<ptrdiff_t>(done), octets.end());
    return peer.unsent.empty();
  }

  void Serve(int fd, bool ended) {
    Peer& peer = peers_[static_cast<size_t>(fd)];
    if (!peer.open) return;
    const std::string unsent = std::move(peer.unsent);
    if (!Send(fd, peer, {reinterpret_cast<const uint8_t*>(unsent.data()), unsent.size()})) return;
    for (;;) {
      const ssize_t got = recv(fd, space_.data(), space_.size(), 0);
      if (got < 0 && errno == EAGAIN) return;
      if (got <= 0) break;
      const size_t size = static_cast<size_t>(got);
      if (!Send(fd, peer, SkipHeader(peer, {space_.data(), size}))) return;
      if (size < space_.size() && !ended) return;
    }
    peer.open = false;
    close(fd);
  }

  const bool proxy_;
  Poller poller_;
  int listener_ = -1;
  std::vector<Peer> peers_;  // by descriptor
  std::array<uint8_t, 16'384> space_;
};

}  // namespace

int RunBackend(const LoadOptions& options) {
  auto server = std::make_unique<EchoServer>(options.proxy);
  if (!server->Listen(options.address)) return 1;
  std::printf("ready\n");
  std::fflush(stdout);
  server->Run();
}

}  // namespace starling::bench
