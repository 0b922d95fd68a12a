// TLS of one connection, towards a client or towards a backend's server: ciphertext spans
// go in, ciphertext and plaintext spans come out. A session owns no descriptor and no
// buffer; only the library keeps a partial record inside.
//
// Not for: when to read or write (session/), or certificates (tls_context.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <span>
#include <string_view>

#include "gateway/tls/tls_context.h"
#include "gateway/tls/tls_labels.h"
#include "gateway/tls/upstream_tls.h"

struct ssl_st;

namespace starling {

enum class TlsResult : uint8_t {
  kOk,         // the call did everything it was asked to do
  kNeedInput,  // call again with more ciphertext
  kNeedRoom,   // `out` is too small for what must be written first
  kClosed,     // the peer sent close_notify (Read only)
  kFailed,     // see failure(); `out` may hold an alert to send
};

// What the handshake negotiated. Numbers are indices into the lists of tls_labels.h.
struct TlsFacts {
  uint8_t version = 0;
  uint8_t cipher = 0;
  uint8_t group = 0;
  uint8_t signature = 0;
  uint8_t key = 0;  // of our certificate
  bool resumed = false;
  bool hello_retry = false;
  bool ticket_unknown = false;  // the client sent a ticket that none of our keys opens
  ClientCertificateResult client_certificate = ClientCertificateResult::kNotAsked;
  // Views into the session, valid as long as it lives. Not escaped: the user of them must
  // do it.
  std::string_view sni;  // lower-case
  std::string_view alpn;
  std::string_view client_name;  // CN or first SAN of a verified certificate
  std::string_view client_issuer;
};

struct PeerIdentity;
struct TlsEngine;

// Movable, not copyable; empty when default-constructed. For one thread.
class TlsSession {
 public:
  TlsSession();
  ~TlsSession();
  TlsSession(TlsSession&& other) noexcept;
  TlsSession& operator=(TlsSession&& other) noexcept;

  // Begins as the server. `context` must outlive the session. With `needs_alpn`, a client
  // that does not offer the context's ALPN protocol is refused. False when memory ran
  // out.
  [[nodiscard]] bool Start(TlsContext& context, bool needs_alpn = false);
  // Begins as the client of a backend's server. The first Handshake() call needs no input
  // and writes the hello.
  [[nodiscard]] bool Connect(UpstreamTls& upstream, const UpstreamPeer& peer);
  // Call after a failed handshake with a server: drops the session kept for resumption.
  // True if this connection had offered it, so that a new attempt without it may succeed.
  bool ForgetOffer();
  void Reset();
  explicit operator bool() const { return ssl_ != nullptr; }

  struct Io {
    std::span<const uint8_t> in;  // received ciphertext
    size_t consumed = 0;          // octets of `in` used so far; each call adds to it
    std::span<uint8_t> out;       // room for ciphertext to send
    size_t written = 0;           // octets of `out` filled so far; each call adds to it
  };

  // Continues the handshake as far as `in` reaches.
  TlsResult Handshake(Io& io);
  // Opens records into `plain` and adds to `got`. Plaintext counted in `got` is valid
  // whatever the result: a close_notify or a bad record may follow it. kOk: `plain` is
  // full, or `in` is used up and something was read. kNeedInput: nothing was read.
  TlsResult Read(Io& io, std::span<uint8_t> plain, size_t& got);
  // Seals `plain` into `out` and adds to `taken`. kOk: all of it. kNeedRoom: call again
  // with the rest, the same octets, once `out` has room.
  TlsResult Write(Io& io, std::span<const uint8_t> plain, size_t& taken);
  // Call after the handshake: appends the session tickets, which would otherwise go out
  // with the first Write. kNeedRoom: call again, or leave the rest to Write.
  TlsResult SendTickets(Io& io);
  // Breaks a handshake off: appends a fatal alert under the keys of this moment. Lost where there
  // is no room for it. The session is of no use afterwards.
  void SendAlert(Io& io, uint8_t description);
  // Appends close_notify, once. Does nothing before the handshake is complete. kNeedRoom:
  // call again. Reading stays possible.
  TlsResult CloseNotify(Io& io);

  // The peer has sent part of a record. The record deadline limits how long the rest may
  // take.
  bool MidRecord() const;
  TlsFacts Facts() const;  // after the handshake
  // The server asked for another hello (RFC 8446 section 4.1.4).
  bool HelloRetried() const;
  TlsFailure failure() const { return failure_; }
  // The highest version that the client offered; an index into kTlsOfferedLabels.
  uint8_t offered() const { return offered_; }
  // The description of the last alert in each direction, except close_notify; kNoAlert if
  // there was no alert.
  uint8_t alert_sent() const { return alert_sent_; }
  uint8_t alert_received() const { return alert_received_; }

 private:
  friend struct TlsCallbacks;  // the library's callbacks store their findings here

  // While a Call lives, callbacks of the context act on this session and its BIO reads
  // and writes `io`.
  class Call;
  bool Begin(TlsEngine& engine, ssl_st* ssl);
  bool ReverifyClient();
  TlsResult Fail(TlsFailure failure);
  void NoteUnsealedAlert(std::span<const uint8_t> read);
  // Translates the return value of a library call that did not succeed.
  TlsResult NotDone(int ret);
  TlsResult Flush();

  ssl_st* ssl_ = nullptr;
  TlsEngine* engine_ = nullptr;
  std::unique_ptr<PeerIdentity> peer_;  // null unless the client sent a certificate
  TlsFailure failure_ = TlsFailure::kNone;
  bool is_tls_ : 1 = false;  // the first octet was that of a handshake record
  bool alpn_offered_ : 1 = false;
  bool needs_alpn_ : 1 = false;
  bool ticket_unknown_ : 1 = false;
  // The client's last handshake message was about its certificate.
  bool certificate_message_ : 1 = false;
  bool session_offered_ : 1 = false;  // Connect() offered a session to resume
  uint8_t offered_ = 0;
  uint8_t signature_ = static_cast<uint8_t>(std::size(kTlsSignatureLabels) - 1);
  uint8_t key_ = static_cast<uint8_t>(std::size(kTlsKeyLabels) - 1);
  uint8_t alert_sent_ = kNoAlert;
  uint8_t alert_received_ = kNoAlert;
};

}  // namespace starling
