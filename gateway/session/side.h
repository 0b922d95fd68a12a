// One side of a session: a socket, what waits to be consumed and to be sent, and TLS where
// there is any. The client's side and the server's are the same.
//
// Each operation is written once, here. What an end or a break means is for the session
// to decide, and differs between the two sides.
//
// Not for: when to receive, and what to say (the steps of a session).
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <string>

#include "gateway/io/clock.h"
#include "gateway/io/ring.h"
#include "gateway/session/block.h"
#include "gateway/tls/tls_session.h"

namespace starling {

// Operations in flight on a side; one bit each.
enum SideOp : uint8_t {
  kOpRecv = 1,
  kOpSend = 2,
  kOpPeek = 4,
  kOpShutdown = 8,
  kOpCancel = 16,
  kOpClose = 32,
  kOpOpen = 64,
  kOpAccept = 128,
};

// What the socket may still bring.
enum class Inflow : uint8_t {
  kOpen,
  kEnded,  // the peer has ended its data
  kReset,  // or the connection broke: see recv_error
};

// What the peer may still be sent.
enum class Outflow : uint8_t {
  kOpen,
  kEnded,  // we have ended our data, or asked the kernel to
  kReset,  // or nothing more can be sent: see send_error
};

// What TLS may still bring.
enum class TlsInflow : uint8_t {
  kOpen,
  kEnded,      // the peer's close_notify has come
  kTruncated,  // the socket's data ended without one: perhaps somebody cut the rest off
  kFailed,     // an alert, or a record that TLS refuses
};

enum class CloseNotify : uint8_t {
  kOpen,
  kDue,  // waits for room
  kSent,
};

// Whether the kernel is to be told not to wait with its acknowledgement.
enum class Acknowledge : uint8_t {
  kNo,
  kUnlessSent,  // for octets that have come, which all that is sent acknowledges as well
  kAnyway,      // for what comes next, too
};

// A session, as completions and letters find it: gone when the generation has changed.
struct SessionRef {
  uint32_t slot = 0;
  uint32_t generation = 0;  // 0: no session

  explicit operator bool() const { return generation != 0; }
};

// Values of send_error: sealing failed, or a message exceeded the room that was promised for
// it. No socket gives these here.
inline constexpr int16_t kSealFailed = EPROTO;
inline constexpr int16_t kSealShort = EMSGSIZE;

struct SideTls {
  TlsSession session;
  Block opened;  // and not consumed yet
  // What the library answered by itself while there was no room; goes out before all else.
  std::unique_ptr<std::string> answers;
  MonoTime record_at = kNever;  // a record was begun then, and its rest is waited for
  TlsInflow inflow = TlsInflow::kOpen;
  CloseNotify close_notify = CloseNotify::kOpen;
  bool up = false;          // the handshake is complete
  bool pending = false;     // the library holds opened octets that found no room
  bool wants_room = false;  // the handshake stopped because its output found none
  bool spoken = false;      // the peer has said something inside it
  bool in_slot = false;     // it is in a TlsPlace
};
static_assert(sizeof(SideTls) <= 72);

struct SideTlsDelete {
  void operator()(SideTls* tls) const {
    if (tls->in_slot) {
      std::destroy_at(tls);
    } else {
      delete tls;
    }
  }
};
using SideTlsPtr = std::unique_ptr<SideTls, SideTlsDelete>;

inline SideTlsPtr NewSideTls() { return SideTlsPtr(new SideTls); }

// Room for one SideTls inside something larger. Nearly every session has TLS with its client,
// and a place in the session's slot costs less than an allocation.
class TlsPlace {
 public:
  TlsPlace() {}  // NOLINT(modernize-use-equals-default): leaves the place as it is
  TlsPlace(TlsPlace&& /*other*/) noexcept {}
  TlsPlace& operator=(TlsPlace&& /*other*/) noexcept { return *this; }

  // The place must outlive what it returns, and have only one at a time.
  SideTlsPtr Make() {
    SideTlsPtr tls(new (place_) SideTls);
    tls->in_slot = true;
    return tls;
  }

