// The worker's only interface to the kernel while it runs: a ring of asynchronous
// operations on a table of descriptors. Nothing here belongs to io_uring or to epoll. There are
// rings on both (uring/, epoll/), between which //gateway/io:rings chooses, and a simulated one
// (//tests/sim:sim_ring), by which the linker replaces both. One suite of tests runs against all
// three (ring_conformance_test.cc).
//
// Each operation has one completion, even if it takes several calls of the kernel (socket,
// connect, send; cancel, close; accept, local address).
//
// Not for: decisions about sessions.
//
// Threads: the main thread calls Create and AddListener; then the worker's thread calls
// Start() and everything else. Only Wake() may be called from any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gateway/io/clock.h"
#include "gateway/io/socket_address.h"
#include "gateway/io/socket_buffers.h"
#include "protocols/contract/endpoint.h"

namespace starling {

// An index into the ring's own descriptor table, never an OS descriptor.
using Fd = int32_t;
inline constexpr Fd kNoFd = -1;

// What a completion answers.
enum class Op : uint8_t {
  kNone,
  kAccept,
  kDataAccept,
  kOpen,
  kRecv,
  kSend,
  kPeek,
  kShutdown,
  kCancel,
  kClose,
  kWake,
  kCount,
};

// A slot has two sockets: the ring accepted one and opened the other.
enum class SocketSide : uint8_t { kAccepted, kOpened };

// Goes to the kernel as user_data and comes back: {operation 7 bits, side 1, slot 24,
// generation 32}. Never a pointer. `slot` is below RingOptions::sessions; for
// kAccept it is the listener's index in the worker, for kWake 0.
struct Tag {
  Op op = Op::kNone;  // the one that belongs to the call: Recv with kRecv ...
  uint32_t slot = 0;
  uint32_t generation = 0;
  SocketSide side = SocketSide::kAccepted;

  bool operator==(const Tag&) const = default;
};
uint64_t Pack(Tag tag);
Tag Unpack(uint64_t user_data);

// Receive buffers belong to the ring. A receive takes one only when octets are there. The
// caller gets it with the completion and must return it (ReturnBuffer).
enum class BufferGroup : uint8_t { kSmall, kLarge };
inline constexpr uint32_t kSmallReceive = 2'048;
inline constexpr uint32_t kLargeReceive = 32'768;  // two full TLS records
using BufferId = int32_t;
inline constexpr BufferId kNoBuffer = -1;

struct Completion {
  Tag tag;
  int32_t result = 0;           // octets or descriptor index, or a negative errno
  BufferId buffer = kNoBuffer;  // kRecv with result > 0
  bool more = false;            // the kernel says that more octets wait already
  Endpoint peer{};              // kAccept, kDataAccept: who connected (kNone for Unix)
  Endpoint local{};             // kAccept: the address called; kOpen over TCP: our own
};

// What serves: io_uring, or epoll where that cannot be had (rings.h).
enum class RingKind : uint8_t { kUring, kEpoll };

// A listening socket for one data channel. kNoFd: no socket could be had.
struct DataListener {
  Fd fd = kNoFd;
  uint16_t port = 0;
};

struct RingOptions {
  uint32_t sessions = 1000;      // direct descriptors 0..sessions-1 are upstream's (index = slot)
  uint32_t accepts = 64;         // most armed accepts of all listeners
  uint32_t listeners = 64;       // most listening sockets, old and new ones during a reload
  uint32_t small_buffers = 128;  // powers of two
  uint32_t small_buffer_size = kSmallReceive;
  uint32_t large_buffers = 16;
  uint32_t large_buffer_size = kLargeReceive;
  SocketBuffers buffers;  // of TCP sockets that the ring opens, and of data channels
  RingKind kind = RingKind::kUring;
  // Optional features of io_uring that the ring may use, as the option ring_features names them:
  // "auto", "none", or a list. It goes without those that the kernel lacks.
  std::string features = "auto";
};

// Entries of the descriptor table: two for each session, one for each listener and accept, and some
// to spare. RLIMIT_NOFILE limits them.
inline constexpr uint32_t kSpareDescriptors = 64;  // the wake event of io_uring is one of them
uint64_t DescriptorTableSize(const RingOptions& options);
class Ring {
 public:
  // The descriptor table has DescriptorTableSize() entries. An error names the limit
  // (RLIMIT_NOFILE, RLIMIT_MEMLOCK) that is too low. ResourceExhausted: the system denies memory.
  static absl::StatusOr<std::unique_ptr<Ring>> Create(const RingOptions& options);
  virtual ~Ring() = default;
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // Call in the worker's thread: completes the registration and enables the ring.
  virtual absl::Status Start() = 0;

