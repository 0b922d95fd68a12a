// The world of one simulated run: time, randomness, future events, a network of byte
// streams, the trace, and the errors. Each run has one, in one thread.
//
// Sockets behave as Linux's do where a ring can see it: TCP delivers the octets before a
// reset and then reports the reset once; with a full backlog Unix streams refuse with
// EAGAIN, and TCP waits; closing with unread input resets. The ring's conformance suite
// runs on it to check that.
//
// Not for: rings (sim_ring.h), what clients and backends do (sim_client.h,
// sim_backend.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/io/clock.h"
#include "gateway/io/socket_address.h"
#include "protocols/contract/endpoint.h"
#include "tests/sim/rng.h"

namespace starling::sim {

using Duration = std::chrono::nanoseconds;
using SocketId = int32_t;
inline constexpr SocketId kNoSocket = -1;

// The faults of the ring, in cases out of 1000, and the bounds of sizes.
struct Faults {
  uint32_t partial_send = 0;
  uint32_t short_receive = 0;
  uint32_t break_connection = 0;  // a send or receive finds the connection broken
  uint32_t delay = 0;             // a completion comes later than it happened
  uint32_t max_delay_us = 0;
  uint32_t accept_error = 0;       // ECONNABORTED instead of a connection
  uint32_t min_capacity = 65'536;  // octets of a socket's receive buffer
  uint32_t max_capacity = 65'536;
};

class World {
 public:
  explicit World(uint64_t seed);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  // The only instance; the ring and the clock find it here.
  static World& Current();

  Rng& rng() { return rng_; }
  Faults& faults() { return faults_; }

  // --- Time, which passes only in RunNext. ---
  MonoTime now() const { return now_; }
  void After(Duration delay, std::function<void()> action);
  void At(MonoTime when, std::function<void()> action);
  // Runs the next event if it is due at or before `until`; otherwise moves the time to
  // `until` and returns false.
  bool RunNext(MonoTime until);
  // Makes the ring's wait end (for the driver).
  void Interrupt() { interrupted_ = true; }
  bool TakeInterrupt() { return std::exchange(interrupted_, false); }
  // A ring waits, and there will never be another event.
  void set_stuck() { stuck_ = true; }
  bool TakeStuck() { return std::exchange(stuck_, false); }

  // --- Trace and verdict. ---
  void Trace(std::string_view what, int64_t a = 0, int64_t b = 0, int64_t c = 0);
  uint64_t trace_hash() const { return trace_hash_; }
  void set_print(bool print) { print_ = print; }
  void Fail(std::string message);
  const std::vector<std::string>& failures() const { return failures_; }

  // --- Listening. `backlog` + 1 connections wait at most. --- Returns a number that
  // stands for an OS descriptor. `reset_at_close`: see ResetAtClose().
  int Listen(const SocketAddress& address, int backlog, bool reset_at_close = false);
  bool IsTaken(const SocketAddress& address) const {
    return by_address_.contains(address.ToString());
  }
  void CloseListener(int os_fd);
  // The oldest waiting connection, or kNoSocket.
  SocketId Accept(int os_fd);
  bool IsListening(int os_fd) const { return listeners_.contains(os_fd); }
  bool IsUnixListener(int os_fd) const { return listeners_.at(os_fd).address.is_unix(); }
  // Nobody answers connects to this address.
  void MakeBlackHole(const SocketAddress& address) { black_holes_.push_back(address.ToString()); }
  // An unused port of 127.0.0.1, or an unused abstract Unix name.
  SocketAddress FreshAddress(bool is_unix);

