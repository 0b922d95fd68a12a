#include "gateway/tls/tls_session.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "gateway/tls/span_bio.h"
#include "gateway/tls/tls_context_impl.h"
#include "gateway/tls/tls_failure.h"
#include "gateway/tls/upstream_tls_impl.h"
#include "gateway/tls/verify.h"

namespace starling {
namespace {

constexpr uint8_t kHandshakeRecord = SSL3_RT_HANDSHAKE;

// The plaintext answer to an unexpected record type (RFC 8446 section 5.1), in the record
// version that every TLS implementation understands.
constexpr uint8_t kUnexpectedMessage[] = {
    SSL3_RT_ALERT, 3, 1, 0, 2, SSL3_AL_FATAL, SSL_AD_UNEXPECTED_MESSAGE};

template <typename Label, size_t kCount, typename Value>
uint8_t IndexOf(const Label (&known)[kCount], Value value) {
  return static_cast<uint8_t>(std::find(std::begin(known), std::end(known), value) -
                              std::begin(known));
}

// In the order of kTlsCipherLabels and kTlsGroupLabels, whose last entry, "other", stands
// for all other ids.
constexpr uint16_t kCipherIds[] = {SSL_CIPHER_AES_128_GCM_SHA256,
                                   SSL_CIPHER_AES_256_GCM_SHA384,
                                   SSL_CIPHER_CHACHA20_POLY1305_SHA256,
                                   SSL_CIPHER_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                                   SSL_CIPHER_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
                                   SSL_CIPHER_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
                                   SSL_CIPHER_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
                                   SSL_CIPHER_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
                                   SSL_CIPHER_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
                                   SSL_CIPHER_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,
                                   SSL_CIPHER_ECDHE_RSA_WITH_AES_128_CBC_SHA,
                                   SSL_CIPHER_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
                                   SSL_CIPHER_ECDHE_RSA_WITH_AES_256_CBC_SHA};
constexpr uint16_t kGroupIds[] = {SSL_GROUP_X25519_MLKEM768, SSL_GROUP_X25519, SSL_GROUP_SECP256R1,
                                  SSL_GROUP_SECP384R1, SSL_GROUP_SECP521R1};
constexpr uint8_t kNoSignature = std::size(kTlsSignatureLabels) - 1;
constexpr uint8_t kNoKey = std::size(kTlsKeyLabels) - 1;
static_assert(std::size(kCipherIds) + 1 == std::size(kTlsCipherLabels));
static_assert(std::size(kGroupIds) + 1 == std::size(kTlsGroupLabels));
static_assert(sizeof(TlsSession) <= 32);

}  // namespace

class TlsSession::Call {
 public:
  Call(TlsSession& session, Io& io) : engine_(*session.engine_), use_(engine_.bio, io) {
    engine_.current = &session;
    ERR_clear_error();
  }
  ~Call() { engine_.current = nullptr; }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

