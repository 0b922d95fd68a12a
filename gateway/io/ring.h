// The worker's only way to the kernel while it runs: a ring of asynchronous
// operations on a table of descriptors. No io_uring type appears here, so that
// the simulation can stand in for it; which of the two is behind this header is
// chosen at link time (//gateway/io/uring or //tests/sim:sim_ring), and
// io/ring_conformance_test.cc runs against both.
//
// Chains (socket, connect, send; cancel, close; accept, local address) live
// inside single operations here: one completion each, whatever the kernel needs.
// Nothing here decides anything about a session.
//
// Threads: made by the main thread (Create, AddListener), then Start() and all
// else by the worker's own. Only Wake() may be called from any thread.
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

// Receive buffers belong to the ring. A receive takes one when octets are
// there, not before; who got it in a completion gives it back (ReturnBuffer).
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

// Switches for what kernels after the floor (6.1) offer. Found by probing;
// each can be switched off, and OperationCounts() shows the difference.
struct RingFeatures {
  bool defer_taskrun = true;     // 6.1: SINGLE_ISSUER and DEFER_TASKRUN
  bool socket_options = true;    // 6.7: URING_CMD setsockopt on direct descriptors
  bool fixed_fd_install = true;  // 6.8: local address of a direct descriptor
  bool min_wait = true;          // 6.12: wait for a batch a short time
  static RingFeatures None() { return {false, false, false, false}; }
  std::string ToString() const;  // "defer_taskrun,socket_options,..." or "none"
  // The same read back, from those that are wanted; "auto" leaves all of them.
  // An error lists the names there are.
  absl::StatusOr<RingFeatures> Only(std::string_view wanted) const;
};

struct RingOptions {
  uint32_t sessions = 1000;      // direct descriptors 0..sessions-1 are upstream's (index = slot)
  uint32_t accepts = 64;         // armed accepts at most, over all listeners
  uint32_t listeners = 64;       // listening sockets at most, those of a reload beside the old
  uint32_t small_buffers = 128;  // powers of two
  uint32_t small_buffer_size = kSmallReceive;
  uint32_t large_buffers = 16;
  uint32_t large_buffer_size = kLargeReceive;
  bool restrict_operations = true;  // io_uring restrictions, before the ring is enabled
  RingFeatures features;            // wanted; what is missing is left out
};

// Why io_uring cannot be used, told apart for the operator.
enum class RingUnavailable : uint8_t { kNo, kOldKernel, kSysctl, kSeccomp, kMemoryLimit, kOther };
struct RingProbe {
  RingUnavailable unavailable = RingUnavailable::kNo;
  std::string message;    // what was tried, what came back and the remedy
  RingFeatures features;  // when available
};
RingProbe ProbeRing();

std::string RingLibraryVersion();  // "liburing 2.3", or what stands in for it

class Ring {
 public:
  // The descriptor table holds 2 x sessions + listeners + accepts + 64 entries;
  // an error says which limit (RLIMIT_NOFILE, RLIMIT_MEMLOCK) forbids that.
  static absl::StatusOr<std::unique_ptr<Ring>> Create(const RingOptions& options);
  virtual ~Ring() = default;
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // In the worker's thread: registers what is left and enables the ring.
  virtual absl::Status Start() = 0;

  // Takes over a listening OS socket; `want_local`: accepts report the address
  // that was called (needed for wildcard binds). Before or after Start().
  virtual absl::StatusOr<Fd> AddListener(int os_fd, bool want_local) = 0;
  // Ends the armed accepts (each completes with -ECANCELED), leaves the socket.
  virtual void CancelAccepts(Fd listener) = 0;
  // Closes it; only when no accept is armed.
  virtual void RemoveListener(Fd listener) = 0;

  // One accept; the result is the new descriptor's index.
  virtual void ArmAccept(Fd listener, Tag tag) = 0;

  // socket, options, connect and the first send as one: `fd` is the session's
  // upstream index and must be free; `header` may be empty. Both arguments live
  // until the completion. Result 0: connected and the header sent whole. On
  // failure (-ECONNREFUSED, -EAGAIN on a full Unix backlog, -ECANCELED ...) the
  // descriptor is free again. Not timed: Cancel() ends it.
  virtual void OpenUpstream(Fd fd, const SocketAddress& address, std::span<const uint8_t> header,
                            bool want_local, Tag tag) = 0;

  // The same without a header, from the address `source` (its port is not used). Closed
  // before both sides have ended, such a connection is reset: its peer must not take
  // what it has for the whole.
  virtual void OpenData(Fd fd, const SocketAddress& address, const Endpoint& source, Tag tag) = 0;

  // At most `max` octets (0 < max) into one buffer of `group`; one at a time a
  // descriptor. Result 0 is the end of data; -ENOBUFS: no buffer was free,
  // nothing was lost, try later.
  virtual void Recv(Fd fd, BufferGroup group, uint32_t max, Tag tag) = 0;

  // Looks whether an octet waits, takes nothing: 1, 0 (end of data), -EAGAIN.
  virtual void Peek(Fd fd, Tag tag) = 0;

  // `data` lives until the completion; may be short. One at a time a descriptor.
  virtual void Send(Fd fd, std::span<const uint8_t> data, Tag tag) = 0;

  virtual void ShutdownWrite(Fd fd, Tag tag) = 0;

  // Acknowledges what has come on `fd`, a TCP socket, at once; the kernel would wait up to
  // 40 ms for an answer to send with it. Completes with nothing: it is done when it has been
  // submitted. Without RingFeatures::socket_options the kernel waits.
  virtual void Acknowledge(Fd fd) = 0;

  // Ends all that is armed on `fd`; each ends with its own completion
  // (-ECANCELED, or its result if it was faster), then this one with 0. One at
  // a time a descriptor; nothing is armed on it until this has completed.
  virtual void Cancel(Fd fd, Tag tag) = 0;

  // Ends all that is armed and closes, in one submission. The index is free
  // when this completes and all others on it have.
  virtual void CancelAndClose(Fd fd, Tag tag) = 0;

  virtual std::span<uint8_t> Buffer(BufferId id) = 0;
  virtual void ReturnBuffer(BufferId id) = 0;
  virtual uint32_t BuffersOut() const = 0;
  // Upstream, accepted and listening sockets in the table (not the wake event).
  virtual uint32_t DescriptorsInUse() const = 0;

  // Submits what was asked for and does not look for completions. Turn() does as much;
  // this is for asking before something that takes long.
  virtual void Submit() = 0;

  // Submits what was asked for, waits for a completion or the deadline (in the
  // past: does not wait) and appends all completions there are to `out`.
  // Expiry is no completion: compare MonotonicNow() with the deadline.
  virtual void Turn(MonoTime deadline, std::vector<Completion>& out) = 0;

  // From any thread or signal context: ends the wait; a kWake completion follows.
  virtual void Wake() = 0;

  // What was submitted since the start, by name ("ACCEPT", "URING_CMD", ...).
  virtual std::vector<std::pair<std::string, uint64_t>> OperationCounts() const = 0;
  virtual const RingFeatures& features() const = 0;

 protected:
  Ring() = default;
};

}  // namespace starling
