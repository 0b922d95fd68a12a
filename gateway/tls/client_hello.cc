#include "gateway/tls/client_hello.h"

#include <openssl/bytestring.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "absl/strings/ascii.h"

namespace starling {
namespace {

// RFC 8701: reserved values that clients send so that servers learn to ignore unknown
// ones.
bool IsGrease(uint16_t value) {
  return (value & 0x0f0f) == 0x0a0a && (value >> 8) == (value & 0xff);
}

bool PrefersChaCha20(const SSL_CLIENT_HELLO& hello) {
  CBS suites;
  CBS_init(&suites, hello.cipher_suites, hello.cipher_suites_len);
  uint16_t suite = 0;
  do {
    if (!CBS_get_u16(&suites, &suite)) return false;
  } while (IsGrease(suite));
  return suite == SSL_CIPHER_CHACHA20_POLY1305_SHA256 ||
         suite == SSL_CIPHER_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 ||
         suite == SSL_CIPHER_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256;
}

bool ChooseGroups(const SSL_CLIENT_HELLO& hello, const std::vector<uint16_t>& policy) {
  const uint8_t* data = nullptr;
  size_t size = 0;
  if (!SSL_early_callback_ctx_extension_get(&hello, TLSEXT_TYPE_key_share, &data, &size)) {
    return true;
  }
  uint16_t groups[kMaxGroups];
  return !OrderGroupsByKeyShare({data, size}, policy, groups) ||
         SSL_set1_group_ids(hello.ssl, groups, policy.size()) == 1;
}

bool ChooseCredentials(const SSL_CLIENT_HELLO& hello, const TlsContext::Impl& context) {
  const char* sni = SSL_get_servername(hello.ssl, TLSEXT_NAMETYPE_host_name);
  if (sni == nullptr) return true;
  // The library keeps this copy as long as the SSL lives and does not use it otherwise,
  // so it can be turned to lower case in place.
  char* name = const_cast<char*>(sni);
  for (char* p = name; *p != '\0'; p++) *p = absl::ascii_tolower(static_cast<uint8_t>(*p));

  const std::optional<size_t> list = context.index->Find(name);
  if (!list || *list == CredentialIndex::kDefault) return true;
  SSL_certs_clear(hello.ssl);
  return context.OfferCredentials(*list, [&](SSL_CREDENTIAL* credential) {
    return SSL_add1_credential(hello.ssl, credential) == 1;
  });
}

}  // namespace

bool OrderGroupsByKeyShare(std::span<const uint8_t> key_share, std::span<const uint16_t> policy,
                           std::span<uint16_t> groups) {
  CBS extension, shares;
  CBS_init(&extension, key_share.data(), key_share.size());
  // The library refuses a malformed extension later.
  if (policy.size() > kMaxGroups || !CBS_get_u16_length_prefixed(&extension, &shares)) return false;
  bool shared[kMaxGroups] = {};
  while (CBS_len(&shares) > 0) {
    uint16_t group = 0;
    CBS key;
    if (!CBS_get_u16(&shares, &group) || !CBS_get_u16_length_prefixed(&shares, &key)) return false;
    const auto found = std::ranges::find(policy, group);
    if (found != policy.end()) shared[found - policy.begin()] = true;
  }
  size_t n = 0;
  for (const bool wanted : {true, false}) {
    for (size_t i = 0; i < policy.size(); i++) {
      if (shared[i] == wanted) groups[n++] = policy[i];
    }
  }
  return groups[0] != policy[0];
}

uint8_t OfferedVersion(const SSL_CLIENT_HELLO& hello) {
  uint16_t highest = hello.version;
  const uint8_t* data = nullptr;
  size_t size = 0;
  if (SSL_early_callback_ctx_extension_get(&hello, TLSEXT_TYPE_supported_versions, &data, &size)) {
    CBS extension, versions;
    CBS_init(&extension, data, size);
    uint16_t version = 0;
    highest = 0;
    if (!CBS_get_u8_length_prefixed(&extension, &versions)) return 0;
    while (CBS_get_u16(&versions, &version)) {
      if (!IsGrease(version)) highest = std::max(highest, version);
    }
  }
  if (highest < SSL3_VERSION) return 0;
  return static_cast<uint8_t>(std::min<uint16_t>(highest, TLS1_3_VERSION) - SSL3_VERSION + 1);
}

bool ApplyPolicy(SSL_CTX* ctx, const TlsContext::Impl& context) {
  const CompiledPolicy& policy = context.policy;
  SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
  return SSL_CTX_set_min_proto_version(ctx, policy.tls12 ? TLS1_2_VERSION : TLS1_3_VERSION) == 1 &&
         SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1 &&
         SSL_CTX_set1_group_ids(ctx, policy.groups.data(), policy.groups.size()) == 1 &&
         SSL_CTX_set1_tls13_ciphers(ctx, policy.ciphers.tls13.data(), nullptr,
                                    policy.ciphers.tls13.size()) == 1 &&
         SSL_CTX_set_strict_cipher_list(ctx, policy.ciphers.tls12.c_str()) == 1 &&
         SSL_CTX_set_verify_algorithm_prefs(ctx, policy.signatures.data(),
                                            policy.signatures.size()) == 1 &&
         context.OfferCredentials(CredentialIndex::kDefault, [&](SSL_CREDENTIAL* credential) {
           return SSL_CTX_add1_credential(ctx, credential) == 1;
         });
}

bool OnClientHello(const SSL_CLIENT_HELLO& hello, const TlsContext::Impl& context) {
  const CompiledPolicy& policy = context.policy;
  if (PrefersChaCha20(hello)) {
    const CompiledPolicy::Ciphers& ciphers = policy.chacha_first;
    if (SSL_set1_tls13_ciphers(hello.ssl, ciphers.tls13.data(), nullptr, ciphers.tls13.size()) !=
            1 ||
        SSL_set_strict_cipher_list(hello.ssl, ciphers.tls12.c_str()) != 1) {
      return false;
    }
  }
  return ChooseGroups(hello, policy.groups) && ChooseCredentials(hello, context);
}

}  // namespace starling
