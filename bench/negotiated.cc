#include "bench/negotiated.h"

#include <openssl/evp.h>

#include <cstdio>

namespace starling::bench {

void Negotiated::Add(SSL* ssl) {
  const uint64_t packed = uint64_t{static_cast<uint16_t>(SSL_version(ssl))} << 48 |
                          uint64_t{SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(ssl))} << 32 |
                          uint64_t{SSL_get_group_id(ssl)} << 16 |
                          uint64_t{SSL_get_peer_signature_algorithm(ssl)};
  if (seen_++ == 0) packed_ = packed;
  mixed_ |= packed != packed_;
  retried_ += SSL_used_hello_retry_request(ssl) == 1;
}

void Negotiated::Print() const {
  if (seen_ == 0) return;
  const auto field = [this](int shift) { return static_cast<uint16_t>(packed_ >> shift); };
  const auto name = [this](const char* text) {
    return mixed_ ? "mixed" : text == nullptr ? "unknown" : text;
  };
  const SSL_CIPHER* cipher = SSL_get_cipher_by_value(field(32));
  // Takes the type of key from the signature algorithm, which a ticket keeps too.
  const bool rsa = SSL_get_signature_algorithm_key_type(field(0)) == EVP_PKEY_RSA;
  std::printf("version=%s\ncipher=%s\ngroup=%s\ncertificate=%s\nhello_retries=%zu\n",
              name(field(48) == TLS1_3_VERSION ? "TLSv1.3" : "TLSv1.2"),
              name(cipher == nullptr ? nullptr : SSL_CIPHER_standard_name(cipher)),
              name(SSL_get_group_name(field(16))), name(rsa ? "rsa" : "ecdsa"), retried_);
}

}  // namespace starling::bench
