// The contract between a protocol's dialogue and the gateway: bytes and events
// in, a count of consumed octets, output and one verdict out.
//
// A negotiator is pure. It knows no socket, clock, thread, TLS library or
// configuration file; it never blocks and never allocates once constructed.
// It speaks for one session: before TLS as the server, on the fresh leg after
// TLS as a short preamble (swallow the greeting, replay a line), and on a
// plaintext leg between the two sides.
//
// Not for: what is the same for all protocols. The gateway itself (session/)
// checks the point of upgrade, sends, receives, connects, and counts time.
// protocols/README.md says how every protocol uses this contract.
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
  kOpportunistic,  // real work in plaintext opens a leg to the plaintext backend
};

// What one protocol has beside DialogueOptions; its folder says what that is.
struct ProtocolOptions {
  virtual ~ProtocolOptions() = default;
};

// What a listener says about its dialogue. Owned by the listener, outlives
// every negotiator made from it, does not change.
struct DialogueOptions {
  std::string hostname = "localhost";  // in greetings and refusals
  Policy policy = Policy::kRequire;
  bool plaintext_auth = false;                 // log-in on a plaintext leg is passed on
  bool accept_bare_lf = false;                 // LF ends a line; CRLF is what is passed on
  uint32_t max_line = 2048;                    // octets with CRLF; see smtp/limits.h
  uint32_t max_commands = 64;                  // commands the gateway answers before TLS
  std::vector<std::string> served_names;       // domains or hosts served; empty: hostname
  std::shared_ptr<const ProtocolOptions> own;  // null: the protocol's defaults
};

// A bounded appender over memory of the caller's. What does not fit is not
// written at all, and Append says so.
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

// Both writers have at least kMinOutputRoom of room whenever a negotiator is
// called, so a reply of its own always fits; before it answers one more
// pipelined command, or passes octets on, it checks room() and stops short.
inline constexpr size_t kMinOutputRoom = 2048;
// A negotiator may have to see a line whole, or to write it whole: the gateway has room for
// one of so many octets.
inline constexpr size_t kMaxWholeLine = 16'384;

struct Output {
  Writer client;   // octets for the client, after all written before
  Writer backend;  // octets for the open leg; ignored unless one is open
};

enum class Verdict : uint8_t {
  kContinue,    // more input of either side, or an event
  kHold,        // no more octets of the client until an event, or until OnBackend says kContinue
  kOpenLeg,     // open a plaintext leg (implies kHold; kLegUp or kLegFailed follows)
  kCloseLeg,    // close the plaintext leg; nothing more comes from it
  kUpgrade,     // `client` holds the go-ahead; the session checks the point of
                // upgrade, closes an open leg, sends, and begins TLS
  kRelay,       // from the first octet not consumed on, both directions are opaque
  kReadInside,  // on the fresh leg: from now on the client's octets, out of TLS, are
                // given as well; all verdicts then mean what they do on a plaintext leg
  kClose,       // send what is in `client`, then end with `reason`
  // A leg to each server of the backend, one after the other, for one message each
  // (implies kHold). kLegUp comes for each that can be reached; its leg is over when the
  // server closes it, or has not for as long as connecting may take, or at kCloseLeg, and no
  // event says so. kLegFailed comes when no server is left.
  kOpenAllLegs,
};

// How long the client may be silent from now on, whatever else limits it.
enum class Patience : uint8_t {
  kSame,   // as was said before: no whole command has come
  kUsual,  // as long as commands may come
  kShort,  // it has most likely said all that it will say, and waits for an answer that it
           // cannot get. Where no other command comes soon, kPatienceOver does
};

// What one call decided. `consumed` counts octets of the span it was given;
// the rest is given again, with what has arrived since, at the next call.
struct Step {
  size_t consumed = 0;
  Verdict verdict = Verdict::kContinue;
  EndReason reason = EndReason::kNone;  // with kClose
  uint32_t signals = 0;                 // bits of Signal
  uint32_t attacks = 0;                 // bits of Attack
  bool offered = false;                 // `client` holds an offer of the upgrade
  bool established = false;             // inside TLS: from now on only idleness bounds the session
  bool understood = false;              // a whole command of the client was one that is known here
  Patience patience = Patience::kSame;
  uint16_t reply = 0;  // with kClose: the code of the backend's reply that led to it

  void Note(Signal s) { signals |= 1u << static_cast<unsigned>(s); }
  void Note(Attack a) { attacks |= 1u << static_cast<unsigned>(a); }
};

enum class EventKind : uint8_t {
  kStart,             // the connection was accepted (after its PROXY header): greet
  kUpgraded,          // the go-ahead was sent whole and TLS begins. Forget every
                      // octet of the client but what protocols/README.md names
  kLegUp,             // the leg is connected; `inside_tls` says which of the two
  kLegFailed,         // no server could be reached: tell the client, kClose
  kGreetingDeadline,  // the backend of the open leg did not greet: tell, kClose
  kDeadline,          // a time is over, `deadline` says which: tell the client, kClose
  kPatienceOver,      // what Patience::kShort asked for is over: tell the client, kClose
  kDrain,             // the gateway stops: say goodbye, kClose
  kClientEnd,         // the client's octets have ended
  kBackendEnd,        // the backend's octets have ended: tell the client, kClose
};

struct Event {
  EventKind kind = EventKind::kStart;
  bool inside_tls = false;    // with kLegUp, kLegFailed, kGreetingDeadline
  uint64_t capabilities = 0;  // with kStart: what the backend was last seen
                              // to offer, in the protocol's own encoding
  uint64_t random = 0;        // with kStart: fresh, for protocols that need it
  // With kDeadline: kPreRelayDeadline, kPreRelaySilence, kPreRelayTotal, kPreRelayCrowded or
  // kIdleDeadline.
  EndReason deadline = EndReason::kPreRelayDeadline;
  // With kStart and kLegUp: the true client and the address it called. They are valid
  // during the call, and null in none of the gateway's.
  const Endpoint* client = nullptr;
  const Endpoint* local = nullptr;
};

// One session's dialogue. Calls never overlap. After kClose, kRelay or a
// kLegFailed no further call is made.
class Negotiator {
 public:
  virtual ~Negotiator() = default;

  // All octets of the client not yet consumed, in order; never empty. Called
  // again only when something has changed: more octets, room, or an event.
  virtual Step OnClient(ByteView in, Output& out) = 0;

  // The same for octets of the open leg.
  virtual Step OnBackend(ByteView in, Output& out) = 0;

  virtual Step OnEvent(const Event& event, Output& out) = 0;
};

// What a client is told when the gateway itself must turn it away.
enum class Refusal : uint8_t {
  kTooBusy,      // the session table is full
  kUnavailable,  // no server of the backend can be reached
  kTimeout,      // it was silent for too long
  kNoCommand,    // no command came in time
  kTooLong,      // it took too long before TLS, active or not
  kCrowded,      // so it did, and its place is needed
  kShutdown,     // the gateway is stopping
  kTlsExpected,  // it speaks plaintext where TLS is spoken from the first octet
};

}  // namespace starling
