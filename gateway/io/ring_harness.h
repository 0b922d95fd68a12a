// The interface through which the ring's conformance suite makes clients that connect to
// the ring and backends that it connects to. The real ring's harness uses ordinary
// sockets, and the simulated ring's uses simulated sockets.
//
// For each test, the suite makes a harness and then the ring, and destroys the ring first. All
// calls come from one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/io/ring.h"
#include "gateway/io/socket_address.h"
#include "protocols/contract/endpoint.h"

namespace starling {

enum class Transport : uint8_t { kTcp, kUnix };

// The peer's end of a connection, or a backend's listening socket.
using PeerId = int;
inline constexpr PeerId kNoPeer = -1;

class RingHarness {
 public:
  virtual ~RingHarness() = default;

  // A listening socket for Ring::AddListener, which takes ownership. `address` is where
  // clients reach it. `wildcard` (TCP only): bound to 0.0.0.0, and `address` is 127.0.0.1
  // with its port.
  virtual int Listen(Transport transport, bool wildcard, SocketAddress* address) = 0;

  // Connects a client to `address`; when this returns, the connection is at least in the
  // backlog. kNoPeer if it was refused.
  virtual PeerId Connect(const SocketAddress& address) = 0;

  // A backend's listening socket. A Unix socket takes `backlog` + 1 connections that
  // nobody accepts; then connecting fails with EAGAIN.
  virtual PeerId ListenBackend(Transport transport, int backlog, SocketAddress* address) = 0;
  // The next connection of its backlog; kNoPeer if the backlog is empty.
  virtual PeerId AcceptBackend(PeerId listener) = 0;
  // A TCP address where nobody listens, so that the kernel refuses connections.
  virtual SocketAddress RefusingAddress() = 0;

  // The peer's own address, as the other side should see it; kNone for Unix.
  virtual Endpoint LocalEndpoint(PeerId peer) = 0;

  // Writes as much as fits without waiting, and returns how many octets.
  virtual size_t Write(PeerId peer, std::string_view data) = 0;
  // Reads until it has `max` octets, the data ends, or nothing more comes. It always
  // reads everything that was sent before the call.
  virtual std::string Read(PeerId peer, size_t max) = 0;
  // Whether the ring's side has ended its direction and all data was read. Waits as
  // Read() does. False if it has not ended, or if it reset the connection.
  virtual bool AtEnd(PeerId peer) = 0;
  // Whether everything that the peer has written (TCP) is acknowledged.
  virtual bool Acknowledged(PeerId peer) = 0;
  virtual void ShutdownWrite(PeerId peer) = 0;
  // Closes a connection, which is the end of data for the ring's side, or a listening
  // socket.
  virtual void Close(PeerId peer) = 0;
  // Closes with a reset (TCP): the ring's next receive fails with -ECONNRESET.
  virtual void Reset(PeerId peer) = 0;
};

// One variant of the suite: its name (letters and digits), and how its ring and its harness are
// made.
struct RingVariant {
  std::string name;
  absl::StatusOr<std::unique_ptr<Ring>> (*make_ring)(const RingOptions& options);
  std::unique_ptr<RingHarness> (*make_harness)();

  friend void PrintTo(const RingVariant& variant, std::ostream* out) { *out << variant.name; }
};

// Each program that links the suite (//gateway/io:ring_conformance) must define this.
std::vector<RingVariant> RingVariants();

}  // namespace starling
