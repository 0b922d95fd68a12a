#include "gateway/tls/test_server.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace starling {
namespace {

std::span<const uint8_t> Bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::span<uint8_t> Space(std::string& text) {
  return {reinterpret_cast<uint8_t*>(text.data()), text.size()};
}

void Check(bool started) {
  if (started) return;
  std::fprintf(stderr, "test server: no session\n");
  std::abort();
}

// Carries octets between the two until both are silent.
template <typename Client>
bool Carry(Client& client, TestServer& server) {
  bool moved = true;
  while (moved) {
    client.Step();
    moved = !client.output.empty();
    server.input += std::exchange(client.output, {});
    server.Step();
    moved = moved || !server.output.empty();
    client.input += std::exchange(server.output, {});
  }
  return client.connected() && server.connected();
}

}  // namespace

TestServer::TestServer(size_t in_portion, size_t room)
    : in_portion_(in_portion), space_(room, '\0'), plain_(16384, '\0') {}

TestServer::TestServer(TlsContext& context, size_t in_portion, size_t room)
    : TestServer(in_portion, room) {
  Check(session_.Start(context));
}

TestServer::TestServer(UpstreamTls& upstream, uint32_t server)
    : TestServer(upstream, UpstreamPeer{.server = server}) {}

TestServer::TestServer(UpstreamTls& upstream, const UpstreamPeer& peer) : TestServer(16384, 17920) {
  Check(session_.Connect(upstream, peer));
}

template <typename Call>
TlsResult TestServer::Run(Call call) {
  size_t at = 0;
  TlsResult result = TlsResult::kNeedInput;
  while (true) {
    TlsSession::Io io;
    io.in = Bytes(std::string_view(input).substr(at, in_portion_));
    io.out = Space(space_);
    result = call(io);
    at += io.consumed;
    output.append(space_, 0, io.written);
    if (result == TlsResult::kNeedRoom) continue;
    if (result == TlsResult::kNeedInput && at < input.size()) continue;
    break;
  }
  input.erase(0, at);
  return result;
}

TlsResult TestServer::Step() {
  if (!connected_) {
    const TlsResult result = Run([&](TlsSession::Io& io) { return session_.Handshake(io); });
    if (result != TlsResult::kOk) return result;
    connected_ = true;
    space_.resize(std::max<size_t>(space_.size(), 64));
  }
  TlsResult result = TlsResult::kOk;
  while (result == TlsResult::kOk) {
    size_t got = 0;
    result = Run([&](TlsSession::Io& io) { return session_.Read(io, Space(plain_), got); });
    received.append(plain_, 0, got);
  }
  return result;
}

TlsResult TestServer::Write(std::string_view plain) {
  size_t taken = 0;
  return Run(
      [&](TlsSession::Io& io) { return session_.Write(io, Bytes(plain.substr(taken)), taken); });
}

TlsResult TestServer::CloseNotify() {
  return Run([&](TlsSession::Io& io) { return session_.CloseNotify(io); });
}

bool Exchange(TestClient& client, TestServer& server) { return Carry(client, server); }

bool Exchange(TestServer& client, TestServer& server) { return Carry(client, server); }

}  // namespace starling
