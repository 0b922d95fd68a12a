// What the worker knows of one connection: its stage, its link, its two legs, its TLS, its
// dialogue while there is one, and the facts for the log. Plain data; pump.h says what
// happens with it.
//
// A session lives in a slot of the session table. It ends only when nothing of it is in
// flight. Then the slot's generation changes, so that a completion that comes late by
// mistake never reaches the slot's next session.
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
#include "gateway/session/stage.h"
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

// A session and its data channel tell each other news by letters. Post() (data_channel.h)
// puts a letter into the receiver's box, where the receiver's next pump reads it. A letter
// is delivered only between sessions that still belong together: slot and generation match.
struct DataLetter {
  enum class Kind : uint8_t {
    kNone,
    kOver,     // to the control session: the channel ended, with `outcome`
    kDropped,  // to the channel: the control session has no more use for it
  };
  Kind kind = Kind::kNone;
  DataOutcome outcome = DataOutcome::kNotMade;
  bool kept = false;   // with kOver: the server's connection stays open until kDropped
  uint16_t reply = 0;  // with kDropped: code of the server's reply that led to it, for the log
};

struct SessionRef {
  uint32_t slot = 0;
  uint32_t generation = 0;  // 0: no session
  explicit operator bool() const { return generation != 0; }
};

// Exists from Talking to Inside; from a pool, returned when the session leaves those stages.
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
  MonoTime command_at = kNever;   // the client's latest command that was understood
  MonoTime patience_at = kNever;  // kPatienceOver is due then
  bool serving = false;           // inside TLS: only idleness bounds the session now
  bool hold = false;              // the negotiator wants no more of the client now
  bool client_end_told = false;
  bool backend_end_told = false;
  bool greeting_seen = false;  // the greeting of the link's server is over

  // The data channel that was asked for (FTP). Of its news the negotiator hears first whether
  // it can be had, then how it ended.
  enum class DataAnswer : uint8_t { kNone, kReady, kRefused };
  SessionRef channel;                          // while there is one
  bool channel_kept = false;                   // and only its server's connection is left
  DataAnswer data_answer = DataAnswer::kNone;  // not told yet
  Endpoint data_ready_at;                      // with kReady
  DataLetter data_letter;                      // of the channel, and not read yet
  DataLetter data_over;                        // read, and the negotiator not told yet
};

// Where its storage begins, aligned.
inline constexpr size_t kDialogueHeader =
    (sizeof(Dialogue) + alignof(std::max_align_t) - 1) & ~(alignof(std::max_align_t) - 1);

// What makes a session the data channel of another (FTP). One of its legs is accepted from a
// listening socket of its own, the other then connected.
struct DataChannel {
  enum class Accept : uint8_t { kWaits, kFailed, kAccepted };

  SessionRef control;
  Fd listener = kNoFd;
  Accept accept = Accept::kWaits;  // kAccepted: a connection of the right host
  Endpoint expected;               // the host whose connection is taken
  SocketAddress target;            // to which the other leg is connected
  Endpoint source;                 // from there
  DataLetter letter;               // of the control session, and not read yet
  bool accepts_cancelled = false;
  bool holds_share = false;  // counts against its client's share of channels that wait
  bool lost = false;         // octets that were received could not be passed on
  bool bare_end = false;     // the client's TCP end was taken for the end of its file
  bool told = false;         // the control session has heard of its end, or need not
  bool kept = false;         // the server's connection stays until the control session drops it
};

// The gateway as a whole ends sessions (drain, stop).
struct Order {
  EndReason reason = EndReason::kNone;  // kNone: no order
  bool polite = false;
};

// Which server the link goes to, over all its tries.
struct Target {
  uint64_t tried = 0;    // servers, one bit each
  uint32_t backend = 0;  // index into Config::backends
  int32_t server = -1;   // index in its backend; -1: no server is chosen
  uint8_t backlog_retries = 0;
  bool all_servers = false;  // kOpenAllLegs: one server after the other
};

struct WorkerListener;

struct Session {
  uint32_t slot = 0;
  uint32_t generation = 1;
  Stage stage;
  Link link;
  MonoTime stage_at{};                  // when this stage was entered
  EndReason reason = EndReason::kNone;  // the first cause; kNone while the session lives
  Order order;                          // not obeyed yet
  bool queued = false;                  // on this turn's list
  bool refused = false;                 // a slot of the refusals, not of the sessions
  bool starving = false;                // in the list of those that wait for buffers
  bool reversed = false;           // `up` was accepted and `down` opened: a data channel of PORT
  bool tls_up = false;             // the handshake with the client is complete
  bool plain_pending = false;      // TLS holds opened octets that found no room
  bool client_closed_tls = false;  // close_notify has come
  bool close_notify_sent = false;
  bool plaintext_leg = false;  // a link without TLS with the client was up
  bool established = false;    // logged as such
  bool offered = false;
  TlsFailure tls_failure = TlsFailure::kNone;
  UpstreamTlsOutcome upstream_tls;  // of the latest link
  uint16_t reply = 0;               // code of the server's reply that ended it, for the log

  WorkerListener* listener = nullptr;
  Dialogue* dialogue = nullptr;
  TlsSession tls;
  Leg down;
  Leg up;
  std::unique_ptr<DataChannel> data;  // null: no data channel

  uint64_t id = 0;
  Target target;
  uint32_t last_server = UINT32_MAX;  // ServerId of the last link that was up, for the log
  Endpoint up_local;                  // our own address on the link
  Endpoint peer;                      // the true client
  Endpoint local;                     // the address it called

  MonoTime accepted_at{};
  MonoTime active_at{};         // last octet exchanged
  MonoTime timer = kNever;      // what the wheel holds
  uint32_t overtime_place = 0;  // in the worker's list of those, from 1; 0: not in it
  uint32_t handshake_us = 0;

  Leg& accepted_leg() { return reversed ? up : down; }
  Leg& opened_leg() { return reversed ? down : up; }
  bool free() const { return IdOf(stage) == StageId::kFree; }
  bool link_up() const { return IdOf(link) == LinkId::kUp; }
};
static_assert(sizeof(Session) <= 480, "a table has thousands of them");

}  // namespace starling
