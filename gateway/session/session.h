// What the worker knows of one connection: its two legs, its TLS, its dialogue
// while there is one, its times and counts. Plain data; pump.h says what happens
// with it.
//
// A session lives in a slot of the session table. It ends only when nothing of
// it is in flight, and then the slot's generation changes, so that a completion
// that is late by mistake can be told from its successor's.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string>

#include "gateway/config/config.h"
#include "gateway/io/buffer_pool.h"
#include "gateway/io/clock.h"
#include "gateway/io/ring.h"
#include "gateway/metrics/list.h"
#include "gateway/tls/tls_session.h"
#include "gateway/upstream/upstream.h"
#include "protocols/contract/endpoint.h"
#include "protocols/contract/negotiator.h"
#include "protocols/contract/protocol_row.h"

namespace starling {

// Octets in a block of one of the worker's pools, or nothing and no block. `begin` to
// `end` is what waits; the first `in_flight` of it are with the kernel.
struct Block {
  uint8_t* data = nullptr;
  uint32_t begin = 0;
  uint32_t end = 0;
  uint32_t in_flight = 0;
  bool bulk = false;  // from the pool of the large ones

  bool empty() const { return begin == end; }
  uint32_t capacity() const {
    return static_cast<uint32_t>(bulk ? BufferPool::kBulkBlockSize : BufferPool::kBlockSize);
  }
  ByteView view() const { return {data + begin, end - begin}; }
};

// What of a leg is with the ring; one bit each, one operation a bit.
enum LegOp : uint8_t {
  kOpRecv = 1,
  kOpSend = 2,
  kOpPeek = 4,
  kOpShutdown = 8,
  kOpCancel = 16,
  kOpClose = 32,
  kOpOpen = 64,
  kOpAccept = 128,
};

// TLS within a leg to a server: what the steps read and write is plaintext, and what
// the leg receives and sends is not.
struct LegTls {
  TlsSession tls;
  Block in;                // opened, and not consumed yet
  Block out;               // to be sealed
  std::string reply;       // records that the library answered with, to go out before others
  bool pending = false;    // the library holds opened octets that found no room
  bool tcp_ended = false;  // without a close_notify that is a truncation
  bool cut_off = false;    // by it, or by an error: nothing more can be opened
  bool close_notify_over = false;  // sent, or not to be
  bool spoken = false;             // the server has said something inside it
};

// What is wrong with a leg when TLS in it is: an errno that no socket gives here. The leg has
// it once nothing is left to read of what came before.
inline constexpr int16_t kLegTlsError = EPROTO;

// Whether the kernel is to be told not to wait with its acknowledgement.
enum class Acknowledge : uint8_t {
  kNo,
  kUnlessSent,  // for octets that have come, which all that is sent acknowledges as well
  kAnyway,      // for what comes next, too
};

struct Leg {
  Fd fd = kNoFd;
  uint8_t in_flight = 0;     // bits of LegOp
  bool end_of_data = false;  // the peer will send no more
  bool write_ended = false;  // we have shut our half down, or asked for it
  uint8_t large = 0;         // so many of the next receives use large buffers
  bool starved = false;      // a receive found no buffer; again next turn
  bool tcp = false;          // not a Unix socket
  Acknowledge acknowledge = Acknowledge::kNo;
  int16_t recv_error = 0;  // positive errno
  int16_t send_error = 0;
  BufferId chunk = kNoBuffer;  // a receive buffer, within one turn only, and
  uint32_t chunk_begin = 0;    // what of it has not been consumed
  uint32_t chunk_end = 0;
  Block in;                     // what was received and could not be consumed yet
  Block out;                    // what is to be sent
  std::unique_ptr<LegTls> tls;  // null: plaintext
  uint64_t octets_in = 0;
  uint64_t octets_out = 0;

