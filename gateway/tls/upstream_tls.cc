#include "gateway/tls/upstream_tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>

#include <utility>

#include "gateway/tls/credential.h"
#include "gateway/tls/tls_session.h"
#include "gateway/tls/upstream_tls_impl.h"
#include "gateway/tls/verify.h"

namespace starling {
namespace {

// The hybrid group protects the traffic between gateway and server from decryption by
// later quantum computers. For servers that do not know it, the hello also has a share of
// X25519.
constexpr uint16_t kGroups[] = {SSL_GROUP_X25519_MLKEM768, SSL_GROUP_X25519, SSL_GROUP_SECP256R1,
                                SSL_GROUP_SECP384R1};
constexpr uint16_t kShares[] = {SSL_GROUP_X25519_MLKEM768, SSL_GROUP_X25519};

bool IsAddress(const std::string& name) {
  in6_addr address;
  return inet_pton(AF_INET, name.c_str(), &address) == 1 ||
         inet_pton(AF_INET6, name.c_str(), &address) == 1;
}

UpstreamTls::Impl& Of(const SSL* ssl) {
  return static_cast<UpstreamTls::Impl&>(TlsEngine::Of(ssl));
}

int KeepSession(SSL* ssl, SSL_SESSION* session) {
  UpstreamTls::Impl::KeptFor(ssl).session.reset(session);
  return 1;  // takes ownership
}

ssl_verify_result_t Verify(SSL* ssl, uint8_t* alert) {
  const UpstreamTlsPolicy& policy = Of(ssl).policy;
  if (!policy.verify) return ssl_verify_ok;
  return VerifyPeer(ssl, *policy.trust, TrustPurpose::kServer, UpstreamTls::Impl::KeptFor(ssl).name,
                    *alert)
             ? ssl_verify_ok
             : ssl_verify_invalid;
}

}  // namespace

UpstreamTls::Impl::Impl(const UpstreamTlsPolicy& from, size_t servers)
    : policy(from), kept(servers) {
  for (Kept& server : kept) {
    server.name = policy.name;
    server.name_is_address = IsAddress(policy.name);
  }
}

bool UpstreamTls::Impl::Init() {
  if (!MakeContext()) return false;
  SSL_CTX* const c = ctx.get();
  SSL_CTX_set_custom_verify(c, SSL_VERIFY_PEER, Verify);
  SSL_CTX_set_reverify_on_resume(c, 1);
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(c, KeepSession);
  return SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION) == 1 &&
         SSL_CTX_set1_group_ids(c, kGroups, std::size(kGroups)) == 1 &&
         (policy.certificate == nullptr ||
          SSL_CTX_add1_credential(c, policy.certificate->ssl.get()) == 1);
}

// The app data of an SSL points to it.
UpstreamTls::Impl::Kept& UpstreamTls::Impl::KeptFor(const SSL* ssl) {
  return *static_cast<Kept*>(SSL_get_app_data(ssl));
}

UpstreamTls::Impl::Kept& UpstreamTls::Impl::For(const UpstreamPeer& peer) {
  Kept& server = kept[peer.server];
  if (server.occupant == peer.occupant) return server;
  server.occupant = peer.occupant;
  server.session.reset();
  if (policy.name.empty()) {
    server.name = peer.name;
    server.name_is_address = IsAddress(server.name);
  }
  return server;
}

bssl::UniquePtr<SSL> UpstreamTls::Impl::Begin(Kept& server) {
  if (policy.verify && server.name.empty()) return nullptr;
  bssl::UniquePtr<SSL> ssl(SSL_new(ctx.get()));
  if (ssl == nullptr || SSL_set_app_data(ssl.get(), &server) != 1 ||
      SSL_set1_client_key_shares(ssl.get(), kShares, std::size(kShares)) != 1 ||
      (!server.name_is_address && !server.name.empty() &&
       SSL_set_tlsext_host_name(ssl.get(), server.name.c_str()) != 1)) {
    ERR_clear_error();
    return nullptr;
  }
  // Offers the session again and again until the server issues another. Postfix issues no
  // new ticket on resumption. An observer can link connections that use one ticket (RFC
  // 8446 appendix C.4), but that the gateway is the client of all of them is no secret.
  if (server.session != nullptr) SSL_set_session(ssl.get(), server.session.get());
  SSL_set_connect_state(ssl.get());
  return ssl;
}

UpstreamTls::UpstreamTls() = default;
UpstreamTls::~UpstreamTls() = default;

absl::StatusOr<std::unique_ptr<UpstreamTls>> UpstreamTls::Create(const UpstreamTlsPolicy& policy,
                                                                 size_t servers) {
  const bool named = !policy.name.empty() || policy.own_names;
  if (policy.verify && (policy.trust == nullptr || !named)) {
    return absl::InvalidArgumentError("servers cannot be verified without authorities and a name");
  }
  std::unique_ptr<UpstreamTls> made(new UpstreamTls());
  made->impl_ = std::make_unique<Impl>(policy, servers);
  const bool ok = made->impl_->Init();
  ERR_clear_error();
  if (!ok) return absl::InternalError("cannot make a TLS context");
  return made;
}

}  // namespace starling