  // --- Connections. Results are those of the system call: a count or -errno. --- 0 and
  // sets `socket`; -EINPROGRESS if it neither succeeds nor fails now.
  int Connect(const SocketAddress& address, const Endpoint& from, SocketId* socket);
  Endpoint FreshEndpoint();  // a client's address and port, never used before
  int Write(SocketId id, std::span<const uint8_t> data);
  int Read(SocketId id, std::span<uint8_t> into);
  int Peek(SocketId id);             // 1, 0 at the end of data, -EAGAIN
  bool Readable(SocketId id) const;  // Read() would not be -EAGAIN
  bool Writable(SocketId id) const;  // Write() would not be -EAGAIN
  size_t Waiting(SocketId id) const { return sockets_[id].Size(); }
  int ShutdownWrite(SocketId id);
  // A socket acknowledges its input with the next octets or the end that it sends, or by
  // this call. Unlike a kernel, the simulation never acknowledges after a delay.
  void Acknowledge(SocketId id) { sockets_[sockets_[id].peer].unacknowledged = false; }
  // Whether Nagle's algorithm would hold back a small write now.
  bool Unacknowledged(SocketId id) const { return sockets_[id].unacknowledged; }
  void Close(SocketId id);  // resets when input is unread, or as ResetAtClose() says
  // As SO_LINGER of no time: closing resets unless both sides have ended.
  void ResetAtClose(SocketId id) { sockets_[id].reset_at_close = true; }
  void Reset(SocketId id);  // closes with RST
  void Break(SocketId id);  // breaks the network between the two ends: resets both
  bool WasBroken(SocketId id) const { return sockets_[id].broken; }
  bool IsOpen(SocketId id) const { return sockets_[id].open; }
  // The peer has ended its direction in an orderly way, and everything was read.
  bool AtEnd(SocketId id) const;
  Endpoint LocalOf(SocketId id) const { return sockets_[id].local; }
  Endpoint PeerOf(SocketId id) const { return sockets_[id].remote; }

  // Runs `call` a little after each change: octets, an end, room, a waiting connection.
  // Several changes in the meantime cause one call.
  void Watch(SocketId id, std::function<void()> call) { sockets_[id].watch = std::move(call); }
  void WatchListener(int os_fd, std::function<void()> call);
  // Counts changes of the network, so that a ring looks only after a change.
  uint64_t changes() const { return changes_; }

 private:
  struct Socket {
    bool open = false;
    bool is_unix = false;
    bool ended = false;   // has received the peer's end of data
    bool shut = false;    // has sent its end of data
    bool dead = false;    // reset, or the peer is gone for good
    int error = 0;        // to report once, after the octets received before
    bool broken = false;  // by Break()
    bool wake_queued = false;
    bool unacknowledged = false;  // has sent unacknowledged octets
    bool reset_at_close = false;
    SocketId peer = kNoSocket;
    size_t capacity = 0;
    size_t head = 0;
    std::string rx;
    Endpoint local, remote;
    std::function<void()> watch;

    size_t Size() const { return rx.size() - head; }
    size_t Room() const { return capacity > Size() ? capacity - Size() : 0; }
  };
  struct Listener {
    SocketAddress address;
    int backlog = 0;
    bool reset_at_close = false;  // of its connections
    bool wake_queued = false;
    std::deque<SocketId> waiting;
    std::function<void()> watch;
  };
  struct Event {
    MonoTime when;
    uint64_t sequence;
    std::function<void()> action;
    bool operator>(const Event& other) const {
      return when != other.when ? when > other.when : sequence > other.sequence;
    }
  };

  Listener* FindListener(const SocketAddress& address);
  SocketId NewSocket(bool is_unix);
  void Changed(SocketId id);
  void WakeListener(int os_fd);
  Duration WakeDelay();
  void ReceiveReset(SocketId id);
  // Takes and returns the pending error, or -EPIPE.
  int SendError(Socket& socket);

  Rng rng_;
  Faults faults_;
  MonoTime now_;
  uint64_t sequence_ = 0;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  bool interrupted_ = false;
  bool stuck_ = false;

  bool print_ = false;
  uint64_t trace_hash_ = 0xcbf29ce484222325;
  std::vector<std::string> failures_;

  std::vector<Socket> sockets_;
  std::map<int, Listener> listeners_;
  std::map<std::string, int> by_address_;
  std::vector<std::string> black_holes_;
  int next_os_fd_ = 1 << 20;  // far from any real descriptor
  uint16_t next_port_ = 10'000;
  uint32_t next_client_ = 0;
  uint64_t changes_ = 0;
};

}  // namespace starling::sim
