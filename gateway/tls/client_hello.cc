#include "gateway/tls/client_hello.h"

#include <openssl/bytestring.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "gateway/tls/credential_index.h"

namespace starling {
namespace {

// Best first. The hybrid protects against those who record today and decrypt later.
constexpr uint16_t kGroups[kSupportedGroupCount] = {SSL_GROUP_X25519_MLKEM768, SSL_GROUP_X25519,
                                                    SSL_GROUP_SECP256R1};

// AES-128 first: hardware makes it the fastest. Clients without that hardware put
// ChaCha20 first, and for those it comes first here too.
constexpr uint16_t kAesFirst13[] = {SSL_CIPHER_AES_128_GCM_SHA256, SSL_CIPHER_AES_256_GCM_SHA384,
                                    SSL_CIPHER_CHACHA20_POLY1305_SHA256};
constexpr uint16_t kChaChaFirst13[] = {SSL_CIPHER_CHACHA20_POLY1305_SHA256,
                                       SSL_CIPHER_AES_128_GCM_SHA256,
                                       SSL_CIPHER_AES_256_GCM_SHA384};
constexpr char kAesFirst12[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr char kChaChaFirst12[] =
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";

// RFC 8701: values that mean nothing, sent so that servers learn to ignore them.
bool IsGrease(uint16_t value) {
  return (value & 0x0f0f) == 0x0a0a && (value >> 8) == (value & 0xff);
}

bool PutsChaChaFirst(const SSL_CLIENT_HELLO& hello) {
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

bool ChooseGroups(const SSL_CLIENT_HELLO& hello) {
  const uint8_t* data = nullptr;
  size_t size = 0;
  if (!SSL_early_callback_ctx_extension_get(&hello, TLSEXT_TYPE_key_share, &data, &size)) {
    return true;
  }
  uint16_t groups[kSupportedGroupCount];
  return !OrderGroupsByKeyShare({data, size}, groups) ||
         SSL_set1_group_ids(hello.ssl, groups, kSupportedGroupCount) == 1;
}

bool ChooseCredentials(const SSL_CLIENT_HELLO& hello, const CredentialIndex& credentials) {
  const char* sni = SSL_get_servername(hello.ssl, TLSEXT_NAMETYPE_host_name);
  if (sni == nullptr) return true;
  // The library keeps this copy as long as the SSL and uses it for nothing else, so
  // the lower-case form needs no memory of its own.
  char* name = const_cast<char*>(sni);
  for (char* p = name; *p != '\0'; p++) *p = absl::ascii_tolower(static_cast<uint8_t>(*p));

  const size_t list = credentials.Find(name).value_or(CredentialIndex::kDefault);
  if (list == CredentialIndex::kDefault) return true;
  SSL_certs_clear(hello.ssl);
  return std::ranges::all_of(credentials.At(list), [&](const Credential* credential) {
    return SSL_add1_credential(hello.ssl, credential->ssl.get()) == 1;
  });
}

}  // namespace

bool OrderGroupsByKeyShare(std::span<const uint8_t> key_share,
                           std::span<uint16_t, kSupportedGroupCount> groups) {
  CBS extension, shares;
  CBS_init(&extension, key_share.data(), key_share.size());
  // What is malformed is for the library to refuse.
  if (!CBS_get_u16_length_prefixed(&extension, &shares)) return false;
  bool shared[kSupportedGroupCount] = {};
  while (CBS_len(&shares) > 0) {
    uint16_t group = 0;
    CBS key;
    if (!CBS_get_u16(&shares, &group) || !CBS_get_u16_length_prefixed(&shares, &key)) return false;
    const auto* found = std::ranges::find(kGroups, group);
    if (found != std::end(kGroups)) shared[found - kGroups] = true;
  }
  size_t n = 0;
  for (const bool wanted : {true, false}) {
    for (size_t i = 0; i < kSupportedGroupCount; i++) {
      if (shared[i] == wanted) groups[n++] = kGroups[i];
    }
  }
  return groups[0] != kGroups[0];
}

bool ApplyPolicy(SSL_CTX* ctx, const CredentialIndex& credentials) {
  SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
  return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
         SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1 &&
         SSL_CTX_set1_group_ids(ctx, kGroups, kSupportedGroupCount) == 1 &&
         SSL_CTX_set1_tls13_ciphers(ctx, kAesFirst13, nullptr, std::size(kAesFirst13)) == 1 &&
         SSL_CTX_set_strict_cipher_list(ctx, kAesFirst12) == 1 &&
         std::ranges::all_of(credentials.At(0), [&](const Credential* credential) {
           return SSL_CTX_add1_credential(ctx, credential->ssl.get()) == 1;
         });
}

bool OnClientHello(const SSL_CLIENT_HELLO& hello, const CredentialIndex& credentials) {
  if (PutsChaChaFirst(hello)) {
    if (SSL_set1_tls13_ciphers(hello.ssl, kChaChaFirst13, nullptr, std::size(kChaChaFirst13)) !=
            1 ||
        SSL_set_strict_cipher_list(hello.ssl, kChaChaFirst12) != 1) {
      return false;
    }
  }
  return ChooseGroups(hello) && ChooseCredentials(hello, credentials);
}

}  // namespace starling
