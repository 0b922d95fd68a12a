// What the worker knows of one connection: its stage, its link, its two sides, its
// dialogue while there is one, and the facts for the log. Plain data; pump.h says what
// happens with it.
//
// A session lives in a slot of the session table. It ends only when nothing of it is in
// flight. Then the slot's generation changes, so that a completion that comes late by
// mistake never reaches the slot's next session.
#pragma once

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

#include "gateway/config/config.h"
#include "gateway/io/clock.h"
#include "gateway/io/ring.h"
#include "gateway/session/places.h"
#include "gateway/session/side.h"
#include "gateway/session/stage.h"
#include "gateway/sources/cells.h"
#include "gateway/upstream/upstream.h"
#include "protocols/contract/call_check.h"
#include "protocols/contract/data_channel.h"
#include "protocols/contract/endpoint.h"
#include "protocols/contract/negotiator.h"
#include "protocols/contract/protocol_row.h"

namespace starling {

// A session and its data channel tell each other news by letters. data_channel.cc
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

// The data channel of a control session.
class ChannelHandle {
 public:
  // There is one: the negotiator has asked for it, and has not dropped it.
  bool exists() const { return state_ != State::kNone; }
  // Octets may still go through it.
  bool serves() const { return state_ == State::kServes; }
  const SessionRef& ref() const { return ref_; }

  void Begin(const SessionRef& ref) {
    assert(state_ == State::kNone);
    ref_ = ref;
    state_ = State::kServes;
  }
  // It is over, and only its server's connection is left.
  void Keep() {
    assert(state_ == State::kServes);
    state_ = State::kKept;
  }
  void Forget() { *this = {}; }

 private:
  enum class State : uint8_t { kNone, kServes, kKept };
  SessionRef ref_;
  State state_ = State::kNone;
};

// Exists from Talking to Inside; from a pool, returned when the session leaves those stages.
struct Dialogue {
  // `storage` is behind the object itself, of the protocol's size.
  Dialogue(const ProtocolRow& protocol_in, const DialogueOptions& options, void* storage)
      : protocol(&protocol_in),
        negotiator(protocol_in.create(storage, options)),
        data_channels(protocol_in.data_channels == nullptr
                          ? nullptr
                          : protocol_in.data_channels(*negotiator)) {}
  ~Dialogue() { negotiator->~Negotiator(); }
  Dialogue(const Dialogue&) = delete;
  Dialogue& operator=(const Dialogue&) = delete;

  const ProtocolRow* protocol;
  Negotiator* negotiator;
  DataChannelUser* data_channels;  // the same object, if it may ask for data channels
  CallCheck check;                 // of its calls
  MonoTime command_at = kNever;    // the client's latest command that was understood
  MonoTime patience_at = kNever;   // kPatienceOver is due then
  bool serving = false;            // inside TLS: only idleness bounds the session now
  bool hold = false;               // the negotiator wants no more of the client now
  bool client_end_told = false;
  // How far the server of the link has come. Its end may come before any greeting.
  enum class ServerTalk : uint8_t { kSilent, kGreeted, kEndTold };
  ServerTalk server_talk = ServerTalk::kSilent;

  // The data channel that was asked for (FTP). The negotiator hears first whether it can be
  // had, then how it ended.
  enum class DataAnswer : uint8_t {
    kNone,
    kLater,    // another channel has to go first, in a turn or two
    kReady,    // not told yet
    kRefused,  // not told yet
  };
  ChannelHandle channel;
  DataAnswer data_answer = DataAnswer::kNone;
  DataRequest data_request;  // with kLater
  Endpoint data_ready_at;    // with kReady
  DataLetter data_letter;    // of the channel, and not read yet
  DataLetter data_over;      // read, and the negotiator not told yet
};

// Where its storage begins, aligned.
inline constexpr size_t kDialogueHeader =
    (sizeof(Dialogue) + alignof(std::max_align_t) - 1) & ~(alignof(std::max_align_t) - 1);

// What makes a session the data channel of another (FTP). One of its sides is accepted from a
// listening socket of its own, the other then connected.
struct DataChannel {
  enum class Accept : uint8_t {
    kWaits,
    kFailed,
    kAccepted,   // a connection of the right host
    kJoined,     // and the listening socket is closed
    kCancelled,  // the session ends; nothing is accepted any more
  };
  // What the control session knows of the channel's end.
  enum class Report : uint8_t {
    kDue,   // nothing yet
    kMade,  // all, or it need not know
    kKept,  // all; the server's connection stays until the control session drops it
  };

  SessionRef control;
  Fd listener = kNoFd;
  Accept accept = Accept::kWaits;
  Report report = Report::kDue;
  Endpoint expected;      // the host whose connection is taken
  SocketAddress target;   // to which the other side is connected
  Endpoint source;        // from there
  DataLetter letter;      // of the control session, and not read yet
  bool waits = false;     // for its connection, and counts as one of those
  bool lost = false;      // octets that were received could not be passed on
  bool bare_end = false;  // the client's TCP end was taken for the end of its file

