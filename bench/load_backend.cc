// `load backend`: the server behind the gateway. It echoes, speaks a mail protocol,
// discards its input, or sends without end. It ends a connection when the client does.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bench/fake_mail_server.h"
#include "bench/load_options.h"
#include "bench/poller.h"

namespace starling::bench {

namespace {

constexpr size_t kProxyFixed = 16;  // octets of the fixed part of a v2 header
constexpr uint64_t kListener = UINT64_MAX;
constexpr uint64_t kSignals = kListener - 1;
constexpr size_t kSpace = 256 * 1024;
// The most octets of one connection before the next one's turn.
constexpr size_t kPiece = 1024 * 1024;

class Backend {
 public:
  Backend(bool proxy, Speak speak) : proxy_(proxy), speak_(speak), space_(kSpace, 'b') {}

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
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigprocmask(SIG_BLOCK, &ends, nullptr);
    poller_.Add(signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK), kSignals);
    return true;
  }

  // Runs until a signal ends it.
  void Run() {
    bool told = false;
    while (!told) {
      poller_.Wait(again_.empty() ? -1 : 0, [&](uint64_t tag, bool ended) {
        if (tag == kSignals) {
          told = true;
        } else if (tag == kListener) {
          Accept();
        } else {
          Serve(static_cast<int>(tag), ended);
        }
      });
      std::vector<int> again = std::move(again_);
      again_.clear();
      for (const int fd : again) Serve(fd, false);
    }
  }

  void Print() const {
    std::printf("accepted=%zu\nreceived_octets=%zu\nsent_octets=%zu\n", accepted_, received_,
                sent_);
  }

 private:
  struct Peer {
    std::array<uint8_t, kProxyFixed> header;
    size_t header_got = 0;
    size_t header_left = 0;  // octets of the PROXY header still to discard
    std::string unsent;
    std::optional<FakeMailServer> mail_server;
    bool goodbye = false;         // close once everything is sent
    bool waits_for_room = false;  // has waited for room at least once
  };

  std::optional<FakeMailServer::Protocol> Spoken() const {
    switch (speak_) {
      case Speak::kSmtp:
        return FakeMailServer::Protocol::kSmtp;
      case Speak::kLmtp:
        return FakeMailServer::Protocol::kLmtp;
      case Speak::kImap:
        return FakeMailServer::Protocol::kImap;
      case Speak::kPop3:
        return FakeMailServer::Protocol::kPop3;
      case Speak::kManageSieve:
        return FakeMailServer::Protocol::kManageSieve;
      case Speak::kEcho:
      case Speak::kSink:
      case Speak::kSource:
        break;
    }
    return std::nullopt;
  }

  void Accept() {
    for (;;) {
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      ++accepted_;
      if (peers_.size() <= static_cast<size_t>(fd)) peers_.resize(static_cast<size_t>(fd) + 1);
      Peer& peer = peers_[static_cast<size_t>(fd)].emplace();
      peer.header_left = proxy_ ? kProxyFixed : 0;
      if (const auto protocol = Spoken(); protocol.has_value()) peer.mail_server.emplace(*protocol);
      if (peer.mail_server.has_value()) peer.unsent = peer.mail_server->Greeting();
      if (speak_ == Speak::kSource) {
        poller_.Add(fd, static_cast<uint64_t>(fd));
      } else {
        poller_.AddInput(fd, static_cast<uint64_t>(fd));
      }
      if (!peer.unsent.empty()) again_.push_back(fd);
    }
  }

  // Removes a PROXY header from the front of the input.
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

  // False if the socket took less. The next recv reports an error of the socket.
  bool Send(int fd, Peer& peer, std::span<const uint8_t> octets) {
    if (octets.empty()) return true;
    const ssize_t sent = send(fd, octets.data(), octets.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return true;
    const size_t done = sent < 0 ? 0 : static_cast<size_t>(sent);
    sent_ += done;
    peer.unsent.assign(octets.begin() + static_cast<ptrdiff_t>(done), octets.end());
    if (peer.unsent.empty()) return true;
    if (!std::exchange(peer.waits_for_room, true) && speak_ != Speak::kSource) {
      poller_.AddOutput(fd, static_cast<uint64_t>(fd));
    }
    return false;
  }

  // Answers the octets. False if the socket took less.
  bool Answer(int fd, Peer& peer, std::span<uint8_t> octets) {
    if (speak_ == Speak::kEcho) return Send(fd, peer, octets);
    if (!peer.mail_server.has_value() || peer.goodbye) return true;
    std::string answer;
    peer.goodbye = !peer.mail_server->Take(
        {reinterpret_cast<const char*>(octets.data()), octets.size()}, answer);
    return Send(fd, peer, {reinterpret_cast<const uint8_t*>(answer.data()), answer.size()});
  }

  void Serve(int fd, bool ended) {
    std::optional<Peer>& slot = peers_[static_cast<size_t>(fd)];
    if (!slot.has_value()) return;
    Peer& peer = *slot;
    const std::string unsent = std::move(peer.unsent);
    peer.unsent.clear();
    if (!Send(fd, peer, {reinterpret_cast<const uint8_t*>(unsent.data()), unsent.size()})) return;
    if (peer.goodbye || !Converse(fd, peer, ended)) {
      close(fd);
      slot.reset();
    }
  }

  // False when the connection has ended.
  bool Converse(int fd, Peer& peer, bool ended) {
    for (size_t piece = 0; piece < kPiece;) {
      const ssize_t got = recv(fd, space_.data(), space_.size(), 0);
      if (got < 0 && errno == EAGAIN) break;
      if (got <= 0) return false;
      const size_t size = static_cast<size_t>(got);
      received_ += size;
      piece += size;
      if (!Answer(fd, peer, SkipHeader(peer, {space_.data(), size}))) return true;
      if (peer.goodbye) return false;
      if (piece >= kPiece) again_.push_back(fd);
      if (size < space_.size() && !ended) break;
    }
    return speak_ != Speak::kSource || Pour(fd);
  }

  bool Pour(int fd) {
    for (size_t piece = 0; piece < kPiece;) {
      const ssize_t sent = send(fd, space_.data(), space_.size(), MSG_NOSIGNAL);
      if (sent < 0) return errno == EAGAIN;
      sent_ += static_cast<size_t>(sent);
      piece += static_cast<size_t>(sent);
    }
    again_.push_back(fd);
    return true;
  }

  const bool proxy_;
  const Speak speak_;
  Poller poller_;
  int listener_ = -1;
  std::vector<std::optional<Peer>> peers_;  // by descriptor
  std::vector<int> again_;                  // descriptors with more to do
  std::vector<uint8_t> space_;
  size_t accepted_ = 0, received_ = 0, sent_ = 0;
};

}  // namespace

int RunBackend(const LoadOptions& options) {
  auto backend = std::make_unique<Backend>(options.proxy, options.speak);
  if (!backend->Listen(options.address)) return 1;
  std::printf("ready\n");
  std::fflush(stdout);
  backend->Run();
  backend->Print();
  return 0;
}

}  // namespace starling::bench
