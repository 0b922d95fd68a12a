// One connection's TLS, server side: ciphertext spans in, ciphertext and
// plaintext spans out. It owns no descriptor and no buffer; what the library
// keeps of its own is a record begun and not finished.
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
  kOk,         // all that was asked is done
  kNeedInput,  // give more ciphertext
  kNeedRoom,   // `out` is too small for what must be written first
  kClosed,     // close_notify from the peer (Read only)
  kFailed,     // see failure(); an alert may have been written into `out`
};

// What was negotiated; indices into the lists of tls_labels.h.
struct TlsFacts {
  uint8_t version = 0;
  uint8_t cipher = 0;
  uint8_t group = 0;
  uint8_t signature = 0;
  uint8_t key = 0;  // of our certificate
  bool resumed = false;
  bool hello_retry = false;
  bool ticket_unknown = false;  // the client had a ticket that no key of ours opens
  ClientCertificateResult client_certificate = ClientCertificateResult::kNotAsked;
  // These live as long as the session, and are escaped by nobody.
  std::string_view sni;  // lower-case
  std::string_view alpn;
  std::string_view client_name;  // of a certificate that was verified: its CN, or first SAN
  std::string_view client_issuer;
};

struct PeerIdentity;
struct TlsEngine;

// Movable, not copyable; empty when default-constructed. One thread.
class TlsSession {
 public:
  TlsSession();
  ~TlsSession();
  TlsSession(TlsSession&& other) noexcept;
  TlsSession& operator=(TlsSession&& other) noexcept;

  // `context` outlives the session. `needs_alpn`: the client must ask for the context's
  // protocol. False when memory ran out.
  [[nodiscard]] bool Start(TlsContext& context, bool needs_alpn = false);
  // The same as the client of a server of a backend. The hello is the first handshake
  // step's, which needs no input.
  [[nodiscard]] bool Connect(UpstreamTls& upstream, uint32_t server);
  // After a handshake with a server that failed: what is kept to be resumed with it is
  // dropped. True if it had been offered, so that without it the end may be another.
  bool ForgetOffer();
  void Reset();
  explicit operator bool() const { return ssl_ != nullptr; }

  struct Io {
    std::span<const uint8_t> in;  // ciphertext received and not yet consumed
    size_t consumed = 0;          // of `in`, counted up by each call
    std::span<uint8_t> out;       // where ciphertext goes
    size_t written = 0;           // of `out`, counted up by each call
  };

  // One step of the handshake: as far as `in` reaches.
  TlsResult Handshake(Io& io);
  // Opens records into `plain`; `got` is counted up, whatever the result: what came
  // before a close_notify or a bad record is good. kOk: `plain` is full or `in` is
  // used up with something got; kNeedInput: nothing more without ciphertext.
  TlsResult Read(Io& io, std::span<uint8_t> plain, size_t& got);
  // Seals `plain`; `taken` is counted up. kOk: all of it. kNeedRoom: the rest is
  // to be given again (same octets) when `out` has room.
  TlsResult Write(Io& io, std::span<const uint8_t> plain, size_t& taken);
  // After the handshake: appends what otherwise rides on the first Write, the session
  // ticket. kNeedRoom: call again, or leave the rest to Write.
  TlsResult SendTickets(Io& io);
  // Appends close_notify, once; nothing before the end of the handshake. kNeedRoom:
  // call again. Reading goes on.
  TlsResult CloseNotify(Io& io);

  // A record was begun and its rest has not come: what the record deadline guards.
  bool MidRecord() const;
  TlsFacts Facts() const;  // after the handshake
  // Another hello was asked for (RFC 8446 section 4.1.4).
  bool HelloRetried() const;
  TlsFailure failure() const { return failure_; }
  // The highest version that the client offered, into kTlsOfferedLabels.
  uint8_t offered() const { return offered_; }
  // Descriptions of the last alert of either side but close_notify; kNoAlert: none.
  uint8_t alert_sent() const { return alert_sent_; }
  uint8_t alert_received() const { return alert_received_; }

 private:
  friend struct TlsCallbacks;  // the library's, which write what they learn here

  // Makes this session the one that callbacks of its context mean, and `io` what its
  // BIO reads and writes, as long as the object lives.
  class Call;
  bool Begin(TlsEngine& engine, ssl_st* ssl);
  bool ReverifyClient();
  TlsResult Fail(TlsFailure failure);
  void NoteUnsealedAlert(std::span<const uint8_t> read);
  // What a call of the library that did not succeed means.
  TlsResult NotDone(int ret);
  TlsResult Flush();

  ssl_st* ssl_ = nullptr;
  TlsEngine* engine_ = nullptr;
  std::unique_ptr<PeerIdentity> peer_;  // of a client that sent a certificate
  TlsFailure failure_ = TlsFailure::kNone;
  bool is_tls_ : 1 = false;  // the first octet has been looked at
  bool alpn_offered_ : 1 = false;
  bool needs_alpn_ : 1 = false;
  bool ticket_unknown_ : 1 = false;
  bool session_offered_ : 1 = false;  // to a server
  uint8_t offered_ = 0;
  uint8_t signature_ = static_cast<uint8_t>(std::size(kTlsSignatureLabels) - 1);
  uint8_t key_ = static_cast<uint8_t>(std::size(kTlsKeyLabels) - 1);
  uint8_t alert_sent_ = kNoAlert;
  uint8_t alert_received_ = kNoAlert;
};

}  // namespace starling
