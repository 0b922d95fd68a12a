// The peers of a real ring in the conformance suite: ordinary non-blocking sockets.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "gateway/io/ring_harness.h"

namespace starling {

// A PeerId is a descriptor.
class SocketHarness final : public RingHarness {
 public:
  ~SocketHarness() override;

  int Listen(Transport transport, bool wildcard, SocketAddress* address) override;
  PeerId Connect(const SocketAddress& address) override;
  PeerId ListenBackend(Transport transport, int backlog, SocketAddress* address) override;
  PeerId AcceptBackend(PeerId listener) override;
  SocketAddress RefusingAddress() override;
  Endpoint LocalEndpoint(PeerId peer) override { return LocalAddress(peer).endpoint(); }
  size_t Write(PeerId peer, std::string_view data) override;
  std::string Read(PeerId peer, size_t max) override;
  bool AtEnd(PeerId peer) override;
  bool Acknowledged(PeerId peer) override;
  void ShutdownWrite(PeerId peer) override;
  void Close(PeerId peer) override;
  void Reset(PeerId peer) override;

  static std::unique_ptr<RingHarness> Make() { return std::make_unique<SocketHarness>(); }

 private:
  PeerId Keep(int fd);

  std::map<int, bool> open_;
};

}  // namespace starling