  bool kept() const { return report == Report::kKept; }
};

// The gateway as a whole ends sessions (drain, stop).
struct Order {
  EndReason reason = EndReason::kNone;  // kNone: no order
  bool polite = false;
};

// Which server the link goes to, over all its tries.
struct Target {
  uint64_t tried = 0;        // servers, one bit each
  uint32_t backend = 0;      // index into Config::backends
  int32_t server = -1;       // index in its backend, where the session has a place; -1: none
  uint32_t greeting_ms = 0;  // what servers that were left have used up of the greeting limit
  uint8_t backlog_retries = 0;
  bool all_servers : 1 = false;  // kOpenAllLegs: one server after the other
  bool counted : 1 = false;      // in the gauge of the server's sessions
  bool shared : 1 = false;       // its place is one of those of its source
  bool made_room : 1 = false;    // another session gave its place up for this one
  bool waits : 1 = false;        // in the backend's queue
  bool displaced : 1 = false;    // it was in that queue, and gave its place in it to another source
  bool silent : 1 = false;       // the latest server failed because no greeting came
  bool backlog_full : 1 = false;  // one of those tried had no room just then
  bool retries : 1 = false;       // a server was chosen before
  bool stays : 1 = false;         // the present wait has met the limit of a try, and goes on
  bool left_slow : 1 = false;     // one that had met the limit of its try was left
};
static_assert(sizeof(Target) == 24);

// What a slot of the table is used for.
enum class SlotUse : uint8_t {
  kSession,
  kRefusal,  // a connection that is only told why it gets no session
  kLeaving,  // it was a session, and gave its place to another
  // A client of a load balancer that has no place yet. It gets one or is refused once the PROXY
  // header says who it is.
  kArriving,
};

// Whether a session has to make room for a newcomer.
enum class Leave : uint8_t { kNot, kPolitely, kAtOnce };

// What it has of its source's share, by the rules of its listener.
struct SourceHold {
  SourceCells cells;
  uint16_t rule = 0;     // in SourceRules
  bool counted = false;  // it is one of the sessions of its source
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
  SlotUse use = SlotUse::kSession;
  Leave gives_way = Leave::kNot;   // not obeyed yet
  bool server_owes = false;        // it was sent octets, and has not said anything since
  bool starving = false;           // in the list of those that wait for buffers
  bool plaintext_leg : 1 = false;  // a link without TLS with the client was up
  bool established : 1 = false;    // logged as such
  bool offered : 1 = false;
  bool is_check : 1 = false;  // the load balancer's own: its PROXY header says LOCAL
  TlsFailure tls_failure = TlsFailure::kNone;
  UpstreamTlsOutcome upstream_tls;  // of the latest link
  uint16_t reply = 0;               // code of the server's reply that ended it, for the log
  uint16_t header_octets = 0;       // of the load balancer's PROXY header
  PlacePool pool = kSharedPlaces;   // where its place is

  WorkerListener* listener = nullptr;
  Dialogue* dialogue = nullptr;
  TlsPlace client_tls;  // where client.tls is made
  Side client;
  Side server{.socket = SocketSide::kOpened};
  std::unique_ptr<DataChannel> data;  // null: no data channel

  uint64_t id = 0;
  Target target;
  SourceHold source;
  uint32_t last_server = UINT32_MAX;  // ServerId of the last link that was up, for the log
  Endpoint link_address;              // our own address on the link
  Endpoint peer;                      // the true client
  Endpoint local;                     // the address it called

  MonoTime accepted_at{};
  MonoTime active_at{};         // last octet exchanged
  MonoTime timer = kNever;      // what the wheel holds
  uint32_t overtime_place = 0;  // in WorkerContext::overtime, counted from 1; 0: not listed
  uint32_t handshake_us = 0;
  Taking client_takes;  // in a relay
  Taking server_takes;

  SessionRef ref() const { return {slot, generation}; }
  bool free() const { return IdOf(stage) == StageId::kFree; }
  bool link_up() const { return IdOf(link) == LinkId::kUp; }
  // TLS with the client is up.
  bool tls_up() const { return client.secure(); }
  // The client has sent close_notify.
  bool client_closed_tls() const { return client.secure() && client.ended(); }
  // The client was called instead of accepted: a data channel of PORT.
  bool reversed() const { return client.socket == SocketSide::kOpened; }
  void Reverse() { std::swap(client.socket, server.socket); }
  Side& SideOf(SocketSide socket) { return client.socket == socket ? client : server; }
  Side& accepted() { return SideOf(SocketSide::kAccepted); }
  Side& opened() { return SideOf(SocketSide::kOpened); }
};
// A table has thousands of them.
static_assert(sizeof(Session) <= 496);

inline bool IsClient(const Session& session, const Side& side) { return &side == &session.client; }
// The server's side broke: its connection was reset, or TLS in it broke off.
inline bool ServerBroke(const Session& session) {
  return session.server.was_reset() || session.server.cut_off();
}
// Why the session ends where it did.
inline EndReason ServerBreak(const Session& session) {
  return session.server.cut_off() ? EndReason::kBackendTruncated : EndReason::kBackendReset;
}

inline MonoTime After(MonoTime at, uint32_t ms) { return at + std::chrono::milliseconds(ms); }
// Rounded up; 0 if `to` is not later.
inline uint32_t MillisBetween(MonoTime from, MonoTime to) {
  return static_cast<uint32_t>(
      std::max<int64_t>(0, std::chrono::ceil<std::chrono::milliseconds>(to - from).count()));
}

}  // namespace starling
