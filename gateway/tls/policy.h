// A policy's names as the TLS library's numbers and lists. For tls/ only.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "gateway/tls/tls_context.h"

namespace starling {

struct CompiledPolicy {
  // An order of ciphers: for TLS 1.3, and for 1.2 in the library's notation.
  struct Ciphers {
    std::vector<uint16_t> tls13;
    std::string tls12;
  };

  bool tls12 = true;
  bool cbc = false;
  Ciphers ciphers;
  // For clients that put ChaCha20 first, since they have no hardware for AES; the same
  // where the policy has no ChaCha20.
  Ciphers chacha_first;
  std::vector<uint16_t> groups;
  std::vector<uint16_t> signatures;
  bool all_signatures = true;  // the policy names none
};

// An error begins with the option, and names what is not known, there twice or of no use.
absl::StatusOr<CompiledPolicy> Compile(const TlsPolicy& policy);

// What of the policy's signature algorithms `key` can sign with in a version that the
// policy allows, in its order.
std::vector<uint16_t> SignaturesFor(const CompiledPolicy& policy, const EVP_PKEY* key);

// An index into kTlsSignatureLabels.
uint8_t SignatureIndex(uint16_t algorithm);

}  // namespace starling
