// Runs the ring's conformance suite on the simulated ring, with simulated sockets. A
// failure here that does not occur on Linux is a bug of the simulator.
#include <gtest/gtest.h>

#include <map>

#include "gateway/io/ring_harness.h"
#include "tests/sim/sim_world.h"

namespace starling::sim {
namespace {

class SimHarness final : public RingHarness {
 public:
  SimHarness() : world_(1) {}
  ~SimHarness() override {
    for (const std::string& failure : world_.failures()) ADD_FAILURE() << failure;
  }

  Faults& faults() { return world_.faults(); }

  int Listen(Transport transport, bool wildcard, SocketAddress* address) override {
    *address = world_.FreshAddress(transport == Transport::kUnix);
    if (!wildcard) return world_.Listen(*address, 1024);
    const std::string port = std::to_string(address->endpoint().port);
    return world_.Listen(*SocketAddress::Parse("0.0.0.0:" + port), 1024);
  }

  PeerId Connect(const SocketAddress& address) override {
    Endpoint from = world_.FreshEndpoint();
    from.ip = {127, 0, 0, 1};
    SocketId socket;
    if (world_.Connect(address, from, &socket) != 0) return kNoPeer;
    return Add(socket, -1);
  }

  PeerId ListenBackend(Transport transport, int backlog, SocketAddress* address) override {
    *address = world_.FreshAddress(transport == Transport::kUnix);
    return Add(kNoSocket, world_.Listen(*address, backlog));
  }

  PeerId AcceptBackend(PeerId listener) override {
    const SocketId socket = world_.Accept(peers_.at(listener).os_fd);
    return socket == kNoSocket ? kNoPeer : Add(socket, -1);
  }

  SocketAddress RefusingAddress() override { return world_.FreshAddress(false); }

  Endpoint LocalEndpoint(PeerId peer) override { return world_.LocalOf(peers_.at(peer).socket); }

  size_t Write(PeerId peer, std::string_view data) override {
    const int written = world_.Write(peers_.at(peer).socket,
                                     {reinterpret_cast<const uint8_t*>(data.data()), data.size()});
    return written < 0 ? 0 : static_cast<size_t>(written);
  }

  std::string Read(PeerId peer, size_t max) override {
    std::string all(max, '\0');
    const int size =
        world_.Read(peers_.at(peer).socket, {reinterpret_cast<uint8_t*>(all.data()), all.size()});
    all.resize(size < 0 ? 0 : static_cast<size_t>(size));
    return all;
  }

  bool Acknowledged(PeerId peer) override { return !world_.Unacknowledged(peers_.at(peer).socket); }

  bool AtEnd(PeerId peer) override { return world_.AtEnd(peers_.at(peer).socket); }
  void ShutdownWrite(PeerId peer) override { world_.ShutdownWrite(peers_.at(peer).socket); }
  void Reset(PeerId peer) override { world_.Reset(peers_.at(peer).socket); }

  void Close(PeerId peer) override {
    const Peer& closing = peers_.at(peer);
    if (closing.os_fd >= 0) {
      world_.CloseListener(closing.os_fd);
    } else {
      world_.Close(closing.socket);
    }
  }

 private:
  struct Peer {
    SocketId socket;
    int os_fd;
  };

  PeerId Add(SocketId socket, int os_fd) {
    peers_.emplace(next_, Peer{socket, os_fd});
    return next_++;
  }

  World world_;
  std::map<PeerId, Peer> peers_;
  PeerId next_ = 0;
};

std::unique_ptr<RingHarness> Calm() { return std::make_unique<SimHarness>(); }

// Completions are late and out of order between descriptors; results are as in calm runs.
std::unique_ptr<RingHarness> Late() {
  auto harness = std::make_unique<SimHarness>();
  harness->faults().delay = 500;
  harness->faults().max_delay_us = 2'000;
  return harness;
}

absl::StatusOr<std::unique_ptr<Ring>> WithAll(const RingOptions& options) {
  return Ring::Create(options);
}

absl::StatusOr<std::unique_ptr<Ring>> WithNone(const RingOptions& wanted) {
  RingOptions options = wanted;
  options.features = "none";
  return Ring::Create(options);
}

}  // namespace
}  // namespace starling::sim

namespace starling {

std::vector<RingVariant> RingVariants() {
  return {{"SimCalm", sim::WithAll, sim::Calm},
          {"SimLate", sim::WithAll, sim::Late},
          {"SimNoFeatures", sim::WithNone, sim::Calm}};
}

}  // namespace starling
