#include "gateway/tls/tls_context.h"

#include <openssl/err.h>
#include <openssl/sha.h>

#include <utility>

#include "gateway/io/clock.h"
#include "gateway/tls/client_hello.h"
#include "gateway/tls/tls_context_impl.h"

namespace starling {
namespace {

int64_t MonotonicSeconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(MonotonicNow().time_since_epoch())
      .count();
}

void CurrentTime(const SSL*, timeval* out) {
  const WallMicros now = WallNow();
  out->tv_sec = now / 1'000'000;
  out->tv_usec = now % 1'000'000;
}

ssl_select_cert_result_t SelectCertificate(const SSL_CLIENT_HELLO* hello) {
  const TlsContext::Impl& context = TlsContext::Impl::Of(hello->ssl);
  return OnClientHello(*hello, *context.index) ? ssl_select_cert_success : ssl_select_cert_error;
}

// ALPACA (RFC 7301 section 3.2): who asks for another protocol is refused.
int SelectAlpn(SSL* ssl, const uint8_t** out, uint8_t* out_len, const uint8_t* in, unsigned in_len,
               void*) {
  const std::string& ours = TlsContext::Impl::Of(ssl).alpn;
  const std::string_view list(reinterpret_cast<const char*>(in), in_len);
  size_t at = 0;
  while (at < list.size()) {
    const size_t size = static_cast<uint8_t>(list[at]);
    const std::string_view name = list.substr(at + 1, size);
    if (name == ours) {
      *out = in + at + 1;
      *out_len = static_cast<uint8_t>(name.size());
      return SSL_TLSEXT_ERR_OK;
    }
    at += 1 + size;
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

size_t TicketOverhead(SSL*) { return TicketSealer::kOverhead; }

int SealTicket(SSL* ssl, uint8_t* out, size_t* out_len, size_t max_out_len, const uint8_t* in,
               size_t in_len) {
  return TlsContext::Impl::Of(ssl).tickets.Seal(MonotonicSeconds(), {in, in_len},
                                                {out, max_out_len}, *out_len);
}

ssl_ticket_aead_result_t OpenTicket(SSL* ssl, uint8_t* out, size_t* out_len, size_t max_out_len,
                                    const uint8_t* in, size_t in_len) {
  const bool ok = TlsContext::Impl::Of(ssl).tickets.Open(MonotonicSeconds(), {in, in_len},
                                                         {out, max_out_len}, *out_len);
  // Not an error: the client gets a full handshake.
  return ok ? ssl_ticket_aead_success : ssl_ticket_aead_ignore_ticket;
}

constexpr SSL_TICKET_AEAD_METHOD kTicketMethod = {TicketOverhead, SealTicket, OpenTicket};

// Binds sessions to the policy: a ticket is good for listeners of the same
// certificates and protocol only (RFC 8446 section 4.6.1, ALPACA).
bool SetSessionIdContext(SSL_CTX* ctx, const TlsContext::Impl& impl) {
  SHA256_CTX hash;
  SHA256_Init(&hash);
  SHA256_Update(&hash, impl.index->digest().data(), impl.index->digest().size());
  SHA256_Update(&hash, impl.alpn.data(), impl.alpn.size());
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256_Final(digest, &hash);
  static_assert(sizeof(digest) <= SSL_MAX_SID_CTX_LENGTH);
  return SSL_CTX_set_session_id_context(ctx, digest, sizeof(digest)) == 1;
}

}  // namespace

TlsContext::Impl& TlsContext::Impl::Of(const SSL* ssl) {
  return *static_cast<Impl*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
}

bool TlsContext::Impl::Init() {
  // Without X.509 parsing: chains are sent as they are.
  ctx.reset(SSL_CTX_new(TLS_with_buffers_method()));
  if (ctx == nullptr || bio.bio() == nullptr) return false;
  SSL_CTX_set_app_data(ctx.get(), this);
  SSL_CTX_set_mode(ctx.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_current_time_cb(ctx.get(), CurrentTime);
  SSL_CTX_set_select_certificate_cb(ctx.get(), SelectCertificate);
  if (!alpn.empty()) SSL_CTX_set_alpn_select_cb(ctx.get(), SelectAlpn, nullptr);

  // Resumption by tickets alone: the internal cache takes a lock and keeps memory.
  SSL_CTX_set_session_cache_mode(ctx.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_timeout(ctx.get(), kTicketKeySeconds);
  SSL_CTX_set_session_psk_dhe_timeout(ctx.get(), kTicketKeySeconds);
  SSL_CTX_set_num_tickets(ctx.get(), 1);
  SSL_CTX_set_ticket_aead_method(ctx.get(), &kTicketMethod);
  return SetSessionIdContext(ctx.get(), *this) && ApplyPolicy(ctx.get(), *index);
}

TlsContext::TlsContext() = default;
TlsContext::~TlsContext() = default;

absl::StatusOr<std::unique_ptr<TlsContext>> TlsContext::Create(const TlsPolicy& policy) {
  if (policy.credentials.empty()) {
    return absl::InvalidArgumentError("TLS needs at least one certificate");
  }
  if (policy.alpn.size() > 255) {
    return absl::InvalidArgumentError("an ALPN identifier has at most 255 octets");
  }
  std::unique_ptr<TlsContext> context(new TlsContext());
  context->impl_ = std::make_unique<Impl>(policy);
  const bool ok = context->impl_->Init();
  ERR_clear_error();
  if (!ok) return absl::InternalError("cannot make a TLS context");
  return context;
}

}  // namespace starling