 private:
  alignas(SideTls) std::byte place_[sizeof(SideTls)];
};

enum class Written : uint8_t {
  kAll,
  kNoRoom,  // nothing of it, now
  kBroken,  // sealing failed; nothing more can be sent
};

struct Opened {
  size_t octets = 0;
  bool progress = false;  // or input was consumed
};

struct Side {
  Fd fd = kNoFd;
  SocketSide socket = SocketSide::kAccepted;
  uint8_t in_flight = 0;  // bits of SideOp
  Inflow inflow = Inflow::kOpen;
  Outflow outflow = Outflow::kOpen;
  int16_t recv_error = 0;  // positive errno
  int16_t send_error = 0;
  uint8_t large = 0;         // so many of the next receives use large buffers
  bool starved : 1 = false;  // a receive found no buffer; again next turn
  bool tcp : 1 = false;      // not a Unix socket
  bool heard : 1 = false;    // the peer has sent an octet on this connection
  Acknowledge acknowledge = Acknowledge::kNo;
  BufferId chunk = kNoBuffer;  // a receive buffer, within one turn only
  uint16_t chunk_begin = 0;    // its first octet that has not been consumed
  uint16_t chunk_end = 0;      // behind its last octet
  Block in;                    // what was received and could not be consumed yet
  Block out;                   // what is to be sent
  SideTlsPtr tls;              // null: plaintext
  uint64_t octets_in = 0;
  uint64_t octets_out = 0;

  // --- State ---
  bool open() const { return fd != kNoFd; }
  bool idle() const { return in_flight == 0; }
  bool has(uint8_t ops) const { return (in_flight & ops) != 0; }
  // TLS is up: what is read and written is inside it.
  bool secure() const { return tls != nullptr && tls->up; }
  // The peer has said that it is done: by close_notify inside TLS, by the end of data outside.
  bool ended() const;
  // The peer has said something on this connection: inside TLS, where there is any.
  bool spoken() const {
    const SideTls* const inside = tls.get();
    return inside != nullptr ? inside->spoken : heard;
  }
  // TLS was truncated or failed, and all that came before has been read.
  bool cut_off() const;
  bool tls_failed() const { return tls != nullptr && tls->inflow == TlsInflow::kFailed; }
  // TLS brings no more, for whatever reason.
  bool tls_over() const { return secure() && tls->inflow != TlsInflow::kOpen; }
  // It may still bring something to read.
  bool may_bring_more() const {
    return inflow == Inflow::kOpen && (tls == nullptr || tls->inflow == TlsInflow::kOpen);
  }
  // All that it brought has been read, and it brings no more.
  bool input_over() const;
  bool receive_failed() const { return inflow == Inflow::kReset; }
  bool send_failed() const { return outflow == Outflow::kReset; }
  bool failed() const { return receive_failed() || send_failed(); }
  // The peer reset the connection. The socket says so once, to a receive or to a send, and
  // tells the other of an end of data that is not real. (A peer that ended its data first
  // makes a later send fail with EPIPE instead.)
  bool was_reset() const { return receive_failed() || send_error == ECONNRESET; }
  bool seal_failed() const { return send_error == kSealFailed || send_error == kSealShort; }
  bool write_ended() const { return outflow == Outflow::kEnded; }
  // Nothing waits to be sent.
  bool nothing_to_send() const;
  // And nothing is being sent.
  bool flushed() const { return nothing_to_send() && !has(kOpSend); }
  bool close_notify_sent() const {
    return tls != nullptr && tls->close_notify == CloseNotify::kSent;
  }

  // --- Input ---
  // What has come and nobody has consumed; inside TLS where that is up.
  ByteView Input(SideResources& resources);
  void Consume(SideResources& resources, size_t octets);
  // The octets of the socket itself.
  ByteView RawInput(SideResources& resources);
  void RawConsume(SideResources& resources, size_t octets);
  // So many octets of the socket, or opened ones, wait at least; 0: none.
  size_t Waiting(SideResources& resources);
  // Moves what has come into `room`, opened straight into it where TLS is up. Less than all
  // of `room` is all that has come.
  size_t Take(SideResources& resources, std::span<uint8_t> room);
  void DropInput(SideResources& resources);
  // Receive buffers do not outlive the turn: what is left goes to a block. False: no block
  // could be had, and the buffer is kept until one can.
  bool StashChunk(SideResources& resources);

