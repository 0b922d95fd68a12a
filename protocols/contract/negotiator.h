// The contract between a protocol's dialogue and the gateway: octets and events go in; a
// count of consumed octets, output and one verdict come out.
//
// A negotiator is pure. It knows no socket, clock, thread, TLS library or configuration
// file. It never blocks, and never allocates after its construction. It serves one session:
// before TLS it speaks as the server; on the fresh leg after TLS it handles a short
// preamble (it swallows the greeting, or says a line again); on a plaintext leg it stands
// between the two sides.
//
// Not for: what is the same for all protocols. The session (gateway/session/) checks the
// point of upgrade, sends, receives, connects, and measures time. protocols/README.md says
// how each protocol uses this contract.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocols/contract/endpoint.h"
#include "protocols/contract/reason.h"

namespace starling {

using ByteView = std::span<const uint8_t>;

inline std::string_view AsText(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline ByteView AsBytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

enum class Policy : uint8_t {
  kRequire,        // before TLS only the gateway answers; no backend leg exists
  kOpportunistic,  // the first real work in plaintext opens a leg to the plaintext backend
};

// One protocol's own options. Its folder defines them.
struct ProtocolOptions {
  virtual ~ProtocolOptions() = default;
};

// A listener's options for its dialogue. The listener owns them. They outlive every
// negotiator made from them and do not change.
struct DialogueOptions {
  std::string hostname = "localhost";  // in greetings and refusals
  Policy policy = Policy::kRequire;
  bool plaintext_auth = false;  // pass log-in on to the plaintext leg
  bool accept_bare_lf = false;  // a bare LF ends a line too; the dialogue always passes CRLF on
  uint32_t max_line = 2048;     // octets, including CRLF; see smtp/limits.h
  uint32_t max_commands = 64;   // commands the gateway answers before TLS
  std::vector<std::string> served_names;  // the domains or hosts of the backend; empty: hostname
  std::shared_ptr<const ProtocolOptions> own;  // null: the protocol's defaults
};

// A bounded appender over the caller's memory. Append writes all of its argument, or
// nothing and returns false.
class Writer {
 public:
  Writer() = default;
  explicit Writer(std::span<uint8_t> memory) : memory_(memory) {}

  [[nodiscard]] bool Append(ByteView bytes) {
    if (bytes.size() > room()) return false;
    if (!bytes.empty()) std::memcpy(memory_.data() + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
    return true;
  }
  [[nodiscard]] bool Append(std::string_view text) { return Append(AsBytes(text)); }

  size_t room() const { return memory_.size() - size_; }
  size_t size() const { return size_; }
  ByteView written() const { return memory_.first(size_); }

 private:
  std::span<uint8_t> memory_;
  size_t size_ = 0;
};

// Both writers have at least kMinOutputRoom of room at each call of a negotiator, so a
// reply of its own always fits. Before the negotiator answers one more pipelined command,
// or passes octets on, it checks room() and stops if there is too little.
inline constexpr size_t kMinOutputRoom = 2048;
// A negotiator may have to see or write a whole line. The gateway has room for a line of
// this many octets.
inline constexpr size_t kMaxWholeLine = 16'384;

struct Output {
  Writer client;   // octets for the client, after all earlier ones
  Writer backend;  // octets for the open leg; ignored if no leg is open
};

enum class Verdict : uint8_t {
  kContinue,    // more input from either side, or an event
  kHold,        // no more octets from the client until an event, or until OnBackend says kContinue
  kOpenLeg,     // open a plaintext leg (implies kHold; kLegUp or kLegFailed follows)
  kCloseLeg,    // close the plaintext leg; nothing more comes from it
  kUpgrade,     // `client` holds the go-ahead; the session checks the point of
                // upgrade, closes an open leg, sends, and begins TLS
  kRelay,       // the first unconsumed octet and all that follow are opaque, in both directions
  kReadInside,  // on the fresh leg: from now on the negotiator also gets the client's decrypted
                // octets. All verdicts then mean what they mean on a plaintext leg
  kClose,       // send what is in `client`, then end with `reason`
  // Open a leg to each server of the backend, one after the other, for one message each
  // (implies kHold). kLegUp comes for each server that the gateway can reach. That leg ends
  // at kCloseLeg, or when the server closes it, or when the connect timeout has passed. No
  // event reports its end. kLegFailed comes when no server is left.
  kOpenAllLegs,
};

// How long the client may be silent from now on, within all other limits.
enum class Patience : uint8_t {
  kSame,   // no change: no whole command has come
  kUsual,  // the usual time between commands
  kShort,  // the client has most likely said all that it will say, and waits for an answer that it
           // cannot get. If no other command comes soon, kPatienceOver does
};

// What one call decided. `consumed` counts octets of the call's span. The gateway gives the
// rest again at the next call, with the octets that have arrived since.
struct Step {
  size_t consumed = 0;
  Verdict verdict = Verdict::kContinue;
  EndReason reason = EndReason::kNone;  // with kClose
  uint32_t signals = 0;                 // bits of Signal
  uint32_t attacks = 0;                 // bits of Attack
  bool offered = false;                 // `client` holds an offer of the upgrade
  bool established = false;  // inside TLS: from now on only the idle deadline bounds the session
  bool understood = false;   // the client gave a whole command that the protocol knows
  Patience patience = Patience::kSame;
  uint16_t reply = 0;  // with kClose: the code of the backend's reply that caused it

  void Note(Signal s) { signals |= 1u << static_cast<unsigned>(s); }
  void Note(Attack a) { attacks |= 1u << static_cast<unsigned>(a); }
};

enum class EventKind : uint8_t {
  kStart,      // the gateway has accepted the connection and read its PROXY header: greet
  kUpgraded,   // the gateway has sent the whole go-ahead, and TLS begins. Forget every octet of the
               // client, except for what protocols/README.md names
  kLegUp,      // the leg is connected; `inside_tls` says which leg
  kLegFailed,  // the gateway could not reach any server: tell the client, kClose
  kGreetingDeadline,  // the open leg's backend did not greet, or owes an answer for too long: tell
                      // the client, kClose
  kDeadline,          // a deadline has passed, `deadline` says which: tell the client, kClose
  kPatienceOver,      // the time of Patience::kShort is over: tell the client, kClose
  kDrain,             // the gateway stops: say goodbye, kClose
  kClientEnd,         // the client's octets have ended
  kBackendEnd,        // the backend's octets have ended: tell the client, kClose
};

struct Event {
  EventKind kind = EventKind::kStart;
  bool inside_tls = false;    // with kLegUp, kLegFailed, kGreetingDeadline
  uint64_t capabilities = 0;  // with kStart: what the backend offered when the gateway last probed
                              // it, in the protocol's own encoding
  uint64_t random = 0;        // with kStart: fresh for each session
  // With kDeadline: kPreRelayDeadline, kPreRelaySilence, kPreRelayTotal, kPreRelayCrowded,
  // kIdleDeadline or kCrowdedOut.
  EndReason deadline = EndReason::kPreRelayDeadline;
  // With kStart and kLegUp: the client's true address and the address that it connected to.
  // Valid during the call. The gateway always sets both.
  const Endpoint* client = nullptr;
  const Endpoint* local = nullptr;
};

// One session's dialogue. Calls never overlap. After kClose, kRelay or kLegFailed the
// gateway makes no further call.
class Negotiator {
 public:
  virtual ~Negotiator() = default;

  // All unconsumed octets of the client in order, at least one. The gateway calls again
  // only when something has changed: more octets, more room, or an event.
  virtual Step OnClient(ByteView in, Output& out) = 0;

  // The same for octets of the open leg.
  virtual Step OnBackend(ByteView in, Output& out) = 0;

  virtual Step OnEvent(const Event& event, Output& out) = 0;

  // After kReadInside: the server owes the client an answer. If it then says nothing for long, the
  // silence is the server's, not the client's.
  virtual bool IsOwedAnswer() const { return false; }
};

// Why the gateway itself turns a client away.
enum class Refusal : uint8_t {
  kTooBusy,      // the session table is full
  kUnavailable,  // the gateway cannot reach any server of the backend
  kTimeout,      // the client was silent for too long
  kNoCommand,    // no command came in time
  kTooLong,      // the client took too long before TLS, although it was active
  kCrowded,      // the same, and the table is crowded, so others need its place
  kShutdown,     // the gateway is stopping
  kTlsExpected,  // the client speaks plaintext where TLS begins with the first octet
  kPregreet,     // the client spoke first, where servers greet
};

}  // namespace starling