  bool open() const { return fd != kNoFd; }
  // The peer reset the connection. The socket says so once, to a receive or to a
  // send; what the other then sees as the end of data is none. (A peer that ended its
  // data first makes a later send fail with EPIPE instead.)
  bool was_reset() const { return recv_error != 0 || send_error == ECONNRESET; }
  // Where it did, or TLS in it broke: why the session ends.
  EndReason break_reason() const {
    return recv_error == kLegTlsError ? EndReason::kBackendTruncated : EndReason::kBackendReset;
  }
  bool idle() const { return in_flight == 0; }
};

enum class Phase : uint8_t {
  kFree,
  kProxyHeader,  // waiting for the load balancer's header
  kDataWait,     // a data channel that is listened for
  kDialogue,     // the negotiator speaks; a plaintext leg may be open
  kUpgrade,      // the point of upgrade: look for stray octets, send the go-ahead
  kHandshake,    // from the wait for the first octet of TLS to its end
  kOpening,      // the fresh leg is being connected
  kPreamble,     // the negotiator swallows the greeting on the fresh leg
  kInside,       // and now it reads both sides, the client's out of TLS
  kRelay,        // opaque octets both ways
  kLastWords,    // send what is left for the client, then linger
  kLinger,       // read and discard, so that the client can read what was said
  kClosing,      // cancel, close, wait until nothing is in flight
};

// Where the opening of a leg stands.
enum class LegState : uint8_t {
  kNone,
  kConnecting,
  kRetryWait,
  kTlsHandshake,  // connected; TLS with the server is being begun
  kTlsFailed,     // being closed, and then the next server is tried
  kUp,
  kFailed,
  kClosing,
};

// Only while somebody negotiates; from a pool, returned at relay.
struct Dialogue {
  // `storage` is behind the object itself, of the protocol's size.
  Dialogue(const ProtocolRow& protocol_in, const DialogueOptions& options, void* storage)
      : protocol(&protocol_in), negotiator(protocol_in.create(storage, options)) {}
  ~Dialogue() { negotiator->~Negotiator(); }
  Dialogue(const Dialogue&) = delete;
  Dialogue& operator=(const Dialogue&) = delete;

  const ProtocolRow* protocol;
  Negotiator* negotiator;
  Block opened;                   // inside TLS: of the client, and not consumed yet
  bool serving = false;           // inside TLS: only idleness bounds the session now
  bool handing_over = false;      // kRelay was said, and `opened` is not passed on yet
  bool fed = false;               // octets of the client have been given
  MonoTime command_at = kNever;   // the client's latest command that was understood
  MonoTime patience_at = kNever;  // kPatienceOver is due then
  bool hold = false;              // the negotiator wants no more of the client now
  bool want_leg = false;          // kOpenLeg came while the old leg was closing
  bool all_legs = false;          // kOpenAllLegs: one server after the other
  bool client_end_told = false;
  bool backend_end_told = false;
  bool greeting_seen = false;   // the open leg's greeting is over
  bool go_ahead_begun = false;  // at the point of upgrade: the peek was clean
  bool stray_octet = false;     // or it was not, and that octet is still to be judged
  bool pregreet = false;        // the client spoke first, and that is counted
  uint32_t go_ahead_at = 0;     // where in down.out the go-ahead starts

