// What the ring's conformance suite needs of the world around a ring: clients
// that connect to it and backends that it connects to. The real ring's harness
// makes these of ordinary sockets, the simulated one's of simulated sockets.
//
// The suite makes one harness a test, then the ring by Ring::Create(), and
// destroys the ring first. All calls come from one thread.
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

// The other end of a connection, or a backend's listening socket.
using PeerId = int;
inline constexpr PeerId kNoPeer = -1;

class RingHarness {
 public:
  virtual ~RingHarness() = default;

  // A listening socket for Ring::AddListener, which takes it over; `address` is
  // where clients reach it. `wildcard` (TCP only): bound to 0.0.0.0, and
  // `address` is 127.0.0.1 with its port.
  virtual int Listen(Transport transport, bool wildcard, SocketAddress* address) = 0;

  // A client's connection to `address`, made (at least as far as the backlog)
  // when this returns; kNoPeer if it was refused.
  virtual PeerId Connect(const SocketAddress& address) = 0;

  // A backend's listening socket. A Unix one takes `backlog` + 1 connections that
  // nobody accepts, then answers EAGAIN.
  virtual PeerId ListenBackend(Transport transport, int backlog, SocketAddress* address) = 0;
  // The next connection of its backlog; kNoPeer if there is none.
  virtual PeerId AcceptBackend(PeerId listener) = 0;
  // A TCP address where nobody listens: connecting to it is refused.
  virtual SocketAddress RefusingAddress() = 0;

  // The peer's own address, as the other side should see it; kNone for Unix.
  virtual Endpoint LocalEndpoint(PeerId peer) = 0;

  // Writes what fits without waiting; the number of octets written.
  virtual size_t Write(PeerId peer, std::string_view data) = 0;
  // Reads until `max` octets are there, the data ends or nothing comes any more
  // (what was sent before the call is always read).
  virtual std::string Read(PeerId peer, size_t max) = 0;
  // True when the other side has ended its direction (all data has been read).
  // Waits for it as Read() does; false if it has not, or was reset.
  virtual bool AtEnd(PeerId peer) = 0;
  // Whether all that the peer has written (TCP) is acknowledged now.
  virtual bool Acknowledged(PeerId peer) = 0;
  virtual void ShutdownWrite(PeerId peer) = 0;
  // A plain close: end of data for the other side. Also closes listening sockets.
  virtual void Close(PeerId peer) = 0;
  // Closes with a reset (TCP): the other side's next receive is -ECONNRESET.
  virtual void Reset(PeerId peer) = 0;
};

// One run of the suite: a name for the test (letters and digits), the features
// that the ring is created with, and the world to make for it.
struct RingVariant {
  std::string name;
  RingFeatures features;
  std::unique_ptr<RingHarness> (*make_harness)();

  friend void PrintTo(const RingVariant& variant, std::ostream* out) { *out << variant.name; }
};

// Defined by each program that links the suite (//gateway/io:ring_conformance).
std::vector<RingVariant> RingVariants();

}  // namespace starling