  // Takes ownership of a listening OS socket. With `want_local`, accepts report the local
  // address, which is needed for wildcard binds. Before or after Start().
  virtual absl::StatusOr<Fd> AddListener(int os_fd, bool want_local) = 0;
  // Listens for one data channel (ListenForData in listen_socket.h has the parameters), and
  // adds the socket. Its connections close as those of OpenData() do.
  virtual DataListener AddDataListener(const Endpoint& address, uint16_t first, uint16_t last,
                                       uint32_t* cursor) = 0;
  // Ends the armed accepts, which complete with -ECANCELED. The socket keeps listening.
  virtual void CancelAccepts(Fd listener) = 0;
  // Closes the socket. Only when no accept is armed.
  virtual void RemoveListener(Fd listener) = 0;

  // Arms one accept. Its result is the new descriptor's index.
  virtual void ArmAccept(Fd listener, Tag tag) = 0;

  // Closes an accepted socket on which nothing was ever armed: nobody wants the client. Has no
  // completion. Its index is free after the next submission.
  virtual void Discard(Fd accepted) = 0;

  // Makes a socket, sets options, connects and sends `header`, all in one operation. `fd`
  // is the session's upstream index and must be free. `header` may be empty. `address`
  // and `header` must live until the completion. Result 0: connected, and the whole
  // header is sent. After a failure (-ECONNREFUSED, -EAGAIN on a full Unix backlog,
  // -ECANCELED ...) the descriptor is free again. It has no time limit; Cancel() ends it.
  // The connection comes from the address in `source`, whose port is ignored, or where that has
  // no family from one that the kernel chooses. -EADDRNOTAVAIL: no port is left for it.
  virtual void OpenUpstream(Fd fd, const SocketAddress& address, std::span<const uint8_t> header,
                            const Endpoint& source, bool want_local, Tag tag) = 0;

  // The same without a header, from the address in `source`, whose port is ignored.
  // Closing such a connection before both sides have ended resets it, so that the peer
  // does not take partial data for the whole.
  virtual void OpenData(Fd fd, const SocketAddress& address, const Endpoint& source, Tag tag) = 0;

  // Receives at most `max` octets (0 < max) into one buffer of `group`. One at a time per
  // descriptor. Result 0: end of data. -ENOBUFS: no buffer was free and no octet is lost;
  // try later.
  virtual void Recv(Fd fd, BufferGroup group, uint32_t max, Tag tag) = 0;

  // Checks whether an octet waits without reading it: 1, 0 (end of data) or -EAGAIN.
  virtual void Peek(Fd fd, Tag tag) = 0;

  // Sends `data`, which must live until the completion; may send less. One at a time per
  // descriptor. With no octets it completes at once, also where the peer takes nothing, and tells
  // of a connection that has broken: 0, or the error. It sees a reset behind octets that nobody
  // has received yet, which no receive and no peek does.
  virtual void Send(Fd fd, std::span<const uint8_t> data, Tag tag) = 0;

  virtual void ShutdownWrite(Fd fd, Tag tag) = 0;

  // Makes the kernel acknowledge received octets on `fd`, a TCP socket, at once.
  // Otherwise it may wait up to 40 ms for an answer to send along. Has no completion and
  // takes effect when submitted. Has no effect unless acknowledges().
  virtual void Acknowledge(Fd fd) = 0;

  // Ends all armed operations on `fd`. Each completes (-ECANCELED, or its result if it
  // was faster), and then this one with 0. One at a time per descriptor. The caller must
  // not arm anything on `fd` before this has completed.
  virtual void Cancel(Fd fd, Tag tag) = 0;

  // Ends all armed operations and closes, in one submission. The index is free once this
  // and all other operations on it have completed.
  virtual void CancelAndClose(Fd fd, Tag tag) = 0;

  virtual std::span<uint8_t> Buffer(BufferId id) = 0;
  virtual void ReturnBuffer(BufferId id) = 0;
  virtual uint32_t BuffersOut() const = 0;
  // The number of upstream, accepted and listening sockets in the table, without the wake
  // event.
  virtual uint32_t DescriptorsInUse() const = 0;

  // Submits the requests without looking for completions. Turn() submits too; call this
  // before something that takes long.
  virtual void Submit() = 0;

  // Submits the requests, waits for a completion or the deadline (does not wait if that
  // is in the past), and appends all completions to `out`. Expiry gives no completion:
  // compare MonotonicNow() with the deadline.
  virtual void Turn(MonoTime deadline, std::vector<Completion>& out) = 0;

  // Ends the wait, from any thread or signal handler. A kWake completion follows.
  virtual void Wake() = 0;

  // The operations or system calls since the start, by name ("ACCEPT", "RECV", ...).
  virtual std::vector<std::pair<std::string, uint64_t>> OperationCounts() const = 0;
  virtual bool acknowledges() const { return true; }

 protected:
  Ring() = default;
};

}  // namespace starling