  // --- Output ---
  // Room for octets of the socket itself; follow with out.Append() or nothing.
  std::span<uint8_t> OutRoom(SideResources& resources, size_t wanted, size_t best = 0) {
    return RoomIn(resources, out, wanted, best);
  }
  // So many octets can be written now; 0 where that is less than `wanted`.
  size_t WriteRoom(SideResources& resources, size_t wanted);
  // All of `text` or nothing of it, sealed where TLS is up.
  Written Write(SideResources& resources, ByteView text);
  // Seals as much of `plain` as there is room for; returns how much. Where that fails nothing
  // more can be sent (seal_failed).
  size_t Seal(SideResources& resources, ByteView plain);
  // Drops what waits to be sent, unless it is being sent.
  void DropOutput(SideResources& resources);

  // --- TLS ---
  struct HandshakeStep {
    TlsResult result = TlsResult::kNeedRoom;
    bool consumed = false;  // some input
    bool wrote = false;     // some output
  };
  HandshakeStep Handshake(SideResources& resources);
  // What otherwise rides on the first octets: TLS 1.3's ticket.
  void SendTickets(SideResources& resources);
  // Breaks the handshake off. Lost where there is no room for it.
  void SendAlert(SideResources& resources, uint8_t description);
  // Says close_notify behind what waits to be sent, now or as soon as there is room. No more
  // can be written.
  void SendCloseNotify(SideResources& resources);
  // The clock of a record runs while its rest is all that is waited for (`waits`). Without
  // that it stops: a long upload, whose receives hardly ever end with a record, is not one
  // record, and a peer that takes nothing is not this one's fault.
  void TimeRecord(MonoTime now, bool waits);

  // --- The ring. Each asks once, and only where that can be. ---
  void Receive(SideResources& resources, SessionRef session);
  void Send(SideResources& resources, SessionRef session);
  void Peek(SideResources& resources, SessionRef session);
  // Finds out whether the connection was reset, where nothing is armed that would tell.
  void CheckWhole(SideResources& resources, SessionRef session);
  // The end of our data, behind all that is to be sent.
  void EndOutput(SideResources& resources, SessionRef session);
  // Asks the kernel to acknowledge at once, where that is wanted and nothing is being sent.
  void AcknowledgeNow(SideResources& resources);
  void Cancel(SideResources& resources, SessionRef session);
  // What the session asks the ring for by itself, opening and accepting, carries this.
  Tag TagOf(Op op, SessionRef session) const {
    return {op, session.slot, session.generation, socket};
  }
  // The ring opens `index` and then sends what waits, a PROXY header.
  void Opening(Fd index);
  void Close(SideResources& resources, SessionRef session);
  // Records what a completion says.
  void Connected(SideResources& resources, const Completion& completion);
  // Why it could not be opened; 0 where it could.
  int TakeOpenError();
  void Received(const Completion& completion);
  void Sent(SideResources& resources, const Completion& completion);
  void Peeked(const Completion& completion);
  void Closed();
  void Finished(SideOp op);
  // Gives all blocks back and forgets the connection. What it has counted stays.
  void Forget(SideResources& resources);

 private:
  // Nothing may be armed on a descriptor that is being opened, cancelled or closed.
  bool MayAsk() const { return open() && !has(kOpOpen | kOpCancel | kOpClose); }
  bool MoreToOpen(SideResources& resources);
  Opened Open(SideResources& resources, std::span<uint8_t> room);
  ByteView OpenedInput(SideResources& resources);
  bool SendAnswers(SideResources& resources);
  void KeepAnswers(SideResources& resources, ByteView answers);
  void BreakOutput(int16_t error);
  void ReturnChunk(SideResources& resources);
  uint32_t chunk_size() const { return static_cast<uint32_t>(chunk_end - chunk_begin); }
};
static_assert(sizeof(Side) <= 80);

}  // namespace starling
