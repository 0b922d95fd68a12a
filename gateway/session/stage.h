// Where a session stands: exactly one Stage, and beside it the Link of the side that the
// gateway opens. Each is a sum type. A stage's struct holds what means something in that
// stage only: code that reads it has to ask first whether the session is there.
//
// A step looks at its session and returns a Next. Only the pump applies a Next
// (transition.h). Not for: what outlives a stage (session.h).
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <variant>

#include "gateway/io/clock.h"
#include "gateway/metrics/list.h"
#include "protocols/contract/reason.h"

namespace starling {

// The order of the alternatives of Stage.
enum class StageId : uint8_t {
  kFree,
  kProxyHeader,
  kDataWait,
  kTalking,
  kUpgrading,
  kHandshaking,
  kOpening,
  kGreeting,
  kInside,
  kRelaying,
  kLastWords,
  kLingering,
  kClosing,
  kCount,
};
inline constexpr size_t kStages = static_cast<size_t>(StageId::kCount);

// The slot holds no session.
struct Free {};

// Waits for the load balancer's PROXY header.
struct ProxyHeader {
  bool whole = false;  // the header has come, and the session has no place yet
};

// A data channel whose first connection has not come yet.
struct DataWait {};

// The negotiator speaks in plaintext; there may be a link to a plaintext server.
struct Talking {
  bool greeted = false;     // the negotiator has heard kStart
  bool fed = false;         // it has been given octets of the client
  bool pregreet = false;    // the client spoke before the greeting, and that is counted
  bool held = false;        // the greeting waits, to see whether the client does
  bool wants_link = false;  // kOpenLeg came while the previous link was closing
};

// What a look behind the upgrade command has found (MSG_PEEK).
enum class Peek : uint8_t { kNone, kStray, kClean };

// The point of upgrade: no octet may follow the command, then the go-ahead is sent whole.
struct Upgrading {
  uint32_t go_ahead_at = 0;  // where in the client's output the go-ahead starts
  uint8_t space_left = 0;    // octets of white space that may still come before TLS
  Peek peek = Peek::kNone;   // kClean: the go-ahead is on its way
};

enum class TlsStart : uint8_t {
  kImplicit,  // the listener's protocol is TLS
  kUpgraded,  // by STARTTLS
  kDirect,    // by the first octet, on a listener that has STARTTLS as well
};

// TLS with the client, from the wait for its first octet to the end of the handshake.
struct Handshaking {
  MonoTime tls_at = kNever;  // the first octet of TLS, or the go-ahead
  uint32_t place_ms = 0;     // from tls_at until it got its place among the handshakes in flight
  TlsStart start = TlsStart::kImplicit;
  uint8_t space_left = 0;          // as in Upgrading
  bool weighed : 1 = false;        // the client's source was charged for it
  bool last : 1 = false;           // the source is over its share: others go first
  bool displaced : 1 = false;      // it had to give way to another source
  bool flight_sent : 1 = false;    // the private key has been used
  bool hello_retried : 1 = false;  // the client was asked for another hello
  uint8_t haste : 3 = 0;           // so many eighths of its time for an answer it does not have
};

// TLS with the client is up, and a fresh link is being opened.
struct Opening {};

// The negotiator swallows the greeting on the fresh link.
struct Greeting {
  bool told = false;  // the negotiator has heard kLegUp
};

// The negotiator reads both sides, the client's out of TLS.
struct Inside {
  MonoTime asked_at = kNever;  // the server has owed an answer since then, and said nothing
  uint32_t heard = 0;          // the lower digits of the octets that it had said by then
  bool doubted = false;        // it was suspected for that
};
static_assert(sizeof(Inside) <= 16);

// How much a side takes of what waits for it. A window ends when it has taken enough; only the time
// in which octets wait counts. Only the lower digits are kept, which is enough for differences.
struct Taking {
  uint32_t octets = 0;    // Side::octets_out when the window began
  uint16_t since_s = 0;   // octets wait since then, in seconds of the clock; 0: none wait
  uint16_t waited_s = 0;  // in this window, before that
};

// Octets pass unread in both directions.
struct Relaying {
  uint32_t discarded = 0;      // octets that the client sent after its close_notify
  uint32_t checks : 31 = 0;    // looks for a reset since something moved
  bool doubted : 1 = false;    // the server was suspected, since it did not answer
  MonoTime asked_at = kNever;  // the client's first word, while the server had said nothing
};
static_assert(sizeof(Relaying) <= 16);

// What is left for the client is sent.
struct LastWords {};

// Octets of the client are discarded for a moment, so that it can read what it was told.
struct Lingering {
  uint32_t discarded = 0;
};

// Sockets are closed; the slot is free once no operation is in flight.
struct Closing {};

using Stage = std::variant<Free, ProxyHeader, DataWait, Talking, Upgrading, Handshaking, Opening,
                           Greeting, Inside, Relaying, LastWords, Lingering, Closing>;
static_assert(std::variant_size_v<Stage> == kStages);
static_assert(sizeof(Stage) <= 32, "a table has thousands of them");
static_assert(std::is_trivially_copyable_v<Stage>);

// The side that the gateway opens: in the order of the alternatives of Link.
enum class LinkId : uint8_t {
  kNone,
  kConnecting,
  kBackoff,
  kTlsHandshake,
  kGreeting,
  kUp,
  kClosing,
  kCount,
};
inline constexpr size_t kLinks = static_cast<size_t>(LinkId::kCount);

struct NoLink {};

struct Connecting {
  MonoTime since = kNever;   // of all tries together: the connect limit counts from it
  MonoTime try_at = kNever;  // of this one
};

// No server can be tried before `retry_at`: their backlogs are full, or all their places taken.
struct Backoff {
  MonoTime since = kNever;
  MonoTime retry_at = kNever;
};

// Connected; TLS with the server has begun.
struct TlsHandshake {
  MonoTime since = kNever;   // as of Connecting
  MonoTime try_at = kNever;  // when it was connected
};

// The server speaks first, and its greeting is not complete. Nothing of either side has been
// passed on, so another server can still take its place.
struct ReadsGreeting {
  MonoTime since = kNever;
  uint32_t connect_ms = 0;  // what of the connect limit has been used up
  bool begun = false;       // a whole line came, and it is not the last
  bool doubted = false;     // and the rest did not come within the time of a try
};

struct Up {
  MonoTime since = kNever;  // when it came up
};

struct ClosingLink {
  MonoTime since = kNever;  // of the tries, where the next server follows
  bool tries_next = false;  // this server failed: the next one follows
};

using Link =
    std::variant<NoLink, Connecting, Backoff, TlsHandshake, ReadsGreeting, Up, ClosingLink>;
static_assert(std::variant_size_v<Link> == kLinks);
static_assert(sizeof(Link) <= 24);

inline StageId IdOf(const Stage& stage) { return static_cast<StageId>(stage.index()); }
inline LinkId IdOf(const Link& link) { return static_cast<LinkId>(link.index()); }

// The link is not up yet, and the server has something to say.
inline bool IsHeard(LinkId link) {
  return link == LinkId::kTlsHandshake || link == LinkId::kGreeting;
}

std::string_view NameOf(StageId stage);
std::string_view NameOf(LinkId link);

// Which links may stand beside a stage. A data channel connects its second side while TLS
// with the client begins, and may keep the server's side open until its end.
bool IsAllowed(StageId stage, LinkId link, bool data_channel);

// Asserts as much: the pump does after each change.
void CheckPair(StageId stage, LinkId link, bool data_channel);

// Which of starling_sessions' phases counts a stage.
SessionPhase PhaseOf(StageId stage);

// The session ends: octets that wait are no longer of use.
constexpr bool IsOver(StageId stage) { return stage >= StageId::kLastWords; }

// What a step wants next. A plain value: the pump applies it once the step has returned.
struct Next {
  enum class Kind : uint8_t {
    kStay,   // nothing more can be done now
    kAgain,  // something changed: look again
    kEnter,  // go to `stage`
    kEnd,    // end for `reason`
    kGone,   // nothing is in flight: free the slot
  };
  Kind kind = Kind::kStay;
  StageId stage = StageId::kFree;
  EndReason reason = EndReason::kNone;
  bool polite = false;  // with kEnd: what waits for the client is sent first
  uint32_t value = 0;   // with kEnter: kUpgrading, where the go-ahead begins in the client's
                        // output; kHandshaking, the TlsStart

  // The step is done with its session for this round.
  bool decided() const { return kind != Kind::kStay; }
  // It leaves its stage.
  bool leaves() const { return kind >= Kind::kEnter; }
};
static_assert(std::is_trivially_copyable_v<Next> && sizeof(Next) <= 12);

constexpr Next Stay() { return {}; }
constexpr Next Again() { return {.kind = Next::Kind::kAgain}; }
constexpr Next Enter(StageId stage, uint32_t value = 0) {
  return {.kind = Next::Kind::kEnter, .stage = stage, .value = value};
}
constexpr Next EndNow(EndReason reason) { return {.kind = Next::Kind::kEnd, .reason = reason}; }
constexpr Next EndPolitely(EndReason reason) {
  return {.kind = Next::Kind::kEnd, .reason = reason, .polite = true};
}
constexpr Next Gone() { return {.kind = Next::Kind::kGone}; }

}  // namespace starling
