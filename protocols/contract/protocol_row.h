// What the gateway knows about each protocol: its name, ports, ALPN identifier and traits,
// and how to make its dialogue.
//
// Not for: the rows themselves (protocols/registry.cc).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "protocols/contract/negotiator.h"

namespace starling {

class DataChannelUser;  // data_channel.h

// The storage for a negotiator, unless its row asks for more. The gateway takes it from a
// pool and gives it back when the relay begins. A static_assert checks it for each
// protocol.
inline constexpr size_t kNegotiatorSize = 768;
// The most that a row may ask for, so that a pool of such storage stays small.
inline constexpr size_t kMaxNegotiatorSize = 64 * 1024;

// The result of probing a backend. `capabilities` uses the protocol's own encoding;
// negotiators get it in Event::kStart.
struct ProbeResult {
  enum class Status : uint8_t { kNeedMore, kDone, kBad } status = Status::kNeedMore;
  size_t consumed = 0;
  uint64_t capabilities = 0;
};

// What a server's first octets are, as long as nobody has consumed any of them.
enum class GreetingStatus : uint8_t {
  kNeedMore,  // a beginning of a greeting, or nothing
  kWelcome,   // a complete greeting
  kRefusal,   // a complete refusal: of all clients, or of this one
  kOther,     // no greeting of this protocol, and none can become of it
};

// Asks a backend what it offers (SMTP: greeting, EHLO, QUIT). It is pure, like a
// negotiator. The gateway's prober runs it, never a worker.
class Probe {
 public:
  virtual ~Probe() = default;
  virtual ProbeResult OnBackend(ByteView in, Output& out) = 0;
};

// What a protocol's servers let clients do, and how they recognize them. The warnings about
// a configuration come from here (gateway/config/warnings.cc). An empty text means no
// warning.
struct ServerTraits {
  // Whether clients log in, where the server may allow that only with TLS.
  enum class LogIn : uint8_t { kNever, kUnderRequire, kAlways } log_in = LogIn::kNever;
  // Clients on the server's own machine may do more without a password, such as relay mail.
  bool trusts_local_clients = false;
  // The name of the server software, if it does not understand PROXY headers.
  std::string_view knows_no_proxy = {};
  // What goes wrong if the gateway reaches the server by a Unix socket, or by an address of
  // its own machine without a PROXY header. The text follows the server's address.
  std::string_view by_unix_socket = {};
  std::string_view by_local_address = {};
  // What goes wrong without a PROXY header, and the remedy. The text follows the backend's
  // name.
  std::string_view without_identity = {};
  // There is no log-in, so anybody who reaches a listener can do this.
  std::string_view anyone_can = {};
};

// The port at which other organisations' servers deliver. There the default is
// `opportunistic`.
struct PublicPort {
  uint16_t number = 0;                    // 0: the protocol has none
  std::string_view why_not_require = {};  // what would go wrong with `require`
};

struct ProtocolRow {
  std::string_view name;   // as in `protocol:` of the configuration
  uint16_t starttls_port;  // IANA; 0 if the protocol has none
  uint16_t implicit_port;
  // Without its length octet. If empty, the gateway accepts whatever clients offer. If IANA
  // has not registered the name, clients need not offer it, but the gateway refuses clients
  // that offer only other names.
  std::string_view alpn;
  bool alpn_registered;
  bool has_starttls;
  bool opportunistic;     // the policy is supported
  bool server_first;      // the server greets
  uint32_t idle_seconds;  // default idle deadline of a relay; 0: none
  // Before the relay, for a client that gives commands: the defaults for its silence and
  // for the whole time.
  uint32_t silence_seconds = 60;
  uint32_t before_relay_seconds = 5 * 60;

  // Constructs the dialogue in `storage` (storage_size octets, aligned for max_align_t).
  // Null for opaque protocols. The caller destroys the dialogue in place.
  Negotiator* (*create)(void* storage, const DialogueOptions& options);
  // Writes a refusal in the protocol's own words, outside any dialogue (full table;
  // implicit TLS without a backend). Null: the protocol has no words for it.
  void (*refuse)(Refusal refusal, const DialogueOptions& options, Writer& out);
  // Makes a probe in `storage` of kNegotiatorSize octets. Null: the protocol needs no
  // probe.
  Probe* (*create_probe)(void* storage, const DialogueOptions& options);
  // Reads a greeting of the server's that has begun. Null: a client may speak first. It is
  // pure, and gets all octets from the first one on at each call.
  GreetingStatus (*read_greeting)(ByteView in) = nullptr;
  // Writes what a probe says to a server that waits for its client: words that the server
  // answers somehow, and that change nothing. Null: the probe says nothing.
  void (*first_words)(const DialogueOptions& options, Writer& out) = nullptr;
  // Reads an answer to that, as read_greeting reads a greeting. Null: whatever the server says
  // counts as an answer.
  GreetingStatus (*read_answer)(ByteView in) = nullptr;
  // Probe under `require` too, since what the dialogue offers before TLS depends on the
  // backend.
  bool probe_under_require = false;
  // A second name that the gateway accepts: some clients use it for FTP's data channels.
  std::string_view second_alpn = {};
  size_t storage_size = kNegotiatorSize;
  // A STARTTLS listener also accepts TLS from the first octet (the client speaks first).
  // The session then drops the dialogue and relays the decrypted octets unread.
  bool direct_tls = false;
  bool direct_tls_needs_alpn = false;  // but only from clients that name the protocol by ALPN
  // The dialogue speaks inside TLS on implicit listeners too. The session makes it when the
  // leg is up, and kLegUp is its first event.
  bool speaks_inside = false;
  // The most white space (spaces, tabs, CR, LF) that clients may send between their upgrade
  // command and the first octet of TLS. The session drops it, and does not take it for an
  // injection.
  uint8_t space_after_upgrade = 0;
  // Returns a negotiator's interface for data channels. Workers keep places for them. Null:
  // the protocol has no data channels.
  DataChannelUser* (*data_channels)(Negotiator& negotiator) = nullptr;
  // A client may write, read nothing and close. If it closes with octets unread, its kernel
  // resets the connection. So the gateway sends it no ticket until the server has said
  // something. The same holds for data channels.
  bool client_may_only_write = false;
  ServerTraits server = {};
  PublicPort public_port = {};
};

}  // namespace starling
