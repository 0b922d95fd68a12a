// The world of one simulated run: time, chance, what is to happen, a network of
// byte streams, the trace and what went wrong. One object a run, one thread.
//
// Sockets behave as Linux's do where a ring can see it: TCP takes what was
// received before a reset and then reports the reset once; Unix streams refuse
// with EAGAIN when a backlog is full, TCP waits; closing with unread input
// resets. tests/sim runs the ring's conformance suite to keep that honest.
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

// How often the ring is unkind, in cases out of 1000, and the bounds of sizes.
struct Faults {
  uint32_t partial_send = 0;
  uint32_t short_receive = 0;
  uint32_t break_connection = 0;  // a send or receive finds the network gone
  uint32_t delay = 0;             // a completion is seen later than it happened
  uint32_t max_delay_us = 0;
  uint32_t accept_error = 0;       // ECONNABORTED instead of a connection
  uint32_t min_capacity = 65'536;  // octets that a socket's receive side holds
  uint32_t max_capacity = 65'536;
};

class World {
 public:
  explicit World(uint64_t seed);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  // The one that exists; the ring and the clock find it here.
  static World& Current();

  Rng& rng() { return rng_; }
  Faults& faults() { return faults_; }

  // --- Time. It passes only in RunNext. ---
  MonoTime now() const { return now_; }
  void After(Duration delay, std::function<void()> action);
  void At(MonoTime when, std::function<void()> action);
  // Runs the next event if it lies at or before `until`; otherwise moves the
  // time to `until`. False when there was no event.
  bool RunNext(MonoTime until);
  // Ends the ring's wait at its next look (for the driver).
  void Interrupt() { interrupted_ = true; }
  bool TakeInterrupt() { return std::exchange(interrupted_, false); }
  // A ring waits, and nothing will ever happen any more.
  void set_stuck() { stuck_ = true; }
  bool TakeStuck() { return std::exchange(stuck_, false); }

  // --- Trace and verdict. ---
  void Trace(std::string_view what, int64_t a = 0, int64_t b = 0, int64_t c = 0);
  uint64_t trace_hash() const { return trace_hash_; }
  void set_print(bool print) { print_ = print; }
  void Fail(std::string message);
  const std::vector<std::string>& failures() const { return failures_; }

  // --- Listening. `backlog` + 1 connections wait at most. ---
  // Returns what stands for an OS descriptor.
  int Listen(const SocketAddress& address, int backlog);
  void CloseListener(int os_fd);
  // The oldest connection that waits, or kNoSocket.
  SocketId Accept(int os_fd);
  bool IsListening(int os_fd) const { return listeners_.contains(os_fd); }
  bool IsUnixListener(int os_fd) const { return listeners_.at(os_fd).address.is_unix(); }
  // Connecting there is never answered.
  void MakeBlackHole(const SocketAddress& address) { black_holes_.push_back(address.ToString()); }
  // A fresh port of 127.0.0.1, or a fresh abstract Unix name.
  SocketAddress FreshAddress(bool is_unix);

  // --- Connections. Results are as of the system call: a count or -errno. ---
  // 0 and `socket`; -EINPROGRESS when it neither succeeds nor fails now.
  int Connect(const SocketAddress& address, const Endpoint& from, SocketId* socket);
  Endpoint FreshEndpoint();  // a client's address and port, never used before
  int Write(SocketId id, std::span<const uint8_t> data);
  int Read(SocketId id, std::span<uint8_t> into);
  int Peek(SocketId id);             // 1, 0 at the end of data, -EAGAIN
  bool Readable(SocketId id) const;  // Read() would not be -EAGAIN
  bool Writable(SocketId id) const;  // Write() would not be -EAGAIN
  size_t Waiting(SocketId id) const { return sockets_[id].Size(); }
  int ShutdownWrite(SocketId id);
  // What came is acknowledged with the next octets or the end that the socket sends, or by
  // this. Nothing here does it after a while, as a kernel would.
  void Acknowledge(SocketId id) { sockets_[sockets_[id].peer].unacknowledged = false; }
  // A client with Nagle's algorithm on would now send nothing small.
  bool Unacknowledged(SocketId id) const { return sockets_[id].unacknowledged; }
  void Close(SocketId id);  // resets when input is unread or it is TCP's abortive kind
  void Reset(SocketId id);  // closes with RST
  void Break(SocketId id);  // the network between the two ends is gone: both are reset
  bool WasBroken(SocketId id) const { return sockets_[id].broken; }
  bool IsOpen(SocketId id) const { return sockets_[id].open; }
  // The other side's direction has ended, orderly, and all was read.
  bool AtEnd(SocketId id) const;
  Endpoint LocalOf(SocketId id) const { return sockets_[id].local; }
  Endpoint PeerOf(SocketId id) const { return sockets_[id].remote; }

  // `call` runs a little after each change that the owner may want to see: octets, an
  // end, room, a waiting connection. Changes meanwhile are one call.
  void Watch(SocketId id, std::function<void()> call) { sockets_[id].watch = std::move(call); }
  void WatchListener(int os_fd, std::function<void()> call);
  // Counts changes of the network, so that a ring looks only after one.
  uint64_t changes() const { return changes_; }

 private:
  struct Socket {
    bool open = false;
    bool is_unix = false;
    bool ended = false;   // received: the peer's end of data
    bool shut = false;    // sent: our end of data
    bool dead = false;    // reset, or the peer is gone for good
    int error = 0;        // reported once, after what was received before
    bool broken = false;  // by Break()
    bool wake_queued = false;
    bool unacknowledged = false;  // something that was sent
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
  // A pending error, taken; or -EPIPE.
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
