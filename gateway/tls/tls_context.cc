#include "gateway/tls/tls_context.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pool.h>
#include <openssl/sha.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gateway/io/clock.h"
#include "gateway/limits.h"
#include "gateway/tls/certificate_file.h"
#include "gateway/tls/client_hello.h"
#include "gateway/tls/tls_context_impl.h"
#include "gateway/tls/tls_session.h"
#include "gateway/tls/verify.h"

namespace starling {
namespace {

// Null: memory was denied.
bssl::UniquePtr<STACK_OF(CRYPTO_BUFFER)> CopyOf(const STACK_OF(CRYPTO_BUFFER) * names) {
  bssl::UniquePtr<STACK_OF(CRYPTO_BUFFER)> copy(sk_CRYPTO_BUFFER_new_null());
  for (size_t i = 0; copy != nullptr && i < sk_CRYPTO_BUFFER_num(names); ++i) {
    if (!bssl::PushToStack(copy.get(), bssl::UpRef(sk_CRYPTO_BUFFER_value(names, i)))) {
      copy.reset();
    }
  }
  return copy;
}

int64_t MonotonicSeconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(MonotonicNow().time_since_epoch())
      .count();
}

// Refuses clients that offer only other protocols (RFC 7301 section 3.2), which stops the
// cross-protocol attack ALPACA.
int SelectAlpn(SSL* ssl, const uint8_t** out, uint8_t* out_len, const uint8_t* in, unsigned in_len,
               void*) {
  const TlsContext::Impl& context = TlsContext::Impl::Of(ssl);
  const std::string_view list(reinterpret_cast<const char*>(in), in_len);
  size_t at = 0;
  while (at < list.size()) {
    const size_t size = static_cast<uint8_t>(list[at]);
    const std::string_view name = list.substr(at + 1, size);
    if (name == context.alpn || (!name.empty() && name == context.second_alpn)) {
      *out = in + at + 1;
      *out_len = static_cast<uint8_t>(name.size());
      return SSL_TLSEXT_ERR_OK;
    }
    at += 1 + size;
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

size_t TicketOverhead(SSL*) { return TicketSealer::kOverhead; }

// A session whose chain was too large to verify gets no ticket, because a resumed session
// would count as verified. 0 octets tell the library to send no ticket.
int SealTicket(SSL* ssl, uint8_t* out, size_t* out_len, size_t max_out_len, const uint8_t* in,
               size_t in_len) {
  if (in_len > kMaxTicketContent || ChainSize(ssl) > kMaxChainSize) {
    *out_len = 0;
    return 1;
  }
  return TlsContext::Impl::Of(ssl).tickets.Seal(MonotonicSeconds(), {in, in_len},
                                                {out, max_out_len}, *out_len);
}

void Update(SHA256_CTX& hash, std::string_view text) {
  // The length keeps the text apart from what follows.
  const uint64_t size = text.size();
  SHA256_Update(&hash, &size, sizeof(size));
  SHA256_Update(&hash, text.data(), text.size());
}

void Update(SHA256_CTX& hash, const std::vector<uint16_t>& values) {
  Update(hash, {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(uint16_t)});
}

// Binds sessions to the policy: a ticket is valid only where the same names are served,
// the same protocol is spoken, and the same is required of clients and handshakes.
// Otherwise a ticket could bypass a stricter policy, because TLS 1.2 does not check
// groups and signatures again on resumption, and could move a session to another protocol
// (ALPACA). The digest covers names rather than certificates, so that sessions survive
// the renewal of a certificate.
bool SetSessionIdContext(SSL_CTX* ctx, const TlsContext::Impl& impl) {
  std::set<std::string_view> names;
  for (const auto& credential : impl.index->credentials()) {
    // A certificate without host names counts by the text of its other names.
    const std::vector<std::string>& hosts = credential->material->dns_names;
    if (hosts.empty()) names.insert(credential->info.names);
    names.insert(hosts.begin(), hosts.end());
  }
  SHA256_CTX hash;
  SHA256_Init(&hash);
  const uint64_t count = names.size();
  SHA256_Update(&hash, &count, sizeof(count));
  for (const std::string_view name : names) Update(hash, name);
  Update(hash, impl.alpn);
  Update(hash, impl.second_alpn);
  const uint8_t flags[] = {impl.alpn_strict, impl.sni_strict, impl.policy.tls12, impl.policy.cbc,
                           static_cast<uint8_t>(impl.client_certificate)};
  SHA256_Update(&hash, flags, sizeof(flags));
  Update(hash, impl.policy.groups);
  Update(hash, impl.policy.signatures);
  if (impl.trust != nullptr) Update(hash, impl.trust->digest());
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256_Final(digest, &hash);
  static_assert(sizeof(digest) <= SSL_MAX_SID_CTX_LENGTH);
  return SSL_CTX_set_session_id_context(ctx, digest, sizeof(digest)) == 1;
}

}  // namespace

// The library's callbacks that store their findings in the session whose call is running.
// This way an SSL needs no app data.
struct TlsCallbacks {
  static TlsSession& Current(const SSL* ssl) { return *TlsContext::Impl::Of(ssl).current; }

  static ssl_select_cert_result_t SelectCertificate(const SSL_CLIENT_HELLO* hello) {
    TlsSession& session = Current(hello->ssl);
    session.offered_ = OfferedVersion(*hello);
    const uint8_t* data = nullptr;
    size_t size = 0;
    session.alpn_offered_ = SSL_early_callback_ctx_extension_get(
        hello, TLSEXT_TYPE_application_layer_protocol_negotiation, &data, &size);
    const TlsContext::Impl& context = TlsContext::Impl::Of(hello->ssl);
    // The hello is complete. From now on only certificates may be large.
    if (context.client_certificate != ClientCertificateMode::kNone) {
      SSL_set_max_cert_list(hello->ssl, kMaxCertificateMessage);
    }
    return OnClientHello(*hello, context) ? ssl_select_cert_success : ssl_select_cert_error;
  }

  // The library calls this for every hello, with or without a server name. It is the only
  // callback that can choose the alert.
  static int CheckNames(SSL* ssl, int* alert, void*) {
    const TlsContext::Impl& context = TlsContext::Impl::Of(ssl);
    TlsSession& session = Current(ssl);
    const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (context.sni_strict && (name == nullptr || !context.index->Find(name))) {
      session.failure_ = TlsFailure::kSniUnknown;
      *alert = SSL_AD_UNRECOGNIZED_NAME;
      return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    const bool needs_alpn = context.alpn_strict || session.needs_alpn_;
    if (needs_alpn && !context.alpn.empty() && !session.alpn_offered_) {
      session.failure_ = TlsFailure::kNoApplicationProtocol;
      *alert = SSL_AD_NO_APPLICATION_PROTOCOL;
      return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    return SSL_TLSEXT_ERR_OK;
  }

  static ssl_ticket_aead_result_t OpenTicket(SSL* ssl, uint8_t* out, size_t* out_len,
                                             size_t max_out_len, const uint8_t* in, size_t in_len) {
    const bool ok = TlsContext::Impl::Of(ssl).tickets.Open(MonotonicSeconds(), {in, in_len},
                                                           {out, max_out_len}, *out_len);
    if (ok) return ssl_ticket_aead_success;
    // Not an error: the handshake goes on as a full one.
    Current(ssl).ticket_unknown_ = true;
    return ssl_ticket_aead_ignore_ticket;
  }

  // Verifies the client's certificate in a full handshake.
  static ssl_verify_result_t VerifyClient(SSL* ssl, uint8_t* alert) {
    const TlsContext::Impl& context = TlsContext::Impl::Of(ssl);
    TlsSession& session = Current(ssl);
    const bool fits = ChainSize(ssl) <= kMaxChainSize;
    // The gateway does not verify a chain that is too large, so it need not keep it.
    if (!fits) SSL_set_retain_only_sha256_of_client_certs(ssl, 1);
    *alert = SSL_AD_BAD_CERTIFICATE;
    const bool verified =
        fits && VerifyPeer(ssl, *context.trust, TrustPurpose::kClient, {}, *alert);
    session.peer_ = std::make_unique<PeerIdentity>(IdentityOf(ssl, verified));
    const bool optional = context.client_certificate == ClientCertificateMode::kOptional;
    if (verified || optional) return ssl_verify_ok;
    session.failure_ = TlsFailure::kClientCertificateInvalid;
    return ssl_verify_invalid;
  }

  // Runs before the library processes the message.
  static void NoteMessage(int is_write, int, int content_type, const void* message, size_t size,
                          SSL* ssl, void*) {
    if (is_write != 0 || content_type != SSL3_RT_HANDSHAKE || size == 0) return;
    const uint8_t type = *static_cast<const uint8_t*>(message);
    Current(ssl).certificate_message_ = type == SSL3_MT_CERTIFICATE ||
                                        type == SSL3_MT_COMPRESSED_CERTIFICATE ||
                                        type == SSL3_MT_CERTIFICATE_VERIFY;
  }

  static void Info(const SSL* ssl, int type, int value) {
    TlsSession& session = Current(ssl);
    if ((type & SSL_CB_ALERT) != 0) {
      const auto description = static_cast<uint8_t>(value & 0xff);
      if (description == SSL_AD_CLOSE_NOTIFY) return;
      ((type & SSL_CB_READ) != 0 ? session.alert_received_ : session.alert_sent_) = description;
    } else if (type == SSL_CB_HANDSHAKE_DONE && !SSL_session_reused(ssl)) {
      session.signature_ = SignatureIndex(SSL_get_signature_algorithm_used(ssl));
      session.key_ = KeyIndex(ssl);
    }
  }

  // The key type of the certificate that the server sent.
  static uint8_t KeyIndex(const SSL* ssl) {
    const TlsContext::Impl& context = TlsContext::Impl::Of(ssl);
    const SSL_CREDENTIAL* selected = SSL_get0_selected_credential(ssl);
    const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const std::optional<size_t> list = name == nullptr ? std::nullopt : context.index->Find(name);
    std::string_view type;
    for (const Credential* credential :
         context.index->At(list.value_or(CredentialIndex::kDefault))) {
      if (context.Offered(credential) == selected) type = credential->info.key_type;
    }
    const auto* known = std::ranges::find(kTlsKeyLabels, type);
    const auto* last = std::end(kTlsKeyLabels) - 1;
    return static_cast<uint8_t>(std::min(known, last) - std::begin(kTlsKeyLabels));
  }
};

namespace {

constexpr SSL_TICKET_AEAD_METHOD kTicketMethod = {TicketOverhead, SealTicket,
                                                  TlsCallbacks::OpenTicket};

}  // namespace

TlsContext::Impl& TlsContext::Impl::Of(const SSL* ssl) {
  return static_cast<Impl&>(TlsEngine::Of(ssl));
}

absl::Status TlsContext::Impl::RestrictCredentials() {
  if (policy.all_signatures) return absl::OkStatus();
  for (const auto& credential : index->credentials()) {
    const std::vector<uint16_t> algorithms = SignaturesFor(policy, credential->material->key.get());
    if (algorithms.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("signature_algorithms: no algorithm fits the ",
                                                     credential->info.key_type, " key of ",
                                                     credential->info.file));
    }
    bssl::UniquePtr<SSL_CREDENTIAL> own = MakeSslCredential(
        *credential->material,
        {reinterpret_cast<const uint8_t*>(credential->ocsp.data()), credential->ocsp.size()});
    if (own == nullptr || !SSL_CREDENTIAL_set1_signing_algorithm_prefs(own.get(), algorithms.data(),
                                                                       algorithms.size())) {
      return absl::InternalError("cannot make a TLS context");
    }
    restricted.emplace(credential.get(), std::move(own));
  }
  return absl::OkStatus();
}

bool TlsContext::Impl::Init() {
  if (!MakeContext()) return false;
  SSL_CTX* const c = ctx.get();
  SSL_CTX_set_select_certificate_cb(c, TlsCallbacks::SelectCertificate);
  SSL_CTX_set_tlsext_servername_callback(c, TlsCallbacks::CheckNames);
  SSL_CTX_set_info_callback(c, TlsCallbacks::Info);
  if (!alpn.empty()) SSL_CTX_set_alpn_select_cb(c, SelectAlpn, nullptr);

  // Only tickets resume sessions: the internal cache would take a lock and keep memory.
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  const auto lifetime = static_cast<uint32_t>(tickets.lifetime());
  SSL_CTX_set_timeout(c, lifetime);
  SSL_CTX_set_session_psk_dhe_timeout(c, lifetime);
  SSL_CTX_set_num_tickets(c, 1);
  SSL_CTX_set_ticket_aead_method(c, &kTicketMethod);
  if (client_certificate != ClientCertificateMode::kNone) {
    const bool require = client_certificate == ClientCertificateMode::kRequire;
    SSL_CTX_set_custom_verify(
        c, SSL_VERIFY_PEER | (require ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_NONE),
        TlsCallbacks::VerifyClient);
    SSL_CTX_set_msg_callback(c, TlsCallbacks::NoteMessage);
    SSL_CTX_set_max_cert_list(c, kMaxClientHello);
    bssl::UniquePtr<STACK_OF(CRYPTO_BUFFER)> names = CopyOf(trust->impl().names.get());
    if (names == nullptr) return false;
    SSL_CTX_set0_client_CAs(c, names.release());
  }
  // Loading the keys now makes their age known to metrics.
  return tickets.Refresh(MonotonicSeconds()) && SetSessionIdContext(c, *this) &&
         ApplyPolicy(c, *this) && AddCertificateCompression(c);
}

TlsContext::TlsContext() = default;
TlsContext::~TlsContext() = default;

absl::StatusOr<std::unique_ptr<TlsContext>> TlsContext::Create(const TlsPolicy& policy) {
  if (policy.certificates == nullptr || policy.certificates->credentials().empty()) {
    return absl::InvalidArgumentError("a TLS policy needs at least one certificate");
  }
  if (policy.alpn.size() > 255 || policy.second_alpn.size() > 255) {
    return absl::InvalidArgumentError("an ALPN identifier has at most 255 octets");
  }
  if (policy.tickets == nullptr) {
    return absl::InvalidArgumentError("a TLS policy needs session ticket keys");
  }
  if (policy.client_certificate != ClientCertificateMode::kNone && policy.client_trust == nullptr) {
    return absl::InvalidArgumentError("client_certificate needs authorities to verify against");
  }
  absl::StatusOr<CompiledPolicy> compiled = Compile(policy);
  if (!compiled.ok()) return compiled.status();
  std::unique_ptr<TlsContext> context(new TlsContext());
  context->impl_ = std::make_unique<Impl>(policy, *std::move(compiled));
  absl::Status status = context->impl_->RestrictCredentials();
  if (status.ok() && !context->impl_->Init()) {
    status = absl::InternalError("cannot make a TLS context");
  }
  ERR_clear_error();
  if (!status.ok()) return status;
  return context;
}

}  // namespace starling
