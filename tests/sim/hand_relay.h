// A relay of which the test plays both ends: a client inside TLS, and the plaintext server that the
// gateway connects to. Each sends and takes as many octets as the test says, and no octet may be
// wrong.
//
// Not for: sessions that play a plan (sim_client.h, sim_backend.h).
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include "tests/sim/coded_stream.h"
#include "tests/sim/one_session.h"

namespace starling::sim {

// A listener without a protocol, and a server at `address`, which HandServer is.
inline Case RelayCase(const char* address = "127.0.0.1:7") {
  Case with = {"relay",
               EndReason::kStopped,
               "tcp",
               TlsMode::kImplicit,
               ClientKind::kStream,
               BackendKind::kNormal,
               ServerKind::kUp,
               nullptr,
               0};
  with.linger_ms = 2'000;
  with.change = [address](Config& config) {
    config.listeners[0].limits.idle_ms = 0;
    config.listeners[0].limits.half_close_ms = 60'000;
    config.backends[0].servers = {*SocketAddress::Parse(address)};
    config.backends[0].proxy = ProxyOut::kNone;
  };
  return with;
}

class HandServer {
 public:
  explicit HandServer(OneSession& session, const char* address = "127.0.0.1:7")
      : world_(session.world()), os_fd_(world_.Listen(*SocketAddress::Parse(address), 128)) {}
  SocketId Accept() { return world_.Accept(os_fd_); }

 private:
  World& world_;
  int os_fd_;
};

class HandRelay {
 public:
  // The handshake goes in pieces of so many octets.
  HandRelay(OneSession& session, HandServer& server, uint32_t id = 1,
            const TestClientOptions& options = {}, size_t piece = 65'536)
      : session_(session), world_(session.world()), id_(id), tls_(options) {
    EXPECT_EQ(world_.Connect(session.plan().listener->address, world_.FreshEndpoint(), &client_),
              0);
    for (int i = 0; i < 100 && server_ == kNoSocket; ++i) {
      tls_.Step();
      to_gateway_ += std::exchange(tls_.output, {});
      do {
        FlushClient(piece);
        session_.RunFor(std::chrono::milliseconds(1));
      } while (!to_gateway_.empty());
      ClientTakes(65'536);
      if (tls_.connected()) server_ = server.Accept();
    }
    EXPECT_NE(server_, kNoSocket);
  }

  // --- The server ---
  // Sends at most so many octets, as far as the gateway's socket has room.
  size_t ServerSends(size_t most) {
    const std::string octets = CodedOctets(kBackendMark, id_, server_sent_, most);
    const int sent = world_.Write(server_, Octets(octets));
    server_sent_ += sent > 0 ? static_cast<size_t>(sent) : 0;
    return sent > 0 ? static_cast<size_t>(sent) : 0;
  }
  // Takes at most so many.
  size_t ServerTakes(size_t most) {
    std::string octets = Read(server_, most);
    EXPECT_TRUE(from_client_.Feed(octets)) << from_client_.position();
    return octets.size();
  }
  SocketId server() const { return server_; }
  uint64_t server_sent() const { return server_sent_; }
  uint64_t server_got() const { return from_client_.position(); }

  // --- The client ---
  // Sends one record more, as far as there is room.
  size_t ClientSends(size_t record) {
    if (!to_gateway_.empty()) return FlushClient();
    tls_.Write(CodedOctets(kClientMark, id_, client_sent_, record));
    client_sent_ += record;
    to_gateway_ += std::exchange(tls_.output, {});
    return FlushClient();
  }
  // Seals a record without sending it.
  std::string Seal(size_t record) {
    tls_.Write(CodedOctets(kClientMark, id_, client_sent_, record));
    client_sent_ += record;
    return std::exchange(tls_.output, {});
  }
  void ClientPuts(std::string_view sealed) {
    EXPECT_EQ(world_.Write(client_, Octets(sealed)), static_cast<int>(sealed.size()));
  }
  // Takes at most so many octets of ciphertext.
  size_t ClientTakes(size_t most) {
    const std::string octets = Read(client_, most);
    tls_.input += octets;
    tls_.Step();
    EXPECT_TRUE(from_server_.Feed(std::exchange(tls_.received, {}))) << from_server_.position();
    return octets.size();
  }
  SocketId client() const { return client_; }
  uint64_t client_sent() const { return client_sent_; }
  uint64_t client_got() const { return from_server_.position(); }
  bool client_saw_end() const { return tls_.closed(); }

  // --- Until nothing goes any more. `at_once`: what a peer sends without waiting. ---
  void ServerPours(size_t at_once = 65'536) {
    for (int quiet = 0; quiet < 3;) {
      quiet = ServerSends(at_once) == 0 ? quiet + 1 : 0;
      session_.RunFor(std::chrono::milliseconds(1));
    }
  }
  void ClientPours() {
    for (int quiet = 0; quiet < 3;) {
      quiet = ClientSends(4'096) == 0 ? quiet + 1 : 0;
      session_.RunFor(std::chrono::milliseconds(1));
    }
  }
  // What is there, and what comes then.
  void ClientTakesAll() {
    for (int quiet = 0; quiet < 3;) {
      quiet = ClientTakes(65'536) == 0 ? quiet + 1 : 0;
      session_.RunFor(std::chrono::milliseconds(1));
    }
  }
  void ServerTakesAll() {
    for (int quiet = 0; quiet < 3;) {
      quiet = ServerTakes(65'536) == 0 ? quiet + 1 : 0;
      session_.RunFor(std::chrono::milliseconds(1));
    }
  }

 private:
  static std::span<const uint8_t> Octets(std::string_view text) {
    return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
  }
  size_t FlushClient(size_t most = 65'536) {
    if (to_gateway_.empty()) return 0;
    const int sent = world_.Write(client_, Octets(std::string_view(to_gateway_).substr(0, most)));
    if (sent <= 0) return 0;
    to_gateway_.erase(0, static_cast<size_t>(sent));
    return static_cast<size_t>(sent);
  }
  std::string Read(SocketId socket, size_t most) {
    std::string octets(most, '\0');
    const int got = most > 0 && world_.IsOpen(socket) && world_.Readable(socket)
                        ? world_.Read(socket, {reinterpret_cast<uint8_t*>(octets.data()), most})
                        : 0;
    octets.resize(got > 0 ? static_cast<size_t>(got) : 0);
    return octets;
  }

  OneSession& session_;
  World& world_;
  const uint32_t id_;
  SocketId client_ = kNoSocket;
  SocketId server_ = kNoSocket;
  TestClient tls_;
  std::string to_gateway_;  // ciphertext that found no room
  StreamChecker from_server_{kBackendMark};
  StreamChecker from_client_{kClientMark};
  uint64_t server_sent_ = 0;
  uint64_t client_sent_ = 0;
};

}  // namespace starling::sim
