// Translates the names in a TLS policy into the TLS library's numbers and lists. For tls/
// only.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "gateway/tls/tls_context.h"

namespace starling {

struct CompiledPolicy {
  // Ciphers in order of preference; those of TLS 1.2 in the library's notation.
  struct Ciphers {
    std::vector<uint16_t> tls13;
    std::string tls12;
  };

  bool tls12 = true;
  bool cbc = false;
  Ciphers ciphers;
  // For clients that prefer ChaCha20 because they have no hardware for AES. Equal to
  // `ciphers` if the policy has no ChaCha20.
  Ciphers chacha_first;
  std::vector<uint16_t> groups;
  std::vector<uint16_t> signatures;
  bool all_signatures = true;  // the policy does not restrict them
};

// The error begins with the option and names the value that is unknown, repeated or
// useless.
absl::StatusOr<CompiledPolicy> Compile(const TlsPolicy& policy);

// The policy's signature algorithms that `key` can sign with in a version that the policy
// allows, in the policy's order.
std::vector<uint16_t> SignaturesFor(const CompiledPolicy& policy, const EVP_PKEY* key);

// An index into kTlsSignatureLabels.
uint8_t SignatureIndex(uint16_t algorithm);

}  // namespace starling