  // The session that is its data channel, while there is one; generation 0: none.
  uint32_t data_slot = 0;
  uint32_t data_generation = 0;
  // News of it that the negotiator has not heard: that it can be had or not, and its end.
  bool data_answered = false;
  bool data_ready = false;  // at `data_ready_at`
  Endpoint data_ready_at;
  bool data_over = false;
  DataOutcome data_outcome = DataOutcome::kNotMade;
  bool data_kept = false;  // of that session the server's connection is left
};

// Where its storage begins, aligned.
inline constexpr size_t kDialogueHeader =
    (sizeof(Dialogue) + alignof(std::max_align_t) - 1) & ~(alignof(std::max_align_t) - 1);

// What makes a session the data channel of another (FTP). One of its legs is accepted from a
// listening socket of its own, the other then connected.
struct DataChannel {
  uint32_t control_slot = 0;
  uint32_t control_generation = 0;
  Fd listener = kNoFd;
  Endpoint expected;     // the host whose connection is taken
  SocketAddress target;  // to which the other leg is connected
  Endpoint source;       // from there
  int32_t accept_error = 0;
  bool cancelled = false;  // the accept
  bool accepted = false;   // from the right host
  bool joined = false;     // the other leg is connected
  bool lost = false;       // octets that were received could not be passed on
  bool bare_end = false;   // the client's TCP end was taken for the end of its file
  bool told = false;       // the control session has heard of its end, or need not
  bool kept = false;       // the server's connection stays until the control session drops it
};

struct WorkerListener;

struct Session {
  uint32_t slot = 0;
  uint32_t generation = 1;
  Phase phase = Phase::kFree;
  EndReason reason = EndReason::kNone;  // the first cause; kNone while it lives
  LegState leg_state = LegState::kNone;
  bool queued = false;             // on this turn's list
  bool refused = false;            // a slot of the refusals, not of the sessions
  bool upgraded = false;           // TLS was begun by STARTTLS
  bool direct_tls = false;         // by its first octet, where STARTTLS is spoken as well
  bool tls_up = false;             // the handshake is complete
  bool admitted = false;           // holds one of the handshakes in flight
  bool waiting_admission = false;  // in the admission queue
  bool flight_sent = false;        // the expensive half of the handshake is done
  bool hello_retried = false;      // the client was asked for another hello
  bool tls_wants_room = false;     // the handshake stopped for want of output room
  bool plain_pending = false;      // TLS holds opened octets that found no room
  bool client_closed_tls = false;  // close_notify has come
  bool close_notify_sent = false;
  bool plaintext_leg = false;  // a leg was opened without TLS
  bool established = false;    // logged as such
  bool offered = false;
  bool starving = false;  // in the list of those that wait for buffers
  bool reversed = false;  // `up` was accepted and `down` opened: a data channel of PORT
  TlsFailure tls_failure = TlsFailure::kNone;
  UpstreamTlsOutcome upstream_tls;  // of the latest leg
  SessionPhase counted = SessionPhase::kNegotiate;

  WorkerListener* listener = nullptr;
  Dialogue* dialogue = nullptr;
  TlsSession tls;
  Leg down;
  Leg up;
  std::unique_ptr<DataChannel> data;  // null: no data channel

  uint64_t id = 0;
  uint64_t tried_servers = 0;         // bits, for this leg
  int32_t server = -1;                // index in its backend; -1: no leg
  uint32_t backend = 0;               // index into Config::backends
  uint32_t last_server = UINT32_MAX;  // ServerId of the last leg that was up, for the log
  Endpoint up_local;                  // our own address on the leg
  uint8_t backlog_retries = 0;
  uint16_t reply = 0;      // code of the server's reply that ended it, for the log
  uint8_t space_left = 0;  // octets of white space that may still come before TLS
  uint32_t lingered = 0;   // octets discarded
  Endpoint peer;           // the true client
  Endpoint local;          // the address it called

  MonoTime accepted_at{};
  MonoTime phase_at{};       // when this phase began
  MonoTime tls_at = kNever;  // first octet of TLS
  MonoTime leg_at = kNever;  // connecting since, or up since
  MonoTime retry_at = kNever;
  MonoTime active_at{};         // last octet exchanged
  MonoTime record_at = kNever;  // a TLS record was begun then
  MonoTime timer = kNever;      // what the wheel holds
  uint32_t overtime_place = 0;  // in the worker's list of those, from 1; 0: not in it
  uint32_t handshake_us = 0;

  Leg& accepted_leg() { return reversed ? up : down; }
  Leg& opened_leg() { return reversed ? down : up; }
};

}  // namespace starling