 private:
  TlsEngine& engine_;
  const SpanBio::Use use_;
};

TlsSession::TlsSession() = default;
TlsSession::~TlsSession() { Reset(); }

TlsSession::TlsSession(TlsSession&& other) noexcept { *this = std::move(other); }

TlsSession& TlsSession::operator=(TlsSession&& other) noexcept {
  if (this == &other) return *this;
  Reset();
  ssl_ = std::exchange(other.ssl_, nullptr);
  engine_ = std::exchange(other.engine_, nullptr);
  peer_ = std::move(other.peer_);
  failure_ = std::exchange(other.failure_, TlsFailure::kNone);
  is_tls_ = other.is_tls_;
  alpn_offered_ = other.alpn_offered_;
  needs_alpn_ = other.needs_alpn_;
  ticket_unknown_ = other.ticket_unknown_;
  certificate_message_ = other.certificate_message_;
  session_offered_ = other.session_offered_;
  offered_ = other.offered_;
  signature_ = other.signature_;
  key_ = other.key_;
  alert_sent_ = other.alert_sent_;
  alert_received_ = other.alert_received_;
  return *this;
}

bool TlsSession::Begin(TlsEngine& engine, SSL* ssl) {
  ssl_ = ssl;
  if (ssl_ == nullptr) {
    ERR_clear_error();
    return false;
  }
  engine_ = &engine;
  BIO_up_ref(engine.bio.bio());
  SSL_set_bio(ssl_, engine.bio.bio(), engine.bio.bio());
  SSL_set_shed_handshake_config(ssl_, 1);
  return true;
}

bool TlsSession::Start(TlsContext& context, bool needs_alpn) {
  Reset();
  needs_alpn_ = needs_alpn;
  TlsContext::Impl& impl = *context.impl();
  if (!Begin(impl, SSL_new(impl.ctx.get()))) return false;
  SSL_set_accept_state(ssl_);
  return true;
}

bool TlsSession::Connect(UpstreamTls& upstream, const UpstreamPeer& peer) {
  Reset();
  is_tls_ = true;  // the check of the first octet is for clients
  UpstreamTls::Impl::Kept& server = upstream.impl()->For(peer);
  session_offered_ = server.session != nullptr;
  return Begin(*upstream.impl(), upstream.impl()->Begin(server).release());
}

bool TlsSession::ForgetOffer() {
  if (session_offered_) UpstreamTls::Impl::KeptFor(ssl_).session.reset();
  return session_offered_;
}

void TlsSession::Reset() {
  SSL_free(ssl_);
  ssl_ = nullptr;
  engine_ = nullptr;
  peer_.reset();
  failure_ = TlsFailure::kNone;
  is_tls_ = alpn_offered_ = needs_alpn_ = ticket_unknown_ = false;
  certificate_message_ = session_offered_ = false;
  offered_ = 0;
  signature_ = kNoSignature;
  key_ = kNoKey;
  alert_sent_ = alert_received_ = kNoAlert;
}

TlsResult TlsSession::Fail(TlsFailure failure) {
  failure_ = failure;
  return TlsResult::kFailed;
}

TlsResult TlsSession::NotDone(int ret) {
  switch (SSL_get_error(ssl_, ret)) {
    case SSL_ERROR_WANT_READ:
      return TlsResult::kNeedInput;
    case SSL_ERROR_WANT_WRITE:
      return TlsResult::kNeedRoom;
    case SSL_ERROR_ZERO_RETURN:
      return TlsResult::kClosed;
    default:
      break;
  }
  // A callback's finding is more precise than the library's error.
  TlsFailure taken = TakeFailure();
  if (taken == TlsFailure::kClientCertificateInvalid && !SSL_is_server(ssl_)) {
    taken = TlsFailure::kServerCertificateInvalid;
  }
  // The library parses the certificate's key itself and has no error of its own for a key
  // that it cannot use.
  if (taken == TlsFailure::kProtocol && certificate_message_) {
    taken = TlsFailure::kClientCertificateInvalid;
  }
  return Fail(failure_ != TlsFailure::kNone ? failure_ : taken);
}

TlsResult TlsSession::Handshake(Io& io) {
  if (failure_ != TlsFailure::kNone) return TlsResult::kFailed;
  if (!is_tls_) {
    // The library would accept an SSLv2 hello too, and would not answer HTTP at all.
    if (io.consumed == io.in.size()) return TlsResult::kNeedInput;
    if (io.in[io.consumed] != kHandshakeRecord) {
      if (io.out.size() - io.written >= sizeof(kUnexpectedMessage)) {
        std::memcpy(io.out.data() + io.written, kUnexpectedMessage, sizeof(kUnexpectedMessage));
        io.written += sizeof(kUnexpectedMessage);
        alert_sent_ = SSL_AD_UNEXPECTED_MESSAGE;
      }
      return Fail(TlsFailure::kNotTls);
    }
    is_tls_ = true;
  }
  const Call call(*this, io);
  const int ret = SSL_do_handshake(ssl_);
  if (ret == 1) return ReverifyClient() ? TlsResult::kOk : TlsResult::kFailed;
  const TlsResult result = NotDone(ret);
  if (result == TlsResult::kFailed) NoteUnsealedAlert(io.in.first(io.consumed));
  return result == TlsResult::kClosed ? Fail(TlsFailure::kClosed) : result;
}

// In TLS 1.3, OpenSSL clients switch to the handshake keys only when they send Finished.
// A client that rejects the certificate therefore sends its alert in plaintext, which the
// library reports as a damaged record. This function recovers the alert, because
// operators need to see it. `read` is the input that the library has consumed; it ends
// with the alert.
void TlsSession::NoteUnsealedAlert(std::span<const uint8_t> read) {
  constexpr size_t kSize = 7;
  if (failure_ != TlsFailure::kProtocol && failure_ != TlsFailure::kBadRecord) return;
  if (alert_received_ != kNoAlert || read.size() < kSize) return;
  const std::span<const uint8_t> alert = read.last(kSize);
  if (alert[0] != SSL3_RT_ALERT || alert[1] != 3 || alert[3] != 0 || alert[4] != 2) return;
  alert_received_ = alert[6];
  failure_ = FailureOfAlert(alert_received_);
}

// The library does not verify the client's certificate again on resumption. A certificate
// that has expired or been revoked since must not get in by a ticket.
bool TlsSession::ReverifyClient() {
  if (!SSL_is_server(ssl_)) return true;
  const TlsContext::Impl& context = TlsContext::Impl::Of(ssl_);
  if (context.client_certificate == ClientCertificateMode::kNone || !SSL_session_reused(ssl_) ||
      SSL_get0_peer_certificates(ssl_) == nullptr) {
    return true;
  }
  uint8_t alert = 0;
  const bool verified = VerifyPeer(ssl_, *context.trust, TrustPurpose::kClient, {}, alert);
  peer_ = std::make_unique<PeerIdentity>(IdentityOf(ssl_, verified));
  if (verified || context.client_certificate == ClientCertificateMode::kOptional) return true;
  SSL_send_fatal_alert(ssl_, alert);
  failure_ = TlsFailure::kClientCertificateInvalid;
  return false;
}

TlsResult TlsSession::Read(Io& io, std::span<uint8_t> plain, size_t& got) {
  if (failure_ != TlsFailure::kNone) return TlsResult::kFailed;
  const Call call(*this, io);
  size_t filled = 0;
  while (filled < plain.size()) {
    const size_t room = std::min<size_t>(plain.size() - filled, SSL3_RT_MAX_PLAIN_LENGTH);
    const int n = SSL_read(ssl_, plain.data() + filled, static_cast<int>(room));
    if (n <= 0) {
      const TlsResult result = NotDone(n);
      return result == TlsResult::kNeedInput && filled > 0 ? TlsResult::kOk : result;
    }
    filled += static_cast<size_t>(n);
    got += static_cast<size_t>(n);
    // Saves a call of the library that cannot find another record.
    if (io.consumed == io.in.size() && SSL_pending(ssl_) == 0) break;
  }
  return TlsResult::kOk;
}

TlsResult TlsSession::Flush() {
  // An empty write sends what the library has queued: the ticket, or the answer to a
  // KeyUpdate. Flushing it separately keeps the room computed for a data record exact:
  // the library cannot take back a record that it has begun.
  const int ret = SSL_write(ssl_, "", 0);
  return ret >= 0 ? TlsResult::kOk : NotDone(ret);
}

TlsResult TlsSession::Write(Io& io, std::span<const uint8_t> plain, size_t& taken) {
  if (failure_ != TlsFailure::kNone) return TlsResult::kFailed;
  const Call call(*this, io);
  if (const TlsResult flushed = Flush(); flushed != TlsResult::kOk) return flushed;
  const size_t overhead = SSL_max_seal_overhead(ssl_);
  size_t done = 0;
  while (done < plain.size()) {
    const size_t room = io.out.size() - io.written;
    if (room <= overhead) return TlsResult::kNeedRoom;
    const size_t chunk =
        std::min({plain.size() - done, room - overhead, size_t{SSL3_RT_MAX_PLAIN_LENGTH}});
    const int n = SSL_write(ssl_, plain.data() + done, static_cast<int>(chunk));
    if (n <= 0) return NotDone(n);
    done += static_cast<size_t>(n);
    taken += static_cast<size_t>(n);
  }
  return TlsResult::kOk;
}

TlsResult TlsSession::SendTickets(Io& io) {
  if (failure_ != TlsFailure::kNone) return TlsResult::kFailed;
  const Call call(*this, io);
  return Flush();
}

void TlsSession::SendAlert(Io& io, uint8_t description) {
  if (failure_ != TlsFailure::kNone) return;
  const Call call(*this, io);
  SSL_send_fatal_alert(ssl_, description);
}

TlsResult TlsSession::CloseNotify(Io& io) {
  if (failure_ != TlsFailure::kNone) return TlsResult::kFailed;
  if (SSL_in_init(ssl_) || (SSL_get_shutdown(ssl_) & SSL_SENT_SHUTDOWN) != 0) {
    return TlsResult::kOk;
  }
  const Call call(*this, io);
  if (const TlsResult flushed = Flush(); flushed != TlsResult::kOk) return flushed;
  constexpr size_t kAlertSize = 2;
  if (io.out.size() - io.written < kAlertSize + SSL_max_seal_overhead(ssl_)) {
    return TlsResult::kNeedRoom;
  }
  const int ret = SSL_shutdown(ssl_);
  return ret >= 0 ? TlsResult::kOk : NotDone(ret);
}

bool TlsSession::MidRecord() const { return SSL_has_pending(ssl_) && SSL_pending(ssl_) == 0; }

bool TlsSession::HelloRetried() const { return SSL_used_hello_retry_request(ssl_) == 1; }

TlsFacts TlsSession::Facts() const {
  TlsFacts facts;
  facts.version = SSL_version(ssl_) == TLS1_3_VERSION ? 1 : 0;
  const SSL_CIPHER* cipher = SSL_get_current_cipher(ssl_);
  facts.cipher =
      IndexOf(kCipherIds, cipher == nullptr ? uint16_t{0} : SSL_CIPHER_get_protocol_id(cipher));
  facts.group = IndexOf(kGroupIds, SSL_get_group_id(ssl_));
  facts.signature = signature_;
  facts.key = key_;
  facts.ticket_unknown = ticket_unknown_;
  facts.resumed = SSL_session_reused(ssl_) == 1;
  if (peer_ != nullptr) {
    facts.client_certificate = peer_->result;
    facts.client_name = peer_->name;
    facts.client_issuer = peer_->issuer;
  } else if (SSL_is_server(ssl_) &&
             TlsContext::Impl::Of(ssl_).client_certificate != ClientCertificateMode::kNone) {
    facts.client_certificate = ClientCertificateResult::kNone;
  }
  facts.hello_retry = HelloRetried();
  if (const char* sni = SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name); sni != nullptr) {
    facts.sni = sni;
  }
  const uint8_t* alpn = nullptr;
  unsigned alpn_size = 0;
  SSL_get0_alpn_selected(ssl_, &alpn, &alpn_size);
  facts.alpn = {reinterpret_cast<const char*>(alpn), alpn_size};
  return facts;
}

}  // namespace starling
