// What the gateway knows of a protocol beforehand: its name, ports, ALPN identifier, traits, and
// how to make its dialogue.
//
// Not for: the rows themselves (protocols/registry.cc).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "protocols/contract/negotiator.h"

namespace starling {

class DataChannelUser;  // data_channel.h

// What a negotiator needs, unless its row says more; the gateway takes storage from a
// pool and gives it back at relay. Checked by a static_assert at each row.
inline constexpr size_t kNegotiatorSize = 768;
// What rows may say, so that a pool of them stays small.
inline constexpr size_t kMaxNegotiatorSize = 64 * 1024;

// What a dialogue with a backend's probe has found; `capabilities` is the
// protocol's own encoding, handed back to negotiators in Event::kStart.
struct ProbeResult {
  enum class Status : uint8_t { kNeedMore, kDone, kBad } status = Status::kNeedMore;
  size_t consumed = 0;
  uint64_t capabilities = 0;
};

// Asks a backend what it offers (SMTP: greeting, EHLO, QUIT). Pure like a
// negotiator; run by the gateway's prober, never by a worker.
class Probe {
 public:
  virtual ~Probe() = default;
  virtual ProbeResult OnBackend(ByteView in, Output& out) = 0;
};

// What a protocol's servers let clients do, and how they know them. The configuration is warned
// about by this (gateway/config/warnings.cc). A text is empty where there is nothing to say.
struct ServerTraits {
  // Whether clients log in, and the server may decide by TLS whether they may.
  enum class LogIn : uint8_t { kNever, kUnderRequire, kAlways } log_in = LogIn::kNever;
  // Clients on the server's own machine may do more without a password, such as relay mail.
  bool trusts_local_clients = false;
  // The server software that does not understand PROXY headers.
  std::string_view knows_no_proxy = {};
  // What the server does wrong where the gateway reaches it by a Unix socket, or by an address
  // of the same machine without a PROXY header. It follows the server's address.
  std::string_view by_unix_socket = {};
  std::string_view by_local_address = {};
  // What is missing without a PROXY header, and the remedy. It follows the backend's name.
  std::string_view without_identity = {};
  // Nobody logs in, so whoever reaches a listener can do this.
  std::string_view anyone_can = {};
};

// The port at which servers of strangers deliver: there `opportunistic` is the default.
struct PublicPort {
  uint16_t number = 0;                    // 0: the protocol has none
  std::string_view why_not_require = {};  // what `require` does there
};

struct ProtocolRow {
  std::string_view name;   // as in `protocol:` of the configuration
  uint16_t starttls_port;  // IANA; 0 if the protocol has none
  uint16_t implicit_port;
  // Without its length octet; empty: whatever clients offer is let pass. Where IANA has
  // none registered, no client need offer it, but one that offers others is a stranger.
  std::string_view alpn;
  bool alpn_registered;
  bool has_starttls;
  bool opportunistic;     // the policy is supported
  bool server_first;      // the server greets
  uint32_t idle_seconds;  // default idle deadline of a relay; 0: none
  // Before it, of a client that gives commands: the default for its silence and for all.
  uint32_t silence_seconds = 60;
  uint32_t before_relay_seconds = 5 * 60;

  // Constructs the dialogue in `storage` (storage_size octets, max_align_t
  // aligned); null for opaque protocols. The caller destroys it in place.
  Negotiator* (*create)(void* storage, const DialogueOptions& options);
  // Writes the protocol's own words for a refusal outside any dialogue (full
  // table; implicit TLS with no backend). Null: nothing can be said.
  void (*refuse)(Refusal refusal, const DialogueOptions& options, Writer& out);
  // A probe in `storage` of kNegotiatorSize; null where nothing need be asked.
  Probe* (*create_probe)(void* storage, const DialogueOptions& options);
  // Under `require` too, since what is offered before TLS depends on the backend.
  bool probe_under_require = false;
  // Taken as well; of FTP's data channels, where clients name it.
  std::string_view second_alpn = {};
  size_t storage_size = kNegotiatorSize;
  // TLS from the first octet is taken on a listener by STARTTLS too (the client speaks
  // first): the dialogue is dropped, and what is inside TLS is relayed unread.
  bool direct_tls = false;
  bool direct_tls_needs_alpn = false;  // and there only from who names the protocol
  // The dialogue speaks inside TLS on implicit listeners as well. It is made when the
  // leg is up, and kLegUp is its first event.
  bool speaks_inside = false;
  // White space (spaces, tabs, CR, LF) that clients may send between their upgrade command
  // and the first octet of TLS: so many octets of it are dropped, and are no injection.
  uint8_t space_after_upgrade = 0;
  // Its negotiators ask for connections beside their own, for which workers keep places: the
  // negotiator by its other interface. Null: they ask for none.
  DataChannelUser* (*data_channels)(Negotiator& negotiator) = nullptr;
  // A client may write, read nothing and close. So it is sent no ticket before the server has
  // said something: closing with octets unread resets the connection. Data channels are alike.
  bool client_may_only_write = false;
  ServerTraits server = {};
  PublicPort public_port = {};
};

}  // namespace starling
